"""Energy-based Generative Adversarial Network. Zhao, Mathieu, LeCun, 2016 (ICLR 2017).
https://arxiv.org/abs/1609.03126

D is an energy function. Training lowers it on data and raises it on samples up to a margin.
The energy is the error of an autoencoder, which gives a gradient for a whole image rather
than for a single score. The pull-away term on the codes of the samples makes them differ.

    symbol        here                                  paper
    Dec(Enc(x))   discriminator(x), an image            Sec. 2.3
    D(x)          norm(x, discriminator(x)), a norm     Eq. 13
    [.]^+         hinge                                 Eq. 1
    m             --margin                              Eq. 1
    S             the layer "code" of the discriminator Sec. 2.4
    f_PT          pull_away(S), times --pull_away       Sec. 2.4, EBGAN-PT
    L_D, L_G      d_loss, g_loss                        Eq. 1, 2

The authors published no code. "Secondary" marks numbers of the paper's appendix C that are
recalled from memory and agree with two ports, kozistr/Awesome-GANs and
1Konny/EBGAN-pytorch.

Differs: EBGAN-1 | energy | a norm (Eq. 13), "MSE" in Fig. 1 | the ports: mean over pixels |
    none | the norm: no mean square of pixels in [-1, 1] reaches margins of 20 and 80.
Differs: EBGAN-2 | pull-away term | squared cosine, without the diagonal | some ports do not
    square | --pull_away | as the paper, with the pairs of one replica's samples; 0 is EBGAN
    without the term.
Differs: EBGAN-3 | update order | not stated | not released | none | both networks at once,
    from one batch of samples and one pass of each.
Differs: EBGAN-4 | MNIST | padded to 32x32 | not released | none | 28x28, without padding.
Differs: EBGAN-5 | MNIST networks | chosen from grids of layers and sizes (Table 1) | not
    released | none | the sizes of the best EBGAN (secondary), without dropout.
Differs: EBGAN-6 | output of D | not stated | not released | none | linear; D's code is the
    output of its encoder's last layer, after the activation.
Differs: EBGAN-7 | latents | 100 dimensions at 64x64 (secondary), distribution not stated |
    not released | none | U(-1, 1)^100 as in DCGAN, also for MNIST.
Differs: EBGAN-8 | batch normalization | after all layers except D's first and G's last
    (secondary) | not released | none | not after D's last either; separate batches for data
    and samples; moving averages when sampling, as DCGAN-4.
Differs: EBGAN-9 | digits | MNIST's | not released | none | 8x8 with a margin of 2.5, which
    is the same error per pixel as 10 at 32x32.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import layers, losses, optimizers
from tfgan_papers.errors import UsageError
from tfgan_papers.models import adversarial, checks, surgery
from tfgan_papers.options import option
from tfgan_papers.papers import convolutional as shared
from tfgan_papers.papers import dcgan
from tfgan_papers.papers.contract import Paper

LATENT_DIM = 100  # secondary: Appendix C, at 64x64; EBGAN-7
MNIST_G = (800,) * 4  # secondary: nLayerG 5, sizeG 800 of the best EBGAN
MNIST_D = 1024  # secondary: nLayerD 2, sizeD 1024; Table 1: the decoder is one layer
D_STD, G_STD = 0.002, 0.02  # secondary: Appendix C
PULL_AWAY = 0.1  # Sec. 4
SIDE = 64  # Sec. 4.3: LSUN and CelebA
LEAST_SQUARE = 1e-12  # smaller squares have gradient 0; that of a norm is infinite at 0


# The losses.


def norm(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """D(v) = |Dec(Enc(v)) - v|, the Euclidean norm over pixels and channels (Eq. 13).

    Images (batch, height, width, channels) to energies (batch,), at least 0.
    """
    squares = ops.sum(ops.square(reconstructions - images), axis=(1, 2, 3))
    return ops.sqrt(ops.maximum(squares, LEAST_SQUARE))


def hinge(energies: tf.Tensor, margin: float) -> tf.Tensor:
    """[m - D(G(z))]^+, at least 0, for energies (batch,) (Eq. 1)."""
    return ops.relu(margin - energies)


def pull_away(codes: tf.Tensor) -> tf.Tensor:
    """f_PT, the mean squared cosine between the codes of different samples.

    Args:
        codes: (batch, ...).

    Returns:
        A scalar, 0 to 1: 1 if all codes have the same direction, 0 if all are orthogonal or
        there is only one.
    """
    codes = ops.cast(ops.reshape(codes, (ops.shape(codes)[0], -1)), "float32")
    squares = ops.sum(ops.square(codes), 1, keepdims=True)
    codes = codes / ops.sqrt(ops.maximum(squares, LEAST_SQUARE))
    cosines = ops.square(ops.matmul(codes, ops.transpose(codes)))
    n = ops.cast(ops.shape(codes)[0], "float32")
    return (ops.sum(cosines) - ops.sum(ops.diagonal(cosines))) / ops.maximum(
        n * (n - 1.0), 1.0
    )


LOSSES = {"norm": norm}


# Networks: z (batch, 100) -> images in [-1, 1] (batch, height, width, channels) ->
# reconstructions of the same shape.

STYLE = shared.PORT  # at 64x64 "as DCGAN" (secondary); biases


def mnist_networks(shape, style, draw):
    """Dense networks for images of any size (Table 1)."""
    pixels = shape[0] * shape[1] * shape[2]

    def dense(units, std, **kwargs):
        return keras.layers.Dense(units, kernel_initializer=draw.normal(std), **kwargs)

    x = z = keras.Input((LATENT_DIM,), name="z")
    for units in MNIST_G:
        x = shared.normalized(dense(units, G_STD)(x), style, draw)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Reshape(shape)(dense(pixels, G_STD)(x))
    samples = keras.layers.Activation("tanh", dtype="float32")(x)
    images = keras.Input(shape, name="images")
    code = dense(MNIST_D, D_STD, activation="relu", name="code")
    code = code(keras.layers.Flatten()(images))
    copies = dense(pixels, D_STD, dtype="float32")(code)
    copies = keras.layers.Reshape(shape, dtype="float32")(copies)
    return (
        keras.Model(z, samples, name="generator"),
        keras.Model(images, copies, name="discriminator"),
    )


def convolutional_networks(shape, style, draw):
    """The networks of LSUN and CelebA (secondary: 4x4 kernels, stride 2).

    Raises:
        ValueError: the images are not 64x64.
    """
    if shape[:2] != (SIDE, SIDE):
        raise ValueError(
            f"--network=convolutional is for 64x64 pixels, not {shape[0]}x{shape[1]}: set "
            "--image_size=64, or --network=mnist"
        )
    w, colours = style.width, shape[-1]

    def convolution(kind, filters, std, **kwargs):
        return kind(filters, 4, kernel_initializer=draw.normal(std), **kwargs)

    x = z = keras.Input((LATENT_DIM,), name="z")
    x = keras.layers.Reshape((1, 1, LATENT_DIM))(x)
    x = convolution(keras.layers.Conv2DTranspose, 16 * w, G_STD)(x)  # to 4x4
    for filters in (8 * w, 4 * w, 2 * w, colours):
        x = keras.layers.ReLU()(shared.normalized(x, style, draw))
        x = convolution(layers.UpConv2D, filters, G_STD)(x)
    samples = keras.layers.Activation("tanh", dtype="float32")(x)

    x = images = keras.Input(shape, name="images")
    for level in range(3):
        x = convolution(layers.DownConv2D, 2**level * w, D_STD)(x)
        x = shared.normalized(x, style, draw) if level else x
        name = {"name": "code"} if level == 2 else {}
        x = keras.layers.LeakyReLU(shared.LEAK, **name)(x)
    for filters in (2 * w, w):
        x = shared.normalized(convolution(layers.UpConv2D, filters, D_STD)(x), style, draw)
        x = keras.layers.ReLU()(x)
    copies = convolution(layers.UpConv2D, colours, D_STD, dtype="float32")(x)
    return (
        keras.Model(z, samples, name="generator"),
        keras.Model(images, copies, name="discriminator"),
    )


# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class EBGAN(adversarial.AdversarialModel):
    """EBGAN (2016). Updates both networks at once, from one pass of each (EBGAN-3).

    Example:

        generator = keras.Sequential(
            [keras.Input((8,)), layers.Dense(64), layers.Reshape((8, 8, 1))])
        autoencoder = keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, name="code"),
             layers.Dense(64), layers.Reshape((8, 8, 1))])
        ebgan = EBGAN(generator, autoencoder, pull_away=0.1)
        ebgan.compile("adam", "adam")
        images = keras.random.uniform((64, 8, 8, 1), -1, 1)
        history = ebgan.fit(images, batch_size=16, verbose=0)  # has "d_loss", "pull_away"
        samples = ebgan(keras.random.uniform((10, 8), -1, 1))  # (10, 8, 8, 1)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images (batch, height,
            width, channels).
        discriminator: functional model, images -> reconstructions of the same shape, with a
            layer named "code".
        loss: function (images, reconstructions) -> energies (batch,), or its name in
            `LOSSES`. Default: "norm".
        margin: float m > 0. Samples with a higher energy do not contribute to D's loss.
            Default: 10.0.
        pull_away: float, at least 0, the weight of f_PT in G's loss. Default: 0.0.
        **kwargs: see `AdversarialModel`.

    Raises:
        ValueError: `margin` or `pull_away` is out of range, or D has no layer "code" or is
            no autoencoder.
    """

    scalars = ("d_loss", "g_loss", "d_real", "d_fake", "pull_away")

    def __init__(
        self, generator, discriminator, loss=norm, margin=10.0, pull_away=0.0, **kwargs
    ):
        super().__init__(generator, discriminator, **kwargs)
        if not 0.0 < margin < float("inf"):
            raise ValueError(f"margin is {margin}: it is positive")
        if not 0.0 <= pull_away < float("inf"):
            raise ValueError(f"pull_away is {pull_away}: it is not negative")
        adversarial.check_reconstructs("EBGAN", generator, discriminator)
        self.energy = losses.named(LOSSES, loss)
        checks.check_energy(self.energy, discriminator)
        self.margin, self.weight = margin, pull_away
        code = discriminator.get_layer("code").output
        outputs = [discriminator.outputs[0], code]
        self.with_code = surgery.part_of(discriminator, outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "loss": losses.name_of(LOSSES, self.energy),
            "margin": self.margin,
            "pull_away": self.weight,
        }

    def train_step(self, data):
        images, _, noise = self.start_step(data)
        return self.report(**self.update_both(noise, images))

    def joint_gradients(self, real):
        """The losses, the mean energies and the gradients of both networks.

        D is called separately on data and samples, because batch normalization must not
        mix them.

        Returns:
            (scalars, gradients of D, gradients of G).
        """
        d, g = (n.trainable_variables for n in (self.discriminator, self.generator))
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(self.prior(real), training=True)
            of_real = self.energy(real, self.discriminator(real, training=True))
            copies, codes = self.with_code(fake, training=True)
            of_fake, alike = self.energy(fake, copies), pull_away(codes)
            d_loss = ops.mean(of_real) + ops.mean(hinge(of_fake, self.margin))
            g_loss = ops.mean(of_fake) + self.weight * alike
        scalars = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": ops.mean(of_real),
            "d_fake": ops.mean(of_fake),
            "pull_away": alike,
        }
        return scalars, tape.gradient(d_loss, d), tape.gradient(g_loss, g)

    def held_out_scalars(self, images, labels):
        fake = self.generator(self.prior(images), training=False)
        of_real = self.energy(images, self.discriminator(images, training=False))
        copies, codes = self.with_code(fake, training=False)
        of_fake, alike = self.energy(fake, copies), pull_away(codes)
        return {
            "d_loss": ops.mean(of_real) + ops.mean(hinge(of_fake, self.margin)),
            "g_loss": ops.mean(of_fake) + self.weight * alike,
            "d_real": ops.mean(of_real),
            "d_fake": ops.mean(of_fake),
            "pull_away": alike,
        }


# The experiments, by the name of their networks.


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
        networks: (shape, Style, Draw) -> (generator, discriminator).
        beta_1: of Adam, for both networks.
        defaults: option values by name.
    """

    networks: Callable
    beta_1: float
    defaults: dict[str, object]


