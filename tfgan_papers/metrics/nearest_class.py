"""Test error of a nearest-neighbour classifier on labelled samples (DCGAN, 2015, Table 3).

The training set of the classifier consists of samples with the labels that were given to
the generator. Distances are Euclidean, between pixels, in float64. The error is in per
cent.

The paper reports it for conditional MNIST. It is about 3.1 with real training images in
place of the samples.

A test compares it with scikit-learn's KNeighborsClassifier(1).
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import neighbours

NAME, UNIT = "1-NN error of labelled samples", "% (lower is better)"
OF = "labelled samples"
SAMPLES = 50_000  # DCGAN, 2015, Table 3, its first row of samples
SPLITS = ("test",)


class Reference(NamedTuple):
    images: np.ndarray  # (n, d)
    labels: np.ndarray  # (n,)


class Score(NamedTuple):
    value: float  # per cent
    wrong: int
    samples: int
    test_examples: int


def reference(value_range: str, test) -> Reference:
    """Reads the test split with its labels.

    Raises:
        UsageError: the split has no labels.
    """
    images, labels = test.labelled(value_range)
    return Reference(neighbours.flat(images), labels)


def score(samples: tuple[np.ndarray, np.ndarray], test: Reference) -> Score:
    """Computes the error.

    Args:
        samples: (images (n, ...), the labels that were given to the generator (n,)).
        test: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    images, labels = neighbours.flat(samples[0]), samples[1]
    if not np.isfinite(images).all():
        raise UserError("the samples are not finite: train with a lower learning rate")
    wrong = sum(
        int((labels[squares.argmin(1)] != test.labels[rows]).sum())
        for rows, squares in neighbours.blocks(test.images, images)
    )
    n = len(test.images)
    return Score(100.0 * wrong / n, wrong, len(images), n)


def selection(samples, test: Reference) -> float:
    """Returns the negative error."""
    return -score(samples, test).value
