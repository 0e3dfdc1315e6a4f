"""A page that compares runs side by side: one HTML file without other files."""

import base64
import dataclasses
import html
import io
import pathlib
import re
import shlex
import string
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from tfgan_papers import files
from tfgan_papers.commands.grid import named
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS
from tfgan_papers.options import Options, option
from tfgan_papers.runs import collapse, records, tensorboard
from tfgan_papers.runs.folder import RunFolder, named_folders


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """The runs, and the path of the page."""

    runs: tuple[str, ...] = option(
        (), "Folders of runs and studies that --mode=report shows side by side."
    )
    page: str = option("report.html", "Path of the page that --mode=report writes.")


TEMPLATE = pathlib.Path(__file__).with_name("report.html")
COLOURS = 6  # in report.html: --run-1 to --run-6
DASHES = ("-", "--", "-.", ":")  # for readers who cannot distinguish the colours
INK = "#010203"  # in a drawing, replaced by the colour of text on the page
ERRORS = (
    "standard_error",
    "binomial_error",
    "standard_deviation",
    "deviation",
    "spread",
)  # entries with the error of a score


class RunPage(NamedTuple):
    """A trained run, as read from its folder."""

    folder: pathlib.Path
    facts: dict  # run.json
    summary: dict
    flags: dict[str, str]
    manifest: dict  # of the export
    scores: dict[str, dict]  # metric -> its newest entry at the last step
    sheet: pathlib.Path  # samples of the last step
    curves: dict[str, dict[int, float]]  # scalar -> step -> value
    name: str

    @property
    def images(self):
        """The number of training images, with repetitions."""
        per_second, ms = (self.summary[k] for k in ("images_per_second", "ms_per_step"))
        return round(self.summary["steps"] * per_second * ms / 1e3)

    @property
    def latents(self):
        width = self.manifest["endpoints"]["generate"]["z"][1]
        return f"{self.manifest['latent_law']}, {width} numbers"


def report(options: ReportOptions):
    """Writes the page.

    Raises:
        UsageError: there are no runs, or a folder is given twice or contains no run.
        UserError: a run or study has not ended, or its folder is incomplete.
    """
    folders = [pathlib.Path(name).expanduser() for name in named_folders(options.runs)]
    if not folders:
        raise UsageError(
            "--mode=report needs --runs: give the folders of runs, separated by commas"
        )
    places = [folder.resolve() for folder in folders]
    if twice := [str(f) for i, f in enumerate(folders) if places[i] in places[:i]]:
        raise UsageError(f"--runs: {twice[0]} is there twice: give it once")
    studies = [folder for folder in folders if (folder / "study.json").is_file()]
    runs = _told_apart([load(folder) for folder in folders if folder not in studies])
    path = pathlib.Path(options.page).expanduser()
    text = page(runs, dict(zip(_names(studies), map(_study, studies), strict=True)))
    files.write_text(path, text)
    print(path)


def load(folder: pathlib.Path) -> RunPage:
    """Reads a run folder.

    Raises:
        UsageError: it is not a run folder.
        UserError: the run has not ended, or a file is missing.
    """
    if not folder.is_dir():
        raise UsageError(f"--runs: there is no folder {folder}: check the path")
    of = RunFolder(folder)
    facts, summary = of.read("run.json"), of.read("summary.json")
    if facts is None:
        raise UsageError(f"--runs: {folder} is not a run folder: check the path")
    again = f"python main.py --logdir={shlex.quote(str(folder))}"
    if summary is None:
        raise UserError(f"{folder} has no summary.json: continue the run with {again}")
    manifest = of.read("export/manifest.json")
    if manifest is None or not (folder / "export" / "saved_model.pb").is_file():
        raise UserError(
            f"{folder} has no generator in export/: write it with {again} --mode=export"
        )
    sheet = of.sheets().get(summary["steps"])
    if sheet is None:
        raise UserError(
            f"{folder} has no picture of its last step, step-{summary['steps']:09d}.png: "
            "restore the file, or leave the run out"
        )
    curves = tensorboard.read_scalars(folder / "tensorboard")
    if not (options := of.stored_options()):
        raise UserError(
            f"{of / 'flags.txt'} is missing or empty: restore it, or leave the run out"
        )
    loss = summary["loss"].replace("_", " ")
    name = f"{summary['model']}, {loss}, seed {summary['seed']}"
    return RunPage(
        *(folder, facts, summary, options, manifest, of.scores(), sheet, curves, name)
    )


def _told_apart(runs):
    """Adds the folder to the names of runs that have the same name."""
    names = [run.name for run in runs]
    return [
        run._replace(name=f"{run.name}, {folder}") if names.count(run.name) > 1 else run
        for run, folder in zip(runs, _names([r.folder for r in runs]), strict=True)
    ]


