"""Errors on the test images of a nearest neighbour among labelled samples, in per cent
(DCGAN, 2015, Table 3): of a generator with classes, by pixels, in float64.

The paper reports it of conditional MNIST: with real training images in the samples' place
it is about 3.1.

The same as scikit-learn's KNeighborsClassifier(1) gets wrong; a test compares.
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
    """The test split with its labels.

    Raises:
        UsageError: it has none.
    """
    images, labels = test.labelled(value_range)
    return Reference(neighbours.flat(images), labels)


def score(samples: tuple[np.ndarray, np.ndarray], test: Reference) -> Score:
    """
    Args:
        samples: images (n, ...) and the labels they were drawn with (n,).

    Raises:
        UserError: a sample is not finite.
    """
    images, labels = neighbours.flat(samples[0]), samples[1]
    if not np.isfinite(images).all():
        raise UserError("the generator's samples are not finite: there is nothing to score")
    wrong = sum(
        int((labels[squares.argmin(1)] != test.labels[rows]).sum())
        for rows, squares in neighbours.blocks(test.images, images)
    )
    n = len(test.images)
    return Score(100.0 * wrong / n, wrong, len(images), n)


def selection(samples, test: Reference) -> float:
    """The fewer wrong, the better."""
    return -score(samples, test).value
