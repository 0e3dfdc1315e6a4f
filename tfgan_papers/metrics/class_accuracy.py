"""Labelled samples in which a classifier recognises the class they were drawn with, in per
cent: of a generator with classes, by the classifier of `features`.

The classifier learns from the test split, which the generator has not seen, and is itself
judged on the train split: its accuracy there is what samples as good as data would reach.

There is no public implementation to match: the classifier is ours.
"""

import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfgan_papers.data import RANGES
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import features

NAME, UNIT = "class accuracy", "% of labelled samples recognised"
OF = "labelled samples"
SAMPLES = 10_000  # ours
SPLITS = ("train", "test")
ROWS = 500  # samples at a time: bounds the memory, not the value


class Reference(NamedTuple):
    classifier: features.Network
    to_pixels: Callable  # samples -> uint8


class Score(NamedTuple):
    value: float  # per cent
    binomial_error: float  # per cent, the standard error over the samples
    samples: int
    classifier_sha256: str
    classifier_accuracy: float  # 0 to 1, on the train split
    chance_accuracy: float  # of naming always the largest class


def reference(value_range: str, train, test) -> Reference:
    """A classifier of the test split, trained anew: minutes at most.

    Raises:
        UsageError: the data are points, have no labels, or teach a classifier nothing.
    """
    if len(test.shape) != 3:
        raise UsageError(f"{test.name} holds points, and class accuracy is of images")
    with tempfile.TemporaryDirectory() as cache:
        classifier = features.classifier(test, train, pathlib.Path(cache))
    return Reference(classifier, RANGES[value_range].to_pixels)


def score(samples: tuple[np.ndarray, np.ndarray], real: Reference) -> Score:
    """
    Args:
        samples: images (n, ...) and the labels they were drawn with (n,).

    Raises:
        UserError: a sample is not finite.
    """
    images, labels = samples
    if not np.isfinite(images).all():
        raise UserError("the generator's samples are not finite: there is nothing to score")
    right, n = 0, len(images)
    for first in range(0, n, ROWS):
        rows = slice(first, first + ROWS)
        _, probabilities = real.classifier.apply(real.to_pixels(images[rows]))
        right += int((np.argmax(probabilities, 1) == labels[rows]).sum())
    share = right / n
    error = (share * (1.0 - share) / n) ** 0.5
    facts = real.classifier.facts
    accuracies = facts["classifier_accuracy"], facts["chance_accuracy"]
    return Score(100.0 * share, 100.0 * error, n, real.classifier.sha256, *accuracies)


def selection(samples, real: Reference) -> float:
    """The more are recognised, the better."""
    return score(samples, real).value