def _names(folders):
    """The names of folders, with as many of those above as tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    depth = 1
    while len({each[-depth:] for each in parts}) < len(parts):
        depth += 1
    return ["/".join(each[-depth:]) for each in parts]


def _study(folder):
    """Reads the study.json of a study.

    Raises:
        UserError: the study has not ended.
    """
    record = RunFolder(folder).read("study.json")
    if "settings" not in record:
        raise UserError(
            f"the study in {folder} has not ended: run its command again to continue it"
        )
    return record


# What differs.


def warnings(runs: list[RunPage]) -> list[str]:
    """Returns a line for each property in which the runs differ."""
    properties = {
        "Data sets differ, so scores are not comparable": [
            run.summary["dataset"] for run in runs
        ],
        "Data differ": [
            "{} of {} examples".format(
                "x".join(map(str, run.facts["shape"])), run.facts["examples"]
            )
            + (f", {run.flags['train_split']}" if "train_split" in run.flags else "")
            for run in runs
        ],
        "Budgets differ": [f"{run.images:,} images" for run in runs],
        "Machines differ, so speeds are not comparable": [
            run.summary.get("machine", "not recorded") for run in runs
        ],
        "Generators differ": [run.summary.get("generator", "raw") for run in runs],
        "Precisions differ": [run.summary["mixed_precision"] for run in runs],
        "Latents differ, so sheets show different samples": [run.latents for run in runs],
    }
    return [
        f"{what}: "
        + "; ".join(f"{run.name}: {value}" for run, value in zip(runs, values, strict=True))
        for what, values in properties.items()
        if len(set(values)) > 1
    ]


# The page.


def page(runs: list[RunPage], studies: dict[str, dict]) -> str:
    """Returns the page as text."""
    sections = {
        "Samples": _samples(runs),
        "Numbers": _numbers(runs),
        "Curves": _curves(runs),
        "Failures": "".join(_failures(*each) for each in studies.items()),
        "Commands": _commands(runs, studies),
    }
    sections = {name: text for name, text in sections.items() if text}
    sets = dict.fromkeys(run.summary["dataset"] for run in runs)
    title = f"Runs side by side: {', '.join([*sets, *studies])}"
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        summary=f"Written by <code>{_command()}</code>.",
        warnings="".join(
            f'<p class="warning" role="note">{html.escape(text)}</p>\n'
            for text in warnings(runs)
        ),
        links="\n".join(f'<a href="#{name.lower()}">{name}</a>' for name in sections),
        sections="".join(
            f'<section aria-labelledby="{name.lower()}">\n<h2 id="{name.lower()}">{name}'
            f"</h2>\n{text}</section>\n"
            for name, text in sections.items()
        ),
    )


def _command():
    return html.escape(records.command())


def _colour(i):
    return f"var(--run-{i % COLOURS + 1})"


def _heading(i, run):
    """The name and colour of a run above its id."""
    swatch = f'<span class="swatch" style="background: {_colour(i)}"></span>'
    name, run_id = html.escape(run.name), html.escape(run.facts["run_id"])
    return f"{swatch}<strong>{name}</strong><br><code>{run_id}</code>"


def _samples(runs):
    figures = []
    for i, run in enumerate(runs):
        text = f"Samples of {run.name} at step {run.summary['steps']:,}"
        figures.append(_figure(run.sheet.read_bytes(), text, _heading(i, run)))
    for name, sheet in _real(runs).items():
        text = f"Real images of {name}"
        figures.append(_figure(sheet, text, f"<strong>{html.escape(text)}</strong>"))
    same = runs[1:] and len({run.latents for run in runs}) == 1
    words = "The same place on each sheet has the same latent." if same else ""
    grid = f'<div class="columns">\n{"".join(figures)}</div>\n'
    return f"<p>Samples after the last step. {words}</p>\n{grid}" if runs else ""


def _real(runs):
    """Data set and size -> the sheet of its images that the first run of it has."""
    found = {}
    for run in runs:
        path = run.folder / "samples" / "real.png"  # points have none
        if path.is_file():
            size = "x".join(map(str, run.facts["shape"][:2]))
            found.setdefault(f"{run.summary['dataset']}, {size}", path.read_bytes())
    return found


def _figure(png, text, caption):
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _numbers(runs):
    if not runs:
        return ""
    rows = {
        "data": [run.summary["dataset"] for run in runs],
        "steps": [f"{run.summary['steps']:,}" for run in runs],
        "images seen": [f"{run.images:,}" for run in runs],
        "seed": [run.summary["seed"] for run in runs],
        "generator": [run.summary.get("generator", "raw") for run in runs],
    }
    for metric in dict.fromkeys(name for run in runs for name in run.scores):
        label = getattr(METRICS.get(metric), "NAME", metric)
        rows[label] = [_score(metric, run.scores.get(metric)) for run in runs]
    rows |= {
        "collapse watch": [_collapse(run.summary.get("collapse", {})) for run in runs],
        "images/s": [f"{run.summary['images_per_second']:,.0f}" for run in runs],
        "ms per step": [f"{run.summary['ms_per_step']:.1f}" for run in runs],
        "weights of G": [f"{run.summary['parameters']['generator']:,}" for run in runs],
        "weights of D or encoder": [f"{_partner_size(run):,}" for run in runs],
        "machine": [run.summary.get("machine", "not recorded") for run in runs],
    }
    return _table("Numbers", [_heading(i, run) for i, run in enumerate(runs)], rows)


def _partner_size(run):
    """The number of weights of the network that trains with the generator."""
    sizes = run.summary["parameters"]
    return sum(size for name, size in sizes.items() if name != "generator")


def _score(metric, entry):
    """Formats a score with its error, unit and number of samples."""
    if entry is None:
        return "not computed"
    error = next((entry[name] for name in ERRORS if entry.get(name) is not None), None)
    spread = "" if error is None else f" \N{PLUS-MINUS SIGN} {error:.2g}"
    unit = getattr(METRICS.get(metric), "UNIT", "")
    samples = f" ({entry['samples']:,} samples)" if entry.get("samples") else ""
    return f"{entry['value']:.5g}{spread} {unit}{samples}"


def _collapse(verdict):
    if "diversity" not in verdict:
        return "not watched"
    return f"{verdict['verdict'].replace('_', ' ')}, {collapse.measured(verdict)}"


def _table(label, heads, rows):
    """A table with one column per head. If it is too wide, the keyboard scrolls it."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        + "</tr>\n"
        for name, cells in rows.items()
    )
    return (
        f'<div class="wide" role="region" aria-label="{html.escape(label)}, table" '
        f'tabindex="0">\n<table>\n<thead><tr><td></td>{columns}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody>\n</table>\n</div>\n"
    )


