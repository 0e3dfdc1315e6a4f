"""Scores of many samples on a Dask cluster (`metrics.blocks`).

Each worker restores the run once and computes the states of blocks. This process merges
them in the order of the blocks, so that the score does not depend on the workers.
"""

import collections
import contextlib
import dataclasses
import functools
import pathlib

from tfgan_papers.commands.scoring import Scorer
from tfgan_papers.data.examples import Progress
from tfgan_papers.errors import UserError
from tfgan_papers.metrics import METRICS, blocks
from tfgan_papers.runs import execution
from tfgan_papers.runs.run import Run

AHEAD = 32  # blocks that are submitted and not merged yet, which bounds the memory


@contextlib.contextmanager
def states(run: Run, scores, step: int):
    """Yields a function (name of a score, number of samples) -> the state of all samples,
    or None without --cluster.

    Args:
        run: `Run`.
        scores: `ScoreOptions`.
        step: the step of the checkpoint.

    Raises:
        UsageError: see `execution.executor`.
        UserError: see `execution.executor`; a worker was killed too often, or does not see
            the run.
    """
    if scores.cluster is None:
        yield None
        return
    folder = str(pathlib.Path(run.folder.path).absolute())
    training = dataclasses.replace(run.values.training, logdir=folder)
    values = run.values._replace(training=training)
    with execution.executor(1, scores.cluster) as (pool, killed):

        def state(name, n):
            pending, merged, progress = collections.deque(), None, Progress()
            for first in blocks.starts(n):
                order = values, scores, step, name, n, first
                pending.append(pool.submit(state_of_block, *order))
                if len(pending) == AHEAD:
                    merged = _merge(METRICS[name], merged, pending.popleft())
                progress("%s: %d of %d samples", name, first, n)
            while pending:
                merged = _merge(METRICS[name], merged, pending.popleft())
            return merged

        try:
            yield state
        except killed as error:
            raise UserError(
                f"the workers of the cluster were killed {execution.RETRIES} times at the "
                f"same samples ({error}): give them more memory"
            ) from error


def _merge(metric, merged, future):
    state = future.result()
    return state if merged is None else metric.merge(merged, state)


def state_of_block(values, scores, step, name, n, first):
    """Computes the state of a block, in a worker.

    Args:
        values: `settings.Values` of the run, with the absolute path of its folder.
        scores: `ScoreOptions`.
        step: the step of the checkpoint.
        name: of the score.
        n: the number of samples.
        first: the first sample of the block.

    Raises:
        UserError: this worker does not see the run at this step.
    """
    scorer, subject = _opened(values, scores, step)
    return scorer.state_of_block(subject, name, n, first)


@functools.lru_cache(maxsize=1)
def _opened(values, scores, step):
    """The `Scorer` and the subject, which stay in the worker until another is asked for."""
    run = Run(values)
    model, reached = run.restored(scores.checkpoint)
    if reached != step:
        raise UserError(
            f"a worker of the cluster sees {run.folder} at step {reached:,} instead of "
            f"{step:,}: put it on a shared disk"
        )
    names = run.facts.get("class_names", ())
    scorer = Scorer(scores, values.data, class_names=names)
    return scorer, scorer.subject(model)
