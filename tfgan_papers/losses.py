"""Adversarial losses, as pure functions of the raw scores of the discriminator D.

Each function maps scores (batch, 1), any real numbers, to one loss value per score, of the
same shape, in a numerically stable form. Cross entropy treats the scores as logits,
D(x) = sigmoid(score). Least squares uses them directly. `--loss` selects a loss by name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers.errors import UsageError
from tfgan_papers.options import Options, option

TARGETS = (0.0, 1.0, 1.0)  # a, b, c of LSGAN, 2016, Eq. 9


@dataclasses.dataclass(frozen=True)
class LeastSquaresOptions(Options):
    """The targets of --loss=least_squares (LSGAN, 2016, Eq. 2)."""

    a: float = option(TARGETS[0], "With --loss=least_squares: target of D for samples.")
    b: float = option(TARGETS[1], "With --loss=least_squares: target of D for data.")
    c: float = option(TARGETS[2], "With --loss=least_squares: target of G for samples.")

    def __post_init__(self):
        super().__post_init__()
        if self.a == self.b:
            raise UsageError(f"--a and --b are both {self.a}: D has nothing to tell apart")


class AdversarialLoss(NamedTuple):
    """The losses of both players, as functions of D's scores (batch, 1).

    Attributes:
        real: D's loss on data.
        fake: D's loss on samples.
        generator: G's loss on samples.
        to_probability: maps scores to the values that are reported: the probability D(x),
            0 to 1, under cross entropy, the score itself under least squares.
        config: the name and the arguments from which `get` rebuilds the loss.
    """

    real: Callable
    fake: Callable
    generator: Callable
    to_probability: Callable
    config: dict | None = None


def real_cross_entropy(scores: tf.Tensor) -> tf.Tensor:
    """-log D(x), at least 0 (GAN, 2014, Eq. 1: D maximizes V, here it minimizes -V)."""
    return ops.softplus(-scores)


def fake_cross_entropy(scores: tf.Tensor) -> tf.Tensor:
    """-log(1 - D(G(z))), at least 0 (GAN, 2014, Eq. 1)."""
    return ops.softplus(scores)


def minimax(scores: tf.Tensor) -> tf.Tensor:
    """log(1 - D(G(z))), at most 0, which G minimizes in Algorithm 1 of GAN (2014)."""
    return -ops.softplus(scores)


def non_saturating(scores: tf.Tensor) -> tf.Tensor:
    """-log D(G(z)), at least 0 (GAN, 2014, Sec. 3).

    It has the same fixed point as `minimax` and stronger gradients early in training.
    """
    return ops.softplus(-scores)


def least_squares(
    a: float = TARGETS[0], b: float = TARGETS[1], c: float = TARGETS[2]
) -> AdversarialLoss:
    """Half the squared distance between a score and its target (LSGAN, 2016, Eq. 2).

    The targets (0, 1, 1) are the 0-1 scheme of Eq. 9. With b - c = 1 and b - a = 2, as for
    (-1, 1, 0) of Eq. 8, G minimizes the Pearson chi-square divergence between p_d + p_g
    and 2 p_g.

    Args:
        a: D's target for samples.
        b: D's target for data.
        c: G's target for samples.

    Raises:
        ValueError: a and b are equal, so D has nothing to tell apart.
    """
    if a == b:
        raise ValueError(f"a and b are both {a}: D has nothing to tell apart")

    def towards(target):
        return lambda scores: 0.5 * ops.square(scores - target)

    config = {"name": "least_squares", "a": a, "b": b, "c": c}
    return AdversarialLoss(
        towards(b), towards(a), towards(c), lambda scores: scores, config
    )


def scaled(
    loss: AdversarialLoss, factor: float, g_factor: float | None = None
) -> AdversarialLoss:
    """`loss` with D's two terms multiplied by `factor`, and G's by `g_factor`, which is
    `factor` by default.
    """
    g_factor = factor if g_factor is None else g_factor

    def times(multiple, term):
        return lambda scores: multiple * term(scores)

    terms = map(times, (factor, factor, g_factor), loss[:3])
    factors = {"factor": factor, "g_factor": g_factor}
    config = {"name": "scaled", "loss": loss.config, **factors}
    return AdversarialLoss(*terms, loss.to_probability, config)


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


# Improved GAN (2016): one-sided label smoothing and feature matching.


def one_sided(loss: AdversarialLoss, alpha: float) -> AdversarialLoss:
    """`loss` with one-sided label smoothing (Improved GAN, 2016, Sec. 3.4).

    D's target for data becomes alpha b + (1 - alpha) a, where b was the target for data and
    a is that for samples, which stays: alpha under cross entropy, where they are 1 and 0.
    If that for samples moved too, p_g would enter the numerator of the optimal D, and
    samples far from the data would have no incentive to move towards them.

    Args:
        loss: the loss to smooth.
        alpha: float, 0 to 1, the weight of the target for data.
    """

    def real(scores):
        return alpha * loss.real(scores) + (1.0 - alpha) * loss.fake(scores)

    config = {"name": "one_sided", "loss": loss.config, "alpha": alpha}
    return loss._replace(real=real, config=config)


def equilibrium(smoothing: float) -> AdversarialLoss:
    """Cross entropy in which G's target is the output of the optimal D at p_g = p_data
    (imagenet/build_model.py of Improved GAN: generator_target_prob).

    Args:
        smoothing: float, 0 to 1. D's target for data is 1 - smoothing, so G's target is
            (1 - smoothing) / 2. `one_sided` smooths D's own loss.
    """
    target = (1.0 - smoothing) / 2.0

    def towards_target(scores):
        return target * ops.softplus(-scores) + (1.0 - target) * ops.softplus(scores)

    config = {"name": "equilibrium", "smoothing": smoothing}
    return LOSSES["non_saturating"]._replace(generator=towards_target, config=config)


def feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Feature matching: the squared distance between the mean features of data and samples
    (Improved GAN, 2016, Sec. 3.1).

    Args:
        real: features of data (batch, n).
        fake: features of samples (batch, n).

    Returns:
        A scalar, at least 0: the sum over the n features.
    """
    return ops.sum(ops.square(_difference_of_means(real, fake)))


