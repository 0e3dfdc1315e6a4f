"""Virtual batch normalization (Improved GAN, 2016, Sec. 3.5; its authors' imagenet/)."""

import keras
from keras import ops

REFERENCE_GAIN_STD = 0.02  # imagenet/: gains start at N(1, .02)


@keras.saving.register_keras_serializable("tfgan_papers")
class WithReference(keras.layers.Layer):
    """Puts a fixed batch, a weight that does not train, before the batch: the reference of
    the `VirtualBatchNormalization`s that follow.

    Args:
        reference: examples in the reference batch.
        initializer: of the reference, (reference, ...); `set_weights` gives others.
    """

    def __init__(self, reference, initializer="random_normal", **kwargs):
        super().__init__(**kwargs)
        self.reference = reference
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        self.examples = self.add_weight(
            name="reference",
            shape=(self.reference, *input_shape[1:]),
            initializer=self.initializer,
            trainable=False,
        )

    def call(self, inputs):
        return ops.concatenate([ops.cast(self.examples, inputs.dtype), inputs], 0)

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {
            **super().get_config(),
            "reference": self.reference,
            "initializer": initializer,
        }


@keras.saving.register_keras_serializable("tfgan_papers")
class WithoutReference(keras.layers.Layer):
    """Takes the reference batch of `WithReference` away again."""

    def __init__(self, reference, **kwargs):
        super().__init__(**kwargs)
        self.reference = reference

    def call(self, inputs):
        return inputs[self.reference :]

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "reference": self.reference}


@keras.saving.register_keras_serializable("tfgan_papers")
class VirtualBatchNormalization(keras.layers.Layer):
    """Each example by statistics of the reference batch, n examples, and of itself, which
    counts 1 / (n + 1) (Sec. 3.5; imagenet/ops.py): it does not depend on its batch mates.

    Between `WithReference` and `WithoutReference`, so that the reference goes through the
    network as it is at this step; it is normalized by its own statistics.

    Args:
        reference: n, the first rows of the batch.
    """

    def __init__(self, reference, epsilon=1e-5, gamma_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.reference, self.epsilon = reference, epsilon  # imagenet/ops.py: epsilon
        normal = keras.initializers.RandomNormal(1.0, REFERENCE_GAIN_STD)
        self.gamma_initializer = keras.initializers.get(gamma_initializer or normal)

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(
            name="gamma", shape=shape, initializer=self.gamma_initializer
        )
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")

    def call(self, inputs):
        n, places = self.reference, list(range(1, len(inputs.shape) - 1))
        # about the reference's mean, else the squares of large values lose the variance
        centre = ops.mean(inputs[:n], [0, *places], keepdims=True)
        inputs = inputs - ops.stop_gradient(centre)
        own = [ops.mean(p, places, keepdims=True) for p in (inputs, ops.square(inputs))]
        of_reference = [ops.mean(each[:n], 0, keepdims=True) for each in own]
        mean, square = (
            ops.concatenate(
                [ops.repeat(ref, n, 0), (n * ref + each[n:]) / (n + 1)],
                0,
            )
            for ref, each in zip(of_reference, own, strict=True)
        )
        deviation = ops.sqrt(square - ops.square(mean) + self.epsilon)
        return (inputs - mean) / deviation * self.gamma + self.beta

    def get_config(self):
        initializer = keras.initializers.serialize(self.gamma_initializer)
        return {
            **super().get_config(),
            "reference": self.reference,
            "epsilon": self.epsilon,
            "gamma_initializer": initializer,
        }
