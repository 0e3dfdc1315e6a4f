"""Virtual batch normalization (Improved GAN, 2016, Sec. 3.5; its authors' imagenet/)."""

import keras
from keras import ops

REFERENCE_GAIN_STD = 0.02  # imagenet/: gains are initialized from N(1, .02)


@keras.saving.register_keras_serializable("tfgan_papers")
class WithReference(keras.layers.Layer):
    """Prepends the reference batch to a batch, for the `VirtualBatchNormalization` layers
    that follow.

    The reference batch is a weight that is not trained.

    Input: (batch, ...). Output: (reference + batch, ...).

    Args:
        reference: int, the number of examples in the reference batch.
        initializer: initializer of the reference batch (reference, ...). `set_weights`
            replaces it.
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
    """Removes the reference batch that `WithReference` prepended.

    Input: (reference + batch, ...). Output: (batch, ...).

    Args:
        reference: int, the number of examples in the reference batch.
    """

    def __init__(self, reference, **kwargs):
        super().__init__(**kwargs)
        self.reference = reference

    def call(self, inputs):
        return inputs[self.reference :]

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "reference": self.reference}


class ScaledNormalization(keras.layers.Layer):
    """A normalization with a gain and an offset per channel.

    Args:
        epsilon: float, added to the variance.
        gamma_initializer: initializer of the gains (channels,); by default N(1, 0.02).
    """

    def __init__(self, epsilon=1e-5, gamma_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon  # imagenet/ops.py: epsilon
        normal = keras.initializers.RandomNormal(1.0, REFERENCE_GAIN_STD)
        self.gamma_initializer = keras.initializers.get(gamma_initializer or normal)

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(
            name="gamma", shape=shape, initializer=self.gamma_initializer
        )
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")

    def get_config(self):
        initializer = keras.initializers.serialize(self.gamma_initializer)
        own = {"epsilon": self.epsilon, "gamma_initializer": initializer}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfgan_papers")
class VirtualBatchNormalization(ScaledNormalization):
    """Normalizes each example by statistics of the reference batch and of itself (Improved
    GAN, Sec. 3.5; imagenet/ops.py).

    With n reference examples, the example itself has the weight 1 / (n + 1). Its output
    does not depend on the other examples of its batch. The reference examples are
    normalized by their own statistics alone.

    Use the layer between `WithReference` and `WithoutReference`, so that the reference
    batch passes through the network with its current weights.

    Input and output: (n + batch, ..., channels), with the reference examples first.

    Args:
        reference: int, n.
        **kwargs: see `ScaledNormalization`.
    """

    def __init__(self, reference, **kwargs):
        super().__init__(**kwargs)
        self.reference = reference

    def call(self, inputs):
        n, places = self.reference, list(range(1, len(inputs.shape) - 1))
        # Centred on the mean of the reference batch: the variance is a difference of
        # squares, which loses its precision where the values are large.
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
        return {**super().get_config(), "reference": self.reference}
