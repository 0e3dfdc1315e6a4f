"""Diversity of samples relative to that of the data.

It is the mean Euclidean distance between the pixels of two samples, divided by that of two
examples: 1 if samples vary as much as the data, 0 if all samples are equal. It is computed
in float64.

The usual measure, MS-SSIM (Odena et al. 2017), needs images of at least 176 pixels.

A test compares the mean distance with SciPy's cdist over all pairs.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist, pdist

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import subsets

NAME, UNIT = "diversity", "of the data's"
OF = "samples"
SAMPLES = 2000  # ours: two million pairs
SPLITS = ("test",)
ROWS = 2000  # of two blocks whose distances are computed at once: bounds the memory


class Score(NamedTuple):
    value: float  # distance / reference_distance
    distance: float  # mean between two samples, in the value range of the network
    reference_distance: float  # mean between two examples, in the same range
    samples: int
    reference_examples: int


class Reference(NamedTuple):
    distance: float
    n: int


def mean_distance(examples: np.ndarray) -> float:
    """Returns the mean Euclidean distance over all pairs of examples (n, ...)."""
    n, examples = len(examples), np.reshape(examples, (len(examples), -1))
    blocks = [examples[first : first + ROWS] for first in range(0, n, ROWS)]
    total = np.float64(0)
    for i, block in enumerate(blocks):
        total += pdist(block).sum()
        total += sum(cdist(block, other).sum() for other in blocks[i + 1 :])
    return float(total / (n * (n - 1) // 2))


def reference(value_range: str, test) -> Reference:
    """Measures SAMPLES examples of the test split.

    Raises:
        UserError: all of them are equal.
    """
    images = subsets.some(test, SAMPLES).all(value_range)
    if len(images) < 2 or not (distance := mean_distance(images)):
        raise UserError(
            f"all images in the test split of {test.name} are equal: use other data"
        )
    return Reference(distance, len(images))


def score(samples: np.ndarray, real: Reference) -> Score:
    """Computes the ratio of the mean distances.

    Raises:
        UserError: there are fewer than two samples, or one is not finite.
    """
    if len(samples) < 2 or not np.isfinite(samples).all():
        raise UserError(
            "diversity needs at least two samples, and all must be finite: check the images"
        )
    distance = mean_distance(samples)
    return Score(distance / real.distance, distance, real.distance, len(samples), real.n)


def selection(samples: np.ndarray, real: Reference) -> float:
    """Returns the negative distance of the ratio from 1."""
    return -abs(score(samples, real).value - 1)
