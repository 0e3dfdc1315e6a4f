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
    """What each player minimizes, as functions of D's scores (batch, 1).

    Attributes:
        real: D's loss on data.
        fake: D's loss on samples.
        generator: G's loss on samples.
        to_probability: what a score says, for people: D(x) under cross entropy.
        config: name and arguments from which `get` makes the loss again.
    """

    real: Callable
    fake: Callable
    generator: Callable
    to_probability: Callable
    config: dict | None = None


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

    config = {"name": "least_squares", "a": a, "b": b, "c": c}
    return AdversarialLoss(
        towards(b), towards(a), towards(c), lambda scores: scores, config
    )


def scaled(loss: AdversarialLoss, factor: float) -> AdversarialLoss:
    """`factor` times what each player descends."""

    def times(term):
        return lambda scores: factor * term(scores)

    config = {"name": "scaled", "loss": loss.config, "factor": factor}
    return AdversarialLoss(*map(times, loss[:3]), loss.to_probability, config)


LOSSES = {
    "non_saturating": AdversarialLoss(
        real_cross_entropy,
        fake_cross_entropy,
        non_saturating,
        ops.sigmoid,
        {"name": "non_saturating"},
    ),
    "minimax": AdversarialLoss(
        real_cross_entropy,
        fake_cross_entropy,
        minimax,
        ops.sigmoid,
        {"name": "minimax"},
    ),
    "least_squares": least_squares(),
}


# Of Improved GAN (2016): feature matching, and one-sided label smoothing.


def one_sided(loss: AdversarialLoss, alpha: float) -> AdversarialLoss:
    """`loss` with alpha as D's target for data (Sec. 3.4). That for samples stays 0, else
    the best D would no longer be that of a mixture in which samples count for nothing."""

    def real(scores):
        return alpha * loss.real(scores) + (1.0 - alpha) * loss.fake(scores)

    config = {"name": "one_sided", "loss": loss.config, "alpha": alpha}
    return loss._replace(real=real, config=config)


def equilibrium(smoothing: float) -> AdversarialLoss:
    """Cross entropy, in which G's target is what the best D says where p_g = p_data
    (imagenet/build_model.py: generator_target_prob), with D's target for data
    1 - `smoothing`."""
    target = (1.0 - smoothing) / 2.0

    def towards_target(scores):
        return target * ops.softplus(-scores) + (1.0 - target) * ops.softplus(scores)

    config = {"name": "equilibrium", "smoothing": smoothing}
    return LOSSES["non_saturating"]._replace(generator=towards_target, config=config)


def feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Squared distance of the mean features (batch, n) of data and samples (Sec. 3.1)."""
    return ops.sum(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def mean_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The same, as a mean over the features (train_mnist_feature_matching.py)."""
    return ops.mean(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def absolute_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the mean features (train_cifar_feature_matching.py)."""
    return ops.mean(ops.abs(ops.mean(real, 0) - ops.mean(fake, 0)))


MATCHING = {
    "squared": feature_matching,
    "mean": mean_feature_matching,
    "absolute": absolute_feature_matching,
    "none": None,
}
WITH_ARGUMENTS = {
    "least_squares": least_squares,
    "scaled": scaled,
    "one_sided": one_sided,
    "equilibrium": equilibrium,
}


def get(identifier: str | dict | AdversarialLoss) -> AdversarialLoss:
    """The loss of a name in `LOSSES`, of a `config`, or the loss itself.

    Raises:
        ValueError: there is no such loss.
    """
    if isinstance(identifier, AdversarialLoss):
        return identifier
    if isinstance(identifier, str):
        identifier = {"name": identifier}
    arguments = dict(identifier)
    name = arguments.pop("name")
    if name in LOSSES and not arguments:
        return LOSSES[name]
    if name not in WITH_ARGUMENTS:
        raise ValueError(f"loss {name!r} is none of {', '.join(LOSSES)}")
    if "loss" in arguments:
        arguments["loss"] = get(arguments["loss"])
    return WITH_ARGUMENTS[name](**arguments)


def name_of(table: dict, function: Callable):
    """The name of a function in a table, by which a config keeps it.

    Raises:
        ValueError: it has none, so that a model with it cannot be saved.
    """
    for name, each in table.items():
        if each is function:
            return name
    raise ValueError(f"{function} is none of {', '.join(table)}: it cannot be saved")
