"""Kernel distance between features: squared MMD with a cubic kernel (KID: Binkowski et al.
2018, Sec. 4).

k(x, y) = (x . y / d + 1)^3, unbiased: pairs of a feature with itself are left out. The mean
over 100 subsets of 1,000 of each, drawn without replacement within a subset, as
torch-fidelity 0.4 draws them. In float64. It may come out below zero.
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
    """The unbiased estimate from as many features x as y, (m, d) each."""
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
    """The features of the test split's `Activations`."""
    return test.features


def score(samples, features: np.ndarray) -> Score:
    """
    Args:
        samples: `features.Activations`; of it the features (n, d).
        features: `reference`. With fewer than SUBSET_SIZE of either, subsets have so many.

    Raises:
        UserError: there are fewer than two of either, or a feature is not finite.
    """
    x, y = samples.features, features
    m = min(len(x), len(y), SUBSET_SIZE)
    if m < 2:
        raise UserError("a kernel distance takes two images and two samples at the least")
    draw = np.random.RandomState(SEED)
    found = [
        squared_mmd(
            x[draw.choice(len(x), m, replace=False)],
            y[draw.choice(len(y), m, replace=False)],
        )
        for _ in range(SUBSETS)
    ]
    if not np.isfinite(found).all():
        raise UserError("features are not finite: there is no distance")
    return Score(float(np.mean(found)), float(np.std(found)), SUBSETS, m, len(x), len(y))


def selection(samples, features: np.ndarray) -> float:
    """The lower the better."""
    return -score(samples, features).value
