"""Test images that a model's classifier gets wrong, as a count, the form of Table 1 of
Improved GAN (2016), and in per cent, that of Table 2.

The papers choose nothing by it: theirs is the last epoch's. `selection` keeps the best
checkpoint apart, whose score is not comparable with theirs.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import subsets

NAME, UNIT = "test error", "images wrong (lower is better)"
OF = "classifier"
SPLITS = ("test",)
BATCH_SIZE = 100  # train_*.py: batch_size; minibatch features depend on it


class Reference(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


class Score(NamedTuple):
    value: float  # images wrong
    percent: float
    test_examples: int


def reference(value_range: str, test) -> Reference:
    """The test split with its labels, in random order: D with minibatch features compares
    the images of a batch, which are of one class where the split lies class by class.

    Raises:
        UsageError: it has none.
    """
    return Reference(*subsets.some(test).labelled(value_range))


def score(classifier: Callable, examples: Reference) -> Score:
    """In batches of one size: the last begins with images that have been counted.

    Raises:
        UserError: a logit is not finite.
    """
    n, wrong = len(examples.images), 0
    for first in range(0, n, BATCH_SIZE):
        end = min(first + BATCH_SIZE, n)
        batch = examples.images[max(0, end - BATCH_SIZE) : end]
        logits = np.asarray(classifier(batch, training=False))[first - end :]
        if not np.isfinite(logits).all():
            raise UserError("the classifier's logits are not finite: nothing to score")
        wrong += int((logits.argmax(-1) != examples.labels[first:end]).sum())
    return Score(value=float(wrong), percent=100.0 * wrong / n, test_examples=n)


def selection(classifier: Callable, examples: Reference) -> float:
    """The fewer wrong, the better."""
    return -score(classifier, examples).value
