"""The part of a score that a worker of a Dask cluster computes.

The scheduler imports the module of a task as well, and need not have TensorFlow. So this
module imports it only in a worker.
"""

import functools
import pickle
import threading

from tfgan_papers.errors import UserError

SHARE = "put it on a disk that all of them share"
_lock = threading.Lock()


def state_of_block(order: bytes, name: str, n: int, first: int):
    """Computes the state of a block, in a worker.

    Args:
        order: of `cluster.states`.
        name: of the score.
        n: the number of samples.
        first: the first sample of the block.

    Returns:
        The state, or the UserError that prevents it, which must not be tried again.
    """
    try:
        with _lock:
            scorer, subject = _opened(order)
        return scorer.state_of_block(subject, name, n, first)
    except UserError as error:
        return error


@functools.lru_cache(maxsize=1)
def _opened(order):
    """The `Scorer` and the subject, which stay in the worker until others are asked for."""
    from tfgan_papers.commands.scoring import Scorer
    from tfgan_papers.runs import distribution
    from tfgan_papers.runs.run import Run

    values, scores, (run_id, step, known) = pickle.loads(order)
    distribution.grow_memory()
    run = Run(values)
    if run.facts.get("run_id") != run_id:
        raise UserError(
            f"a worker of the cluster does not see the run in {run.folder}: {SHARE}"
        )
    model, reached = run.restored(scores.checkpoint)
    if reached != step:
        raise UserError(
            f"a worker of the cluster sees step {reached:,} in {run.folder} instead of "
            f"{step:,}: {SHARE}"
        )
    names = run.facts.get("class_names", ())
    scorer = Scorer(scores, values.data, class_names=names)
    found = scorer.fingerprint()
    if other := [name for name in found if found[name] != known[name]]:
        raise UserError(
            f"a worker of the cluster has other data or features ({', '.join(other)}): "
            "put --data_dir and --score_cache on a disk that all of them share"
        )
    return scorer, scorer.subject(model)
