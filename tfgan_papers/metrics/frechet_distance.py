"""Frechet distance between normal laws fitted to features (FID: Heusel et al. 2017).

|m - n|^2 + Tr(C + D - 2 (C D)^{1/2}), of means m, n and unbiased covariances C, D, as in
bioinf-jku/TTUR's fid.py, in float64. The root's trace is taken from the eigenvalues of
R^T D R, where C = R R^T: they are those of C D, but of a symmetric matrix, so that no
imaginary part and no jitter arise. Few samples raise the value: compare equal counts only.

Differs: METRICS-1 | what Frechet and kernel distances are from | not in these papers | the
    training set (fid.py's statistics of CIFAR-10, SVHN, LSUN, CelebA) | --test_split | the
    test split, so that copies of training examples do not score best; published values
    compare with those by --test_split=train.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from tfgan_papers.errors import UserError

NAME, UNIT = "Frechet distance", "(lower is better)"
OF = "features"
SAMPLES = 10_000  # fid.py: at least 10,000
SPLITS = ("test",)
ROWS = 1000  # at a time: bounds the memory, not the value


class Moments(NamedTuple):
    """Of features (n, d)."""

    mean: np.ndarray  # (d,)
    covariance: np.ndarray  # (d, d), unbiased
    n: int


class Reference(NamedTuple):
    moments: Moments
    root: np.ndarray  # (d, rank): the covariance is root root^T


class Score(NamedTuple):
    value: float
    of_means: float  # |m - n|^2
    samples: int
    reference_examples: int


def moments(features: np.ndarray) -> Moments:
    """Mean and covariance, in two passes over blocks of the rows.

    Raises:
        UserError: there are no more rows than columns, or a feature is not finite.
    """
    n, d = features.shape
    if n <= d:
        raise UserError(
            f"{n} images are too few for a covariance of {d} features: it takes {d + 1}"
        )
    blocks = [slice(first, first + ROWS) for first in range(0, n, ROWS)]
    mean = sum(features[b].sum(0, dtype=np.float64) for b in blocks) / n
    if not np.isfinite(mean).all():
        raise UserError("features are not finite: there is no distance")
    covariance = np.zeros((d, d))
    for b in blocks:
        centred = features[b] - mean
        covariance += centred.T @ centred
    return Moments(mean, covariance / (n - 1), n)


def root(covariance: np.ndarray) -> np.ndarray:
    """R (d, rank) with R R^T = covariance; directions without variance are left out."""
    values, vectors = scipy.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])


def reference(test) -> Reference:
    """The moments of the test split's `Activations`, and their root."""
    found = moments(test.features)
    return Reference(found, root(found.covariance))


def distance(found: Moments, against: Reference) -> tuple[float, float]:
    """The squared distance, and the part of it that is of the means."""
    of_means = float(((found.mean - against.moments.mean) ** 2).sum())
    product = against.root.T @ found.covariance @ against.root
    eigenvalues = scipy.linalg.eigvalsh(product) if len(product) else np.zeros(1)
    of_root = np.sqrt(np.maximum(eigenvalues, 0)).sum()  # rounding may leave -1e-13
    traces = np.trace(found.covariance) + np.trace(against.moments.covariance)
    return of_means + float(traces - 2 * of_root), of_means


def score(samples, against: Reference) -> Score:
    """
    Args:
        samples: `features.Activations`; of it the features (n, d).

    Raises:
        UserError: samples are too few for a covariance, or a feature is not finite.
    """
    value, of_means = distance(moments(samples.features), against)
    return Score(value, of_means, len(samples.features), against.moments.n)


def selection(samples, against: Reference) -> float:
    """The lower the better."""
    return -score(samples, against).value
