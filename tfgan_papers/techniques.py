"""Techniques that any generator or discriminator here can take.

From Improved Techniques for Training GANs (Salimans et al. 2016) unless a docstring says
otherwise; nn.py, imagenet/ are of its authors' code, openai/improved-gan.
"""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers.losses import AdversarialLoss

FAR = 1e6  # nn.py: what keeps an example out of its own similarities
REFERENCE_GAIN_STD = 0.02  # imagenet/: gains start at N(1, .02)

# Layers.


@keras.saving.register_keras_serializable("tfgan_papers")
class WeightNormalization(keras.layers.Wrapper):
    """W = gain v / ||v|| for each unit or channel of a layer (Salimans & Kingma 2016), with
    a bias and an activation after it.

    A dense layer's product with v is scaled, not v itself: the same value, without a
    second array of the size of the weights. Of a convolution the output is the larger.

    Args:
        layer: a dense layer, a convolution or a transposed one, without bias and
            activation; its precision is the wrapper's.
        trainable_gain: else the gain stays as `initialize` sets it.
        initial_std: of what `initialize` makes of each unit.
        epsilon: added to ||v||^2.
    """

    def __init__(
        self,
        layer,
        activation=None,
        trainable_gain=False,
        initial_std=1.0,
        epsilon=0.0,
        **kwargs,
    ):
        if layer.use_bias or layer.activation is not keras.activations.linear:
            raise ValueError("the layer's bias and activation belong to its wrapper")
        super().__init__(layer, **{"dtype": layer.dtype_policy, **kwargs})
        self.activation = keras.activations.get(activation)
        self.trainable_gain, self.initial_std = trainable_gain, initial_std
        self.epsilon, self.initializing = epsilon, False
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        self.units_axis = -2 if transposed else -1

    def build(self, input_shape):
        super().build(input_shape)
        units = self.layer.kernel.shape[self.units_axis]
        self.gain = self.add_weight(
            name="gain", shape=(units,), initializer="ones", trainable=self.trainable_gain
        )
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")

    def call(self, inputs):
        v = ops.convert_to_tensor(self.layer.kernel)
        rank = len(v.shape)
        axes = [axis for axis in range(rank) if axis != self.units_axis % rank]
        scale = self.gain / ops.sqrt(ops.sum(ops.square(v), axes) + self.epsilon)
        if isinstance(self.layer, keras.layers.Conv2D):
            values = self.layer.convolution_op(inputs, v * scale)
        else:
            values = self.layer(inputs) * scale
        if self.initializing:
            values = self._initialize(values)
        return self.activation(values + self.bias)

    def _initialize(self, values):
        axes = list(range(len(values.shape) - 1))
        scale = self.initial_std / ops.std(values, axes)
        self.bias.assign(-ops.mean(values, axes) * scale)
        self.gain.assign(self.gain * scale)
        return values * scale

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        config = super().get_config()
        config["layer"].pop("build_config", None)  # else a copy is bound to this input
        return {
            **config,
            "activation": keras.activations.serialize(self.activation),
            "trainable_gain": self.trainable_gain,
            "initial_std": self.initial_std,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable("tfgan_papers")
class MinibatchDiscrimination(keras.layers.Layer):
    """Features (batch, A) and beside them, for each of `kernels`, how similar an example is
    to the others of its batch (Sec. 3.2):

        M_i = f(x_i) T;  o(x_i)_b = sum over j != i of exp(-||M_ib - M_jb||_1) + bias_b

    T's columns have norm exp(log_scale), as in nn.py. Put real and generated batches
    through it apart.
    """

    compares = True  # the examples of a batch, in training and outside it

    def __init__(self, kernels, kernel_size=5, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.kernels, self.kernel_size = kernels, kernel_size
        normal = keras.initializers.RandomNormal(stddev=0.05)  # nn.py: theta
        self.kernel_initializer = keras.initializers.get(kernel_initializer or normal)
        self.initializing = False

    def build(self, input_shape):
        shape = (self.kernels, self.kernel_size)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], *shape),
            initializer=self.kernel_initializer,
        )
        self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")
        self.bias = self.add_weight(
            name="bias",
            shape=(self.kernels,),
            initializer=keras.initializers.Constant(-1.0),  # nn.py: b
        )

    def call(self, features):
        v = ops.convert_to_tensor(self.kernel)
        scale = ops.exp(self.log_scale) / ops.sqrt(ops.sum(ops.square(v), 0))
        m = ops.tensordot(features, v * scale, 1)  # (batch, kernels, kernel_size)
        distances = ops.sum(ops.abs(m[:, None] - m[None]), -1)  # (batch, batch, kernels)
        distances += FAR * ops.eye(ops.shape(m)[0], dtype=m.dtype)[..., None]
        if self.initializing:
            distances = self._initialize(distances)
        similar = ops.sum(ops.exp(-distances), 1)
        return ops.concatenate([features, similar + self.bias], -1)

    def _initialize(self, distances):
        """Half the mean distance to the nearest other example becomes 1, the mean of each
        feature 0."""
        unit = 0.5 * ops.mean(ops.min(distances, 1), 0)
        self.log_scale.assign(self.log_scale - ops.log(unit)[:, None])
        distances = distances / unit
        self.bias.assign(-ops.mean(ops.sum(ops.exp(-distances), 1), 0))
        return distances

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.kernels)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "kernels": self.kernels,
            "kernel_size": self.kernel_size,
            "kernel_initializer": initializer,
        }


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


