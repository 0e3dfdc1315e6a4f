"""Lower bound on the log-likelihood of the test examples (VAE, 2013, Eq. 10).

The expectation over the codes is estimated from one draw per example, the same in every
run. The estimate is unbiased, and the standard error includes its variance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgan_papers.errors import UserError

NAME, UNIT = "Bound on the log-likelihood", "nats"
OF = "bound"
SPLITS = ("test",)
SEED = 2013  # of the draws
BATCH_SIZE = 500  # bounds the memory, not the value


class Score(NamedTuple):
    value: float  # mean bound, nats per example
    standard_error: float  # nats; over the test examples and their draws
    test_examples: int


def reference(value_range: str, test) -> np.ndarray:
    """The test split as an array."""
    return test.all(value_range)


def score(bound: Callable, examples: np.ndarray) -> Score:
    """Computes the mean bound.

    Args:
        bound: the model's function (images, seed, first_row) -> nats (batch,).
        examples: `reference`.

    Raises:
        UserError: a bound is not finite.
    """
    seed, n = tf.constant([SEED, 0], tf.int64), len(examples)
    bounds = np.concatenate(
        [
            np.asarray(bound(examples[first : first + BATCH_SIZE], seed, first), float)
            for first in range(0, n, BATCH_SIZE)
        ]
    )
    if not np.isfinite(bounds).all():
        raise UserError("the model's bound is not finite: train with a lower learning rate")
    return Score(float(bounds.mean()), float(bounds.std() / np.sqrt(n)), n)


def selection(bound: Callable, examples: np.ndarray) -> float:
    """Returns the mean bound."""
    return score(bound, examples).value
