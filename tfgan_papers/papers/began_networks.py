"""The networks of BEGAN (2017): the author's blocks and those of the best-known port.

Generator: z (batch, n_z) -> images (batch, height, width, channels). Discriminator: images
-> reconstructions of the same shape. began.py says where each is from (BEGAN-2).
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from tfgan_papers import layers

SIDE = 8  # Sec. 4.1: the last downsampled image is 8x8 at any resolution
DEPTH = 2  # tfswag/layers.py: depth, inferred from the number of weights (BEGAN-2)
WEIGHT_STD = 0.01  # tfswag/layers.py


# Layers of vanishing residuals, Sec. 3.5.1.


@keras.saving.register_keras_serializable("tfgan_papers")
class Carry(keras.layers.Layer):
    """The scalar `carry` of a network, float32, 0 to 1. `BEGAN` sets it before each step.

    The output does not depend on the input, which only connects the layer in a functional
    model.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape):
        self.carry = self.add_weight(
            name="carry",
            shape=(),
            initializer="ones",
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs):
        return ops.convert_to_tensor(self.carry)

    def compute_output_shape(self, input_shape):
        return ()


@keras.saving.register_keras_serializable("tfgan_papers")
class Blend(keras.layers.Layer):
    """carry * before + (1 - carry) * after: exactly `before` at 1, `after` at 0.

    Input: [carry, before, after], a scalar and two tensors of one shape. Output: a tensor
    of that shape.
    """

    def call(self, inputs):
        carry, before, after = inputs
        return carry * before + (1.0 - carry) * after

    def compute_output_shape(self, input_shape):
        return input_shape[1]


# The networks.


class Style(NamedTuple):
    """The architecture of the networks."""

    encoder: Callable  # (images, levels, units, n, kernel) -> codes (batch, units)
    decoder: Callable  # (codes, levels, channels, n, kernel) -> images
    width: int  # n, the number of channels next to the image
    std: float | None  # standard deviation of the initial weights; None: Glorot uniform


def levels_of(shape):
    """The number of times that images of `shape` are halved to reach 8x8.

    Raises:
        ValueError: they are not square images of 8 times a power of two.
    """
    sides = [SIDE << level for level in range(1, 6)]
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] not in sides:
        size = "x".join(map(str, shape[:2]))
        raise ValueError(
            f"examples of size {size} are not images of 8 times a power of two: set "
            f"--image_size to one of {', '.join(map(str, sides))}"
        )
    return sides.index(shape[0]) + 1


def networks(shape, style, draw, n_h=64, n_z=64):
    """The generator and the autoencoder (Sec. 3.5).

    The decoder of the autoencoder has the layers of the generator, with weights of its own.

    Args:
        shape: (height, width, channels), see `levels_of`.
        style: `Style`.
        draw: `initializers.Draw`.
        n_h: int, the size of the code h of D.
        n_z: int, the size of z.
    """
    levels, channels, n = levels_of(shape), shape[-1], style.width

    def kernel():
        std = style.std
        return draw.glorot_uniform() if std is None else draw.truncated_normal(std)

    z, images = keras.Input((n_z,), name="z"), keras.Input(shape, name="images")
    samples = style.decoder(z, levels, channels, n, kernel)
    h = style.encoder(images, levels, n_h, n, kernel)
    copies = style.decoder(h, levels, channels, n, kernel)
    generator = keras.Model(z, samples, name="generator")
    return generator, keras.Model(images, copies, name="discriminator")


@keras.saving.register_keras_serializable("tfgan_papers")
def elu_in_float32(x):
    """ELU of a tensor of any dtype, which the result has too.

    TensorFlow's kernel for CPUs computes exp(x) - 1 in bfloat16, so that all x between
    -.0019 and 0 become 0. Only the kernel that is fused with a convolution does not.
    """
    return ops.cast(ops.elu(ops.cast(x, "float32")), x.dtype)


def convolution(x, filters, kernel, strides=1):
    """Applies a 3x3 convolution and ELU."""
    kind = layers.DownConv2D if strides == 2 else keras.layers.Conv2D
    options = {"padding": "same", "kernel_initializer": kernel()}
    half = keras.config.dtype_policy().compute_dtype == "bfloat16"
    return kind(filters, 3, activation=elu_in_float32 if half else "elu", **options)(x)


def to_code(x, units, kernel):
    """The code h, linear, (batch, units) (Sec. 3.5)."""
    x = keras.layers.Flatten()(x)
    return keras.layers.Dense(units, kernel_initializer=kernel())(x)


def from_code(codes, n, kernel):
    """h_0, linear, (batch, 8, 8, n)."""
    x = keras.layers.Dense(SIDE * SIDE * n, kernel_initializer=kernel())(codes)
    return keras.layers.Reshape((SIDE, SIDE, n))(x)


def to_image(x, channels, kernel):
    """The image, linear, float32; only clipped for display."""
    options = {"padding": "same", "kernel_initializer": kernel()}
    return keras.layers.Conv2D(channels, 3, dtype="float32", **options)(x)


def doubled(x):
    """Nearest-neighbour upsampling by 2."""
    return keras.layers.UpSampling2D(2, interpolation="nearest")(x)


def residuals(x, carry, filters, kernel):
    """Vanishing residuals: convolutions that have no effect while the carry is 1."""
    for _ in range(DEPTH - 1):
        x = Blend()([carry, x, convolution(x, filters, kernel)])
    return x


def encoder(images, levels, units, n, kernel):
    """tfswag/layers.py: n more channels per scale, each halved by a stride of 2."""
    carry = Carry()(images)
    x = convolution(images, n, kernel)
    for scale in range(1, levels + 1):
        x = residuals(x, carry, scale * n, kernel)
        x = convolution(x, (scale + 1) * n, kernel, strides=2)
    return to_code(x, units, kernel)


def decoder(codes, levels, channels, n, kernel):
    """tfswag/layers.py: n channels at every scale, with h_0 appended from the second on."""
    carry = Carry()(codes)
    x = h_0 = from_code(codes, n, kernel)
    for scale in range(levels):
        x = keras.layers.Concatenate()([x, h_0]) if scale else x
        x, h_0 = doubled(convolution(x, n, kernel)), doubled(h_0)
        x = residuals(x, carry, n, kernel)
    return to_image(x, channels, kernel)


def plain_encoder(images, levels, units, n, kernel):
    """The port's models.py: the first half of DiscriminatorCNN."""
    x = convolution(images, n, kernel)
    for scale in range(1, levels + 2):
        for _ in range(2):
            x = convolution(x, scale * n, kernel)
        if scale <= levels:
            x = convolution(x, scale * n, kernel, strides=2)
    return to_code(x, units, kernel)


def plain_decoder(codes, levels, channels, n, kernel):
    """The port's models.py: GeneratorCNN."""
    x = from_code(codes, n, kernel)
    for scale in range(levels + 1):
        x = doubled(x) if scale else x
        for _ in range(2):
            x = convolution(x, n, kernel)
    return to_image(x, channels, kernel)


NETWORKS = {
    "authors": Style(encoder, decoder, 64, WEIGHT_STD),  # tf_img_tech's README: n=64
    "plain": Style(plain_encoder, plain_decoder, 128, None),  # config.py: conv_hidden_num
}
