"""Averages of weights: of a network for sampling or testing, and historical averaging."""

import math

import keras
import tensorflow as tf


def ema_update(average: keras.Model, network: keras.Model, rate: float | tf.Tensor):
    """Move the weights of `average` by `rate` of the way to those of `network`; those that
    do not train it has as `network` has them."""
    for mean, weight in zip(average.weights, network.weights, strict=True):
        if weight.trainable:
            mean.assign_add(rate * (weight - mean))
        else:
            mean.assign(weight)


def debiased_rate(rate: float, moves: tf.Tensor) -> tf.Tensor:
    """The rate of an average that has forgotten its start, at its `moves`-th move, counted
    from 1: after t moves the start has the weight (1 - rate)^t, which this divides out."""
    t = tf.cast(moves, tf.float32)
    return -rate / tf.math.expm1(t * math.log1p(-rate))


@keras.saving.register_keras_serializable("tfgan_papers")
class HistoricalAveraging(keras.layers.Layer):
    """||theta - mean of all theta so far||^2, beside a player's loss (Improved GAN, 2016,
    Sec. 3.3), with the mean for a constant.

    Args:
        variables: theta, a list.
        weight: of the penalty.
    """

    def __init__(self, variables, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        once = {"trainable": False, "aggregation": "only_first_replica"}  # all the same
        self.count = self.add_weight(
            name="count", shape=(), dtype="int64", initializer="zeros", **once
        )
        self.means = [
            self.add_weight(
                name=f"mean_{i}", shape=v.shape, dtype=v.dtype, initializer="zeros", **once
            )
            for i, v in enumerate(variables)
        ]
        self.built = True

    def penalized_gradients(self, gradients, variables):
        """`gradients` and that of the penalty, when `variables` are in the mean."""
        self.count.assign_add(1)
        count, penalized = tf.convert_to_tensor(self.count), []
        for gradient, theta, mean in zip(gradients, variables, self.means, strict=True):
            theta = tf.convert_to_tensor(theta)
            mean.assign_add((theta - mean) / tf.cast(count, theta.dtype))
            penalized.append(gradient + 2.0 * self.weight * (theta - mean))
        return penalized
