"""How far apart samples lie, over how far apart the data do: mean Euclidean distance
between two images, by pixels. 1 is as varied as the data, 0 one image only. In float64.

MS-SSIM (Odena et al. 2017), which is usual, needs images of 176 pixels and more.

The mean distance is that of SciPy's cdist over all pairs; a test compares.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import subsets

NAME, UNIT = "diversity", "of the data's"
OF = "samples"
SAMPLES = 2000  # ours: two million pairs
SPLITS = ("test",)


class Score(NamedTuple):
    value: float  # ratio of the two
    distance: float  # of the samples, in the network's value range
    reference_distance: float  # of the examples
    samples: int
    reference_examples: int


class Reference(NamedTuple):
    distance: float
    n: int


def mean_distance(examples: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of examples (n, ...)."""
    return float(pdist(np.reshape(examples, (len(examples), -1))).mean())


def reference(value_range: str, test) -> Reference:
    """SAMPLES of the test split.

    Raises:
        UserError: they are all the same.
    """
    images = subsets.some(test, SAMPLES).all(value_range)
    if len(images) < 2 or not (distance := mean_distance(images)):
        raise UserError(f"{test.name} has no two images that differ in its test split")
    return Reference(distance, len(images))


def score(samples: np.ndarray, real: Reference) -> Score:
    """
    Raises:
        UserError: there are fewer than two samples, or one is not finite.
    """
    if len(samples) < 2 or not np.isfinite(samples).all():
        raise UserError("samples are not finite, or fewer than two: nothing to score")
    found = mean_distance(samples)
    return Score(found / real.distance, found, real.distance, len(samples), real.n)


def selection(samples: np.ndarray, real: Reference) -> float:
    """The nearer to the data's, as a ratio, the better."""
    return -abs(score(samples, real).value - 1)
