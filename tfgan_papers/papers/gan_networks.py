"""The networks of GAN (2014): those of the authors' Pylearn2 files, and ours for points.

Each function takes the shape of an image, the mean image and a `Draw`. It returns the
generator, z (batch, 100) -> images (batch, height, width, channels), and the discriminator,
images -> logits (batch, 1). With classes, both also take labels (batch,). The file that a
network is from is in its docstring; all are in goodfeli/adversarial.
"""

import keras
import numpy as np

from tfgan_papers import layers
from tfgan_papers.layers.initializers import SparseNormal

LATENT_DIM = 100  # mnist.yaml and the other three: nvis: 100
UNITS = 8000  # tfd_pretrain/*.yaml, cifar10_*.yaml: dim of G's layers
MAX_COLUMN_NORM = 1.9365  # tfd_pretrain/*.yaml: max_col_norm


def marginal_bias(mean_image):
    """The logit of the mean image, with values in [0, 1], clipped to be finite
    (init_sigmoid_bias_from_marginals).
    """
    mean = np.clip(np.ravel(mean_image), 1e-7, 1 - 1e-7)
    return keras.initializers.Constant(np.log(mean / (1 - mean)))


def with_label(x, inputs, classes):
    """Appends one-hot labels to x and their input to `inputs`, if there are classes."""
    if not classes:
        return x
    label = keras.Input((), dtype="int32", name="label")
    inputs.append(label)
    return keras.layers.Concatenate()([x, layers.OneHot(classes)(label)])


def generator_from(hidden, shape, name="generator", classes=0):
    """A model of the layers `hidden`, from latents (batch, 100) to float32 of `shape`."""
    inputs = [keras.Input((LATENT_DIM,), name="z")]
    x = with_label(inputs[0], inputs, classes)
    for layer in hidden:
        x = layer(x)
    if x.shape[1:] != tuple(shape):
        x = keras.layers.Reshape(shape, dtype="float32")(x)
    return keras.Model(_single(inputs), x, name=name)


def _single(inputs):
    """The input of a network that takes no labels, or all inputs."""
    return inputs if inputs[1:] else inputs[0]


def maxout_discriminator(
    units, pieces, draw, shape, max_norm=None, irange=0.005, classes=0
):
    """Two maxout layers and a logit, with dropout before each.

    The input is kept with probability .8, the inputs of later layers with .5 (the cost
    section of the yaml). Labels are not dropped.
    """
    constraint = max_norm and keras.constraints.MaxNorm(max_norm, axis=0)

    def maxout(x, name=None):
        return layers.Maxout(
            units,
            pieces,
            kernel_initializer=draw.uniform(irange),
            kernel_constraint=constraint,
            name=name,
        )(x)

    inputs = [keras.Input(shape, name="images")]
    x = layers.Dropout(0.2)(keras.layers.Flatten()(inputs[0]))
    x = maxout(with_label(x, inputs, classes))
    x = maxout(layers.Dropout(0.5)(x), "features")
    score = logit(draw, irange, constraint)(layers.Dropout(0.5)(x))
    return keras.Model(_single(inputs), score, name="discriminator")


def logit(draw, irange=0.005, constraint=None):
    """The last layer of every D, in float32 under any dtype policy."""
    return keras.layers.Dense(
        1,
        kernel_initializer=draw.uniform(irange),
        kernel_constraint=constraint,
        dtype="float32",
        name="logit",
    )


def mnist_networks(shape, mean_image, draw, classes=0):
    """mnist.yaml, for any image size; G has a sigmoid output, so pixels are in [0, 1].

    With classes, both networks also take the class of the image (Sec. 7, item 1; GAN-11).
    """

    def dense(units, activation, **kwargs):
        kwargs.setdefault("kernel_initializer", draw.uniform(0.05))
        return keras.layers.Dense(units, activation, **kwargs)

    bias = marginal_bias(mean_image)
    generator = generator_from(
        [
            dense(1200, "relu"),
            dense(1200, "relu"),
            dense(int(np.prod(shape)), "sigmoid", bias_initializer=bias, dtype="float32"),
        ],
        shape,
        classes=classes,
    )
    return generator, maxout_discriminator(240, 5, draw, shape, classes=classes)


