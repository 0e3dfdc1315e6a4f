"""Scores of many samples on a Dask cluster (`metrics.blocks`).

The workers compute the states of blocks (`worker.py`). This process merges them in the
order of the blocks, so that the score does not depend on the workers.
"""

import collections
import contextlib
import dataclasses
import functools
import pathlib
import pickle

from tfgan_papers.commands import worker
from tfgan_papers.commands.scoring import Scorer, divisible
from tfgan_papers.data.examples import Progress
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS, blocks
from tfgan_papers.runs import execution
from tfgan_papers.runs.run import Run

AHEAD = 64  # blocks that are submitted and not merged yet, which bounds the memory


@contextlib.contextmanager
def states(run: Run, scorer: Scorer, step: int):
    """Yields a function (name of a score, number of samples) -> the state of all samples,
    or None without --cluster.

    Args:
        run: `Run`.
        scorer: its `Scorer`.
        step: the step of the checkpoint.

    Raises:
        UsageError: no score can be divided; see also `execution.executor`.
        UserError: a worker sees another run, other data or another feature network, or was
            killed too often; see also `execution.executor`.
    """
    scores = scorer.scores
    if scores.cluster is None:
        yield None
        return
    if not (divided := divisible(scores.metrics)):
        raise UsageError(
            f"--cluster computes {', '.join(divisible(METRICS))}, and --metrics has none "
            "of them: leave --cluster out"
        )
    folder = str(pathlib.Path(run.folder.path).absolute())
    training = dataclasses.replace(run.values.training, logdir=folder)
    values = run.values._replace(training=training)
    scores = dataclasses.replace(scores, metrics=tuple(divided))
    known = run.facts["run_id"], step, scorer.fingerprint()
    order = pickle.dumps((values, scores, known))
    with execution.executor(1, scores.cluster) as (pool, killed):
        try:
            yield functools.partial(_state, pool, order)
        except killed as error:
            raise UserError(
                f"the workers of the cluster were killed {execution.RETRIES} times at the "
                f"same samples ({error}): give them more memory"
            ) from error


def _state(pool, order, name, n):
    """Submits the blocks and merges their states."""
    pending, merged, done, progress = collections.deque(), None, 0, Progress()
    starts = iter(blocks.starts(n))
    try:
        while True:
            while len(pending) < AHEAD and (first := next(starts, None)) is not None:
                task = worker.state_of_block, order, name, n, first
                pending.append(pool.submit(*task))
            if not pending:
                return merged
            state = pending.popleft().result()
            if isinstance(state, UserError):
                raise state
            merged = state if merged is None else METRICS[name].merge(merged, state)
            done = min(n, done + blocks.ROWS)
            progress("%s: %d of %d samples", name, done, n)
    finally:
        for future in pending:
            future.cancel()
