"""Precision and recall by nearest neighbours (Kynkaanniemi et al. 2019).

The manifold of a set is the union of balls around its features, each as wide as the way to
the third-nearest other one. Precision is the share of samples within the data's manifold,
recall that of the data within the samples'. In float64.

The same as torch-fidelity 0.4's metric_prc, and as SciPy's cdist gives; tests compare.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import neighbours

NAME, UNIT = "precision", "of the samples, 0 to 1"
OF = "features"
SAMPLES = 10_000
SPLITS = ("test",)
NEIGHBOUR = 3  # Kynkaanniemi et al. 2019, Sec. 3: k
LEAST = 10 * NEIGHBOUR  # ours: of fewer images a ball holds more than a tenth


class Reference(NamedTuple):
    features: np.ndarray  # (n, d)
    squared_radii: np.ndarray  # (n,)


class Score(NamedTuple):
    value: float  # precision
    recall: float
    f1: float  # their harmonic mean; chooses the best checkpoint
    neighbour: int
    samples: int
    reference_examples: int


def manifold(features: np.ndarray) -> Reference:
    """
    Raises:
        UserError: there are too few features, or one is not finite.
    """
    features = neighbours.flat(features)
    if len(features) < LEAST:
        raise UserError(
            f"{len(features)} images are too few for precision and recall: it takes "
            f"{LEAST}, of samples and of examples"
        )
    if not np.isfinite(features).all():
        raise UserError("features are not finite: they have no neighbours")
    radii = np.empty(len(features))
    for rows, squares in neighbours.blocks(features, features):
        within = np.arange(len(features))[rows]
        squares[np.arange(len(within)), within] = 0.0  # to itself, the nearest
        radii[rows] = np.partition(squares, NEIGHBOUR, axis=1)[:, NEIGHBOUR]
    return Reference(features, radii)


def share_within(features: np.ndarray, of: Reference) -> float:
    """Share of the features within the manifold, 0 to 1."""
    inside = 0
    for _, squares in neighbours.blocks(features, of.features):
        inside += int((squares <= of.squared_radii).any(1).sum())
    return inside / len(features)


def reference(test) -> Reference:
    """The manifold of SAMPLES of the test split's `Activations`."""
    return manifold(test.features[:SAMPLES])


def score(samples, real: Reference) -> Score:
    """
    Args:
        samples: `features.Activations`; of it the features (n, d).

    Raises:
        UserError: there are too few, or one is not finite.
    """
    fake = manifold(samples.features)
    precision = share_within(fake.features, real)
    recall = share_within(real.features, fake)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    n, m = len(fake.features), len(real.features)
    return Score(precision, recall, f1, NEIGHBOUR, n, m)


def selection(samples, real: Reference) -> float:
    """The harmonic mean of the two: the higher the better."""
    return score(samples, real).f1
