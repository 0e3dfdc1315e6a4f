"""Kernel distance between features: squared MMD with a cubic kernel (KID: Binkowski et al.
2018, Sec. 4).

k(x, y) = (x . y / d + 1)^3. The estimate is unbiased: it omits the pairs of a feature with
itself, and may be negative. It is the mean over 100 subsets of 1,000 features of each kind,
drawn without replacement within a subset, as in torch-fidelity 0.4, in float64.
"""

import functools
import operator
from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import blocks

NAME, UNIT = "kernel distance", "(lower is better)"
OF = "features"
SAMPLES = 10_000
SPLITS = ("test",)
SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020  # torch-fidelity: kid_subsets, ..., rng_seed


class Chosen(NamedTuple):
    """Those of the samples that are in a subset: at most SUBSETS * SUBSET_SIZE."""

    rows: np.ndarray  # their numbers, ascending
    features: np.ndarray  # (len(rows), d)


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


@functools.lru_cache(maxsize=1)
def _subsets(n, references):
    """SUBSETS pairs of subsets, of n samples and of the references, and their size.

    Raises:
        UserError: there are fewer than two of either.
    """
    m = min(n, references, SUBSET_SIZE)
    if m < 2:
        raise UserError(
            "a kernel distance needs at least two images and two samples: use more"
        )
    choice = np.random.RandomState(SEED).choice
    pairs = [
        [choice(size, m, replace=False) for size in (n, references)] for _ in range(SUBSETS)
    ]
    return pairs, m


def of_block(
    seen: tuple[np.ndarray, np.ndarray], features: np.ndarray, place: blocks.Place
) -> tuple[Chosen]:
    """Takes those of a block of (features, probabilities) that are in a subset."""
    x, _ = seen
    pairs, _ = _subsets(place.n, len(features))
    rows = np.unique([of_samples for of_samples, _ in pairs])
    rows = rows[(rows >= place.first) & (rows < place.first + len(x))]
    return (Chosen(rows, x[rows - place.first]),)


merge = operator.add  # of the tuples of two blocks


def score(samples, features: np.ndarray) -> Score:
    """Computes the distance.

    Args:
        samples: `features.Activations`, whose features (n, d) are used.
        features: `reference`. If n or m is less than SUBSET_SIZE, subsets have the
            smaller size.

    Raises:
        UserError: there are fewer than two of either, or a feature is not finite.
    """
    chosen = blocks.state(of_block, merge, samples, features)
    return of_state(chosen, features, len(samples.features))


def of_state(chosen: tuple[Chosen, ...], features: np.ndarray, n: int) -> Score:
    """Computes the distance from those of n samples that are in a subset; see `score`."""
    rows, x = map(np.concatenate, zip(*chosen, strict=True))
    pairs, m = _subsets(n, len(features))
    distances = [
        squared_mmd(x[np.searchsorted(rows, of_samples)], features[of_references])
        for of_samples, of_references in pairs
    ]
    if not np.isfinite(distances).all():
        raise UserError("the features of these images are not finite: check the images")
    mean, deviation = float(np.mean(distances)), float(np.std(distances))
    return Score(mean, deviation, SUBSETS, m, n, len(features))


def selection(samples, features: np.ndarray) -> float:
    """Returns the negative distance."""
    return -score(samples, features).value
