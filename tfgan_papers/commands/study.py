"""A study: every setting of a grid of flags, with several seeds each, one process a run.

A run fails, and counts as failed, if it ends in any other way than trained and scored, or
if what it has learned is not what it was to learn: `FAILURE_IS`. The folder says what is
done, so the same command goes on with a study that was interrupted; within a run the run's
own exact resume does.
"""

import contextlib
import datetime
import fcntl
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import shlex
import signal
import statistics
import sys
import time
import urllib.parse
from typing import NamedTuple

from absl import flags
from scipy.stats import binomtest, sem, t

from tfgan_papers import figures
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import records, training

FLAGS = flags.FLAGS
_GRID = flags.DEFINE_multi_string(
    "grid", [], "A flag and its values, as loss=minimax,non_saturating; one --grid each."
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 10, "Runs of a setting, with --seed=1 to so many.", lower_bound=1
)
_JOBS = flags.DEFINE_integer(
    "jobs",
    1,
    "Runs at a time, each with its share of the processors; with another share the last "
    "bits of a sum may differ.",
    lower_bound=1,
)

OWN = {"grid", "seeds", "jobs", "mode", "logdir", "seed", "record", "flagfile"}
FAILURE_IS = (
    "the training diverged or, with --on_collapse=stop or rollback, collapsed for good",
    "at the end the samples vary less than the collapse watch demands",
    "with --metrics=mode_coverage: not every mode is covered",
    "any other error; such a run is tried again when the study is started again",
)
CONFIDENCE = 0.95


class Run(NamedTuple):
    """One setting with one seed, and the folder that says how it went."""

    setting: dict[str, str]
    seed: int
    folder: pathlib.Path

    @property
    def name(self):
        return f"{named(self.setting)} seed {self.seed}"

    def read(self, name):
        path = self.folder / name
        try:
            return json.loads(path.read_text()) if path.is_file() else None
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from error

    def steps(self) -> int:
        """Steps of the trained run; 0 before."""
        return (self.read("summary.json") or {}).get("steps", 0)

    def scores(self) -> dict[str, dict]:
        """Metric -> its newest entry in scores.json, of the trained run."""
        entries = self.read("scores.json") or []
        return {e["metric"]: e for e in entries if e["step"] == self.steps()}

    def finished(self, steps: int, metrics: list[str]) -> bool:
        """Whether there is nothing left to do: failed for good, or trained and scored."""
        trained = self.steps() >= max(1, steps) and set(metrics) <= set(self.scores())
        return trained or self.read("failure.json") is not None

    def failure(self) -> str | None:
        """Why a finished run is a failure, or None: it is none."""
        if failed := self.read("failure.json"):
            return failed["reason"]
        verdict = self.read("summary.json").get("collapse", {})
        if verdict.get("verdict") in ("collapsed", "unvaried"):
            return "{verdict}: diversity {diversity:.3f} at step {step:,}".format(**verdict)
        for entry in self.scores().values():
            if entry["value"] < entry.get("modes", 0):
                return f"{entry['value']:.0f} of {entry['modes']} modes"
        return None

    def selection(self) -> dict[int, float]:
        """Step -> the score that chooses the best checkpoint; empty without --metrics."""
        return records.read_scalars(self.folder / "tensorboard").get("selection", {})

    def quantities(self) -> dict[str, float]:
        """The scores, with all that is measured and no setting of the measurement; before
        them what the last report says: the scalars of training, means over its period, and
        the collapse watch's diversity."""
        summary = self.read("summary.json") or {}
        scalars = summary.get("scalars", {})
        last = {f"training {k}": v for k, v in scalars.items()}  # "bound" is a score too
        watched = summary.get("collapse", {})
        last |= {"diversity": watched["diversity"]} if "diversity" in watched else {}
        return last | {
            metric if name == "value" else f"{metric} {name}": value
            for metric, entry in self.scores().items()
            for name, value in entry.items()
            if isinstance(value, float)
            and not name.endswith("_error")
            and name != "classifier_accuracy"  # of the features, not of the samples
        }


