"""What a network is made of, and the same network with another layer in it."""

import keras
import tensorflow as tf

from tfgan_papers import keras_internals
from tfgan_papers.layers import (
    MinibatchDiscrimination,
    VirtualBatchNormalization,
    WithoutReference,
    WithReference,
)


def initialize(network: keras.Model, inputs: tf.Tensor):
    """Data-dependent initialization (Salimans & Kingma 2016, Sec. 3; nn.py): in one pass,
    with dropout and noise, each `WeightNormalization` and `MinibatchDiscrimination` sets
    its scales and biases by what reaches it. Other layers are as before: moving averages
    have not begun."""
    found = [x for x in keras_internals.layers(network) if hasattr(x, "initializing")]
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
    return any(isinstance(layer, kinds) for layer in keras_internals.layers(network))


def compares_examples(network: keras.Model) -> bool:
    """Whether an example's output depends on its batch mates outside training too."""
    return any(
        getattr(layer, "compares", False) for layer in keras_internals.layers(network)
    )


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


def clone_with_weights(network: keras.Model) -> keras.Model:
    """A network of its own, with the weights of another."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
