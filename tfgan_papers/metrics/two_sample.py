"""1-NN two-sample accuracy (Lopez-Paz and Oquab 2017; on GANs: Xu et al. 2018).

It is the share of images whose nearest other image, by features, is of the same kind, among
equally many samples and examples. It is 1/2 if samples and data have the same distribution,
1 if they are far apart, and below 1/2 if samples are copies of examples. If several images
are equally near, the share of them that is of the same kind counts. It is computed in
float64.

If no two are equally near, it equals the leave-one-out accuracy of scikit-learn's
KNeighborsClassifier(1); a test compares them.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import neighbours

NAME, UNIT = "1-NN two-sample accuracy", "(best is .5)"
OF = "features"
SAMPLES = 5000  # ours
SPLITS = ("test",)
# Distances that differ by at most this share of an image's squared norm are equal:
# rounding, here in float64 and in a network that sees the same image in another batch.
ROUNDING = 1e-12


class Score(NamedTuple):
    value: float  # share of all images whose nearest is of their kind, 0 to 1
    of_examples: float  # share of the examples: low if samples cover the data
    of_samples: float  # share of the samples: low if samples resemble the data
    samples: int
    reference_examples: int


def reference(test) -> np.ndarray:
    """Returns the features of the test split's `Activations`."""
    return neighbours.flat(test.features)


def score(samples, real: np.ndarray) -> Score:
    """Computes the accuracy.

    Args:
        samples: `features.Activations`, whose features (n, d) are used: as many as there
            are examples, or all and as many examples.
        real: `reference`.

    Raises:
        UserError: there are no samples, or a feature is not finite.
    """
    n = min(len(samples.features), len(real))
    both = np.concatenate([real[:n], neighbours.flat(samples.features[:n])])
    if not n or not np.isfinite(both).all():
        raise UserError(
            "there are no images, or their features are not finite: check the images"
        )
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
    """Returns the negative distance of the accuracy from 1/2."""
    return -abs(score(samples, real).value - 0.5)
