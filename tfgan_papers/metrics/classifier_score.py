"""The arithmetic of the Inception Score on the probabilities of any classifier.

exp(mean KL(p(y|x) || p(y))) within each of 10 random blocks of the samples, each with its
own p(y); their mean and population standard deviation, which is not one over trainings (as
in openai/improved-gan, inception_score/model.py). 1 where every prediction is the same, the
number of classes where predictions are sure and even. In float64.
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
ROWS = 1000  # at a time: bounds the memory, not the value


class Score(NamedTuple):
    value: float  # mean over the blocks; higher is better
    standard_deviation: float  # over the blocks
    samples: int
    splits: int


def score(samples, reference=None) -> Score:
    """
    Args:
        samples: `features.Activations`; of it the probabilities (n, k).

    Raises:
        UserError: there are fewer samples than blocks, or a probability is not finite.
    """
    n = len(samples.probabilities)
    if n < BLOCKS:
        raise UserError(f"{n} samples are too few for the {BLOCKS} blocks of the score")
    blocks = np.array_split(subsets.spread(n), BLOCKS)
    found = np.array([_of_block(samples.probabilities, np.sort(b)) for b in blocks])
    if not np.isfinite(found).all():
        raise UserError("probabilities are not finite: there is nothing to score")
    return Score(float(found.mean()), float(found.std()), n, BLOCKS)


def _of_block(probabilities, rows):
    """exp of the mean of sum_y p log p over `rows`, less the same of the mean p."""
    negentropy, total = 0.0, 0.0
    for first in range(0, len(rows), ROWS):
        p = np.asarray(probabilities[rows[first : first + ROWS]], np.float64)
        negentropy += xlogy(p, p).sum()
        total = total + p.sum(0)
    n, p_y = len(rows), total / len(rows)
    return np.exp(negentropy / n - xlogy(p_y, p_y).sum())


def selection(samples, reference=None) -> float:
    """The higher the better."""
    return score(samples).value