def named(setting: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def study():
    """Run what is not done of the study in --logdir; then its table, figure and record.

    Raises:
        UsageError: the grid makes no sense, or the folder holds another study.
    """
    grid, folder = parse_grid(_GRID.value), pathlib.Path(FLAGS.logdir).expanduser()
    passed_on = _passed_on(grid)
    fresh = not (folder / "study.json").exists()
    _claim(folder, grid, passed_on)
    runs = [
        Run(setting, seed, _folder(folder, setting, seed))
        for seed in range(1, 1 + _SEEDS.value)  # outermost: a bad setting shows early
        for setting in settings_of(grid)
    ]
    try:
        errors = _run_all(runs, [text for texts in passed_on.values() for text in texts])
    except UsageError:
        if fresh:  # so that it can be mended; what has run is found again
            (folder / "study.json").unlink()
        raise
    report(folder, grid, passed_on, runs, errors)


def parse_grid(given: list[str]) -> dict[str, list[str]]:
    """["loss=a,b", "k=1,2"] -> {"loss": ["a", "b"], "k": ["1", "2"]}.

    Raises:
        UsageError: there is no such flag, or it refuses a value.
    """
    if not given:
        raise UsageError("--mode=study needs --grid, as --grid=loss=minimax,non_saturating")
    grid = {}
    for text in given:
        name, _, values = text.partition("=")
        if not values:
            raise UsageError(f"--grid={text}: write it as --grid={name}=one,other")
        if name not in FLAGS:
            raise UsageError(f"--grid={text}: there is no flag --{name}")
        if name in OWN or name in grid:
            raise UsageError(f"--grid={text}: --{name} cannot vary, or is there twice")
        grid[name] = values.split(",")
        if len(set(grid[name])) < len(grid[name]):
            raise UsageError(f"--grid={text}: a value is there twice")
        for value in grid[name]:
            try:
                FLAGS[name].parser.parse(value)
            except (TypeError, ValueError) as error:
                raise UsageError(f"--grid={text}: --{name}={value}: {error}") from error
    return grid


def settings_of(grid: dict[str, list[str]]) -> list[dict[str, str]]:
    """Every combination of one value a flag; the last flag varies fastest."""
    return [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]


def _folder(folder, setting, seed):
    pairs = (f"{k}={urllib.parse.quote(v, safe='')}" for k, v in setting.items())
    return folder / ",".join(pairs) / f"seed-{seed}"


def _passed_on(grid):
    """What the command line and flagfiles say of other flags, for every run: flag ->
    as it is written."""
    given = {FLAGS[name].name: FLAGS[name] for name in FLAGS if FLAGS[name].present}
    names = sorted(set(given) - OWN - set(grid))
    return {name: given[name].serialize().splitlines() for name in names}


def _claim(folder, grid, passed_on):
    """Note in the folder what study is there, or see that it is this one."""
    if (folder / "flags.txt").exists():
        raise UsageError(f"{folder} is the folder of a run: name another --logdir")
    fixed = {name: text for name, text in passed_on.items() if name not in training.WHERE}
    try:
        stored = json.loads((folder / "study.json").read_text())
        there = {"grid": stored["grid"], "flags": stored["flags"]}
    except FileNotFoundError:
        there = {"grid": grid, "flags": fixed}
        records.write(folder / "study.json", **there)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'study.json'} is damaged: {error}") from error
    if there != {"grid": grid, "flags": fixed}:
        written = [text for texts in there["flags"].values() for text in texts]
        varied = [f"--grid={name}={','.join(v)}" for name, v in there["grid"].items()]
        raise UsageError(
            f"the study in {folder} is another: {shlex.join([*varied, *written])}. Use "
            "another --logdir"
        )


# The processes.