def tfd_networks(shape, mean_image, draw, front=False):
    """tfd_pretrain/pretrain.yaml, with `front` tfd_pretrain/train.yaml; pixels in [0, 1].

    `front` adds two layers before the pretrained generator. They end in 100 sigmoid units.
    """
    cap = keras.constraints.MaxNorm(MAX_COLUMN_NORM, axis=0)

    def dense(units, activation, **kwargs):
        kwargs.setdefault("kernel_initializer", draw.uniform(0.05))
        return keras.layers.Dense(units, activation, kernel_constraint=cap, **kwargs)

    low = keras.initializers.Constant(-2.0)  # init_bias: -2.0
    body = [
        dense(UNITS, "relu"),
        dense(UNITS, "sigmoid", bias_initializer=low),
        dense(
            int(np.prod(shape)),
            "sigmoid",
            kernel_initializer=SparseNormal(100, draw.seed()),  # sparse_init: 100
            bias_initializer=marginal_bias(mean_image),
            dtype="float32",
        ),
    ]
    if front:
        body = [
            dense(UNITS, "relu"),
            dense(LATENT_DIM, "sigmoid", bias_initializer=low),
            generator_from(body, shape, name="pretrained"),
        ]
    discriminator = maxout_discriminator(1200, 5, draw, shape, MAX_COLUMN_NORM)
    return generator_from(body, shape), discriminator


def tfd_stacked_networks(shape, mean_image, draw):
    """tfd_pretrain/train.yaml, the second stage."""
    return tfd_networks(shape, mean_image, draw, front=True)


def cifar10_dense_networks(shape, mean_image, draw):
    """cifar10_fully_connected.yaml; linear output."""
    generator = generator_from(
        [
            keras.layers.Dense(UNITS, "relu", kernel_initializer=draw.uniform(0.05)),
            keras.layers.Dense(UNITS, "sigmoid", kernel_initializer=draw.uniform(0.05)),
            keras.layers.Dense(
                int(np.prod(shape)), kernel_initializer=draw.uniform(0.5), dtype="float32"
            ),
        ],
        shape,
    )
    return generator, maxout_discriminator(1600, 5, draw, shape)


def cifar10_conv_networks(shape, mean_image, draw):
    """cifar10_convolutional.yaml; linear output.

    Raises:
        ValueError: the images are not 32x32.
    """
    if shape[:2] != (32, 32):
        raise ValueError(f"cifar10_convolutional is for 32x32 images, not {shape[:2]}")
    generator = generator_from(
        [
            keras.layers.Dense(UNITS, "relu", kernel_initializer=draw.uniform(0.05)),
            keras.layers.Dense(UNITS, "sigmoid", kernel_initializer=draw.uniform(0.05)),
            keras.layers.Reshape((10, 10, UNITS // 100)),
            keras.layers.Conv2DTranspose(  # 10 -> 3 (10 - 1) + 5 = 32
                shape[-1],
                5,
                strides=3,
                padding="valid",
                use_bias=False,
                kernel_initializer=draw.uniform(0.05),
            ),
            layers.PixelBias(dtype="float32"),
        ],
        shape,
    )
    x = images = keras.Input(shape, name="images")
    for rate, channels, kernel, pad, pool in (
        (0.2, 32, 8, 4, 4),  # 32 -> 33 -> 16
        (0.5, 32, 8, 3, 4),  # 16 -> 15 -> 7
        (0.5, 192, 5, 3, 2),  # 7 -> 9 -> 5
    ):
        x = layers.Dropout(rate)(x)
        x = layers.MaxoutConv2D(
            channels, 2, kernel, pad, kernel_initializer=draw.uniform(0.005)
        )(x)
        x = layers.CeilMaxPool2D(pool)(x)
    x = layers.Dropout(0.5)(keras.layers.Flatten()(x))
    x = layers.Maxout(500, 5, kernel_initializer=draw.uniform(0.005), name="features")(x)
    score = logit(draw)(layers.Dropout(0.5)(x))
    return generator, keras.Model(images, score, name="discriminator")


def point_networks(shape, mean_image, draw):
    """Networks for points (batch, dimensions), such as those of Fig. 1; ours.

    The paper does not give the networks of this figure. For points on a line, z is
    one-dimensional, so that the figure can show the map z -> x.

    Raises:
        ValueError: the data are images.
    """

    def network(name, inputs, last):
        x = start = keras.Input((inputs,))
        for _ in range(2):
            x = keras.layers.Dense(64, "tanh", kernel_initializer=draw.uniform(0.5))(x)
        return keras.Model(start, last(x), name=name)

    if len(shape) != 1:
        raise ValueError("these networks are for points, and the data are images")
    (dimensions,) = shape
    latent_dim = 1 if dimensions == 1 else LATENT_DIM
    glorot = keras.initializers.GlorotUniform(draw.seed())
    to_point = keras.layers.Dense(dimensions, kernel_initializer=glorot, dtype="float32")
    generator = network("generator", latent_dim, to_point)
    return generator, network("discriminator", dimensions, logit(draw))