def initialize(network: keras.Model, inputs: tf.Tensor):
    """Data-dependent initialization (Salimans & Kingma 2016, Sec. 3; nn.py): in one pass,
    with dropout and noise, each `WeightNormalization` and `MinibatchDiscrimination` sets
    its scales and biases by what reaches it. Other layers are as before: moving averages
    have not begun."""
    found = [x for x in network._flatten_layers() if hasattr(x, "initializing")]
    moving = [
        (weight, tf.identity(weight))
        for weight in network.non_trainable_weights
        if not any(weight is own for layer in found for own in layer.weights)
    ]
    for layer in found:
        layer.initializing = True
    try:
        network(inputs, training=True)
    finally:
        for layer in found:
            layer.initializing = False
    for weight, value in moving:
        weight.assign(value)


def mixes_examples(network: keras.Model) -> bool:
    """Whether an example's output in training depends on its batch mates."""
    kinds = MinibatchDiscrimination, keras.layers.BatchNormalization
    return any(isinstance(layer, kinds) for layer in network._flatten_layers())


def compares_examples(network: keras.Model) -> bool:
    """Whether an example's output depends on its batch mates outside training too."""
    return any(getattr(layer, "compares", False) for layer in network._flatten_layers())


def with_minibatch_discrimination(
    discriminator: keras.Model, kernels: int, kernel_size: int = 5, kernel_initializer=None
) -> keras.Model:
    """`discriminator` with `MinibatchDiscrimination` before its last layer, which is made
    anew for the wider input.

    Raises:
        ValueError: it compares the examples of a batch already, or its last layer does not
            take a vector an example.
    """
    if compares_examples(discriminator):
        raise ValueError("D has minibatch features of its own")
    last = discriminator.layers[-1]
    if len(last.input.shape) != 2:
        raise ValueError(f"the input of D's last layer is no vector: {last.input.shape}")
    similar = MinibatchDiscrimination(
        kernels, kernel_size, kernel_initializer, dtype="float32"
    )(last.input)
    wider = type(last).from_config(last.get_config())
    return keras.Model(discriminator.input, wider(similar), name=discriminator.name)


