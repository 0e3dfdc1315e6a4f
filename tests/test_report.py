"""The page of --mode=report shows what the run folders contain, and needs no other file.

It works in a browser, in light and dark mode and by keyboard.
"""

import base64
import html.parser
import json
import re
import shutil

import pytest

from tests import launch
from tests.test_findings import covered, made
from tfgan_papers.commands import findings, report
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import tensorboard
from tfgan_papers.runs.folder import RunFolder

VOID = {"meta", "img", "br", "link", "use"}


class Page(html.parser.HTMLParser):
    """The elements of a page, as (tag, attributes), its text, and what is ill-formed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text, self.wrong = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID and self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Model -> the folder of a run that the command line trained."""
    root = tmp_path_factory.mktemp("runs")
    arguments = ("--model=lsgan", "--width=4", "--steps=2", "--seed=3", "--batch_size=20")
    ended = launch.within(*arguments, "--jit_compile=false", f"--logdir={root / 'lsgan'}")
    assert ended.code == 0, ended.err
    copied(launch.trained().folder, root / "gan", "checkpoints")
    entries = [
        {"metric": "parzen_window", "step": 10, "value": -7.0, "standard_error": 0.5},
        {"metric": "parzen_window", "step": 20, "value": -3.25, "standard_error": 0.125},
    ]
    (root / "gan" / "scores.json").write_text(json.dumps(entries))
    return {name: root / name for name in ("gan", "lsgan")}


@pytest.fixture(scope="module")
def a_study(tmp_path_factory):
    """The folder of a study that has ended."""
    root = tmp_path_factory.mktemp("studies") / "losses"
    grid = {"fidelity": ["paper", "code"]}
    runs = [
        made(root, 1, "paper", mode_coverage=covered(8)),
        made(root, 2, "paper", mode_coverage=covered(3)),
        made(root, 1, "code", mode_coverage=covered(8)),
        made(root, 2, "code", mode_coverage=covered(8)),
    ]
    findings.report(RunFolder(root), grid, {}, runs, {}, ScoreOptions())
    return root


def write(path, *folders):
    runs = tuple(str(folder) for folder in folders)
    report.report(report.ReportOptions(runs=runs, page=str(path)))
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def path(folders, a_study, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "page.html"
    write(path, *folders.values(), a_study)
    return path


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text(encoding="utf-8"))


def cells(text, row):
    found = re.search(rf'<th scope="row">{re.escape(row)}</th>(.*?)</tr>', text)
    return re.findall("<td>(.*?)</td>", found[1])


def test_an_inception_score_has_its_spread_over_the_blocks():
    entry = {"value": 6.4, "standard_deviation": 0.07, "samples": 50_000}
    shown = report._score("inception_score", entry)
    assert shown == "6.4 \N{PLUS-MINUS SIGN} 0.07  (50,000 samples)"