def _run_all(runs, passed_on):
    """Take all runs to their ends, --jobs at a time: run name -> error, of those that
    could not be."""
    metrics, errors, running = FLAGS.metrics, {}, {}

    def finished(run):
        steps = run.setting.get("steps", FLAGS.steps if FLAGS["steps"].present else 0)
        return run.finished(int(steps), metrics)

    pending = [run for run in runs if not finished(run)]
    done, count, begun = len(runs) - len(pending), 0, time.monotonic()
    usual = {s: signal.signal(s, _stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        while pending or running:
            while pending and len(running) < _JOBS.value:
                run = pending.pop(0)
                with _signals_later():
                    process = _start(run, passed_on)
                    running[process.sentinel] = run, process
            for sentinel in multiprocessing.connection.wait(running):
                run, process = running.pop(sentinel)
                process.join()
                if not finished(run):
                    errors[run.name] = _error(run, process.exitcode)
                count += 1
                elapsed = time.monotonic() - begun
                left = elapsed / count * (len(runs) - done - count)
                print(
                    f"[{done + count}/{len(runs)}] {run.name}: {_said(run, errors)}; "
                    f"{_clock(elapsed)} elapsed, about {_clock(left)} to go",
                    flush=True,
                )
    finally:
        for _, process in running.values():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, signal.SIGTERM)  # each keeps a checkpoint
        for _, process in running.values():
            process.join()
        for signum, handler in usual.items():
            signal.signal(signum, handler)
    return errors


def _stop(signum, frame):
    print("interrupted: the same command goes on from there", flush=True)
    sys.exit(128 + signum)


@contextlib.contextmanager
def _signals_later():
    """A signal within the block takes effect after it: a process that is half started
    would be left behind, or leave its server with a traceback."""
    came, signals = [], (signal.SIGINT, signal.SIGTERM)
    usual = {
        s: signal.signal(s, lambda signum, frame: came.append(signum)) for s in signals
    }
    try:
        yield
    finally:
        for signum, handler in usual.items():
            signal.signal(signum, handler)
    if came:
        signal.raise_signal(came[0])


def _start(run, passed_on):
    """A process that trains one run: a fork of a server that has imported TensorFlow and
    done nothing else, which saves each run the seconds of that."""
    run.folder.mkdir(parents=True, exist_ok=True)
    varied = [f"--{name}={value}" for name, value in run.setting.items()]
    arguments = [*passed_on, *varied, f"--seed={run.seed}", f"--logdir={run.folder}"]
    # the server looks for the package where this process has found it
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    if _JOBS.value > 1:  # else each would start as many threads as there are processors
        threads = str(max(1, os.cpu_count() // _JOBS.value))
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tfgan_papers.cli"])
    process = context.Process(target=_train, args=(arguments, run.folder))
    process.start()
    return process


def _train(arguments, folder):
    """In the process of a run: the command line, its output in log.txt."""
    from tfgan_papers import cli  # here, for it imports this module

    os.setsid()  # Ctrl-C is the study's to pass on, once
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    with open(folder / "lock", "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # a killed study may have left the run at work
        sys.argv = ["main.py", *arguments]
        cli.run()


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


def _said(run, errors):
    if failure := errors.get(run.name) or run.failure():
        return f"failed, {failure}"
    quantities = run.quantities()
    return ", ".join(f"{k} {v:.4g}" for k, v in quantities.items()) or "trained"


def _clock(seconds):
    return datetime.timedelta(seconds=round(seconds))


# What comes of it.


def report(folder, grid, passed_on, runs, errors):
    """study.json, study.md, study.png and, with --record, the first once more; where
    the first metric was taken more than once, also selection.png, of it by step."""
    summary = [summarize(s, runs, errors) for s in settings_of(grid)]
    failed = {r.name: errors.get(r.name) or r.failure() for r in runs}
    summaries = [run.read("summary.json") or {} for run in runs]
    curves = {run.name: run.selection() for run in runs}
    commits = {(run.read("run.json") or {}).get("commit") for run in runs}
    fields = {
        "study": folder.name,
        "grid": grid,
        "flags": {k: text for k, text in passed_on.items() if k not in training.WHERE},
        "seeds": list(range(1, 1 + _SEEDS.value)),
        "failure_is": FAILURE_IS,
        "interval_is": f"{CONFIDENCE:.0%}; of rates Wilson's, of means of scores Student's",
        "settings": summary,
        "runs": [
            {
                "setting": run.setting,
                "seed": run.seed,
                "steps": run.steps(),
                "failure": failed[run.name],
                "scores": run.quantities(),
                "selection": sorted(curves[run.name].items()),
            }
            for run in runs
        ],
        "budget": {
            "steps": sum(run.steps() for run in runs),
            "hours": sum(s.get("steps", 0) * s.get("ms_per_step", 0) for s in summaries)
            / 3.6e6,
        },
        "commits_of_runs": sorted(filter(None, commits)),
        "command": shlex.join(["python", *sys.argv]),
    }
    text = markdown(summary, {name: reason for name, reason in failed.items() if reason})
    (folder / "study.md").write_text(text)
    figures.save(figures.study(summary), folder / "study.png")
    if any(len(curve) > 1 for curve in curves.values()):
        drawn = {}
        for run in runs:
            drawn.setdefault(named(run.setting), []).append(curves[run.name])
        figures.save(figures.selection(drawn, FLAGS.metrics[0]), folder / "selection.png")
    records.write(folder / "study.json", **fields)
    if FLAGS.record:
        records.write(FLAGS.record, **fields)
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