def _curves(runs):
    """A drawing per scalar, with one line per run, of the scalars that two runs have.

    If there is only one run, all its scalars are drawn.
    """
    drawn = {}
    for tag in sorted({tag for run in runs for tag in run.curves}, key=tensorboard.place):
        lines = {i: run.curves[tag] for i, run in enumerate(runs) if tag in run.curves}
        if len(lines) >= min(2, len(runs)):
            drawn[tag] = lines
    words = (
        "<p>Losses of different methods have different scales. Comparable are diversity, "
        "relative to that of the data, and d_auc, the probability that D distinguishes "
        "samples from data.</p>\n"
    )
    figures = "".join(_drawing(tag, lines, runs) for tag, lines in drawn.items())
    return f'{words}<div class="columns">\n{figures}</div>\n' if drawn else ""


def _drawing(tag, lines, runs):
    """A drawing as inline SVG in the colours of the page."""
    marks = [f"#{i:06x}" for i in range(0xA00001, 0xA00001 + len(runs))]
    names = [run.name for run in runs]
    text = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK}
    ticks = {"xtick.color": INK, "ytick.color": INK, "legend.labelcolor": INK}
    fixed = {"svg.fonttype": "none", "svg.hashsalt": tag, "font.size": 11}
    with matplotlib.rc_context({**text, **ticks, **fixed}):
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.subplots()
        for i, points in lines.items():
            steps = sorted(points)
            axes.plot(
                *(steps, [points[step] for step in steps]),
                color=marks[i],
                linestyle=DASHES[i % len(DASHES)],
                marker="o" if len(steps) < 3 else None,
                label=names[i],
            )
        axes.set(xlabel="step")
        axes.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    own = re.sub(r"\W", "-", tag)  # ids must be unique on the page
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", svg)
    for i, mark in enumerate(marks):
        svg = svg.replace(mark, _colour(i))
    svg = svg.replace(INK, "currentColor")
    ends = "; ".join(f"{names[i]} ends at {p[max(p)]:.4g}" for i, p in lines.items())
    label = html.escape(f"{tag} by step: {ends}")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    caption = (
        f"<strong>{html.escape(tag)}</strong><br>{tensorboard.DESCRIPTIONS.get(tag, '')}"
    )
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"


def _failures(name, record):
    """The failure rate and the scores of each setting of a study."""
    rows = {
        named(row["setting"]): [
            f"{row['failures']} of {row['runs']}",
            "{:.0%} ({:.0%} to {:.0%})".format(row["failure_rate"], *row["interval"]),
            "; ".join(
                f"{metric} {score['mean']:.4g}"
                + ("" if score["deviation"] is None else f" ± {score['deviation']:.2g}")
                for metric, score in row["scores"].items()
            ),
        ]
        for row in record["settings"]
    }
    heads = ["failed", f"rate ({record['interval_is']})", "mean and deviation"]
    is_ = "".join(f"<li>{html.escape(text)}</li>" for text in record["failure_is"])
    return (
        f"<h3>{html.escape(name)}</h3>\n{_table(name, heads, rows)}"
        f"<p>A run failed if</p>\n<ul>{is_}</ul>\n"
    )


def _commands(runs, studies):
    """The exact command of each run and study."""
    of = {f"{run.name}, {run.facts['run_id']}": run.summary["command"] for run in runs}
    of |= {f"study {name}": record["command"] for name, record in studies.items()}
    return "".join(
        f"<p>{html.escape(name)}</p>\n<pre><code>{html.escape(command)}</code></pre>\n"
        for name, command in of.items()
    )
