"""Adversarial losses that `--loss` selects: pure functions of D's raw scores.

Scores are logits of any shape, D(x) = sigmoid(score); each function gives one value per
score, in its numerically stable form.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from keras import ops


class AdversarialLoss(NamedTuple):
    """What each player descends. `generator` takes the scores of fakes."""

    real: Callable  # D's loss on data, from its scores there
    fake: Callable  # D's loss on samples
    generator: Callable


def real_cross_entropy(scores: tf.Tensor) -> tf.Tensor:
    """-log D(x) (GAN, 2014, Eq. 1: D ascends V, so descends -V)."""
    return ops.softplus(-scores)


def fake_cross_entropy(scores: tf.Tensor) -> tf.Tensor:
    """-log(1 - D(G(z))) (GAN, 2014, Eq. 1)."""
    return ops.softplus(scores)


def minimax(scores: tf.Tensor) -> tf.Tensor:
    """log(1 - D(G(z))), which G descends in Algorithm 1 (GAN, 2014)."""
    return -ops.softplus(scores)


def non_saturating(scores: tf.Tensor) -> tf.Tensor:
    """-log D(G(z)): the same fixed point, strong gradients early (GAN, 2014, Sec. 3)."""
    return ops.softplus(-scores)


LOSSES = {
    "non_saturating": AdversarialLoss(
        real_cross_entropy, fake_cross_entropy, non_saturating
    ),
    "minimax": AdversarialLoss(real_cross_entropy, fake_cross_entropy, minimax),
}