def _defaults(margin, learning_rate, batch_size):
    return {
        "margin": margin,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "value_range": "symmetric",
    }


EXPERIMENTS = {
    "mnist": Experiment(  # Table 1; batch: ours
        mnist_networks, 0.9, _defaults(10.0, 1e-3, 100)
    ),
    "convolutional": Experiment(  # secondary: CelebA's margin; the rest as DCGAN
        convolutional_networks,
        dcgan.BETA_1,
        _defaults(20.0, dcgan.LEARNING_RATE, dcgan.BATCH_SIZE),
    ),
}
LSUN_MARGIN = 80.0  # secondary: Appendix C
MNIST_LIKE = ("digits", "mnist", "fashion_mnist")
OURS_ON_DIGITS = {  # EBGAN-9
    "margin": 2.5,
    "steps": 4000,
    "report_steps": 500,
}


@dataclasses.dataclass(frozen=True)
class EBGANOptions(shared.WidthOptions):
    """Options of the model `ebgan`."""

    margin: float = option(
        10.0, "m, the energy up to which D raises that of samples (Eq. 1).", above=0.0
    )
    pull_away: float = option(
        PULL_AWAY,
        "Weight of the pull-away term in G's loss; 0 is EBGAN without it.",
        low=0.0,
    )


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    if dataset.startswith("lsun"):
        return {"margin": LSUN_MARGIN} if network == "convolutional" else {}
    ours = OURS_ON_DIGITS if dataset == "digits" else {}
    if network != "mnist":  # whose margin is not of 8x8 pixels
        ours = {name: value for name, value in ours.items() if name != "margin"}
    return ours


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        UsageError: the data are points, or --width is given for dense networks.
    """
    if len(settings.shape) != 3:
        raise UsageError("--model=ebgan is for images")
    if options.width and experiment.networks is mnist_networks:
        raise UsageError("--width is of --network=convolutional: leave it out")
    return EBGAN(
        *experiment.networks(settings.shape, shared.in_width(STYLE, options), draw),
        loss=settings.loss,
        margin=options.margin,
        pull_away=options.pull_away,
        seed=settings.seed,
    )


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""
    rates = {"beta_1": experiment.beta_1, "epsilon": dcgan.EPSILON}
    return tuple(optimizers.Adam(settings.learning_rate, **rates) for _ in range(2))


PAPER = Paper(
    name="ebgan",
    options=EBGANOptions,
    losses=LOSSES,
    experiments=EXPERIMENTS,
    network_of=lambda dataset: "mnist" if dataset in MNIST_LIKE else "convolutional",
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    follows_code=False,
    batch_dependent="batch normalization and the pull-away term see each replica's share",
)
