"""Adversarial losses that `--loss` selects: pure functions of D's raw scores.

Each function gives one value per score, in its numerically stable form. Cross entropy
takes scores for logits, D(x) = sigmoid(score); least squares takes them as they are.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from keras import ops

from tfgan_papers.errors import UsageError
from tfgan_papers.options import Options, option

TARGETS = (0.0, 1.0, 1.0)  # a, b, c of LSGAN, 2016, Eq. 9


@dataclasses.dataclass(frozen=True)
class LeastSquaresOptions(Options):
    """The targets of LSGAN (2016), Eq. 2, of --loss=least_squares."""

    a: float = option(TARGETS[0], "Target of D for samples.")
    b: float = option(TARGETS[1], "Target of D for data.")
    c: float = option(TARGETS[2], "Target of G for samples.")

    def __post_init__(self):
        super().__post_init__()
        if self.a == self.b:
            raise UsageError(f"--a and --b are both {self.a}: D has nothing to tell apart")


class AdversarialLoss(NamedTuple):
    """What each player descends. `generator` takes the scores of fakes."""

    real: Callable  # D's loss on data, from its scores there
    fake: Callable  # D's loss on samples
    generator: Callable
    to_probability: Callable  # what a score says, for people: D(x) under cross entropy


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


def least_squares(
    a: float = TARGETS[0], b: float = TARGETS[1], c: float = TARGETS[2]
) -> AdversarialLoss:
    """Half the squared distance of the score to its target (LSGAN, 2016, Eq. 2).

    Args:
        a: D's target for samples.
        b: D's target for data; not a.
        c: G's target for samples. (0, 1, 1) is the 0-1 scheme of Eq. 9; with
            b - c = 1 and b - a = 2, as (-1, 1, 0) of Eq. 8, G minimizes the Pearson
            chi-square divergence of p_d + p_g and 2 p_g.

    Raises:
        ValueError: a and b are equal, so that D has nothing to tell apart.
    """
    if a == b:
        raise ValueError(f"a and b are both {a}: D has nothing to tell apart")

    def towards(target):
        return lambda scores: 0.5 * ops.square(scores - target)

    return AdversarialLoss(towards(b), towards(a), towards(c), lambda scores: scores)


def scaled(loss: AdversarialLoss, factor: float) -> AdversarialLoss:
    """`factor` times what each player descends."""

    def times(term):
        return lambda scores: factor * term(scores)

    return AdversarialLoss(*map(times, loss[:3]), loss.to_probability)


LOSSES = {
    "non_saturating": AdversarialLoss(
        real_cross_entropy, fake_cross_entropy, non_saturating, ops.sigmoid
    ),
    "minimax": AdversarialLoss(
        real_cross_entropy, fake_cross_entropy, minimax, ops.sigmoid
    ),
    "least_squares": least_squares(),
}


# Of Improved GAN (2016): feature matching, and one-sided label smoothing.


def one_sided(loss: AdversarialLoss, alpha: float) -> AdversarialLoss:
    """`loss` with alpha as D's target for data (Sec. 3.4). That for samples stays 0, else
    the best D would no longer be that of a mixture in which samples count for nothing."""

    def real(scores):
        return alpha * loss.real(scores) + (1.0 - alpha) * loss.fake(scores)

    return loss._replace(real=real)


def feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Squared distance of the mean features (batch, n) of data and samples (Sec. 3.1)."""
    return ops.sum(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def mean_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The same, as a mean over the features (train_mnist_feature_matching.py)."""
    return ops.mean(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def absolute_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the mean features (train_cifar_feature_matching.py)."""
    return ops.mean(ops.abs(ops.mean(real, 0) - ops.mean(fake, 0)))
