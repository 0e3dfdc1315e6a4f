"""Dropout and noise whose draws are a pure function of the training step."""

import keras
import tensorflow as tf

from tfgan_papers import noise


@keras.saving.register_keras_serializable("tfgan_papers")
class Dropout(keras.layers.Dropout):
    """Keras' inverted dropout, whose mask inside an `AdversarialModel`'s step is drawn
    from that step's noise stream: the same mask whether XLA compiles the step or not,
    after a resume, and on however many replicas. Elsewhere it is Keras' own layer.
    """

    draws_from_step = True

    def call(self, inputs, training=False):
        stream = noise.active()
        if not training or stream is None or self.rate == 0:
            return super().call(inputs, training=training)
        keep = 1.0 - self.rate
        if self.noise_shape is not None:
            raise ValueError("noise_shape is not supported within a training step")
        kept = stream.bernoulli((tf.shape(inputs)[0], *inputs.shape[1:]), keep)
        return inputs * (tf.cast(kept, inputs.dtype) / keep)


@keras.saving.register_keras_serializable("tfgan_papers")
class GaussianNoise(keras.layers.GaussianNoise):
    """Keras' additive Gaussian noise, inside an `AdversarialModel`'s step drawn as
    `Dropout`'s masks are. Elsewhere it is Keras' own layer."""

    draws_from_step = True

    def call(self, inputs, training=False):
        stream = noise.active()
        if not training or stream is None or self.stddev == 0:
            return super().call(inputs, training=training)
        values = stream.normal((tf.shape(inputs)[0], *inputs.shape[1:]))
        return inputs + tf.cast(self.stddev * values, inputs.dtype)
