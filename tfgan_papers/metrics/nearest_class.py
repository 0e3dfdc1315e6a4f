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

from tfgan_papers.metrics import blocks, neighbours

NAME, UNIT = "1-NN error of labelled samples", "% (lower is better)"
OF = "labelled samples"
SAMPLES = 50_000  # DCGAN, 2015, Table 3, its first row of samples
SPLITS = ("test",)


class Reference(NamedTuple):
    images: np.ndarray  # (n, d)
    labels: np.ndarray  # (n,)


class Nearest(NamedTuple):
    """Of each test example, the nearest of some samples; of equally near ones the first."""

    squares: np.ndarray  # squared distance, float64 (n,)
    labels: np.ndarray  # label of the sample, (n,)


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


def of_block(
    samples: tuple[np.ndarray, np.ndarray], test: Reference, place=None
) -> Nearest:
    """Finds the nearest sample of a block for each test example.

    Args:
        samples: (images, labels).
        test: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    images, labels = samples
    images = neighbours.flat(blocks.finite(images))
    nearest = Nearest(*np.empty((2, len(test.images))))
    for rows, squares in neighbours.blocks(test.images, images):
        nearest.squares[rows] = squares.min(1)
        nearest.labels[rows] = labels[squares.argmin(1)]
    return nearest


def merge(first: Nearest, then: Nearest) -> Nearest:
    """Finds the nearest sample of two blocks."""
    nearer = then.squares < first.squares
    return Nearest(*(np.where(nearer, b, a) for a, b in zip(first, then, strict=True)))


def score(samples: tuple[np.ndarray, np.ndarray], test: Reference) -> Score:
    """Computes the error.

    Args:
        samples: (images (n, ...), of which the score takes slices, the labels that were
            given to the generator (n,)).
        test: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    nearest = blocks.state(of_block, merge, samples, test)
    return of_state(nearest, test, len(samples[0]))


def of_state(nearest: Nearest, test: Reference, n: int) -> Score:
    """Computes the error from the nearest of n samples."""
    wrong, examples = int((nearest.labels != test.labels).sum()), len(test.images)
    return Score(100.0 * wrong / examples, wrong, n, examples)


def selection(samples, test: Reference) -> float:
    """Returns the negative error."""
    return -score(samples, test).value
