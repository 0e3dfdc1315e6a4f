"""Layers of pylearn2 that the networks of GAN (2014) are made of."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def column_maximum(z):
    """The maximum over axis 1: (batch, pieces, units) -> (batch, units).

    The gradient goes to the largest piece. This takes two cheap passes; TensorFlow's own
    gradient also counts ties.
    """

    @tf.custom_gradient
    def forward(z):
        largest = tf.reduce_max(z, axis=1, keepdims=True)

        def backward(upstream):
            return tf.where(z == largest, upstream[:, tf.newaxis], tf.zeros_like(z))

        return largest[:, 0], backward

    return forward(z)


@keras.saving.register_keras_serializable("tfgan_papers")
class Maxout(keras.layers.Dense):
    """A maxout layer: the maximum of several linear maps (Goodfellow et al. 2013).

    Input: (batch, features). Output: (batch, maxout_units).

    Args:
        maxout_units: int, the number of outputs.
        pieces: int, the number of linear maps per output.
    """

    def __init__(self, maxout_units, pieces, **kwargs):
        kwargs.pop("units", None)
        super().__init__(maxout_units * pieces, **kwargs)
        self.maxout_units, self.pieces = maxout_units, pieces

    def call(self, inputs):
        z = super().call(inputs)
        return column_maximum(ops.reshape(z, (-1, self.pieces, self.maxout_units)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.maxout_units)

    def get_config(self):
        config = super().get_config()
        del config["units"]
        return {**config, "maxout_units": self.maxout_units, "pieces": self.pieces}


@keras.saving.register_keras_serializable("tfgan_papers")
class MaxoutConv2D(keras.layers.Conv2D):
    """A maxout convolution of stride 1, as pylearn2's MaxoutConvC01B without its pooling.

    Input: (batch, height, width, features). Output: (batch, height + 2 pad - k + 1,
    width + 2 pad - k + 1, channels), with kernel size k.

    Args:
        channels: int, the number of output channels.
        pieces: int, the number of convolutions per output channel.
        kernel_size: int, k.
        pad: int, the number of zeros added on every side.
    """

    def __init__(self, channels, pieces, kernel_size, pad, **kwargs):
        kwargs.pop("filters", None)
        super().__init__(channels * pieces, kernel_size, padding="valid", **kwargs)
        self.channels, self.pieces, self.pad = channels, pieces, pad

    def call(self, inputs):
        sides = (self.pad, self.pad)
        z = super().call(ops.pad(inputs, ((0, 0), sides, sides, (0, 0))))
        height, width = z.shape[1:3]
        return ops.max(ops.reshape(z, (-1, height, width, self.pieces, self.channels)), 3)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        grown = [
            side + 2 * self.pad - k + 1
            for side, k in zip((height, width), self.kernel_size, strict=True)
        ]
        return (batch, *grown, self.channels)

    def get_config(self):
        config = super().get_config()
        for name in ("filters", "padding", "strides"):
            del config[name]
        return {**config, "channels": self.channels, "pieces": self.pieces, "pad": self.pad}


@keras.saving.register_keras_serializable("tfgan_papers")
class CeilMaxPool2D(keras.layers.Layer):
    """Max pooling whose last window may extend beyond the edge (pylearn2; GAN-8).

    Input: (batch, height, width, channels). Output: the same with
    ceil((side - pool_size) / strides) + 1 for height and width.
    """

    def __init__(self, pool_size, strides=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size, self.strides = pool_size, strides

    def call(self, inputs):
        sides = [(0, self.overhang(side)) for side in inputs.shape[1:3]]
        padded = ops.pad(inputs, [(0, 0), *sides, (0, 0)], constant_values=-np.inf)
        return ops.max_pool(padded, self.pool_size, self.strides)

    def overhang(self, side):
        """The number of pixels by which the last window exceeds a side of `side` pixels."""
        windows = -(-(side - self.pool_size) // self.strides) + 1
        return (windows - 1) * self.strides + self.pool_size - side

    def get_config(self):
        own = {"pool_size": self.pool_size, "strides": self.strides}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfgan_papers")
class PixelBias(keras.layers.Layer):
    """Adds one bias per pixel and channel: `tied_b: 0` of the authors' deconv.

    Input and output: (batch, height, width, channels).
    """

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=input_shape[1:], initializer="zeros")

    def call(self, inputs):
        return inputs + self.bias
