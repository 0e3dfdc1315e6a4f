"""The arithmetic of the Inception Score on the probabilities of any classifier.

The samples are divided into 10 random blocks. The score of a block is
exp(mean KL(p(y|x) || p(y))) with the block's own p(y). The result is the mean over the
blocks, with their population standard deviation, which is not one over trainings (as in
openai/improved-gan, inception_score/model.py). It is 1 if all predictions are equal, and
the number of classes if predictions are certain and uniformly distributed. It is computed
in float64.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import subsets

NAME, UNIT = "classifier score", ""
OF = "features"
NETWORKS = ("classifier",)
SAMPLES = 50_000  # Improved GAN, 2016, Sec. 4
SPLITS = ()
BLOCKS = 10  # model.py: splits
ROWS = 1000  # samples per block of the sum: bounds the memory, does not change the value


class Score(NamedTuple):
    value: float  # mean over the blocks; higher is better
    standard_deviation: float  # over the blocks
    samples: int
    splits: int


def score(samples, reference=None) -> Score:
    """Computes the score.

    Args:
        samples: `features.Activations`, whose probabilities (n, k) are used.
        reference: ignored.

    Raises:
        UserError: there are fewer samples than blocks, or a probability is not finite.
    """
    n = len(samples.probabilities)
    if n < BLOCKS:
        raise UserError(
            f"{n} samples are too few for the {BLOCKS} blocks of {NAME}: use at least "
            f"{BLOCKS}"
        )
    blocks = np.array_split(subsets.spread(n), BLOCKS)
    scores = np.array([_of_block(samples.probabilities, np.sort(b)) for b in blocks])
    if not np.isfinite(scores).all():
        raise UserError("the classifier's probabilities are not finite: check the samples")
    return Score(float(scores.mean()), float(scores.std()), n, BLOCKS)


def _of_block(probabilities, rows):
    """exp of: the mean of sum_y p log p over `rows`, minus sum_y p log p of the mean p."""
    negentropy, total = 0.0, 0.0
    for first in range(0, len(rows), ROWS):
        p = np.asarray(probabilities[rows[first : first + ROWS]], np.float64)
        negentropy += xlogy(p, p).sum()
        total = total + p.sum(0)
    n, p_y = len(rows), total / len(rows)
    return np.exp(negentropy / n - xlogy(p_y, p_y).sum())


def selection(samples, reference=None) -> float:
    """Returns the score."""
    return score(samples).value
