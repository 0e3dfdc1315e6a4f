"""Sends a run's scalars and sheets to Weights & Biases or MLflow, besides TensorBoard."""

import importlib.util
from collections.abc import Callable

import numpy as np
from absl import logging

from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs.run import Run

PROJECT = "tfgan_papers"
MOST_FAILURES = 5  # each may take a service minutes


def tracker(run: Run) -> Callable[[int, str, float | np.ndarray], None]:
    """Returns the function for `tensorboard.Writer` that --track asks for.

    A run that continues continues there too, under its run id. A value that cannot be sent
    is lost there, and after MOST_FAILURES of them no more are sent; the run goes on.

    Raises:
        UserError: the service cannot be reached.
    """
    name, failures = run.values.training.track, 0
    try:
        send = {"wandb": _wandb, "mlflow": _mlflow}[name](run)
    except Exception as error:  # of any class: those of the service and of its network
        raise UserError(
            f"--track={name} cannot begin ({one_line(error)}): check the service, or leave "
            "--track out"
        ) from error

    def track(step, tag, value):
        nonlocal failures
        if failures >= MOST_FAILURES:
            return
        try:
            send(step, tag, value)
        except Exception as error:  # as above
            failures += 1
            if failures in (1, MOST_FAILURES):
                lost = "a value" if failures == 1 else "all that follows"
                logging.warning(
                    "--track=%s: from step %d on %s is missing there (%s)",
                    *(name, step, lost, one_line(error)),
                )

    return track


def check(name: str | None):
    """Checks that the service `name` of --track can be used.

    Raises:
        UsageError: its package is not installed.
    """
    if name and importlib.util.find_spec(name) is None:
        raise UsageError(f"--track={name} needs: pip install -e '.[{name}]'")


def _wandb(run):
    import wandb

    run_id, options = run.facts["run_id"], run.values.defining()
    place = {"project": PROJECT, "dir": str(run.folder.path)}
    there = wandb.init(id=run_id, name=run_id, resume="allow", config=options, **place)

    def track(step, tag, value):
        picture = isinstance(value, np.ndarray)
        there.log({tag: wandb.Image(value) if picture else value}, step=step)

    return track


def _mlflow(run):
    import mlflow

    run_id = run.facts["run_id"]
    mlflow.set_experiment(PROJECT)
    query = f"attributes.run_name = '{run_id}'"
    found = mlflow.search_runs(filter_string=query, output_format="list")
    mlflow.start_run(found[0].info.run_id if found else None, run_name=run_id)
    mlflow.log_params(run.values.defining())

    def track(step, tag, value):
        if isinstance(value, np.ndarray):
            mlflow.log_image(value, f"{tag}-{step:09d}.png")
        else:
            mlflow.log_metric(tag, value, step)

    return track
