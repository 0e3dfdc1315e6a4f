"""Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks. Radford, Metz, Chintala, 2015. https://arxiv.org/abs/1511.06434

The networks use convolutions of stride 2 instead of pooling, batch normalization in both
networks and no hidden dense layers. This architecture made adversarial training work on
images. Later papers here compare their losses on it.

    symbol   here                        paper
    Z        z, U(-1, 1)^100             Fig. 1
    G        generator                   Fig. 1
    D        sigmoid(discriminator)      Sec. 3; the network outputs the logit

The authors' code is Newmu/dcgan_code, on Theano. A file without a repository is from there.
The port is carpedm20/DCGAN-tensorflow.

Differs: DCGAN-1 | weight decay | not mentioned | L2 of every weight, including gains and
    biases, added to Adam's gradient: 1e-5 (faces), 2.5e-5 (MNIST) | none | as the code; the
    port has none.
Differs: DCGAN-2 | update order | not stated | each minibatch trains one network, G first;
    the images of G's minibatches are not used | --network | a step here updates G, then D,
    and reads no images for G, so an epoch shows D every image, in the code half of them.
    The port updates D, then G twice on the same latents.
Differs: DCGAN-3 | batch normalization of G's first layer | not stated | one gain for each
    of the 16,384 units | --network | as the code; the port normalizes channels.
Differs: DCGAN-4 | statistics outside training | not stated | of the batch of samples; for
    features of D, means over batches of training images (svhn_semisup_analysis.py) | none |
    moving averages with decay .9, as in the port: a sample must not depend on the others of
    its batch, and a single sample has no variance. Each pass through D updates D's, which
    linear_features and d_auc use: batches of data have 33% of the weight in them (21% in
    the port's order, 30% in LSGAN), and batches of samples have the rest.
Differs: DCGAN-5 | face data | 350,000 boxes from web search | the same, not public | none |
    celeb_a; --crop=108 --image_size=64 are those of the port.
Differs: DCGAN-6 | Adam | beta_1 .5, epsilon not stated | beta_1 decreases by a factor of
    1 - 1e-8 each step; epsilon 1e-8 is added to the corrected root | none | Keras' Adam:
    beta_1 is constant, epsilon is added to the uncorrected root; neither is visible in
    float32.
Differs: DCGAN-7 | image sizes | 32 and 64 pixels | the same | none | any side that is 4 to
    7 times a power of two (8, 10, 12, 14, 16, 20, ...), with at most 8 times the width in
    channels, as at 64 pixels; of --network=conditional any multiple of 4.
Differs: DCGAN-8 | class-conditional MNIST | not described | one-hot labels appended to the
    input of every layer, batch normalization without gain and bias, pixels in [0, 1], 100
    epochs, then 100 in which the learning rate decays to zero | --network=conditional | as
    the code.
Differs: DCGAN-9 | learning rate decay of DCGAN-8 | not described | updated each epoch |
    none | updated each step, with the same end: after 100 epochs of steps here, see
    DCGAN-2.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras

from tfgan_papers import layers, losses, optimizers
from tfgan_papers.losses import LeastSquaresOptions
from tfgan_papers.models import critics
from tfgan_papers.papers import borrowed
from tfgan_papers.papers.borrowed import BorrowedOptions
from tfgan_papers.papers.contract import Paper, needed_classes, warn_of_zero_rate
from tfgan_papers.papers.convolutional import (
    AUTHORS,
    LEAK,
    PORT,
    WEIGHT_STD,
    AugmentationOptions,
    Style,
    WidthOptions,
    check_range,
    dense,
    image_shape,
    in_width,
    logit,
    normalized,
    spread,
)

LATENT_DIM = 100  # Fig. 1; faces/train_uncond_dcgan.py: nz
LEARNING_RATE = 2e-4  # Sec. 4
BETA_1 = 0.5  # Sec. 4
EPSILON = 1e-8  # lib/updates.py: Adam
BATCH_SIZE = 128  # Sec. 4


# Networks: z (batch, 100) -> images (batch, height, width, channels) -> logit (batch, 1).
# Generated images are in [-1, 1], those of the conditional networks in [0, 1].


def levels(shape):
    """The size at which G starts, and how often it doubles.

    Args:
        shape: (height, width, channels).

    Returns:
        (start height, start width, number of doublings).

    Raises:
        ValueError: `shape` is that of a point, or the sides are not 4 to 7 times the same
            power of two.
    """
    height, width, _ = image_shape(shape)
    doublings = 0
    while min(height, width) >= 8 and height % 2 == width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if not doublings or min(height, width) < 4 or max(height, width) > 7:
        raise ValueError(
            f"images of {shape[0]}x{shape[1]} pixels do not halve to 4 .. 7: set "
            "--image_size to 16, 28, 32, 64, 96, 112, 128, 256, ..."
        )
    return height, width, doublings


def channels(style, doublings):
    """The number of channels at each level, starting next to the image."""
    return [style.width * min(8, 2**level) for level in range(doublings)]


def networks(shape, style, draw, latent_dim=LATENT_DIM, in_g=True, in_d=True):
    """The generator of Fig. 1, and its mirror image as the discriminator.

    Args:
        shape: (height, width, channels), see `levels`.
        style: `convolutional.Style`.
        draw: `initializers.Draw`.
        latent_dim: int, the size of z.
        in_g: whether G has batch normalization (LSGAN).
        in_d: whether D has batch normalization (LSGAN).
    """
    height, width, doublings = levels(shape)
    counts = channels(style, doublings)

    def maybe_normalized(x, applies):
        return normalized(x, style, draw) if applies else x

    def upwards(filters, **kwargs):
        kernel = draw.normal(WEIGHT_STD)
        kwargs = {"use_bias": style.bias, "kernel_initializer": kernel, **kwargs}
        return layers.UpConv2D(filters, 5, symmetric=style.symmetric, **kwargs)

    def downwards(filters):
        kernel = draw.normal(WEIGHT_STD)
        if not style.symmetric:
            kernel = draw.truncated_normal(WEIGHT_STD)  # the port's ops.py: conv2d
        kwargs = {"use_bias": style.bias, "kernel_initializer": kernel}
        return layers.DownConv2D(filters, 5, symmetric=style.symmetric, **kwargs)

    z = keras.Input((latent_dim,), name="z")
    x = dense(height * width * counts[-1], style, draw)(z)
    steps = [
        lambda x: keras.layers.Reshape((height, width, counts[-1]))(x),
        lambda x: maybe_normalized(x, in_g),
    ]
    for step in reversed(steps) if style.per_unit else steps:
        x = step(x)
    x = keras.layers.ReLU()(x)
    for filters in reversed(counts[:-1]):
        x = keras.layers.ReLU()(maybe_normalized(upwards(filters)(x), in_g))
    x = upwards(shape[-1])(x)
    samples = keras.layers.Activation("tanh", dtype="float32")(x)
    generator = keras.Model(z, samples, name="generator")

    x = images = keras.Input(shape, name="images")
    for level, filters in enumerate(counts):
        x = downwards(filters)(x)
        x = maybe_normalized(x, in_d and level > 0)
        x = keras.layers.LeakyReLU(LEAK)(x)
    score = logit(keras.layers.Flatten(name="features")(x), style, draw)
    return generator, keras.Model(images, score, name="discriminator")


def conditional_networks(shape, style, draw, classes):
    """Networks conditioned on labels (batch,): mnist/train_cond_dcgan.py (DCGAN-8).

    Raises:
        ValueError: a side of the images is not divisible by 4.
    """
    height, width, colours = image_shape(shape)
    if height % 4 or width % 4:
        raise ValueError(f"sides of {height}x{width} pixels are not divisible by 4")
    units, filters = 1024, style.width  # ngfc, ngf

    def with_label(x, label):
        return keras.layers.Concatenate()([x, spread(label, x)])

    def convolution(kind, filters, x):
        kernel = draw.normal(WEIGHT_STD)
        kwargs = {"use_bias": False, "kernel_initializer": kernel}
        return kind(filters, 5, symmetric=True, **kwargs)(x)

    z = keras.Input((LATENT_DIM,), name="z")
    label = keras.Input((), dtype="int32", name="label")
    y, x = layers.OneHot(classes)(label), z
    for count in (units, 2 * filters * height * width // 16):
        x = dense(count, style, draw)(with_label(x, y))
        x = keras.layers.ReLU()(normalized(x, style, draw, affine=False))
    x = keras.layers.Reshape((height // 4, width // 4, 2 * filters))(x)
    x = convolution(layers.UpConv2D, filters, with_label(x, y))
    x = keras.layers.ReLU()(normalized(x, style, draw, affine=False))
    x = convolution(layers.UpConv2D, colours, with_label(x, y))
    samples = keras.layers.Activation("sigmoid", dtype="float32")(x)
    generator = keras.Model([z, label], samples, name="generator")

    x = images = keras.Input(shape, name="images")
    label = keras.Input((), dtype="int32", name="label")
    y, leaky = layers.OneHot(classes)(label), keras.layers.LeakyReLU
    x = leaky(LEAK)(convolution(layers.DownConv2D, filters, with_label(x, y)))
    x = convolution(layers.DownConv2D, 2 * filters, with_label(x, y))
    x = leaky(LEAK)(normalized(x, style, draw, affine=False))
    x = dense(units, style, draw)(with_label(keras.layers.Flatten()(x), y))
    x = leaky(LEAK, name="features")(normalized(x, style, draw, affine=False))
    score = logit(with_label(x, y), style, draw)
    return generator, keras.Model([images, label], score, name="discriminator")


# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class DCGAN(critics.ScalarCriticModel):
    """DCGAN (2015): alternating updates in the order of the authors or of the port
    (DCGAN-2).

    Example:

        x = keras.Input((8, 8, 1))
        generator = keras.Sequential([keras.Input((16,)), layers.Dense(128, "relu"),
            layers.Reshape((4, 4, 8)),
            layers.Conv2DTranspose(1, 5, 2, "same", activation="tanh")])
        score = layers.Conv2D(8, 5, 2, "same", activation="leaky_relu")(x)
        score = layers.Dense(1)(layers.Flatten()(score))
        dcgan = DCGAN(generator, keras.Model(x, score))
        dcgan.compile(keras.optimizers.Adam(2e-4, 0.5), keras.optimizers.Adam(2e-4, 0.5))
        images = keras.random.uniform((64, 8, 8, 1), -1, 1)
        history = dcgan.fit(images, batch_size=16, verbose=0)
        samples = dcgan(keras.random.uniform((10, 16), -1, 1))  # (10, 8, 8, 1)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images; with classes,
            [latents, labels] -> images.
        discriminator: functional model, images -> logits (batch, 1); with classes, from
            [images, labels].
        weight_decay: float, at least 0, the factor of the weights that is added to their
            gradients (DCGAN-1). Default: 0.0.
        port: bool, updates D, then G twice on the same latents. Default: False.
        **kwargs: see `ScalarCriticModel`.
    """

    conditional = True

    def __init__(self, generator, discriminator, weight_decay=0.0, port=False, **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        self.weight_decay, self.port = weight_decay, port

    def get_config(self):
        own = {"weight_decay": self.weight_decay, "port": self.port}
        return {**super().get_config(), **own}

    def train_step(self, data):
        images, labels, noise = self.start_step(data)
        z = self.run_compiled(self.prior, noise, images) if self.port else None
        if not self.port:
            g_loss, g_gradients = self.run_compiled(self.g_gradients, noise, images, labels)
            self.apply_gradients("generator", g_gradients)
        fake = self.run_compiled(self.samples_for, noise, images, labels, z)
        scalars, d_gradients = self.run_compiled(
            self.d_gradients, noise, images, labels, fake
        )
        self.apply_gradients("discriminator", d_gradients)
        for _ in range(2 if self.port else 0):
            g_loss, g_gradients = self.run_compiled(
                self.g_gradients, noise, images, labels, z
            )
            self.apply_gradients("generator", g_gradients)
        return self.report(**scalars, g_loss=g_loss)

    def apply_gradients(self, network, gradients):
        if self.weight_decay:
            weights = getattr(self, network).trainable_variables
            gradients = [
                gradient + self.weight_decay * weight
                for gradient, weight in zip(gradients, weights, strict=True)
            ]
        return super().apply_gradients(network, gradients)


# The experiments, by the name of their networks.


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
        networks: (shape, Style, Draw) -> (generator, discriminator). The conditional
            networks also take the number of classes.
        style: `convolutional.Style`.
        weight_decay: see `DCGAN`.
        defaults: option values by name.
    """

    networks: Callable
    style: Style
    weight_decay: float
    defaults: dict[str, object]


