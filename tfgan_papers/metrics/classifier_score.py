"""The arithmetic of the Inception Score on the probabilities of any classifier.

The samples are divided into 10 random blocks. The score of a block is
exp(mean KL(p(y|x) || p(y))) with the block's own p(y). The result is the mean over the
blocks, with their population standard deviation, which is not one over trainings (as in
openai/improved-gan, inception_score/model.py). It is 1 if all predictions are equal, and
the number of classes if predictions are certain and uniformly distributed. It is computed
in float64.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import blocks, subsets

NAME, UNIT = "classifier score", ""
OF = "features"
NETWORKS = ("classifier",)
SAMPLES = 50_000  # Improved GAN, 2016, Sec. 4
SPLITS = ()
BLOCKS = 10  # model.py: splits


class Sums(NamedTuple):
    """Sums over the samples in each of the BLOCKS random parts."""

    negentropy: np.ndarray  # of sum_y p log p, float64 (BLOCKS,)
    predictions: np.ndarray  # of p, float64 (BLOCKS, k)


class Score(NamedTuple):
    value: float  # mean over the blocks; higher is better
    standard_deviation: float  # over the blocks
    samples: int
    splits: int


def of_block(seen: tuple[np.ndarray, np.ndarray], reference, place: blocks.Place) -> Sums:
    """Computes the sums of one block of (features, probabilities)."""
    _, p = seen
    p = np.asarray(p, np.float64)
    own = _parts(place.n)[place.first : place.first + len(p)]
    belongs = np.equal.outer(range(BLOCKS), own).astype(np.float64)
    return Sums(belongs @ xlogy(p, p).sum(1), belongs @ p)


def merge(a: Sums, b: Sums) -> Sums:
    """Computes the sums of two blocks together."""
    return Sums(a.negentropy + b.negentropy, a.predictions + b.predictions)


@functools.lru_cache(maxsize=1)
def _parts(n):
    """The number of the part to which each of n samples belongs, int8 (n,)."""
    of = np.empty(n, np.int8)
    for number, rows in enumerate(np.array_split(subsets.spread(n), BLOCKS)):
        of[rows] = number
    return of


def score(samples, reference=None) -> Score:
    """Computes the score.

    Args:
        samples: `features.Activations`, whose probabilities (n, k) are used.
        reference: ignored.

    Raises:
        UserError: there are fewer samples than blocks, or a probability is not finite.
    """
    sums = blocks.state(of_block, merge, samples, reference)
    return of_state(sums, reference, len(samples.probabilities))


def of_state(sums: Sums, reference, n: int) -> Score:
    """Computes the score from the sums over n samples; see `score`."""
    if n < BLOCKS:
        raise UserError(
            f"{n} samples are too few for the {BLOCKS} blocks of {NAME}: use at least "
            f"{BLOCKS}"
        )
    sizes = np.bincount(_parts(n))
    p_y = sums.predictions / sizes[:, None]
    scores = np.exp(sums.negentropy / sizes - xlogy(p_y, p_y).sum(1))
    if not np.isfinite(scores).all():
        raise UserError("the classifier's probabilities are not finite: check the samples")
    return Score(float(scores.mean()), float(scores.std()), n, BLOCKS)


def selection(samples, reference=None) -> float:
    """Returns the score."""
    return score(samples).value
