"""A study: every setting of a grid of flags with several seeds, one process per run.

`findings.FAILURE_IS` says which runs count as failed. The folder records what is done, so
that the same command continues an interrupted study. Interrupted runs resume exactly.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import pathlib
import time

from absl import logging

from tfgan_papers import files, options
from tfgan_papers.commands import findings
from tfgan_papers.commands.grid import (
    OWN,
    StudyRun,
    folder_of,
    named,
    parse_grid,
    run_name,
    settings_of,
)
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import option
from tfgan_papers.runs import execution, records, settings
from tfgan_papers.runs.folder import RunFolder

RECORDED = {"grid", "flags", "runs", "budget", "command"}  # of a record, by findings.report


@dataclasses.dataclass(frozen=True)
class StudyOptions(execution.ClusterOptions):
    """A grid of settings, each run with several seeds."""

    grid: tuple[str, ...] = option(
        (),
        "A flag and its values, for example loss=minimax,non_saturating. Repeat --grid for "
        "further flags.",
    )
    seeds: int = option(10, "Runs of each setting, with --seed=1 to this number.", low=1)
    jobs: int = option(
        1,
        "Runs at a time on this machine. They share its processors: give each its part "
        "with --threads.",
        low=1,
    )
    runs_from: str | None = option(
        None,
        "Record of the same study. Its runs are part of this study and are not executed "
        "again. This adds seeds on a machine without the study's folder.",
    )


def study(given: dict[str, object], study: StudyOptions, scores: ScoreOptions):
    """Executes the unfinished runs of the study in --logdir and writes its results.

    Args:
        given: dict, the options that the user gives, by name.
        study: `StudyOptions`.
        scores: `ScoreOptions`.

    Raises:
        UsageError: the grid is invalid, or the folder contains another study.
    """
    grid = parse_grid(study.grid)
    if scores.checkpoint != "last":
        raise UsageError(
            f"--checkpoint={scores.checkpoint}: a study scores the last checkpoint of each "
            "run: leave it out"
        )
    folder = RunFolder(given.get("logdir") or f"runs/study-{given.get('model', 'gan')}")
    passed_on = _passed_on(given, grid)
    free = settings.LOCATION | {"sample", "strip_steps"}
    fixed = {name: text for name, text in passed_on.items() if name not in free}
    kind = given.get("sample")
    values = {named(setting): _values(given, setting) for setting in settings_of(grid)}
    steps = {name: of.training.steps for name, of in values.items()}
    _warn_of_late_steps(values)
    earlier = _earlier(study, grid, fixed, steps, scores.metrics)
    folder.lock()  # a second process would end the runs of the first
    fresh = (folder.read("study.json") or {}).get("grid") is None
    _claim(folder, grid, fixed)
    runs = [
        StudyRun(setting, seed, folder_of(folder, setting, seed))
        for seed in range(1, 1 + study.seeds)  # outermost: a bad setting shows early
        for setting in settings_of(grid)
    ]
    if earlier:
        runs, earlier["runs"] = _shared_out(runs, earlier["runs"], steps, scores.metrics)
        print(f"{len(earlier['runs'])} runs are those of {study.runs_from}")
        earlier = earlier if earlier["runs"] else {}
    data = Data(values, earlier.get("runs", ()))
    for run in runs:
        if run.finished(1, ()):
            data.check(run)
    arguments = [text for texts in passed_on.values() for text in texts]
    try:
        errors = run_all(folder, runs, arguments, steps, scores, study, kind, data)
    except UsageError:
        if fresh:  # the corrected command may begin the study again
            _release(folder, fixed)
        raise
    findings.report(folder, grid, fixed, runs, errors, scores, kind, earlier)


def _values(given, setting):
    """The `settings.Values` of a setting, with the defaults of its model and data.

    Raises:
        UsageError: the flags are invalid.
    """
    fields = settings.all_fields()
    varied = {
        name: options.from_text(fields[name], text) if name in fields else text
        for name, text in setting.items()
    }
    values = {**given, **varied}
    of_run = {k: v for k, v in values.items() if k == "model" or k in fields}
    try:
        return settings.resolve(of_run)
    except UsageError as error:
        raise UsageError(f"{named(setting)}: {error}") from error


def _warn_of_late_steps(values):
    """Warns of steps after the last report, at which the samples are judged."""
    lengths = {(of.training.steps, of.training.report_steps) for of in values.values()}
    for steps, period in sorted(lengths):
        if steps < period:
            logging.warning(
                "--steps=%d is less than --report_steps=%d: the variety of the samples is "
                "not measured, so it is no reason for a run to fail",
                *(steps, period),
            )
        elif steps % period:
            logging.warning(
                "--steps=%d is not a multiple of --report_steps=%d: the variety of the "
                "samples is that of step %d",
                *(steps, period, steps - steps % period),
            )


def _passed_on(given, grid):
    """The other options that the user gives, as arguments of every run, by name."""
    names = sorted(set(given) - OWN - set(grid))
    return {name: [f"--{name}={options.to_text(given[name])}"] for name in names}


def _earlier(study, grid, fixed, steps, metrics):
    """The record of --runs_from with those of its runs that need not be executed; {} if
    there are none.

    Raises:
        UsageError: it is not a record of this study, or has more seeds.
    """
    if (path := study.runs_from) is None:
        return {}
    record = files.read_json(pathlib.Path(path).expanduser())
    if record is None:
        raise UsageError(f"--runs_from={path}: there is no such file")
    here = {"grid": grid, "flags": fixed}
    complete = isinstance(record, dict) and RECORDED <= record.keys()
    if not complete or {name: record[name] for name in here} != here:
        raise UsageError(
            f"--runs_from={path}: this is not a record of a study with these flags"
        )
    seeds = max((run["seed"] for run in record["runs"]), default=0)
    if seeds > study.seeds:
        raise UsageError(
            f"--runs_from={path}: this record has {seeds} seeds: give --seeds={seeds} or "
            "more"
        )
    if record.get("commits_of_runs") != [*filter(None, [records.commit()])]:
        logging.warning("the runs of %s may be of another version of this code", path)

    def final(run):
        """Whether it is trained and scored, or has failed for good."""
        trained = run["steps"] >= steps[named(run["setting"])]
        if "again" in run:  # a run that diverged has no steps
            return not run["again"] and (trained or not run["steps"])
        return trained and set(metrics) <= set(run["scores"])  # an older record

    runs = [run for run in record["runs"] if final(run)]
    return {**record, "runs": runs} if runs else {}


def _shared_out(runs, recorded, steps, metrics):
    """The runs that are not recorded or are finished here, and the recorded others."""
    known = [(run["setting"], run["seed"]) for run in recorded]

    def is_here(run):
        known_too = (run.setting, run.seed) in known
        return not known_too or run.finished(steps[named(run.setting)], metrics)

    here = [run for run in runs if is_here(run)]
    own = [(run.setting, run.seed) for run in here]
    return here, [run for run in recorded if (run["setting"], run["seed"]) not in own]


class Data:
    """Fingerprints of training data, which are equal for equal options."""

    def __init__(self, values, recorded=()):
        """
        Args:
            values: dict, the `settings.Values` of each setting, by `grid.named`.
            recorded: runs of an earlier record.
        """
        self.options = {name: repr(of.data) for name, of in values.items()}
        self.known = {}  # options -> (name of a run, fingerprint of its data)
        for run in recorded:
            if of := run.get("fingerprint"):  # absent in older records
                name = f"{run_name(run['setting'], run['seed'])} of --runs_from"
                self.known.setdefault(self.options[named(run["setting"])], (name, of))

    def check(self, run):
        """
        Raises:
            UserError: another run with the same options had other data.
        """
        if (of := run.fingerprint()) is None:
            return
        options = self.options.get(named(run.setting))
        first, known = self.known.setdefault(options, (run.name, of))
        if of != known:
            raise UserError(
                f"{run.name} and {first} were trained on different data: use another "
                f"--logdir for the study of the other data, or delete {run.folder} to "
                "train this run again"
            )


def _release(folder, fixed):
    """Lets another study begin in the folder of one that is refused.

    Runs that have begun keep the folder for studies with the same flags, in any grid: a
    run's folder has the name of its setting.
    """
    if any(folder.path.glob("*/seed-*/flags.txt")):  # also of grids before
        return records.write(folder / "study.json", grid=None, flags=fixed)
    (folder / "study.json").unlink()


def _claim(folder, grid, fixed):
    """Records the study in its folder, or checks that the folder contains this study."""
    if (folder / "flags.txt").exists():
        raise UsageError(f"{folder} is the folder of a run: choose another --logdir")
    here = {"grid": grid, "flags": fixed}
    stored = folder.read("study.json")
    if stored is None:
        return records.write(folder / "study.json", **here)
    if not {"grid", "flags"} <= stored.keys():
        raise UserError(f"{folder / 'study.json'} is damaged: it has no grid or no flags")
    if stored["grid"] is None and stored["flags"] == fixed:  # see `_release`
        return records.write(folder / "study.json", **here)
    if {"grid": stored["grid"], "flags": stored["flags"]} != here:
        written = [text for texts in stored["flags"].values() for text in texts]
        of = stored["grid"] or {}
        varied = [f"--grid={name}={','.join(v)}" for name, v in of.items()]
        raise UsageError(
            f"the study in {folder} is another: {' '.join([*varied, *written])}. Use "
            "another --logdir"
        )


def run_all(
    folder, runs, arguments, steps, scores, study, kind=None, data=None
) -> dict[str, str]:
    """Executes all unfinished runs.

    Args:
        folder: `RunFolder` of the study.
        runs: list of `StudyRun`.
        arguments: list, the arguments of every run.
        steps: dict, the number of steps of each setting, by `grid.named`.
        scores: `ScoreOptions`.
        study: `StudyOptions`.
        kind: kind of picture with which each run ends, or None.
        data: `Data`.

    Returns:
        dict, the error of each run that did not finish, by name.

    Raises:
        UsageError: the flags of a run are invalid, and so is the study.
        UserError: a worker of the cluster does not see the folder, or runs with
            equal options had different data.
    """
    data = data or Data({})

    def finished(run):
        return run.finished(steps[named(run.setting)], scores.metrics, kind)

    pending = [run for run in runs if not finished(run)]
    done, errors, begun = len(runs) - len(pending), {}, time.monotonic()
    if not pending:
        return errors
    with (
        execution.interruptible(),
        execution.executor(study.jobs, study.cluster) as (pool, killed),
        contextlib.ExitStack() as permits,
    ):
        futures = {}
        for run in pending:
            permit = permits.enter_context(execution.permit(run.folder / "permit"))
            length = f"--steps={steps[named(run.setting)]}"  # not that of a shorter study
            order = run.path, [*arguments, length, *run.arguments], permit
            futures[pool.submit(execution.execute, *order)] = run
        for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
            run = futures[future]
            try:
                code = future.result()
                if not finished(run):
                    errors[run.name] = _error(run, code)
                data.check(run)
            except killed as error:
                errors[run.name] = str(error)
            # Dask repeats a task if the worker with its result dies; now it does nothing.
            (run.folder / "permit").unlink(missing_ok=True)
            elapsed = time.monotonic() - begun
            left = elapsed / count * (len(pending) - count)
            print(
                f"[{done + count}/{len(runs)}] {run.name}: {_outcome(run, errors)}; "
                f"{_clock(elapsed)} elapsed, about {_clock(left)} to go",
                flush=True,
            )
    return errors


def _error(run, code):
    """The error message of a run that did not finish.

    Raises:
        UsageError: the flags of the run are invalid, and so is the study.
        UserError: the run was not started, or its log cannot be read here.
    """
    log = run.folder / "log.txt"
    if code is None or not log.is_file():
        raise UserError(
            f"a worker of the cluster does not see {run.folder.path.parents[1]}: give a "
            "--logdir on a disk that all of them share"
        )
    text = log.read_text(errors="replace")  # of all attempts
    lines = text.rpartition(execution.ATTEMPT)[2].splitlines()
    messages = [line for line in lines if line.startswith(("error: ", "FATAL Flags"))]
    if code == 2 and messages:
        raise UsageError(f"{run.name}: {messages[-1].removeprefix('error: ')}")
    last = messages[-1] if messages else next(iter(lines[-1:]), "")
    return f"exit code {code}: {last.removeprefix('error: ')}"


def _outcome(run, errors):
    if failure := errors.get(run.name) or run.failure():
        return f"failed, {failure}"
    quantities = run.quantities()
    return ", ".join(f"{k} {v:.4g}" for k, v in quantities.items()) or "trained"


def _clock(seconds):
    return datetime.timedelta(seconds=round(seconds))