def mean_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """`feature_matching` as a mean over the features (train_mnist_feature_matching.py).

    Features (batch, n) to a scalar, at least 0.
    """
    return ops.mean(ops.square(_difference_of_means(real, fake)))


def absolute_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The mean absolute difference between the mean features of data and samples
    (train_cifar_feature_matching.py).

    Features (batch, n) to a scalar, at least 0.
    """
    return ops.mean(ops.abs(_difference_of_means(real, fake)))


def _difference_of_means(real, fake):
    """In float32 at least: in bfloat16 most means of similar features would be equal."""
    dtype = keras.backend.result_type(real.dtype, "float32")
    real, fake = (ops.mean(ops.cast(x, dtype), 0) for x in (real, fake))
    return real - fake


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
    """Retrieves a loss.

    Args:
        identifier: a name in `LOSSES`, the `config` of a loss, or a loss, which is
            returned as it is.

    Raises:
        ValueError: the name is unknown, or it is none of these.
    """
    if isinstance(identifier, AdversarialLoss):
        return identifier
    if not isinstance(identifier, (str, Mapping)):
        raise ValueError(
            f"loss {identifier} is not an AdversarialLoss: give one, or a name, "
            f"{', '.join(LOSSES)}"
        )
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


def config_of(loss: AdversarialLoss) -> dict:
    """The config from which `get` rebuilds the loss.

    Raises:
        ValueError: the loss, or one inside it, has none, so its model cannot be saved.
    """
    config = loss.config
    while isinstance(config, dict) and "loss" in config:
        config = config["loss"]
    if config is None:
        raise ValueError(
            f"a loss of your own cannot be saved: only those by name, {', '.join(LOSSES)}"
        )
    return loss.config


def named(table: dict, function: Callable | str | None):
    """The function with this name in `table`; a function is returned as it is.

    Raises:
        ValueError: the name is unknown.
    """
    if not isinstance(function, str):
        return function
    if function not in table:
        raise ValueError(f"{function!r} is none of {', '.join(table)}")
    return table[function]


def name_of(table: dict, function: Callable):
    """The name of `function` in `table`, with which a config refers to it.

    Raises:
        ValueError: the function is not in the table, so its model cannot be saved.
    """
    for name, entry in table.items():
        if entry is function:
            return name
    raise ValueError(f"{function} is none of {', '.join(table)}: it cannot be saved")
