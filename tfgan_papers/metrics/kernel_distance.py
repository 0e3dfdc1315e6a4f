"""Kernel distance between features: squared MMD with a cubic kernel (KID: Binkowski et al.
2018, Sec. 4).

k(x, y) = (x . y / d + 1)^3. The estimate is unbiased: it omits the pairs of a feature with
itself, and may be negative. It is the mean over 100 subsets of 1,000 features of each kind,
drawn without replacement within a subset, as in torch-fidelity 0.4, in float64.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError

NAME, UNIT = "kernel distance", "(lower is better)"
OF = "features"
SAMPLES = 10_000
SPLITS = ("test",)
SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020  # torch-fidelity: kid_subsets, ..., rng_seed


class Score(NamedTuple):
    value: float  # mean over the subsets
    standard_deviation: float  # over the subsets
    subsets: int
    subset_size: int
    samples: int
    reference_examples: int


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the unbiased estimate from features x (m, d) and y (m, d)."""
    m, d = x.shape
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def kernel(a, b):
        k = a @ b.T / d + 1
        return k * k * k  # ** 3 takes ten times as long

    def within(a):
        k = kernel(a, a)
        return (k.sum() - np.trace(k)) / (m * (m - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def reference(test) -> np.ndarray:
    """Returns the features of the test split's `Activations`."""
    return test.features


def score(samples, features: np.ndarray) -> Score:
    """Computes the distance.

    Args:
        samples: `features.Activations`, whose features (n, d) are used.
        features: `reference`. If n or m is less than SUBSET_SIZE, subsets have the
            smaller size.

    Raises:
        UserError: there are fewer than two of either, or a feature is not finite.
    """
    x, y = samples.features, features
    m = min(len(x), len(y), SUBSET_SIZE)
    if m < 2:
        raise UserError(
            "a kernel distance needs at least two images and two samples: use more"
        )
    draw = np.random.RandomState(SEED)
    distances = [
        squared_mmd(
            x[draw.choice(len(x), m, replace=False)],
            y[draw.choice(len(y), m, replace=False)],
        )
        for _ in range(SUBSETS)
    ]
    if not np.isfinite(distances).all():
        raise UserError("the features of these images are not finite: check the images")
    mean, deviation = float(np.mean(distances)), float(np.std(distances))
    return Score(mean, deviation, SUBSETS, m, len(x), len(y))


def selection(samples, features: np.ndarray) -> float:
    """Returns the negative distance."""
    return -score(samples, features).value