def _defaults(batch_size, value_range="symmetric"):
    return {
        "learning_rate": LEARNING_RATE,
        "batch_size": batch_size,
        "value_range": value_range,
    }


EXPERIMENTS = {
    "authors": Experiment(  # faces/train_uncond_dcgan.py: l2
        networks, AUTHORS, 1e-5, _defaults(BATCH_SIZE)
    ),
    "port": Experiment(
        networks, PORT, 0.0, _defaults(64)
    ),  # main.py of the port: batch_size
    "conditional": Experiment(  # mnist/train_cond_dcgan.py: l2, nbatch
        conditional_networks,
        AUTHORS._replace(width=64),
        2.5e-5,
        _defaults(BATCH_SIZE, "unit"),
    ),
}
FLAT_EPOCHS = 100  # mnist/train_cond_dcgan.py: niter; the decay takes as many


@dataclasses.dataclass(frozen=True)
class DCGANOptions(WidthOptions, AugmentationOptions, BorrowedOptions, LeastSquaresOptions):
    """Options of the model `dcgan`."""


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    # With the default batch size the learning rate then comes to 0.
    steps = 1200 if network == "conditional" else 2000
    return {"steps": steps, "report_steps": 250} if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`."""
    conditional = experiment.networks is conditional_networks
    classes = (needed_classes(settings, "dcgan"),) if conditional else ()
    style = in_width(experiment.style, options)
    generator, discriminator, arguments = borrowed.apply_techniques(
        *experiment.networks(settings.shape, style, draw, *classes), settings, options, draw
    )
    return DCGAN(
        generator,
        discriminator,
        weight_decay=experiment.weight_decay,
        port=settings.network == "port",
        seed=settings.seed,
        augmentations=options.diff_augment,
        classes=sum(classes),
        **arguments,
    )


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""
    rate = settings.learning_rate
    if experiment.networks is conditional_networks:
        # In an epoch of the authors, each network gets every second minibatch.
        steps = max(1, FLAT_EPOCHS * settings.steps_per_epoch // 2)
        rate = optimizers.ToZero(rate, steps)
        if settings.steps > 2 * steps:
            warn_of_zero_rate(2 * steps, settings.steps)
    return tuple(optimizers.Adam(rate, beta_1=BETA_1, epsilon=EPSILON) for _ in range(2))


PAPER = Paper(
    name="dcgan",
    options=DCGANOptions,
    losses=losses.LOSSES,
    experiments=EXPERIMENTS,
    network_of=lambda dataset: "authors",
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    initialize=borrowed.initialize,
    follows_code=False,
    batch_dependent="batch normalization uses the statistics of each replica's share",
    check=check_range,
)
