"""A study: every setting of a grid of flags, with several seeds each, one process a run.

A run fails, and counts as failed, if it ends in any other way than trained and scored, or
if what it has learned is not what it was to learn: `FAILURE_IS`. The folder says what is
done, so the same command goes on with a study that was interrupted; within a run the run's
own exact resume does.
"""

import concurrent.futures
import dataclasses
import datetime
import itertools
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from typing import BinaryIO, NamedTuple

from scipy.stats import binomtest, sem, t

from tfgan_papers import figures, files, options
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option
from tfgan_papers.runs import collapse, records, settings, tensorboard
from tfgan_papers.runs.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class StudyOptions(Options):
    """A grid of settings, each run with several seeds."""

    grid: tuple[str, ...] = option(
        (),
        "A flag and its values, for example loss=minimax,non_saturating; one --grid each.",
    )
    seeds: int = option(10, "Runs of each setting, with --seed=1 to this number.", low=1)
    jobs: int = option(
        1,
        "Runs at a time, each with its share of the processors. With another share the "
        "last bits of a sum may differ.",
        low=1,
    )


OWN = {"grid", "seeds", "jobs", "mode", "logdir", "seed", "record", "flagfile"}
FAILURE_IS = (
    "the training diverged or, with --on_collapse=stop or rollback, collapsed for good",
    "at the end the samples vary less than the collapse watch demands",
    "with --metrics=mode_coverage: not every mode is covered",
    "any other error; such a run is tried again when the study is started again",
)
CONFIDENCE = 0.95


class StudyRun(NamedTuple):
    """One setting with one seed, and the folder that says how it went."""

    setting: dict[str, str]
    seed: int
    folder: RunFolder

    @property
    def name(self):
        return f"{named(self.setting)} seed {self.seed}"

    def finished(self, steps: int, metrics: tuple[str, ...]) -> bool:
        """Whether there is nothing left to do: failed for good, or trained and scored."""
        trained = self.folder.steps() >= max(1, steps)
        scored = set(metrics) <= set(self.folder.scores())
        return (trained and scored) or self.folder.read("failure.json") is not None

    def failure(self) -> str | None:
        """Why a finished run is a failure, or None: it is none."""
        if failed := self.folder.read("failure.json"):
            return failed["reason"]
        watch = self.folder.read("summary.json").get("collapse", {})
        if watch.get("verdict") in ("collapsed", "low_diversity", "unvaried"):
            varies = collapse.measured(watch, digits=3)
            return f"{watch['verdict']}: {varies} at step {watch['step']:,}"
        for entry in self.folder.scores().values():
            if entry["value"] < entry.get("modes", 0):
                return f"{entry['value']:.0f} of {entry['modes']} modes"
        return None

    def selection(self) -> dict[int, float]:
        """Step -> the score that chooses the best checkpoint; empty without --metrics."""
        return tensorboard.read_scalars(self.folder / "tensorboard").get("selection", {})

    def quantities(self) -> dict[str, float]:
        """The scores, with all that is measured and no setting of the measurement; before
        them what the last report says: the scalars of training, means over its period, and
        the collapse watch's diversity and coverage."""
        summary = self.folder.read("summary.json") or {}
        scalars = summary.get("scalars", {})
        last = {f"training {k}": v for k, v in scalars.items()}  # "bound" is a score too
        watched = summary.get("collapse", {})
        measured = ("diversity", "coverage")
        last |= {name: watched[name] for name in measured if name in watched}
        return last | {
            metric if name == "value" else f"{metric} {name}": value
            for metric, entry in self.folder.scores().items()
            for name, value in entry.items()
            if isinstance(value, float)
            and not name.endswith("_error")
            and not name.endswith("_accuracy")  # of the features, not of the samples
        }


