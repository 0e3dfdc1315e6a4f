"""Least Squares Generative Adversarial Networks. Mao, Li, Xie, Lau, Wang, Smolley, 2016
(ICCV 2017). https://arxiv.org/abs/1611.04076

Cross entropy gives almost no gradient for a sample on the correct side of the decision
boundary, even if it is far from the data. The squared distance to a target does.

    symbol          here                            paper
    a, b, c         --a, --b, --c                   Eq. 2: targets of D(fake), D(real), and
                                                    of D(fake) for G
    D(x)            discriminator(x), no sigmoid    Sec. 3.2
    Phi(y)          label_map                       Sec. 3.3, linear
    BN_G            --batch_norm=discriminator      Sec. 4.4: without it in G
    BN_GD           --batch_norm=none               Sec. 4.4: without it in both

The authors' code is xudonmao/LSGAN, on TensorFlow 0.x. A file without a repository is from
there. It lacks half of the stability experiments and the CIFAR-10 model.

Differs: LSGAN-1 | scale of the loss | half the mean square (Eq. 2) | half the sum over the
    batch, a quarter of it for the mixture | --fidelity=code sums | a mean does not depend
    on the batch size; Adam and RMSProp nearly cancel the factor.
Differs: LSGAN-2 | targets | 0-1 scheme in the experiments (Sec. 3.2.3) | 0-1, but -1, 1, 0
    in BN_GD_ls_rms | --a --b --c | those of the paper by default.
Differs: LSGAN-3 | update order | not stated | D, then G on the same latents; both at once
    for the mixture | none | as the code. D's update does not change G, so its samples are
    computed once.
Differs: LSGAN-4 | labels in D | appended to the input of every convolution and dense layer
    | not appended to the image | --network=characters | as the code.
Differs: LSGAN-5 | mixture | eight Gaussians | nine, with one centre twice | --ring | as the
    paper; its figures show 40,000 steps, the script runs 35,000.
Differs: LSGAN-6 | stability runs | four settings | BN_G with Adam, BN_GD with RMSProp |
    --batch_norm, --optimizer | all four.
Differs: LSGAN-7 | latents | uniform or Gaussian | U(-1, 1)^1024 for images, N(0, 1)^256 for
    the mixture | none | as the code.
Differs: LSGAN-8 | order of the classes | not stated | order of a shuffled directory | none
    | sorted, so that a label means the same character in every run.
Differs: LSGAN-9 | CIFAR-10 network | not stated | not released | --network=stability | the
    DCGAN architecture of the stability runs, for any image size.
Differs: LSGAN-10 | points of the mixture | not stated | new ones each step
    (mixture_gaussian/ls.py: sample_mog) | none | 100,000, drawn once and shuffled each
    epoch: a data set like the others, so that a run can be resumed.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgan_papers import layers, losses, optimizers
from tfgan_papers.errors import UsageError
from tfgan_papers.losses import LeastSquaresOptions
from tfgan_papers.models import critics
from tfgan_papers.options import option
from tfgan_papers.papers import borrowed, dcgan
from tfgan_papers.papers import convolutional as shared
from tfgan_papers.papers.borrowed import BorrowedOptions
from tfgan_papers.papers.contract import Paper, needed_classes

LATENT_DIM = 1024  # train_lsun.py, train_chn.py: z_dim
MIXTURE_LATENT_DIM = 256  # mixture_gaussian/ls.py: z_dim
BETA_1 = 0.5  # Sec. 4.1; train_*.py: beta1
EPSILON = 1e-8  # TensorFlow 1's Adam; mixture_gaussian/ls.py: epsilon
LABEL_UNITS_PER_WIDTH = 4  # Sec. 3.3, mcgan.py: y_size 256 at 64 channels
LOSSES = {"least_squares": losses.LOSSES["least_squares"], **losses.LOSSES}


# Networks: z (batch, 1024) -> images (batch, height, width, channels) -> score (batch, 1).
# Generated images are in [-1, 1], characters in [0, 1].

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


def mixture_networks(shape, style, draw):
    """Networks for points (batch, dimensions), from z (batch, 256): mixture_gaussian/ls.py.

    Each has two layers of 2 x width (128) tanh units, with orthogonal initial weights of
    gain 1.4.

    Raises:
        ValueError: the data are images.
    """

    def network(name, inputs, outputs):
        x = start = keras.Input((inputs,))
        for units in (2 * style.width, 2 * style.width, outputs):
            kernel = draw.orthogonal(1.4)
            last = {"dtype": "float32"} if units == outputs else {"activation": "tanh"}
            x = keras.layers.Dense(units, kernel_initializer=kernel, **last)(x)
        return keras.Model(start, x, name=name)

    if len(shape) != 1:
        raise ValueError("these networks are for points, and the data are images")
    (dimensions,) = shape
    return (
        network("generator", MIXTURE_LATENT_DIM, dimensions),
        network("discriminator", dimensions, 1),
    )


# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class LSGAN(critics.ScalarCriticModel):
    """LSGAN (2016). Updates D, then G on the same samples, or both at once (LSGAN-3).

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points; with
            classes, [latents, labels] -> images.
        discriminator: functional model, images or points -> raw scores (batch, 1); with
            classes, from [images, labels].
        loss: see `ScalarCriticModel`.
        simultaneous: if True, updates both networks at once.
        **kwargs: see `ScalarCriticModel`.
    """

    def __init__(
        self,
        generator,
        discriminator,
        loss="least_squares",
        simultaneous=False,
        **kwargs,
    ):
        super().__init__(generator, discriminator, loss=loss, **kwargs)
        self.simultaneous = simultaneous

    def get_config(self):
        return {**super().get_config(), "simultaneous": self.simultaneous}

    def train_step(self, data):
        images, labels, noise = self.start_step(data)
        if self.simultaneous:
            scalars, d_gradients, g_gradients = self.run_compiled(
                self.joint_gradients, noise, images, labels
            )
            self.apply_gradients("discriminator", d_gradients)
        else:
            with tf.GradientTape() as tape:  # over the only pass of G
                fake = self.run_compiled(self.samples_for, noise, images, labels)
            scalars, d_gradients = self.run_compiled(
                self.d_gradients, noise, images, labels, fake
            )
            self.apply_gradients("discriminator", d_gradients)
            scalars["g_loss"], upstream = self.run_compiled(
                self.sample_gradients, noise, fake, images, labels
            )
            weights = self.generator.trainable_variables
            g_gradients = tape.gradient(fake, weights, output_gradients=upstream)
        self.apply_gradients("generator", g_gradients)
        return self.report(**scalars)

    def sample_gradients(self, fake, real, labels):
        """G's loss under the updated D, and its gradient with respect to the samples.

        Returns:
            (loss, gradient of the shape of `fake`).
        """
        with tf.GradientTape() as tape:
            tape.watch(fake)
            g_loss = self.generator_loss(fake, real, labels)
        return g_loss, tape.gradient(g_loss, fake)


# The experiments, by the name of their networks.


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
        networks: (shape, Style, Draw) -> (generator, discriminator). The conditional
            networks also take the number of classes.
        defaults: option values by name.
        prior: name in `noise.PRIORS` of the distribution of z.
        d_rate: D's learning rate as a multiple of G's.
        sum_of_code: this times the batch size is the scale of the loss in the code
            (LSGAN-1).
    """

    networks: Callable
    defaults: dict[str, object]
    prior: str = "uniform"
    d_rate: float = 1.0
    sum_of_code: float = 1.0


