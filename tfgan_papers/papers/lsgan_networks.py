"""The networks of LSGAN (2016).

They are those of xudonmao/LSGAN: vgg.py, mcgan.py, stability_comparison/ and
mixture_gaussian/. Each function takes the shape of an example, a `convolutional.Style` and
a `Draw`. It returns the generator, z -> images (batch, height, width, channels) or points,
and the discriminator, images or points -> scores (batch, 1). Generated images are in
[-1, 1], characters in [0, 1].
"""

import keras

from tfgan_papers import layers
from tfgan_papers.papers import convolutional as shared
from tfgan_papers.papers import dcgan

LATENT_DIM = 1024  # train_lsun.py, train_chn.py: z_dim
MIXTURE_LATENT_DIM = 256  # mixture_gaussian/ls.py: z_dim
LABEL_UNITS_PER_WIDTH = 4  # Sec. 3.3, mcgan.py: y_size 256 at 64 channels

STYLE = shared.PORT  # vgg.py and mcgan.py have the port's layers (ops.py)


def lsun_networks(shape, style, draw):
    """Fig. 5, vgg.py: 3x3 convolutions in G, and the D of DCGAN.

    Raises:
        ValueError: a side of the images is not divisible by 16.
    """
    height, width, colours = shared.image_shape(shape)
    if height % 16 or width % 16:
        raise ValueError(f"sides of {height}x{width} pixels are not divisible by 16")

    def block(x, filters, kind=layers.UpConv2D):
        kernel = draw.normal(shared.WEIGHT_STD)
        return kind(filters, 3, padding="same", kernel_initializer=kernel)(x)

    w = style.width
    z = keras.Input((LATENT_DIM,), name="z")
    x = shared.dense(height * width // 256 * 4 * w, style, draw)(z)
    x = keras.layers.Reshape((height // 16, width // 16, 4 * w))(x)
    x = keras.layers.ReLU()(shared.normalized(x, style, draw))
    same = keras.layers.Conv2DTranspose  # stride 1
    for filters, kind in (
        (4 * w, layers.UpConv2D), (4 * w, same), (4 * w, layers.UpConv2D), (4 * w, same),
        (2 * w, layers.UpConv2D), (w, layers.UpConv2D),
    ):  # fmt: skip
        x = block(x, filters, kind)
        x = keras.layers.ReLU()(shared.normalized(x, style, draw))
    x = block(x, colours, same)
    samples = keras.layers.Activation("tanh", dtype="float32")(x)
    generator = keras.Model(z, samples, name="generator")

    x = images = keras.Input(shape, name="images")
    for filters in (w, 2 * w, 4 * w, 8 * w):
        x = convolution(layers.DownConv2D, filters, draw)(x)
        x = shared.normalized(x, style, draw) if filters > w else x
        x = keras.layers.LeakyReLU(shared.LEAK)(x)
    score = shared.logit(keras.layers.Flatten(name="features")(x), style, draw)
    return generator, keras.Model(images, score, name="discriminator")


def convolution(kind, filters, draw):
    """A 5x5 layer of stride 2, initialized as in ops.py."""
    std = shared.WEIGHT_STD
    down = kind is layers.DownConv2D
    kernel = draw.truncated_normal(std) if down else draw.normal(std)
    return kind(filters, 5, kernel_initializer=kernel)


def character_networks(shape, style, draw, classes):
    """Networks conditioned on a linear map of the labels (batch,): Sec. 3.3, mcgan.py.

    Raises:
        ValueError: a side of the images is not divisible by 4.
    """
    height, width, colours = shared.image_shape(shape)
    if height % 4 or width % 4:
        raise ValueError(f"sides of {height}x{width} pixels are not divisible by 4")
    w, units = style.width, LABEL_UNITS_PER_WIDTH * style.width

    def label_map(label):
        return shared.dense(units, style, draw)(layers.OneHot(classes)(label))

    def with_label(x, y):
        return keras.layers.Concatenate()([x, shared.spread(y, x)])

    z = keras.Input((LATENT_DIM,), name="z")
    label = keras.Input((), dtype="int32", name="label")
    x = with_label(z, label_map(label))
    x = shared.dense(height * width // 16 * 2 * w, style, draw)(x)
    x = keras.layers.ReLU()(shared.normalized(x, style, draw))  # one gain per unit
    x = keras.layers.Reshape((height // 4, width // 4, 2 * w))(x)
    x = convolution(layers.UpConv2D, 2 * w, draw)(x)
    x = keras.layers.ReLU()(shared.normalized(x, style, draw))
    x = convolution(layers.UpConv2D, colours, draw)(x)
    samples = keras.layers.Activation("sigmoid", dtype="float32")(x)
    generator = keras.Model([z, label], samples, name="generator")

    x = images = keras.Input(shape, name="images")
    label = keras.Input((), dtype="int32", name="label")
    y, leaky = label_map(label), keras.layers.LeakyReLU
    x = leaky(shared.LEAK)(convolution(layers.DownConv2D, colours + units, draw)(x))
    x = convolution(layers.DownConv2D, w + units, draw)(with_label(x, y))
    x = leaky(shared.LEAK)(shared.normalized(x, style, draw))
    x = shared.dense(16 * w, style, draw)(with_label(keras.layers.Flatten()(x), y))
    x = leaky(shared.LEAK, name="features")(shared.normalized(x, style, draw))
    score = shared.logit(with_label(x, y), style, draw)
    return generator, keras.Model([images, label], score, name="discriminator")


def stability_networks(shape, style, draw, batch_norm="both"):
    """The DCGAN architecture with or without batch normalization in each network: Sec. 4.4,
    stability_comparison/*/dcgan64.py. There, the gains are initialized from N(1, .02).

    Args:
        batch_norm: "both", "discriminator" or "none", the networks with batch
            normalization.
    """
    in_g, in_d = batch_norm == "both", batch_norm != "none"
    style = style._replace(gain_std=0.02)  # stability_comparison/*/ops.py: gamma
    return dcgan.networks(shape, style, draw, LATENT_DIM, in_g, in_d)


def mixture_networks(shape, style, draw, svd=False):
    """Networks for points (batch, dimensions), from z (batch, 256): mixture_gaussian/ls.py.

    Each has two layers of 2 x width (128) tanh units, with orthogonal initial weights of
    gain 1.4.

    Args:
        svd: if True, draws them as TensorFlow 1.0 did (LSGAN-11).

    Raises:
        ValueError: the data are images.
    """

    def network(name, inputs, outputs):
        x = start = keras.Input((inputs,))
        hidden, last = {"activation": "tanh"}, {"dtype": "float32"}
        width = 2 * style.width
        for units, given in ((width, hidden), (width, hidden), (outputs, last)):
            kernel = draw.svd_orthogonal(1.4) if svd else draw.orthogonal(1.4)
            x = keras.layers.Dense(units, kernel_initializer=kernel, **given)(x)
        return keras.Model(start, x, name=name)

    if len(shape) != 1:
        raise ValueError("these networks are for points, and the data are images")
    (dimensions,) = shape
    return (
        network("generator", MIXTURE_LATENT_DIM, dimensions),
        network("discriminator", dimensions, 1),
    )
