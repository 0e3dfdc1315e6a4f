"""People vote on a page in a browser, and what is counted is what they voted.

The raters are scripts that look at the pixels and have a known preference.
"""

import base64
import io
import json
import math
import statistics

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from reproduction import ledger
from tests import launch
from tests.test_report import contrast
from tfgan_papers import figures
from tfgan_papers.commands import compare, votes
from tfgan_papers.errors import UsageError, UserError

Z = statistics.NormalDist().inv_cdf(0.975)


# The numbers.


@pytest.mark.parametrize("count, n", [(2256, 4000), (0, 7), (7, 7), (28, 40), (1, 1)])
def test_a_share_has_the_wilson_interval_and_the_exact_sign_test(count, n):
    """LSGAN's bedrooms were preferred in 56.4% of 4,000 votes (LSGAN, Sec. 4.3.2)."""
    found = votes.share([True] * count + [False] * (n - count))
    p = count / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    assert found.value == p
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    tail = sum(math.comb(n, i) for i in range(max(count, n - count), n + 1))
    assert found.p == pytest.approx(min(1, 2 * tail / 2**n))
    assert found.standard_error == pytest.approx(math.sqrt(p * (1 - p) / n))


def test_kappa_is_cohens_and_of_many_raters_the_mean_over_pairs():
    """Of 20 answers the two agree in 16: 12 times 0 and 4 times 1. By chance they would
    agree in .8 x .6 + .2 x .4 = .56, so that kappa is (.8 - .56) / (1 - .56)."""
    one = {i: int(i >= 16) for i in range(20)}
    other = {i: int(i >= 12) for i in range(20)}
    assert votes.agreement([one, other]) == (pytest.approx(0.24 / 0.44), 1)
    opposite = {i: 1 - answer for i, answer in one.items()}
    of_opposites = (0 - 0.32) / (1 - 0.32)  # never, and by chance 2 x .8 x .2
    with_other = (0.2 - 0.44) / (1 - 0.44)  # 4 of 20; by chance .2 x .6 + .8 x .4
    mean = (0.24 / 0.44 + of_opposites + with_other) / 3
    assert votes.agreement([one, other, opposite]) == (pytest.approx(mean), 3)
    in_common = {i: one[i] for i in range(8, 20)} | {99: 1}
    assert votes.agreement([one, in_common]) == (pytest.approx(1), 1)


def test_without_two_answers_there_is_no_kappa():
    assert votes.agreement([{0: 1, 1: 1}, {0: 1, 1: 1}]) == (None, 0)
    assert votes.agreement([{0: 1}, {1: 1}]) == (None, 0)
    assert votes.agreement([{0: 1}]) == (None, 0)


# The page, from runs.


def asked(path):
    """What a page asks."""
    _, _, rest = path.read_text().partition('<script type="application/json" id="study">')
    return json.loads(rest.partition("</script>")[0])


def pixels(url):
    """Of a data URL."""
    encoded = url.removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_of_one_run_half_the_pictures_are_held_out_digits_and_half_are_samples(tmp_path):
    page, folder = tmp_path / "page.html", launch.trained().folder
    options = ("--questions=9", "--feedback", f"--page={page}")
    ended = launch.within("--mode=compare", f"--runs={folder}", *options)
    assert (ended.code, ended.out) == (0, f"{page}\n"), ended.err
    study = asked(page)
    assert (study["form"], study["feedback"]) == ("real", True)
    assert [item["truth"] for item in study["items"]] == [0] * 5 + [1] * 4
    digits = sklearn.datasets.load_digits().images
    held_out = {image.tobytes() for image in np.uint8(np.rint(digits[-180:] * 255 / 16))}
    for item in study["items"]:
        (picture,) = map(pixels, item["pictures"])
        inner = picture[figures.GAP : -figures.GAP, figures.GAP : -figures.GAP, 0]
        zoom = len(inner) // 8
        assert zoom > 4 and inner.shape == (8 * zoom, 8 * zoom)
        real = np.ascontiguousarray(inner[::zoom, ::zoom]).tobytes() in held_out
        assert real == (item["truth"] == 0)


