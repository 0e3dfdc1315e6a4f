"""The results of a study: its record, its table and its figures."""

import pathlib
import statistics
from collections import Counter

import numpy as np
from PIL import Image
from scipy.stats import binomtest, sem, t

from tfgan_papers import figures, files
from tfgan_papers.commands.grid import named, run_name, settings_of
from tfgan_papers.runs import records

FAILURE_IS = (
    "the training diverged or, with --on_collapse=stop or rollback, collapsed for good",
    "at the last report the samples vary less than the collapse watch demands",
    "with --metrics=mode_coverage or kde_modes: not every mode is covered",
    "any other error; such a run is tried again when the study is started again",
)
CONFIDENCE = 0.95
CURVES = ("selection", "training")


def report(folder, grid, flags, runs, errors, scores, kind=None, earlier=None):
    """Writes study.json, study.md, study.png and samples.png, and with --record the record
    and samples.png beside it.

    samples.png has a picture of each setting: that of --sample, the argument `kind`, if the
    runs have drawn it from their folders, else the last sheet.

    If the first metric was computed more than once in a run, this also writes
    selection.png, the metric by step.

    Args:
        folder: `RunFolder` of the study.
        grid: dict, the varied flags with their values.
        flags: dict, the other flags.
        runs: list of `StudyRun`.
        errors: dict, the error of each run that did not finish, by name.
        scores: `ScoreOptions`.
        kind: kind of picture with which each run ends, or None.
        earlier: a record of the study, without the runs that are in `runs`; or None.
    """
    earlier = earlier or {}
    metric = scores.metrics[0] if scores.metrics else ""
    settings = settings_of(grid)
    entries = [*earlier.get("runs", ()), *(found(run, errors, metric) for run in runs)]
    entries.sort(key=lambda entry: (entry["seed"], settings.index(entry["setting"])))
    summary = [summarize(setting, entries) for setting in settings]
    commits = {commit for run in runs for commit in _commits(run)}
    machines = {machine for run in runs for machine in _machines(run)}
    machines = sorted(machines.union(earlier.get("machines_of_runs", ())))
    fields = {
        "study": folder.path.name,
        "grid": grid,
        "flags": flags,
        "seeds": sorted({entry["seed"] for entry in entries}),
        "failure_is": FAILURE_IS,
        "interval_is": f"{CONFIDENCE:.0%}; of rates Wilson's, of means of scores Student's",
        "settings": summary,
        "runs": entries,
        "budget": {
            "steps": sum(entry["steps"] for entry in entries),
            "hours": _hours(runs, earlier),
        },
        "commits_of_runs": sorted(
            filter(None, commits.union(earlier.get("commits_of_runs", ())))
        ),
        "machines_of_runs": machines,
        "command": records.command(),
    }
    if earlier:
        commands = [*earlier.get("earlier_commands", ()), earlier["command"]]
        fields["earlier_commands"] = [*dict.fromkeys(commands)]
    lengths = [] if "steps" in grid else _lengths(entries)
    text = markdown(summary, _reasons(entries), machines, lengths)
    files.write_text(folder / "study.md", text)
    figures.save(figures.study(summary), folder / "study.png")
    if any(len(entry.get("selection", ())) > 1 for entry in entries):
        drawn = {}
        for entry in entries:
            curves = {name: dict(entry.get(name, ())) for name in CURVES}
            drawn.setdefault(named(entry["setting"]), []).append(curves)
        figures.save(figures.selection(drawn, metric), folder / "selection.png")
    records.write(folder / "study.json", **fields)
    pictures = {named(setting): _picture(setting, runs, kind) for setting in settings}
    columns = 1 if kind else len([*grid.values()][-1])  # --sample draws wide pictures
    picture = figures.panels(pictures, columns)
    drawn = any(each is not None for each in pictures.values())  # else keep what is there
    if drawn:
        figures.save(picture, folder / "samples.png")
    if scores.record:
        records.write(scores.record, **fields)
        if drawn:
            beside = pathlib.Path(scores.record).expanduser().with_suffix(".png")
            figures.save(picture, beside)
    print(text)
    print(f"table, figures and record are in {folder}")


def found(run, errors, metric=""):
    """What a run has found: its entry in the record.

    Args:
        run: `StudyRun`.
        errors: see `report`.
        metric: name of the score whose curve the entry has.
    """
    curves = {name: sorted(curve.items()) for name, curve in run.curves(metric).items()}
    # A run that was continued and then diverged has a summary and scores of before.
    diverged = run.folder.read("failure.json") is not None
    return {
        "setting": run.setting,
        "seed": run.seed,
        "fingerprint": run.fingerprint(),
        "steps": 0 if diverged else run.folder.steps(),
        "failure": errors.get(run.name) or run.failure(),
        "again": run.name in errors,  # the study executes it again
        "scores": {} if diverged else run.quantities(),
        **{name: curves[name] for name in CURVES if curves[name]},
    }


