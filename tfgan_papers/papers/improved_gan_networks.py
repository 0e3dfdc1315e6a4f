"""The networks of Improved GAN (2016) for MNIST, CIFAR-10 and SVHN.

Each function takes the shape of an image, the number of classes K and a `Draw`. It returns
the generator, z (batch, 100) -> images (batch, height, width, channels), and the
discriminator, images -> logits (batch, K), which has a layer named "features". They are
those of openai/improved-gan, mnist_svhn_cifar10/.
"""

import keras
import numpy as np

from tfgan_papers import layers

LATENT_DIM = 100  # train_mnist_feature_matching.py: noise
LEAK = 0.2  # nn.py: lrelu
G_FILTERS = (512, 256, 128)  # train_cifar_*.py: gen_layers
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-6}  # nn.py: BatchNormLayer
WEIGHT_EPSILON = 1e-6  # nn.py: l2normalize, WeightNormLayer


def mnist_networks(shape, classes, draw):
    """train_mnist_feature_matching.py; pixels in [0, 1]."""
    pixels = int(np.prod(shape))

    def glorot(units, dtype=None):
        kernel = keras.initializers.GlorotUniform(draw.seed())  # Lasagne's default
        options = {"use_bias": False, "kernel_initializer": kernel, "dtype": dtype}
        return keras.layers.Dense(units, **options)

    x = z = keras.Input((LATENT_DIM,), name="z")
    for units in (500, 500):
        x = glorot(units)(x)
        x = keras.layers.BatchNormalization(**BATCH_NORM, scale=False)(x)  # g=None
        x = keras.layers.Activation("softplus")(x)
    x = layers.WeightNormalization(
        glorot(pixels, "float32"), "sigmoid", trainable_gain=True, epsilon=WEIGHT_EPSILON
    )(x)
    samples = keras.layers.Reshape(shape, dtype="float32")(x)
    generator = keras.Model(z, samples, name="generator")

    def normalized(units, dtype=None, **kwargs):
        options = {"use_bias": False, "dtype": dtype}
        kernel = draw.normal(0.1)  # nn.py: theta
        dense = keras.layers.Dense(units, kernel_initializer=kernel, **options)
        return layers.WeightNormalization(dense, **kwargs)

    images = keras.Input(shape, name="images")
    x = layers.GaussianNoise(0.3)(keras.layers.Flatten()(images))  # sigma
    for units in (1000, 500, 250, 250):
        x = normalized(units, activation="relu")(x)
        x = layers.GaussianNoise(0.5)(x)
    x = normalized(250, activation="relu", name="features")(x)
    x = layers.GaussianNoise(0.5)(x)
    logits = normalized(classes, "float32", trainable_gain=True, name="logits")(x)
    return generator, keras.Model(images, logits, name="discriminator")


def image_networks(shape, classes, draw, filters, noisy=False):
    """train_cifar_*.py, train_svhn_*.py; pixels in [-1, 1].

    Args:
        filters: int, the number of channels of D's first three convolutions; the others
            have twice as many.
        noisy: if True, D's input gets noise instead of dropout, as the code has it with
            minibatch discrimination.

    Raises:
        ValueError: a side of the images is not divisible by 8, or less than 16.
    """
    height, width, colours = shape
    if height % 8 or width % 8 or min(height, width) < 16:
        raise ValueError(
            f"images of {height}x{width} pixels: sides must be divisible by 8 and 16 or "
            "more; set --image_size"
        )

    def bare(kind, count, *args, **kwargs):
        kernel = draw.normal(0.05)  # train_cifar_*.py: Normal
        return kind(count, *args, use_bias=False, kernel_initializer=kernel, **kwargs)

    def normalized(layer, activation=None, **kwargs):
        kwargs = {"epsilon": WEIGHT_EPSILON, **kwargs}
        return layers.WeightNormalization(layer, activation, **kwargs)

    def batch_normalized(x):
        x = keras.layers.BatchNormalization(**BATCH_NORM, scale=False)(x)  # g=None
        return keras.layers.ReLU()(x)

    last = {"trainable_gain": True, "initial_std": 0.1}  # train_cifar_*.py: init_stdv
    z = keras.Input((LATENT_DIM,), name="z")
    first, *others = G_FILTERS
    x = batch_normalized(bare(keras.layers.Dense, height * width // 64 * first)(z))
    x = keras.layers.Reshape((height // 8, width // 8, first))(x)
    for count in others:
        x = batch_normalized(bare(layers.UpConv2D, count, 5, symmetric=True)(x))
    up = bare(layers.UpConv2D, colours, 5, symmetric=True, dtype="float32")
    generator = keras.Model(z, normalized(up, "tanh", **last)(x), name="generator")

    def convolution(x, count, size, stride=1, padding="same"):
        if padding == "same" and stride == 2:  # SAME pads differently at stride 2
            layer = bare(layers.DownConv2D, count, size, symmetric=True)
        else:
            layer = bare(keras.layers.Conv2D, count, size, padding=padding)
        return keras.layers.LeakyReLU(LEAK)(normalized(layer)(x))

    x = images = keras.Input(shape, name="images")
    x = (layers.GaussianNoise(0.2) if noisy else layers.Dropout(0.2))(x)  # sigma; p
    for count in (filters, 2 * filters):
        for stride in (1, 1, 2):
            x = convolution(x, count, 3, stride)
        x = layers.Dropout(0.5)(x)  # p
    for size in (3, 1, 1):
        x = convolution(x, 2 * filters, size, padding="valid")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    dense = bare(keras.layers.Dense, classes, dtype="float32")
    logits = normalized(dense, name="logits", **last)(x)
    return generator, keras.Model(images, logits, name="discriminator")