def test_of_two_runs_each_question_has_a_picture_of_each(tmp_path):
    page = tmp_path / "page.html"
    options = ("--questions=3", "--images_shown=4", f"--page={page}")
    with launch.copy_of_trained() as twin:
        facts = json.loads((twin / "run.json").read_text())
        runs = f"--runs={launch.trained().folder},{twin}"
        ended = launch.within("--mode=compare", runs, *options)
        assert ended.errors == [f"error: --runs: {facts['run_id']} is there twice"]
        (twin / "run.json").write_text(json.dumps(facts | {"run_id": "twin"}))
        ended = launch.within("--mode=compare", runs, *options)
        assert ended.code == 0, ended.err
        (twin / "run.json").write_text(json.dumps(facts | {"fingerprint": "another"}))
        ended = launch.within("--mode=compare", runs, *options)
        assert (ended.code, len(ended.errors)) == (2, 1) and "other data" in ended.err
    study = asked(page)
    assert study["form"] == "preference"
    assert study["subjects"] == [facts["run_id"], "twin"]
    assert (study["steps"], len(study["items"])) == ([launch.STEPS] * 2, 3)
    for item in study["items"]:  # the twins draw the same
        one, other = map(pixels, item["pictures"])
        np.testing.assert_array_equal(one, other)
    assert len({item["pictures"][0] for item in study["items"]}) == 3


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "writes a page with --runs"),
        ({"runs": ("a",), "votes": ("b",)}, "writes a page with --runs"),
        ({"runs": ("a",), "record": "r.json"}, "--record goes with --votes"),
        ({"runs": ("a", "b", "c")}, "two runs to compare"),
        ({"runs": ("a", "b"), "feedback": True}, "of two pictures none is right"),
        ({"runs": ("nowhere",)}, "nowhere is the folder of no run"),
        ({"votes": ("nowhere.json",)}, "there is no file nowhere.json"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        compare.compare(compare.CompareOptions(**options))


# In a real browser.


def coded(item, of):
    """A picture that says of which question and of which subject it is."""
    picture = np.full((4, 4, 3), (8 * item, 200 * of, 0), np.uint8)
    return f"data:image/png;base64,{base64.b64encode(figures.png(picture)).decode()}"


def a_study(form, feedback=False, seed=0):
    """Of 20 questions."""
    items = [{"pictures": [coded(i, 0), coded(i, 1)]} for i in range(20)]
    if form == "real":
        items = [{"pictures": [coded(i, i % 2)], "truth": i % 2} for i in range(20)]
    return {
        "study": f"{form}-{feedback}-{seed}",
        "form": form,
        "subjects": ["lsgan-</script>", "dcgan"]
        if form == "preference"
        else ["real", "gan"],
        "dataset": "digits",
        "steps": [300, 400] if form == "preference" else [300],
        "seed": seed,
        "feedback": feedback,
        "items": items,
    }


@pytest.fixture
def written(tmp_path):
    """Study -> its page."""

    def write(study):
        path = tmp_path / f"{study['study']}.html"
        path.write_text(compare.page(study), encoding="utf-8")
        return path

    return write


SEEN = """async (id) => {
    const image = document.getElementById(id);
    await image.decode();
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.drawImage(image, 0, 0);
    const [red, green] = canvas.getImageData(0, 0, 1, 1).data;
    return [red / 8, green / 200];
}"""


class Rater:
    """A person with a name, before a page in a browser of their own.

    Args:
        decide: (question, subject on the left, or in the only picture) -> 0 or 1, for left
            or right.
        touch: whether they tap instead of pressing keys.
    """

    def __init__(self, browser, page, name, decide, touch=False):
        size = {"width": 390, "height": 800} if touch else {"width": 1280, "height": 800}
        self.context = browser.new_context(viewport=size, has_touch=touch)
        self.tab, self.name, self.decide, self.touch = (
            self.context.new_page(),
            name,
            decide,
            touch,
        )
        self.tab.on("pageerror", lambda error: pytest.fail(str(error)))
        self.page, self.seen, self.told = page, [], []
        self.open()

    def open(self):
        self.tab.goto(self.page.as_uri())
        self.tab.fill("#rater", self.name)
        self.tab.keyboard.press("Enter")

    def give(self, count):
        """Give so many votes."""
        tab = self.tab
        only = tab.is_visible("#picture")
        for _ in range(count):
            item, subject = map(
                round, tab.evaluate(SEEN, "picture" if only else "left-picture")
            )
            self.seen.append((item, subject))
            side = self.decide(item, subject)
            if self.touch:
                tab.tap(("#left", "#right")[side])
            else:
                tab.keyboard.press(("ArrowLeft", "ArrowRight")[side])
            if tab.is_visible("#next"):
                self.told.append(tab.inner_text("#message"))
                tab.keyboard.press("Enter")

    def file(self, folder):
        """Download the votes: the file, and close the browser."""
        with self.tab.expect_download() as download:
            self.tab.click("#download")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        self.context.close()
        return path


def prefers(first):
    """The first subject in the questions that are named, the second in the others."""
    return lambda item, left: int(left != (0 if item in first else 1))


def test_votes_by_keyboard_and_by_touch_are_counted_as_given(browser, written, tmp_path):
    """The preferences of the test of kappa: 16 and 12 of 20 for the first run."""
    page = written(a_study("preference"))
    anna = Rater(browser, page, "Anna", prefers(range(16)))
    anna.give(7)
    anna.open()  # again: the votes are kept
    assert "8 of 20" in anna.tab.inner_text("#count")
    anna.tab.click("#undo")
    again = anna.seen.pop()
    anna.give(14)
    assert anna.seen[6] == again
    assert "all 20 votes" in anna.tab.inner_text("#end")
    ben = Rater(browser, page, "Ben B.", prefers(range(12)), touch=True)
    ben.give(20)
    orders = [[item for item, _ in rater.seen] for rater in (anna, ben)]
    assert orders[0] != orders[1]
    for rater, order in zip((anna, ben), orders, strict=True):
        assert sorted(order) == list(range(20)) != order
        assert 3 < sum(left for _, left in rater.seen) < 17  # both runs on both sides
    paths = [rater.file(tmp_path) for rater in (anna, ben)]
    assert [path.name for path in paths] == ["votes-Anna.json", "votes-Ben-B-.json"]
    left = [vote["answer"] == vote["left"] for p in paths for vote in of(p)["votes"]]
    record = tmp_path / "votes" / "record.json"
    pattern = f"--votes={tmp_path}/votes-*.json"
    ended = launch.within("--mode=compare", pattern, f"--record={record}")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith(
        "votes for lsgan-</script> against dcgan: 70.0% of 40 (95% interval 54.6% to 81.9%)"
    )
    assert f"left picture: {sum(left) / 40:.1%} of 40" in lines[1]
    assert [line[:26] for line in lines[2:4]] == [
        "rater Anna: 80.0% of 20 (9",
        "rater Ben B.: 60.0% of 20 ",
    ]
    assert lines[4] == "agreement: Cohen's kappa 0.55"
    found = ledger.load(record.parent)["record"]
    assert (found["value"], found["unit"], found["claim"]) == (70, "% of votes", None)
    assert found["details"]["kappa"] == pytest.approx(6 / 11)
    assert found["details"]["raters"]["Anna"]["count"] == 16
    assert "70 +- 7.2" in ledger._other("record", found)[2]
    mixed = of(paths[0]) | {"study": "another", "rater": "Cleo"}
    (tmp_path / "votes-Cleo.json").write_text(json.dumps(mixed))
    with pytest.raises(UsageError, match="votes of different pages"):
        votes.load((f"{tmp_path}/votes-*.json",))
    (tmp_path / "votes-Cleo.json").write_text(json.dumps(of(paths[0])))
    with pytest.raises(UserError, match="two files of the rater Anna"):
        votes.load((f"{tmp_path}/votes-*.json",))
    (tmp_path / "votes-Cleo.json").write_text("[]")
    with pytest.raises(UserError, match="is no file of votes"):
        votes.load((f"{tmp_path}/votes-*.json",))


def of(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("feedback", [False, True])
def test_errors_on_real_and_generated_pictures_are_told_apart(
    feedback, browser, written, tmp_path, capsys
):
    """The rater is taken in by four of ten generated pictures, and doubts one of ten."""
    wrong = {1, 5, 7, 19, 12}
    rater = Rater(
        browser,
        written(a_study("real", feedback)),
        "D",
        lambda i, truth: truth ^ (i in wrong),
    )
    rater.give(20)
    kinds = ["real", "generated"]
    expected = [
        f"{('Right', 'Wrong')[i in wrong]}: it is {kinds[t]}." for i, t in rater.seen
    ]
    assert rater.told == (expected if feedback else [])
    assert rater.tab.is_visible("#undo") != feedback
    votes.count((str(rater.file(tmp_path)),), None)
    lines = capsys.readouterr().out.splitlines()
    told = "with" if feedback else "without"
    assert lines[0].startswith(
        f"right answers, real or from gan, {told} feedback: 75.0% of 20"
    )
    assert lines[1:3] == [
        "real called generated: 10.0% of 10",
        "generated called real: 40.0% of 10",
    ]
    assert lines[3].startswith("rater D: 75.0% of 20") and len(lines) == 4


def test_the_order_is_of_the_seed_and_the_name(browser, written):
    tab = browser.new_page()
    plans = []
    for seed, name in ((0, "a"), (0, "a"), (0, "b"), (1, "a")):
        tab.goto(written(a_study("preference", seed=seed)).as_uri())
        plans.append(json.dumps(tab.evaluate("planned", name)))
    assert plans[0] == plans[1] and len(set(plans)) == 3
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("form", ["preference", "real"])
def test_the_page_fits_a_phone_and_asks_for_nothing_outside(form, scheme, browser, written):
    size = {"width": 360, "height": 640}
    context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=True)
    tab, requests = context.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    page = written(a_study(form))
    tab.goto(page.as_uri())
    tab.fill("#rater", "E")
    tab.tap("#begin button")
    assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [tab.locator(f"#{side}").bounding_box() for side in ("left", "right")]
    assert all(box["y"] + box["height"] <= 640 for box in boxes)  # without scrolling
    assert all(min(box["width"], box["height"]) >= 44 for box in boxes)  # a fingertip
    colours = tab.evaluate(
        """() => ["color", "backgroundColor"].map(
            (name) => getComputedStyle(document.body)[name])"""
    )
    assert contrast(*colours) >= 7
    context.close()
