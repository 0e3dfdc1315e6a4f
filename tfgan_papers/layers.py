"""Layers that more than one paper borrows."""

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
