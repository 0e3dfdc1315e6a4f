"""Frechet distance between Gaussians fitted to features (FID: Heusel et al. 2017).

|m - n|^2 + Tr(C + D - 2 (C D)^{1/2}), of means m, n and unbiased covariances C, D, as in
bioinf-jku/TTUR's fid.py, computed in float64. The trace of the root comes from the
eigenvalues of R^T D R, where C = R R^T. They equal those of C D, but the matrix is
symmetric, so that there is no imaginary part and no jitter is needed. Few samples increase
the value: compare only equal numbers of samples.

Differs: METRICS-1 | reference of Frechet and kernel distances | not in these papers | the
    training set (fid.py's statistics of CIFAR-10, SVHN, LSUN, CelebA) | --test_split | the
    test split, so that copies of training examples do not score best; for comparison with
    published values use --test_split=train.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import blocks
from tfgan_papers.metrics.features import Activations

NAME, UNIT = "Frechet distance", "(lower is better)"
OF = "features"
SAMPLES = 10_000  # fid.py: at least 10,000
SPLITS = ("test",)


class Sums(NamedTuple):
    """The sums of a block of features (n, d), or of several blocks."""

    n: int
    mean: np.ndarray  # (d,)
    scatter: np.ndarray  # (d, d), the sum of products of deviations from the mean


class Moments(NamedTuple):
    """The moments of features (n, d)."""

    mean: np.ndarray  # (d,)
    covariance: np.ndarray  # (d, d), unbiased
    n: int  # number of features


class Reference(NamedTuple):
    moments: Moments
    root: np.ndarray  # (d, rank), root @ root.T is the covariance


class Score(NamedTuple):
    value: float
    of_means: float  # |m - n|^2
    samples: int
    reference_examples: int


def of_block(seen: tuple[np.ndarray, np.ndarray], against=None, place=None) -> Sums:
    """The sums of one block of (features, probabilities), in float64."""
    features, _ = seen
    mean = features.mean(0, dtype=np.float64)
    centred = features - mean
    return Sums(len(features), mean, centred.T @ centred)


def merge(a: Sums, b: Sums) -> Sums:
    """The sums of two blocks together (Chan, Golub and LeVeque 1979)."""
    n, between = a.n + b.n, b.mean - a.mean
    scaled = between * np.sqrt(a.n * b.n / n)
    scatter = a.scatter + b.scatter + np.outer(scaled, scaled)
    return Sums(n, a.mean + between * (b.n / n), scatter)


def moments(seen: Activations) -> Moments:
    """Computes the mean and covariance in one pass over blocks of rows.

    Args:
        seen: its features (n, d) are used.

    Raises:
        UserError: n is not larger than d, or a feature is not finite.
    """
    return of_sums(blocks.state(of_block, merge, seen, None))


def of_sums(sums: Sums) -> Moments:
    """Computes the mean and covariance from the sums.

    Raises:
        UserError: see `moments`.
    """
    n, d = sums.n, len(sums.mean)
    if n <= d:
        raise UserError(
            f"{n} images are too few for a covariance of {d} features: it takes at least "
            f"{d + 1}"
        )
    if not np.isfinite(sums.mean).all():
        raise UserError("the features of these images are not finite: check the images")
    return Moments(sums.mean, sums.scatter / (n - 1), n)


def root(covariance: np.ndarray) -> np.ndarray:
    """Returns R (d, rank) with R R^T = covariance, without directions of no variance."""
    values, vectors = scipy.linalg.eigh(covariance)
    positive = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, positive] * np.sqrt(values[positive])


def reference(test) -> Reference:
    """Returns the moments of the test split's `Activations`, and their root."""
    real = moments(test)
    return Reference(real, root(real.covariance))


def distance(fake: Moments, against: Reference) -> tuple[float, float]:
    """Returns the squared distance, and its part |m - n|^2."""
    of_means = float(((fake.mean - against.moments.mean) ** 2).sum())
    product = against.root.T @ fake.covariance @ against.root
    eigenvalues = scipy.linalg.eigvalsh(product) if len(product) else np.zeros(1)
    of_root = np.sqrt(np.maximum(eigenvalues, 0)).sum()  # rounding may leave -1e-13
    traces = np.trace(fake.covariance) + np.trace(against.moments.covariance)
    return of_means + float(traces - 2 * of_root), of_means


def score(samples, against: Reference) -> Score:
    """Computes the distance of samples, `features.Activations`, by their features (n, d).

    Raises:
        UserError: see `moments`.
    """
    sums = blocks.state(of_block, merge, samples, against)
    return of_state(sums, against, len(samples.features))


def of_state(sums: Sums, against: Reference, n: int) -> Score:
    """Computes the distance from the sums of n features; see `score`."""
    value, of_means = distance(of_sums(sums), against)
    return Score(value, of_means, n, against.moments.n)


def selection(samples, against: Reference) -> float:
    """Returns the negative distance."""
    return -score(samples, against).value