def named(setting: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def study(given: dict[str, object], study: StudyOptions, scores: ScoreOptions):
    """Run what is not done of the study in --logdir; then its table, figure and record.

    Args:
        given: option -> value, all that the user gives.

    Raises:
        UsageError: the grid makes no sense, or the folder holds another study.
    """
    grid = parse_grid(study.grid)
    folder = RunFolder(given.get("logdir") or f"runs/study-{given.get('model', 'gan')}")
    passed_on = _passed_on(given, grid)
    fresh = folder.read("study.json") is None
    _claim(folder, grid, passed_on)
    runs = [
        StudyRun(setting, seed, _folder(folder, setting, seed))
        for seed in range(1, 1 + study.seeds)  # outermost: a bad setting shows early
        for setting in settings_of(grid)
    ]
    arguments = [text for texts in passed_on.values() for text in texts]
    try:
        errors = _run_all(runs, arguments, given.get("steps", 0), scores, study.jobs)
    except UsageError:
        if fresh:  # so that it can be mended; what has run is found again
            (folder / "study.json").unlink()
        raise
    report(folder, grid, passed_on, runs, errors, scores)


def _fields():
    """Every option that a run can have, with those of its scores."""
    return settings.all_fields() | options.fields(ScoreOptions)


def parse_grid(given: tuple[str, ...]) -> dict[str, list[str]]:
    """["loss=a,b", "k=1,2"] -> {"loss": ["a", "b"], "k": ["1", "2"]}.

    Raises:
        UsageError: there is no such flag, or it refuses a value.
    """
    if not given:
        raise UsageError("--mode=study needs --grid, as --grid=loss=minimax,non_saturating")
    grid, fields = {}, _fields()
    for text in given:
        name, _, values = text.partition("=")
        if not values:
            raise UsageError(f"--grid={text}: write it as --grid={name}=one,other")
        if name in OWN or name in grid:
            raise UsageError(f"--grid={text}: --{name} cannot vary, or is there twice")
        if name not in fields and name != "model":
            raise UsageError(f"--grid={text}: there is no flag --{name}")
        grid[name] = values.split(",")
        if len(set(grid[name])) < len(grid[name]):
            raise UsageError(f"--grid={text}: a value is there twice")
        for value in grid[name]:
            try:
                if name == "model":
                    settings.paper_of(value)
                else:
                    options.from_text(fields[name], value)
            except UsageError as error:
                raise UsageError(f"--grid={text}: {error}") from error
    return grid


def settings_of(grid: dict[str, list[str]]) -> list[dict[str, str]]:
    """Every combination of one value a flag; the last flag varies fastest."""
    return [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]


def _folder(folder, setting, seed):
    pairs = (f"{k}={urllib.parse.quote(v, safe='')}" for k, v in setting.items())
    return RunFolder(folder / ",".join(pairs) / f"seed-{seed}")


def _passed_on(given, grid):
    """What the user says of other options, for every run: name -> how it is written."""
    names = sorted(set(given) - OWN - set(grid))
    return {name: [f"--{name}={options.to_text(given[name])}"] for name in names}


def _claim(folder, grid, passed_on):
    """Note in the folder what study is there, or see that it is this one."""
    if (folder / "flags.txt").exists():
        raise UsageError(f"{folder} is the folder of a run: choose another --logdir")
    here = {"grid": grid, "flags": _fixed(passed_on)}
    stored = folder.read("study.json")
    if stored is None:
        return records.write(folder / "study.json", **here)
    if not {"grid", "flags"} <= stored.keys():
        raise UserError(f"{folder / 'study.json'} is damaged: it has no grid or no flags")
    if {"grid": stored["grid"], "flags": stored["flags"]} != here:
        written = [text for texts in stored["flags"].values() for text in texts]
        varied = [f"--grid={name}={','.join(v)}" for name, v in stored["grid"].items()]
        raise UsageError(
            f"the study in {folder} is another: {' '.join([*varied, *written])}. Use "
            "another --logdir"
        )


def _fixed(passed_on):
    return {k: text for k, text in passed_on.items() if k not in settings.LOCATION}


# The processes.


class Processes:
    """Runs command lines as processes. `stop` ends those at work, each of which keeps a
    checkpoint, and starts no further one.

    Args:
        threads: of each process; None leaves it to TensorFlow.
    """

    def __init__(self, threads: int | None = None):
        self.lock, self.running, self.stopping = threading.Lock(), set(), False
        # a run finds the package where this process has found it
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        if threads:
            for kind in ("INTRAOP", "INTEROP"):
                self.environment.setdefault(f"TF_NUM_{kind}_THREADS", str(threads))

    def run(self, arguments: list[str], log: BinaryIO) -> int | None:
        """The exit code of `main.py` with these arguments and its output in `log`; None if
        it was not started."""
        command = [sys.executable, "-m", "tfgan_papers", *arguments]
        with self.lock:
            if self.stopping:
                return None
            process = subprocess.Popen(  # Ctrl-C is the study's to pass on, once
                *(command,), stdout=log, stderr=log, env=self.environment,
                start_new_session=True,
            )  # fmt: skip
            self.running.add(process)
        code = process.wait()
        with self.lock:
            self.running.remove(process)
        return code

    def stop(self):
        with self.lock:
            self.stopping = True
            for process in self.running:
                process.terminate()


def _run_all(runs, arguments, steps, scores, jobs):
    """Take all runs to their ends, `jobs` at a time: run name -> error, of those that
    could not be."""

    def finished(run):
        return run.finished(int(run.setting.get("steps", steps)), scores.metrics)

    pending = [run for run in runs if not finished(run)]
    done, errors, begun = len(runs) - len(pending), {}, time.monotonic()
    share = max(1, os.cpu_count() // jobs) if jobs > 1 else None
    processes = Processes(share)
    usual = {s: signal.signal(s, _stop) for s in (signal.SIGINT, signal.SIGTERM)}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            futures = {
                pool.submit(_train, processes, run, arguments): run for run in pending
            }
            for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
                run = futures[future]
                if not finished(run):
                    errors[run.name] = _error(run, future.result())
                elapsed = time.monotonic() - begun
                left = elapsed / count * (len(pending) - count)
                print(
                    f"[{done + count}/{len(runs)}] {run.name}: {_outcome(run, errors)}; "
                    f"{_clock(elapsed)} elapsed, about {_clock(left)} to go",
                    flush=True,
                )
        finally:
            for signum in usual:  # the ends of the runs are waited for
                signal.signal(signum, signal.SIG_IGN)
            processes.stop()
            pool.shutdown(cancel_futures=True)
            for signum, handler in usual.items():
                signal.signal(signum, handler)
    return errors


def _stop(signum, frame):
    print("interrupted: the same command continues from there", flush=True)
    sys.exit(128 + signum)


def _train(processes, run, arguments):
    """One run by its command line, with its output in log.txt; the exit code."""
    run.folder.path.mkdir(parents=True, exist_ok=True)
    varied = [f"--{name}={value}" for name, value in run.setting.items()]
    own = [f"--seed={run.seed}", f"--logdir={run.folder}"]
    with run.folder.open_log() as log:
        return processes.run([*arguments, *varied, *own], log)


def _error(run, code):
    """What a run that is neither trained nor failed for good says.

    Raises:
        UsageError: its flags make no sense, so neither does the study.
    """
    lines = (run.folder / "log.txt").read_text(errors="replace").splitlines()
    said = [line for line in lines if line.startswith(("error: ", "FATAL Flags"))]
    if code == 2 and said:
        raise UsageError(f"{run.name}: {said[-1].removeprefix('error: ')}")
    last = said[-1] if said else next(iter(lines[-1:]), "")
    return f"exit code {code}: {last.removeprefix('error: ')}"


def _outcome(run, errors):
    if failure := errors.get(run.name) or run.failure():
        return f"failed, {failure}"
    quantities = run.quantities()
    return ", ".join(f"{k} {v:.4g}" for k, v in quantities.items()) or "trained"


def _clock(seconds):
    return datetime.timedelta(seconds=round(seconds))


# What comes of it.


def report(folder, grid, passed_on, runs, errors, scores):
    """study.json, study.md, study.png and, with --record, the first once more; where
    the first metric was taken more than once, also selection.png, of it by step."""
    summary = [summarize(s, runs, errors) for s in settings_of(grid)]
    failed = {r.name: errors.get(r.name) or r.failure() for r in runs}
    summaries = [run.folder.read("summary.json") or {} for run in runs]
    curves = {run.name: run.selection() for run in runs}
    commits = {(run.folder.read("run.json") or {}).get("commit") for run in runs}
    fields = {
        "study": folder.path.name,
        "grid": grid,
        "flags": _fixed(passed_on),
        "seeds": sorted({run.seed for run in runs}),
        "failure_is": FAILURE_IS,
        "interval_is": f"{CONFIDENCE:.0%}; of rates Wilson's, of means of scores Student's",
        "settings": summary,
        "runs": [
            {
                "setting": run.setting,
                "seed": run.seed,
                "steps": run.folder.steps(),
                "failure": failed[run.name],
                "scores": run.quantities(),
                "selection": sorted(curves[run.name].items()),
            }
            for run in runs
        ],
        "budget": {
            "steps": sum(run.folder.steps() for run in runs),
            "hours": sum(s.get("steps", 0) * s.get("ms_per_step", 0) for s in summaries)
            / 3.6e6,
        },
        "commits_of_runs": sorted(filter(None, commits)),
        "command": records.command(),
    }
    text = markdown(summary, {name: reason for name, reason in failed.items() if reason})
    files.write_text(folder / "study.md", text)
    figures.save(figures.study(summary), folder / "study.png")
    if any(len(curve) > 1 for curve in curves.values()):
        drawn = {}
        for run in runs:
            drawn.setdefault(named(run.setting), []).append(curves[run.name])
        figures.save(figures.selection(drawn, scores.metrics[0]), folder / "selection.png")
    records.write(folder / "study.json", **fields)
    if scores.record:
        records.write(scores.record, **fields)
    print(text)
    print(f"table, figures and record are in {folder}")


def summarize(setting, runs, errors):
    """Failure rate with its interval, and of each score mean, deviation and the interval
    of the mean."""
    mine = [run for run in runs if run.setting == setting]
    failures = sum(bool(errors.get(run.name) or run.failure()) for run in mine)
    test = binomtest(failures, len(mine))
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    found = {}
    for run in mine:
        for name, value in run.quantities().items():
            found.setdefault(name, []).append(value)
    return {
        "setting": setting,
        "runs": len(mine),
        "failures": failures,
        "failure_rate": failures / len(mine),
        "interval": [interval.low, interval.high],
        "scores": {name: _averaged(values) for name, values in found.items()},
    }


def _averaged(values):
    mean, several = statistics.fmean(values), len(values) > 1
    half = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * sem(values) if several else None
    return {
        "mean": mean,
        "deviation": statistics.stdev(values) if several else None,
        "interval": [float(mean - half), float(mean + half)] if several else None,
        "runs": len(values),
    }


def markdown(summary: list[dict], failed: dict[str, str]) -> str:
    """The table, a row a setting, and each failure with its reason."""
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
