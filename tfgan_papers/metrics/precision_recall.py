"""Precision and recall by nearest neighbours (Kynkaanniemi et al. 2019).

The manifold of a set is the union of balls around its features, whose radii are the
distances to their third-nearest neighbours. Precision is the share of the samples in the
manifold of the data, recall the share of the data in the manifold of the samples. They are
computed in float64.

Tests compare with torch-fidelity 0.4's metric_prc and with SciPy's cdist.
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
LEAST = 10 * NEIGHBOUR  # ours: with fewer images a ball contains more than a tenth of them


class Reference(NamedTuple):
    features: np.ndarray  # (n, d)
    squared_radii: np.ndarray  # (n,)


class Score(NamedTuple):
    value: float  # precision
    recall: float
    f1: float  # harmonic mean of both; selects the best checkpoint
    neighbour: int
    samples: int
    reference_examples: int


def manifold(features: np.ndarray) -> Reference:
    """Computes the radii of the balls around features (n, ...).

    Raises:
        UserError: there are fewer than LEAST features, or one is not finite.
    """
    features = neighbours.flat(features)
    if len(features) < LEAST:
        raise UserError(
            f"{len(features)} images are too few for precision and recall: it takes at "
            f"least {LEAST} samples and {LEAST} examples"
        )
    if not np.isfinite(features).all():
        raise UserError("the features of these images are not finite: check the images")
    radii = np.empty(len(features))
    for rows, squares in neighbours.blocks(features, features):
        within = np.arange(len(features))[rows]
        squares[np.arange(len(within)), within] = 0.0  # the feature itself is the nearest
        radii[rows] = np.partition(squares, NEIGHBOUR, axis=1)[:, NEIGHBOUR]
    return Reference(features, radii)


def share_within(features: np.ndarray, of: Reference) -> float:
    """Returns the share of the features in a manifold, 0 to 1."""
    inside = 0
    for _, squares in neighbours.blocks(features, of.features):
        inside += int((squares <= of.squared_radii).any(1).sum())
    return inside / len(features)


def reference(test) -> Reference:
    """Returns the manifold of SAMPLES of the test split's `Activations`."""
    return manifold(test.features[:SAMPLES])


def score(samples, real: Reference) -> Score:
    """Computes precision, recall and their harmonic mean.

    Args:
        samples: `features.Activations`, whose features (n, d) are used.
        real: `reference`.

    Raises:
        UserError: there are fewer than LEAST samples, or a feature is not finite.
    """
    fake = manifold(samples.features)
    precision = share_within(fake.features, real)
    recall = share_within(real.features, fake)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    n, m = len(fake.features), len(real.features)
    return Score(precision, recall, f1, NEIGHBOUR, n, m)


def selection(samples, real: Reference) -> float:
    """Returns the harmonic mean of precision and recall."""
    return score(samples, real).f1
