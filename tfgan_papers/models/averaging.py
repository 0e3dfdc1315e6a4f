"""Averages of weights over training, and historical averaging."""

import math

import keras
import tensorflow as tf


def ema_update(
    average: keras.Model,
    network: keras.Model,
    rate: float | tf.Tensor,
    moved: tf.Tensor | bool | None = True,
):
    """Updates an exponential moving average of a network's weights.

    Trainable weights move by `rate` times their distance to those of `network`. Other
    weights are copied.

    Args:
        average: the network with the averaged weights.
        network: a network of the same architecture.
        rate: float or scalar tensor, 0 to 1.
        moved: scalar tensor, whether the network has moved; if not, trainable weights
            stay. Anything else counts as moved.
    """
    rate = tf.where(moved, rate, 0.0) if tf.is_tensor(moved) else rate
    for mean, weight in zip(average.weights, network.weights, strict=True):
        if weight.trainable:
            mean.assign_add(tf.cast(rate, weight.dtype) * (weight - mean))
        else:
            mean.assign(weight)


def debiased_rate(rate: float, moves: tf.Tensor) -> tf.Tensor:
    """The rate that removes the influence of the initial value from a moving average.

    After t updates at a constant rate, the initial value has the weight (1 - rate)^t. With
    this rate the average is that of the t updates alone, with the weights rescaled to
    sum to 1.

    Args:
        rate: float, positive; at 1 and above, there is nothing to remove.
        moves: integer scalar t, the number of the update, counted from 1.

    Returns:
        A float32 scalar: rate / (1 - (1 - rate)^t), or 1.
    """
    if rate >= 1.0:
        return tf.constant(1.0)
    t = tf.cast(moves, tf.float32)
    return -rate / tf.math.expm1(t * math.log1p(-rate))


@keras.saving.register_keras_serializable("tfgan_papers")
class HistoricalAveraging(keras.layers.Layer):
    """Historical averaging (Improved GAN, 2016, Sec. 3.3).

    Adds the penalty weight * ||theta - mean of all past theta||^2 to a player's loss. The
    gradient treats the mean as a constant.

    Args:
        variables: list of variables, theta.
        weight: float, the weight of the penalty.
    """

    def __init__(self, variables, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        once = {"trainable": False, "aggregation": "only_first_replica"}  # equal on all
        self.count = self.add_weight(
            name="count", shape=(), dtype="int64", initializer="zeros", **once
        )
        self.means = [
            self.add_weight(
                name=f"mean_{i}", shape=v.shape, dtype=v.dtype, initializer="zeros", **once
            )
            for i, v in enumerate(variables)
        ]
        self.places = {id(v): i for i, v in enumerate(variables)}
        self.built = True

    def penalized_gradients(self, gradients, variables):
        """Adds `variables` to the mean, and the gradients of the penalty to `gradients`.

        Args:
            gradients: list of tensors, one per variable.
            variables: list of variables, theta, or without those that were frozen since.

        Returns:
            A list of tensors of the same shapes.

        Raises:
            ValueError: a variable was frozen when the model was built.
        """
        if not all(id(v) in self.places for v in variables):
            raise ValueError(
                "historical averaging knows the weights that could be trained when the "
                "model was built: set `trainable` before"
            )
        means = [self.means[self.places[id(v)]] for v in variables]
        self.count.assign_add(1)
        count, penalized = tf.convert_to_tensor(self.count), []
        for gradient, theta, mean in zip(gradients, variables, means, strict=True):
            theta = tf.convert_to_tensor(theta)
            mean.assign_add((theta - mean) / tf.cast(count, theta.dtype))
            penalized.append(gradient + 2.0 * self.weight * (theta - mean))
        return penalized

    def checkpointed(self) -> tf.Module:
        """Its state under the names `count` and `means`."""
        state = tf.Module()
        state.count, state.means = self.count.value, [mean.value for mean in self.means]
        return state
