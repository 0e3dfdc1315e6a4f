"""1-NN two-sample accuracy (Lopez-Paz and Oquab 2017; on GANs: Xu et al. 2018).

How often the nearest other image, among as many samples as examples, is of the same kind,
by features. 1/2 where the two laws are one, 1 where they lie apart, below 1/2 where samples
are copies of examples. Where several are equally near, the share of them that is of the
same kind counts. In float64.

The same as leave-one-out of scikit-learn's KNeighborsClassifier(1) where no two are equally
near; a test compares.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import neighbours

NAME, UNIT = "1-NN two-sample accuracy", "(best is .5)"
OF = "features"
SAMPLES = 5000  # ours
SPLITS = ("test",)
# Of an image's squared norm: what rounding makes of a distance of zero, in float64 here and
# in a network that sees the same image in another batch.
ROUNDING = 1e-12


class Score(NamedTuple):
    value: float  # share of all whose nearest is of their kind, 0 to 1
    of_examples: float  # share of the examples: low where samples cover the data
    of_samples: float  # share of the samples: low where samples are like the data
    samples: int
    reference_examples: int


def reference(test) -> np.ndarray:
    """The features of SAMPLES of the test split's `Activations`."""
    return neighbours.flat(test.features[:SAMPLES])


def score(samples, real: np.ndarray) -> Score:
    """
    Args:
        samples: `features.Activations`; of it the features (n, d), of which as many are
            used as there are examples, and the other way round.

    Raises:
        UserError: there are none, or a feature is not finite.
    """
    n = min(len(samples.features), len(real))
    both = np.concatenate([real[:n], neighbours.flat(samples.features[:n])])
    if not n or not np.isfinite(both).all():
        raise UserError("features are not finite, or there are none: nothing to score")
    same = np.empty(2 * n)
    for rows, squares in neighbours.blocks(both, both):
        own = np.arange(2 * n)[rows]
        squares[np.arange(len(own)), own] = np.inf
        slack = ROUNDING * np.square(both[rows], dtype=np.float64).sum(1)
        nearest = squares <= (squares.min(1) + slack)[:, None]
        samples_share = nearest[:, n:].sum(1) / nearest.sum(1)
        same[rows] = np.where(own < n, 1 - samples_share, samples_share)
    return Score(float(same.mean()), float(same[:n].mean()), float(same[n:].mean()), n, n)


def selection(samples, real: np.ndarray) -> float:
    """The nearer to 1/2 the better."""
    return -abs(score(samples, real).value - 0.5)