def with_virtual_batch_normalization(
    generator: keras.Model, reference, gamma_initializer=None
) -> keras.Model:
    """`generator` with `VirtualBatchNormalization` by a fixed batch of latents in place of
    its batch normalization.

    Args:
        reference: array (n, latent_dim).

    Raises:
        ValueError: latents of another shape, more than one input, or no batch
            normalization.
    """
    batch_norm, n = keras.layers.BatchNormalization, len(reference)
    if len(generator.inputs) != 1:
        raise ValueError("the reference batch is of latents alone, and G takes more")
    if reference.shape[1:] != generator.inputs[0].shape[1:]:
        raise ValueError(
            f"the reference batch is of shape {reference.shape}, and G takes latents of "
            f"shape {generator.inputs[0].shape}"
        )
    if not any(isinstance(layer, batch_norm) for layer in generator.layers):
        raise ValueError("G has no batch normalization in whose place it could be")

    def virtual(layer):
        if isinstance(layer, batch_norm):
            return VirtualBatchNormalization(
                n, gamma_initializer=gamma_initializer, name=layer.name, dtype="float32"
            )
        return type(layer).from_config(layer.get_config())

    def call(layer, *inputs, **options):  # batch normalization's `mask` is not for ours
        return layer(*inputs)

    body = keras.models.clone_model(generator, clone_function=virtual, call_function=call)
    z = keras.Input(reference.shape[1:], name="z")
    before = WithReference(n, dtype="float32")
    samples = WithoutReference(n, dtype="float32")(body(before(z)))
    before.set_weights([reference])
    return keras.Model(z, samples, name=generator.name)


# Losses.


def feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Squared distance of the mean features (batch, n) of data and samples (Sec. 3.1)."""
    return ops.sum(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def mean_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The same, as a mean over the features (train_mnist_feature_matching.py)."""
    return ops.mean(ops.square(ops.mean(real, 0) - ops.mean(fake, 0)))


def absolute_feature_matching(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the mean features (train_cifar_feature_matching.py)."""
    return ops.mean(ops.abs(ops.mean(real, 0) - ops.mean(fake, 0)))


def one_sided(loss: AdversarialLoss, alpha: float) -> AdversarialLoss:
    """`loss` with alpha as D's target for data (Sec. 3.4). That for samples stays 0, else
    the best D would no longer be that of a mixture in which samples count for nothing."""

    def real(scores):
        return alpha * loss.real(scores) + (1.0 - alpha) * loss.fake(scores)

    return loss._replace(real=real)


class HistoricalAveraging(tf.Module):
    """||theta - mean of all theta so far||^2, beside a player's loss (Sec. 3.3), the mean
    for a constant.

    Args:
        variables: theta, a list.
        weight: of the penalty.
    """

    def __init__(self, variables, weight=1.0):
        super().__init__()
        self.weight = weight
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA  # they are all the same
        once = {"trainable": False, "aggregation": first}
        self.count = tf.Variable(0, dtype=tf.int64, **once)
        self.means = [tf.Variable(tf.zeros(v.shape, v.dtype), **once) for v in variables]

    def descend_from(self, gradients, variables):
        """`gradients` and that of the penalty, when `variables` are in the mean."""
        self.count.assign_add(1)
        count, penalized = self.count.read_value(), []
        for gradient, theta, mean in zip(gradients, variables, self.means, strict=True):
            theta = tf.convert_to_tensor(theta)
            mean.assign_add((theta - mean) / tf.cast(count, theta.dtype))
            penalized.append(gradient + 2.0 * self.weight * (theta - mean))
        return penalized


# Averages of weights.


def copy_of(network: keras.Model) -> keras.Model:
    """A network of its own, with the weights of another."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def move(average: keras.Model, network: keras.Model, rate: float | tf.Tensor):
    """Move the weights of `average` by `rate` of the way to those of `network`; those that
    do not train it has as `network` has them."""
    for mean, weight in zip(average.weights, network.weights, strict=True):
        if weight.trainable:
            mean.assign_add(rate * (weight - mean))
        else:
            mean.assign(weight)


def unbiased(rate: float, moves: tf.Tensor) -> tf.Tensor:
    """The rate of an average that has forgotten its start, at its `moves`-th move, counted
    from 1: after t moves the start has the weight (1 - rate)^t, which this divides out."""
    t = tf.cast(moves, tf.float32)
    return -rate / tf.math.expm1(t * math.log1p(-rate))