def summarize(setting, entries):
    """The failure rate of a setting with its interval, and for each score the mean, the
    standard deviation and the interval of the mean."""
    mine = [entry for entry in entries if entry["setting"] == setting]
    failures = sum(bool(entry["failure"]) for entry in mine)
    test = binomtest(failures, len(mine))
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    values_of = {}
    for entry in mine:
        for name, value in entry["scores"].items():
            values_of.setdefault(name, []).append(value)
    return {
        "setting": setting,
        "runs": len(mine),
        "failures": failures,
        "failure_rate": failures / len(mine),
        "interval": [interval.low, interval.high],
        "scores": {name: _averaged(values) for name, values in values_of.items()},
    }


def _reasons(entries):
    """The reason of each failure, by the name of the run."""
    return {
        run_name(entry["setting"], entry["seed"]): entry["failure"]
        for entry in entries
        if entry["failure"]
    }


def _lengths(entries):
    """(steps, number of runs), of the runs that did not diverge."""
    return sorted(Counter(e["steps"] for e in entries if e["steps"]).items())


def _hours(runs, earlier):
    """The hours of training of all runs. Of an earlier record, each step counts alike."""
    summaries = (run.folder.read("summary.json") or {} for run in runs)
    hours = sum(s.get("steps", 0) * s.get("ms_per_step", 0) for s in summaries) / 3.6e6
    if earlier and (of_all := earlier["budget"]["steps"]):
        taken = sum(entry["steps"] for entry in earlier["runs"])
        hours += earlier["budget"]["hours"] * taken / of_all
    return hours


def _picture(setting, runs, kind):
    """The picture of the setting's first run that has one, or None."""
    mine = [run for run in runs if run.setting == setting]
    paths = [run.picture(kind) for run in mine if kind and run.picture(kind).is_file()]
    sheets = filter(None, (run.folder.sheets() for run in mine))
    paths += [sheets[max(sheets)] for sheets in sheets]
    return np.asarray(Image.open(paths[0]).convert("RGB")) if paths else None


def _averaged(values):
    mean, several = statistics.fmean(values), len(values) > 1
    half = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * sem(values) if several else None
    return {
        "mean": mean,
        "deviation": statistics.stdev(values) if several else None,
        "interval": [float(mean - half), float(mean + half)] if several else None,
        "runs": len(values),
    }


def _commits(run):
    """The commits at which a run was trained."""
    facts = run.folder.read("run.json") or {}
    return facts.get("commits") or [facts.get("commit")]  # older runs have only the first


def _machines(run):
    """The machines and versions with which a run was trained."""
    if known := (run.folder.read("run.json") or {}).get("machines"):
        return known
    summary = run.folder.read("summary.json") or {}  # of a run of an older version
    if "machine" not in summary:
        return []
    return [records.described(summary["machine"], summary.get("versions", {}))]


def markdown(summary: list[dict], failed: dict[str, str], machines=(), lengths=()) -> str:
    """The table with one row per setting, the failures with their reasons, and if they
    differ the machines and the numbers of steps."""
    names = sorted({name for row in summary for name in row["scores"]})
    head = [*summary[0]["setting"], "failed", f"rate, {CONFIDENCE:.0%} interval", *names]
    rows = [head, ["---"] * len(head)]
    for row in summary:
        low, high = row["interval"]
        rate = f"{row['failure_rate']:.0%} ({low:.0%} to {high:.0%})"
        scores = [_mean(row["scores"].get(name), row["runs"]) for name in names]
        failures = f"{row['failures']} of {row['runs']}"
        rows.append([*row["setting"].values(), failures, rate, *scores])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    reasons = [f"- {name}: {reason}" for name, reason in failed.items()]
    if len(machines) > 1:
        reasons += [f"- Some runs were on: {machine}" for machine in machines]
    if len(lengths) > 1:
        reasons += [f"- Runs of {steps:,} steps: {n}" for steps, n in lengths]
    return "\n".join([*lines, *([""] if reasons else []), *reasons]) + "\n"


def _mean(score, runs):
    if score is None:
        return ""
    spread = ""
    if score["runs"] > 1:
        low, high = score["interval"]
        spread = f" +- {score['deviation']:.3g} ({low:.4g} to {high:.4g})"
    of = "" if score["runs"] == runs else f" ({score['runs']} runs)"
    return f"{score['mean']:.4g}{spread}{of}"
