"""Accuracy of a classifier on labelled samples, in per cent.

The score is the share of the samples that the classifier of `features` assigns to the class
that was given to the generator.

The classifier learns from the test split, which the generator has not seen. Its accuracy on
the train split is what samples as good as the data would reach.

No public implementation exists to compare with: the classifier is ours.
"""

import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfgan_papers.data import RANGES
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import blocks, features

NAME, UNIT = "class accuracy", "% of labelled samples recognised"
OF = "labelled samples"
SAMPLES = 10_000  # ours
SPLITS = ("train", "test")
ROWS = 500  # samples per batch: bounds the memory and does not change the value


class Reference(NamedTuple):
    classifier: features.Network
    to_pixels: Callable  # samples -> uint8


class Score(NamedTuple):
    value: float  # per cent
    binomial_error: float  # per cent, the standard error over the samples
    samples: int
    classifier_sha256: str
    classifier_accuracy: float  # 0 to 1, on the train split
    chance_accuracy: float  # 0 to 1, of a classifier that always names the largest class


def reference(value_range: str, train, test) -> Reference:
    """Trains a classifier on the test split, which takes minutes at most.

    Raises:
        UsageError: the data are points, have no labels, or are too hard for the classifier.
    """
    if len(test.shape) != 3:
        raise UsageError(
            f"{test.name} contains points, but class accuracy needs images: use another "
            "score"
        )
    with tempfile.TemporaryDirectory() as cache:
        classifier = features.classifier(test, train, pathlib.Path(cache))
    return Reference(classifier, RANGES[value_range].to_pixels)


def score(samples: tuple[np.ndarray, np.ndarray], real: Reference) -> Score:
    """Computes the accuracy.

    Args:
        samples: (images (n, ...), the labels that were given to the generator (n,)).
        real: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    right, n = 0, len(samples[0])
    for images, labels in zip(*(blocks.of(s, ROWS) for s in samples), strict=True):
        pixels = real.to_pixels(blocks.finite(images))
        _, probabilities = real.classifier.apply(pixels)
        right += int((np.argmax(probabilities, 1) == labels).sum())
    share = right / n
    error = (share * (1.0 - share) / n) ** 0.5
    facts = real.classifier.facts
    accuracies = facts["classifier_accuracy"], facts["chance_accuracy"]
    return Score(100.0 * share, 100.0 * error, n, real.classifier.sha256, *accuracies)


def selection(samples, real: Reference) -> float:
    """Returns the accuracy."""
    return score(samples, real).value
