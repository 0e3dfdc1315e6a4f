"""Functions that inspect, initialize and rebuild networks."""

import keras
import tensorflow as tf

from tfgan_papers import keras_internals
from tfgan_papers.layers import (
    MinibatchDiscrimination,
    VirtualBatchNormalization,
    WithoutReference,
    WithReference,
)


def part_of(network: keras.Model, outputs, name: str | None = None) -> keras.Model:
    """The model from the inputs of a network to tensors that are computed in it or from it.

    It casts outputs in bfloat16 or float16 to float32, so that losses and samples are in
    float32 under a mixed precision policy too.

    A Sequential has no `input` until it is called; its `inputs` are always there.
    """
    inputs = network.inputs if len(network.inputs) > 1 else network.inputs[0]
    outputs = keras.tree.map_structure(
        lambda x: keras.layers.Identity(dtype="float32")(x) if _is_half(x) else x, outputs
    )
    return keras.Model(inputs, outputs, name=name)


def in_float32(network: keras.Model) -> keras.Model:
    """The network itself if its outputs are in float32, else `part_of` it with a cast."""
    outputs = network.outputs
    if not any(map(_is_half, outputs)):
        return network
    return part_of(network, outputs if len(outputs) > 1 else outputs[0], network.name)


def _is_half(tensor):
    return tensor.dtype in ("bfloat16", "float16")


def initialize(network: keras.Model, inputs: tf.Tensor):
    """Data-dependent initialization (Salimans & Kingma 2016, Sec. 3; nn.py).

    In one pass in training mode, with dropout and noise, each `WeightNormalization` and
    `MinibatchDiscrimination` layer sets its scales and biases from its inputs. The weights
    of other layers, such as moving averages, do not change.

    Args:
        network: the network to initialize.
        inputs: a batch of its inputs.
    """
    initialized = [x for x in keras_internals.layers(network) if hasattr(x, "initializing")]
    moving = [
        (weight, tf.identity(weight))
        for weight in network.non_trainable_weights
        if not any(weight is own for layer in initialized for own in layer.weights)
    ]
    for layer in initialized:
        layer.initializing = True
    try:
        network(inputs, training=True)
    finally:
        for layer in initialized:
            layer.initializing = False
    for weight, value in moving:
        weight.assign(value)


def synchronize_batch_normalization(*networks: keras.Model):
    """Lets batch normalization use the statistics of the global batch on every replica."""
    for layer in keras_internals.layers(*networks):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def mixes_examples(network: keras.Model) -> bool:
    """Whether the output for an example in training depends on the rest of its batch."""
    kinds = MinibatchDiscrimination, keras.layers.BatchNormalization
    return any(isinstance(layer, kinds) for layer in keras_internals.layers(network))


def compares_examples(network: keras.Model) -> bool:
    """Whether this dependence also exists outside training."""
    return any(
        getattr(layer, "compares", False) for layer in keras_internals.layers(network)
    )


def with_minibatch_discrimination(
    discriminator: keras.Model, kernels: int, kernel_size: int = 5, kernel_initializer=None
) -> keras.Model:
    """Inserts `MinibatchDiscrimination` before the last layer of a discriminator.

    The last layer is replaced by a new one of the same config for the wider input.

    Args:
        discriminator: functional model.
        kernels, kernel_size, kernel_initializer: see `MinibatchDiscrimination`.

    Returns:
        A functional model that shares the other layers with `discriminator`.

    Raises:
        ValueError: `discriminator` already compares the examples of a batch, or its last
            layer is not dense or has another input than (batch, n).
    """
    if compares_examples(discriminator):
        raise ValueError("D has minibatch features of its own")
    last = discriminator.layers[-1]
    if not isinstance(getattr(last, "layer", last), keras.layers.Dense):
        kind = type(last).__name__
        raise ValueError(f"D's last layer is {kind}, not Dense or a wrapper of one")
    if len(last.input.shape) != 2:
        raise ValueError(f"the input of D's last layer is not a vector: {last.input.shape}")
    similar = MinibatchDiscrimination(
        kernels, kernel_size, kernel_initializer, dtype="float32"
    )(last.input)
    wider = type(last).from_config(last.get_config())
    return part_of(discriminator, wider(similar), discriminator.name)


def with_virtual_batch_normalization(
    generator: keras.Model, reference, gamma_initializer=None
) -> keras.Model:
    """Replaces the batch normalization of a generator by `VirtualBatchNormalization`.

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points.
        reference: array (n, latent_dim), the latents of the reference batch.
        gamma_initializer: see `VirtualBatchNormalization`.

    Returns:
        A functional model with new weights, from latents (batch, latent_dim).

    Raises:
        ValueError: the latents of the generator have another shape, it has several inputs,
            or it has no batch normalization.
    """
    batch_norm, n = keras.layers.BatchNormalization, len(reference)
    if len(generator.inputs) != 1:
        raise ValueError("the reference batch is of latents only, and G has other inputs")
    if reference.shape[1:] != generator.inputs[0].shape[1:]:
        raise ValueError(
            f"the reference batch has shape {reference.shape}, and the latents of G have "
            f"shape {generator.inputs[0].shape}"
        )
    if not any(isinstance(layer, batch_norm) for layer in generator.layers):
        raise ValueError("G has no batch normalization to replace")

    def virtual(layer):
        if isinstance(layer, batch_norm):
            return VirtualBatchNormalization(
                n, gamma_initializer=gamma_initializer, name=layer.name, dtype="float32"
            )
        return type(layer).from_config(layer.get_config())

    def call(layer, *inputs, **options):  # drops the `mask` of BatchNormalization
        return layer(*inputs)

    body = keras.models.clone_model(generator, clone_function=virtual, call_function=call)
    z = keras.Input(reference.shape[1:], name="z")
    before = WithReference(n, dtype="float32")
    samples = WithoutReference(n, dtype="float32")(body(before(z)))
    before.set_weights([reference])
    return keras.Model(z, samples, name=generator.name)


def clone_with_weights(network: keras.Model) -> keras.Model:
    """A copy of a network with the same weights, which share no memory."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
