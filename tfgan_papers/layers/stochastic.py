"""Dropout and Gaussian noise whose random draws are a pure function of the step."""

import keras
import tensorflow as tf

from tfgan_papers import noise


@keras.saving.register_keras_serializable("tfgan_papers")
class Dropout(keras.layers.Dropout):
    """Keras' inverted dropout with a reproducible mask.

    Inside the training step of a `GenerativeModel` the mask comes from the noise stream of
    that step. It is the same with and without XLA, after a resume, and on any number of
    replicas. Elsewhere the layer behaves as `keras.layers.Dropout`.

    Raises:
        ValueError: `noise_shape` is set and the layer is called in a training step.
    """

    draws_from_step = True

    def call(self, inputs, training=False):
        stream = noise.active()
        if not training or stream is None or self.rate == 0:
            return super().call(inputs, training=training)
        keep = 1.0 - self.rate
        if self.noise_shape is not None:
            raise ValueError("noise_shape is not supported within a training step")
        mask = stream.bernoulli((tf.shape(inputs)[0], *inputs.shape[1:]), keep)
        return inputs * (tf.cast(mask, inputs.dtype) / keep)


@keras.saving.register_keras_serializable("tfgan_papers")
class GaussianNoise(keras.layers.GaussianNoise):
    """Keras' additive Gaussian noise with reproducible values.

    Inside the training step of a `GenerativeModel` the values come from the noise stream of
    that step, as the masks of `Dropout` do. Elsewhere the layer behaves as
    `keras.layers.GaussianNoise`.
    """

    draws_from_step = True

    def call(self, inputs, training=False):
        stream = noise.active()
        if not training or stream is None or self.stddev == 0:
            return super().call(inputs, training=training)
        values = stream.normal((tf.shape(inputs)[0], *inputs.shape[1:]))
        return inputs + tf.cast(self.stddev * values, inputs.dtype)