def test_it_is_well_formed_and_asks_for_nothing_outside(page, path):
    assert not page.wrong
    assert not page.all("script", "link", "iframe", "object")
    named = [a[k] for _, a in page.elements for k in ("src", "href") if k in a]
    assert named and all(name.startswith(("#", "data:")) for name in named)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\((?!#)|@import", text)


def test_it_can_be_read_without_eyes_and_in_order(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawing["aria-label"] for drawing in page.all("svg"))
    assert all(head.get("scope") in ("row", "col") for head in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"].removeprefix("#") for a in page.all("a", "use") if "href" in a]
    assert links and set(links) <= set(ids)
    scrolling = [a for a in page.all("div") if "wide" in a.get("class", "")]
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)


def test_it_shows_each_runs_last_sheet_and_the_data(page, folders):
    shown = [image["src"].partition("base64,")[2] for image in page.all("img")]
    sheets = [
        (folders[name] / "samples" / f"step-{step:09d}.png").read_bytes()
        for name, step in (("gan", 20), ("lsgan", 2))
    ]
    sheets.append((folders["gan"] / "samples" / "real.png").read_bytes())  # of both
    assert [base64.b64decode(data) for data in shown] == sheets
    assert page.all("img")[2]["alt"] == "Real images of digits, 8x8"


def test_its_numbers_are_those_of_the_folders(path, folders):
    text = path.read_text(encoding="utf-8")
    summaries = [json.loads((f / "summary.json").read_text()) for f in folders.values()]
    assert cells(text, "steps") == ["20", "2"]
    assert cells(text, "images seen") == ["400", "40"]
    assert cells(text, "seed") == ["1", "3"]
    speeds = [f"{summary['images_per_second']:,.0f}" for summary in summaries]
    assert cells(text, "images/s") == speeds
    assert cells(text, "machine") == [summary["machine"] for summary in summaries]
    parzen = cells(text, "Parzen-window log-likelihood")
    assert parzen == ["-3.25 \N{PLUS-MINUS SIGN} 0.12 nats", "not computed"]
    for summary in summaries:
        assert f"<pre><code>{summary['command']}</code></pre>" in text
    assert cells(text, "fidelity=paper")[:2] == ["1 of 2", "50% (9% to 91%)"]
    assert cells(text, "fidelity=code")[0] == "0 of 2"


def test_curves_are_what_tensorboard_has(folders, page):
    found = tensorboard.read_scalars(folders["gan"] / "tensorboard")
    summary = json.loads((folders["gan"] / "summary.json").read_text())
    assert set(found["g_loss"]) == {1, 5, 10, 15, 20}
    assert found["g_loss"][20] == pytest.approx(summary["scalars"]["g_loss"])
    labels = [drawing["aria-label"] for drawing in page.all("svg")]
    drawn = [label.partition(" by step")[0] for label in labels]
    assert drawn == ["d_loss", "g_loss", "d_fake", "d_real", "images_per_s"]
    assert tensorboard.DESCRIPTIONS["d_real"] in "".join(page.text)
    (label,) = [label for label in labels if label.startswith("g_loss by step")]
    assert f"gan, non saturating, seed 1 ends at {found['g_loss'][20]:.4g}" in label
    assert "lsgan, least squares, seed 3 ends at" in label


def test_what_does_not_compare_is_said_first(page, path, folders, tmp_path):
    said = re.findall(r'class="warning" role="note">(\w+) differ', path.read_text())
    assert said == ["Budgets", "Latents"]
    other = copied(folders["gan"], tmp_path / "other")
    summary = json.loads((other / "summary.json").read_text())
    summary |= {"machine": "another", "mixed_precision": "mixed_bfloat16"}
    (other / "summary.json").write_text(json.dumps(summary))
    (other / "run.json").write_text(
        json.dumps(json.loads((other / "run.json").read_text()) | {"examples": 100})
    )
    text = write(tmp_path / "page.html", folders["gan"], other)
    assert re.findall(r'class="warning" role="note">(\w+) differ', text) == [
        *("Data", "Machines", "Precisions")
    ]
    assert "The same place on each sheet has the same latent." in text
    alone = write(tmp_path / "page.html", folders["gan"])
    assert "warning" not in alone.partition("<body>")[2]


def test_two_runs_with_the_same_options_are_told_apart(folders, tmp_path):
    other = copied(folders["gan"], tmp_path / "other")
    text = write(tmp_path / "page.html", folders["gan"], other)
    names = re.findall("<strong>(gan.*?)</strong>", text)
    name = "gan, non saturating, seed 1"
    assert set(names) == {f"{name}, gan", f"{name}, other"}


def test_equal_budgets_are_equal_numbers_of_images_in_whatever_steps(folders, tmp_path):
    """The first run saw 400 images, in 20 steps."""
    other, page = copied(folders["gan"], tmp_path / "other"), tmp_path / "page.html"
    summary = json.loads((other / "summary.json").read_text())
    for steps, said in ((10, []), (5, ["Budgets differ: .* 400 images; .* 200 images"])):
        (other / "summary.json").write_text(
            json.dumps(
                summary | {"steps": steps, "ms_per_step": 2 * summary["ms_per_step"]}
            )
        )
        text = write(page, folders["gan"], other)
        found = re.findall('class="warning" role="note">(Budgets.*)</p>', text)
        assert len(found) == len(said) and all(map(re.match, said, found))


def copied(folder, to, *left_out):
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(*left_out))
    return to


@pytest.mark.parametrize(
    "left_out, words",
    [
        (
            "export",
            "no generator in export/: write it with python main.py .* --mode=export",
        ),
        ("summary.json", "no summary.json: continue the run with python main.py --logdir"),
        ("run.json", "is not a run folder"),
        ("flags.txt", "flags.txt is missing"),
        ("step-000000020.png", "no picture of its last step, step-000000020.png"),
    ],
)
def test_a_folder_that_is_no_whole_run_is_refused(left_out, words, folders, tmp_path):
    run = copied(folders["gan"], tmp_path / "run", left_out)
    with pytest.raises(UserError, match=words):
        write(tmp_path / "page.html", folders["gan"], run)
    assert not (tmp_path / "page.html").exists()


def test_runs_that_have_nothing_to_do_with_each_other_are_refused(folders, tmp_path):
    run, page = copied(folders["gan"], tmp_path / "run"), tmp_path / "page.html"
    summary = json.loads((run / "summary.json").read_text()) | {"dataset": "mnist"}
    (run / "summary.json").write_text(json.dumps(summary))
    text = write(page, folders["gan"], run)
    assert "Data sets differ, so scores are not comparable" in text
    with pytest.raises(UsageError, match="no folder .*nowhere"):
        write(page, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is there twice"):
        write(page, folders["gan"], folders["gan"])
    with pytest.raises(UsageError, match="needs --runs"):
        write(page)
    (run / "study.json").write_text('{"grid": {}, "flags": {}}')
    with pytest.raises(UserError, match="has not ended"):
        write(page, run)
    (run / "summary.json").write_text("{")
    (run / "study.json").unlink()
    with pytest.raises(UserError, match="summary.json is damaged"):
        write(page, run)


def test_the_command_line_refuses_in_one_line(tmp_path):
    ended = launch.within("--mode=report", f"--runs={tmp_path / 'none'}")
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert "there is no folder" in ended.errors[0]


# In a real browser.


def luminance(colour):
    channels = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


COLOURS = """() => {
    const of = (selector, name) => {
        const found = document.querySelector(selector);
        return found && getComputedStyle(found)[name];
    };
    return {page: of("body", "backgroundColor"), text: of("body", "color"),
        link: of("a", "color"), caption: of("figcaption", "color"),
        warning: of(".warning", "color"), behind: of(".warning", "backgroundColor"),
        ink: of("svg text", "fill"),
        lines: [...document.querySelectorAll(".swatch")].map(
            (s) => getComputedStyle(s).backgroundColor)};
}"""


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_a_browser_shows_it_in_light_and_dark(browser, path, scheme, dark):
    context = browser.new_context(color_scheme=scheme)
    tab, asked, said = context.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert not said
    found = tab.evaluate(COLOURS)
    assert (luminance(found["page"]) < 0.1) == dark
    for name in ("text", "link", "caption", "ink"):
        assert contrast(found[name], found["page"]) >= 4.5, name
    assert contrast(found["warning"], found["behind"]) >= 4.5
    assert all(contrast(line, found["page"]) >= 3 for line in found["lines"])
    widths = "[...document.images].map((image) => image.naturalWidth)"
    assert all(tab.evaluate(widths))
    context.close()


def test_the_keyboard_reaches_all_there_is_and_nothing_overflows(browser, path):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab = context.new_page()
    tab.goto(path.as_uri())
    reached = []
    for _ in range(20):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate(
            "[document.activeElement.getAttribute('href'),"
            " document.activeElement.getAttribute('aria-label')]"
        ))  # fmt: skip
    names = ("samples", "numbers", "curves", "failures", "commands")
    links = [href for href, _ in reached if href]
    assert links[:5] == [f"#{name}" for name in names]
    labels = [label for _, label in reached if label]
    assert labels[:2] == ["Numbers, table", "losses, table"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