def _defaults(learning_rate, value_range="symmetric", batch_size=64):
    """Option values; batch size of train_lsun.py, train_chn.py and dcgan64.py."""
    return {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "value_range": value_range,
    }


EXPERIMENTS = {
    "lsun": Experiment(  # Sec. 4.1; train_lsun.py: learning_rate
        lsun_networks, _defaults(1e-3)
    ),
    "characters": Experiment(  # train_chn.py
        character_networks, _defaults(2e-4, "unit")
    ),
    "stability": Experiment(  # stability_comparison/*/train.py
        stability_networks, _defaults(2e-4)
    ),
    "mixture": Experiment(  # mixture_gaussian/ls.py: params
        mixture_networks, _defaults(1e-3, "raw", 512), "normal", d_rate=0.1, sum_of_code=0.5
    ),
}
NETWORK_OF_DATASET = {
    "ring": "mixture",
    "gaussian": "mixture",
    "hwdb": "characters",
    "glyphs": "characters",
}


@dataclasses.dataclass(frozen=True)
class LSGANOptions(shared.WidthOptions, BorrowedOptions, LeastSquaresOptions):
    """Options of the model `lsgan`."""

    batch_norm: str = option(
        "both",
        "Networks of --network=stability with batch normalization: discriminator is BN_G "
        "of the paper, none is BN_GD.",
        choices=("both", "discriminator", "none"),
    )
    optimizer: str = option(
        "adam",
        "Adam with beta_1 = 0.5, or RMSProp as in TensorFlow 1 (Sec. 4.4).",
        choices=("adam", "rmsprop"),
    )


def network_of(dataset):
    """The name of the networks for a data set."""
    lsun = "lsun" if dataset.startswith("lsun") else "stability"
    return NETWORK_OF_DATASET.get(dataset, lsun)


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    return {"steps": 2000, "report_steps": 250} if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        UsageError: --batch_norm is given for other networks, or the data have no classes.
    """
    networks, further = experiment.networks, ()
    classes = 0
    if networks is stability_networks:
        further = (options.batch_norm,)
    elif options.batch_norm != "both":
        raise UsageError(f"--batch_norm={options.batch_norm} is of --network=stability")
    if networks is character_networks:
        further = (classes := needed_classes(settings, "lsgan"),)
    style = shared.in_width(STYLE, options)
    generator, discriminator, arguments = borrowed.apply_techniques(
        *networks(settings.shape, style, draw, *further),
        *(settings, options, draw, experiment.prior),
    )
    # Only least squares sums: cross entropy is a mean (dcgan64.py: loss; sig.py: D_loss).
    if settings.fidelity == "code" and settings.loss.real is not losses.real_cross_entropy:
        factor = settings.batch_size * experiment.sum_of_code
        arguments["loss"] = losses.scaled(arguments["loss"], factor)
    return LSGAN(
        generator,
        discriminator,
        simultaneous=networks is mixture_networks,
        prior=experiment.prior,
        seed=settings.seed,
        classes=classes,
        **arguments,
    )


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""
    rates = settings.learning_rate * experiment.d_rate, settings.learning_rate
    if options.optimizer == "rmsprop":
        return tuple(map(optimizers.TF1RMSprop, rates))
    return tuple(optimizers.Adam(rate, beta_1=BETA_1, epsilon=EPSILON) for rate in rates)


PAPER = Paper(
    name="lsgan",
    options=LSGANOptions,
    losses=LOSSES,
    experiments=EXPERIMENTS,
    network_of=network_of,
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    initialize=borrowed.initialize,
    batch_dependent="batch normalization uses the statistics of each replica's share",
)
