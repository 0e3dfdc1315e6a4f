"""Test error of a model's classifier.

It is the number of test images that the classifier gets wrong, as in Table 1 of Improved
GAN (2016), and their share in per cent, as in Table 2.

The papers do not select a checkpoint by it: they report the error after the last epoch.
`selection` keeps the best checkpoint separately, and its error is not comparable with the
papers' errors.
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
    """Reads the test split with its labels, in random order.

    The order matters for D with minibatch features, which compares the images of a batch:
    in a split that is sorted by class, a batch would have one class.

    Raises:
        UsageError: the split has no labels.
    """
    return Reference(*subsets.some(test).labelled(value_range))


def score(classifier: Callable, examples: Reference) -> Score:
    """Counts the errors in batches of one size.

    The last batch starts with images that are already counted.

    Args:
        classifier: images (batch, ...) -> logits (batch, classes).
        examples: `reference`.

    Raises:
        UserError: a logit is not finite.
    """
    n, wrong = len(examples.images), 0
    for first in range(0, n, BATCH_SIZE):
        end = min(first + BATCH_SIZE, n)
        batch = examples.images[max(0, end - BATCH_SIZE) : end]
        logits = np.asarray(classifier(batch, training=False))[first - end :]
        if not np.isfinite(logits).all():
            raise UserError(
                "the classifier's logits are not finite: train with a lower learning rate"
            )
        wrong += int((logits.argmax(-1) != examples.labels[first:end]).sum())
    return Score(value=float(wrong), percent=100.0 * wrong / n, test_examples=n)


def selection(classifier: Callable, examples: Reference) -> float:
    """Returns the negative number of errors."""
    return -score(classifier, examples).value
