"""A study: every setting of a grid of flags, with several seeds each, one process a run.

A run fails, and counts as failed, if it ends in any other way than trained and scored, or
if what it has learned is not what it was to learn: `findings.FAILURE_IS`. The folder says
what is done, so the same command continues a study that was interrupted; within a run the
run's own exact resume does.
"""

import concurrent.futures
import dataclasses
import datetime
import time

from tfgan_papers import options
from tfgan_papers.commands import findings
from tfgan_papers.commands.grid import OWN, StudyRun, folder_of, parse_grid, settings_of
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option
from tfgan_papers.runs import execution, records, settings
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
        "Runs at a time on this machine. They share its processors: give each its part "
        "with --threads.",
        low=1,
    )
    cluster: str | None = option(
        None,
        "Address of a Dask scheduler, as tcp://host:8786, whose workers execute the runs. "
        "All of them need the --logdir on a shared disk.",
    )


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
    fixed = {
        name: text for name, text in passed_on.items() if name not in settings.LOCATION
    }
    fresh = folder.read("study.json") is None
    _claim(folder, grid, fixed)
    runs = [
        StudyRun(setting, seed, folder_of(folder, setting, seed))
        for seed in range(1, 1 + study.seeds)  # outermost: a bad setting shows early
        for setting in settings_of(grid)
    ]
    arguments = [text for texts in passed_on.values() for text in texts]
    try:
        errors = run_all(folder, runs, arguments, given.get("steps", 0), scores, study)
    except UsageError:
        if fresh:  # so that it can be mended; what has run is found again
            (folder / "study.json").unlink()
        raise
    findings.report(folder, grid, fixed, runs, errors, scores)


def _passed_on(given, grid):
    """What the user says of other options, for every run: name -> how it is written."""
    names = sorted(set(given) - OWN - set(grid))
    return {name: [f"--{name}={options.to_text(given[name])}"] for name in names}


def _claim(folder, grid, fixed):
    """Note in the folder what study is there, or see that it is this one."""
    if (folder / "flags.txt").exists():
        raise UsageError(f"{folder} is the folder of a run: choose another --logdir")
    here = {"grid": grid, "flags": fixed}
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


def run_all(folder, runs, arguments, steps, scores, study) -> dict[str, str]:
    """Take all runs to their ends: run name -> error, of those that could not be.

    Raises:
        UsageError: the flags of a run make no sense, so neither does the study.
        UserError: a worker of the cluster does not see the folder.
    """

    def finished(run):
        return run.finished(int(run.setting.get("steps", steps)), scores.metrics)

    pending = [run for run in runs if not finished(run)]
    done, errors, begun = len(runs) - len(pending), {}, time.monotonic()
    if not pending:
        return errors
    with (
        execution.interruptible(),
        execution.executor(study.jobs, study.cluster) as (pool, killed),
        execution.permit(folder / "running") as permit,
    ):
        futures = {}
        for run in pending:
            order = run.path, [*arguments, *run.arguments], permit
            futures[pool.submit(execution.execute, *order)] = run
        for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
            run = futures[future]
            try:
                code = future.result()
                if not finished(run):
                    errors[run.name] = _error(run, code)
            except killed as error:
                errors[run.name] = str(error)
            elapsed = time.monotonic() - begun
            left = elapsed / count * (len(pending) - count)
            print(
                f"[{done + count}/{len(runs)}] {run.name}: {_outcome(run, errors)}; "
                f"{_clock(elapsed)} elapsed, about {_clock(left)} to go",
                flush=True,
            )
    return errors


def _error(run, code):
    """What a run that is neither trained nor failed for good says.

    Raises:
        UsageError: its flags make no sense, so neither does the study.
        UserError: it was not started, or its log is not here.
    """
    log = run.folder / "log.txt"
    if code is None or not log.is_file():
        raise UserError(
            f"a worker of the cluster does not see {run.folder.path.parents[1]}: give a "
            "--logdir on a disk that all of them share"
        )
    lines = log.read_text(errors="replace").splitlines()
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
