"""The autoencoder, and Auto-Encoding Variational Bayes (VAE). Kingma, Welling, 2013 (ICLR
2014). https://arxiv.org/abs/1312.6114

These are generative models from the time of the first GAN. An encoder and a decoder
minimize one loss together. Neither distinguishes samples from data, so the collapse watch
uses only the diversity of the samples.

The plain autoencoder reconstructs its input from a code of few dimensions. It learns no
distribution of the codes. Its samples are decoded from N(0, I), to which training does not
fit the codes, so they need not look like data; it is useful for reconstructions. The VAE
fits the distribution of the codes to N(0, I), and maximizes a lower bound on the
log-likelihood of the data.

    symbol           here                                      VAE
    x, z             images, code
    mu, log sigma^2  encoder(x), linear                        Eq. 9, App. C.2
    z                mu + sigma epsilon, epsilon ~ N(0, I)     Sec. 2.4
    p(x|z)           generator(z), the decoder, its mean       App. C.1
    -KL(q || p(z))   -divergence, in nats                      App. B
    L                bound = -(error + divergence), in nats    Eq. 10
    N_z              --latent_dim                              Sec. 5
    h(x), g(h(x))    of the plain one: encoder(x), critic(x)

The authors' code is not available.

Differs: VAE-1 | pixels | Bernoulli, App. C.1 | not public | none | grey values in [0, 1],
    treated as probabilities; the bound is not comparable with that of models of binarized
    MNIST. The Gaussian decoder of App. C.2, with mean and variance, is not implemented.
Differs: VAE-2 | initial weights | N(0, .01), a variance or a deviation | not public | none
    | standard deviation .01; biases 0.
Differs: VAE-3 | step size of Adagrad | .01, .02 or .1, chosen by the first iterations | not
    public | --learning_rate | .02 by default; the sums of squares start at 0.
Differs: VAE-4 | weight decay | from a prior N(0, I) on the weights, small compared with
    60,000 images | not public | none | omitted.
Differs: VAE-5 | Frey Face | a Gaussian decoder, 200 units | not public | none | omitted.
Differs: AUTOENCODER-1 | everything except the loss, the squared distance, and a code
    smaller than the image | not part of the definition | none | --loss, --latent_dim |
    layers, optimizer and initial weights of the VAE, so that only the code differs.
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import losses, noise
from tfgan_papers.models import checks, surgery
from tfgan_papers.models.generative import GenerativeModel
from tfgan_papers.options import Options, option
from tfgan_papers.papers.contract import Paper

UNITS = 500  # VAE, Sec. 5: MNIST, one hidden layer of tanh each
WEIGHT_STD = 0.01  # VAE, Sec. 5 (VAE-2)
BATCH_SIZE = 100  # VAE, Sec. 5: M
LEARNING_RATE = 0.02  # VAE, Sec. 5: one of the three (VAE-3)
EPSILON = 1e-10  # ours, within Adagrad's root: negligible
NEAREST_TO_0 = 1e-7  # probabilities of pixels are clipped to [1e-7, 1 - 1e-7]


# Reconstruction errors: images (batch, height, width, channels) -> sums (batch,).


def squared(images: tf.Tensor, copies: tf.Tensor) -> tf.Tensor:
    """|x - y|^2, at least 0, summed over pixels and channels."""
    return ops.sum(ops.square(images - copies), axis=(1, 2, 3))


def cross_entropy(images: tf.Tensor, copies: tf.Tensor) -> tf.Tensor:
    """-log p(x|z) in nats for Bernoulli pixels, summed over pixels and channels.

    Args:
        images: values in [0, 1].
        copies: probabilities, 0 to 1.
    """
    p = ops.clip(copies, NEAREST_TO_0, 1.0 - NEAREST_TO_0)
    terms = images * ops.log(p) + (1.0 - images) * ops.log(1.0 - p)
    return -ops.sum(terms, axis=(1, 2, 3))


def cross_entropy_of_logits(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`cross_entropy(images, sigmoid(logits))`, stable for any logits."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=(1, 2, 3))


def divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) in nats (VAE, App. B).

    Means and log variances (batch, N_z) to (batch,), at least 0.
    """
    terms = 1.0 + log_variance - ops.square(mean) - ops.exp(log_variance)
    return -0.5 * ops.sum(terms, axis=1)


LOSSES = {"squared": squared, "cross_entropy": cross_entropy}


# Networks: images (batch, height, width, channels) -> codes (batch, N_z) -> images.


def networks(shape, latent_dim, heads, draw):
    """A decoder and an encoder with one hidden layer each (VAE, App. C).

    Args:
        shape: (height, width, channels).
        latent_dim: int, N_z.
        heads: int, the number of outputs of the encoder, each (batch, N_z).
        draw: `initializers.Draw`.
    """

    def dense(units, **kwargs):
        kernel = draw.normal(WEIGHT_STD)
        return keras.layers.Dense(units, kernel_initializer=kernel, **kwargs)

    images = keras.Input(shape, name="images")
    hidden = dense(UNITS, activation="tanh")(keras.layers.Flatten()(images))
    codes = [dense(latent_dim, dtype="float32")(hidden) for _ in range(heads)]
    z = keras.Input((latent_dim,), name="z")
    x = dense(UNITS, activation="tanh")(z)
    x = dense(shape[0] * shape[1] * shape[2], dtype="float32")(x)
    x = keras.layers.Reshape(shape, dtype="float32", name="logits")(x)
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return (
        keras.Model(z, x, name="generator"),
        keras.Model(images, codes if heads > 1 else codes[0], name="encoder"),
    )


# The models.


@keras.saving.register_keras_serializable("tfgan_papers")
class Autoencoder(GenerativeModel):
    """An autoencoder whose decoder and encoder minimize one loss.

    Example:

        z, x = keras.Input((8,)), keras.Input((8, 8, 1))
        image = layers.Reshape((8, 8, 1))(layers.Dense(64, "sigmoid")(z))
        code = layers.Dense(8)(layers.Flatten()(x))
        autoencoder = Autoencoder(keras.Model(z, image), keras.Model(x, code))
        autoencoder.compile("adam", "adam")
        images = keras.random.uniform((64, 8, 8, 1))
        history = autoencoder.fit(images, batch_size=16, verbose=0)
        samples = autoencoder(keras.random.normal((10, 8)))  # (10, 8, 8, 1)

    Args:
        generator: functional model, the decoder, codes (batch, N_z) -> images (batch,
            height, width, channels).
        encoder: functional model, images -> codes.
        loss: function (images, reconstructions) -> errors (batch,), or its name in
            `LOSSES`: "squared" or "cross_entropy". Default: "squared".
        prior: the distribution of the codes of samples, see `noise.PRIORS`. Default:
            "normal".
        **kwargs: see `GenerativeModel`.
    """

    scalars = ("error",)
    partner_name = "encoder"

    def __init__(self, generator, encoder, loss=squared, prior="normal", **kwargs):
        super().__init__(generator, encoder, prior=prior, **kwargs)
        self.energy = losses.named(LOSSES, loss)
        checks.check_energy(self.energy, encoder)
        copies = self.generator(self.encoder.outputs[0])
        self.copier = surgery.part_of(self.encoder, copies, "autoencoder")

    def get_config(self):
        return {**super().get_config(), "loss": losses.name_of(LOSSES, self.energy)}

    def compile(self, encoder_optimizer, g_optimizer, jit_compile="auto", **kwargs):
        """Configures the model for training.

        Args:
            encoder_optimizer: optimizer of the encoder.
            g_optimizer: optimizer of the decoder; another object.
            jit_compile: see `GenerativeModel.compile_with`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        optimizers = {"encoder_optimizer": encoder_optimizer, "g_optimizer": g_optimizer}
        self.compile_with(optimizers, jit_compile, **kwargs)

    @property
    def critic(self):
        return self.copier

    def held_out_scalars(self, images, labels):
        return self.loss_on(images, training=False)[1]

    def train_step(self, data):
        images, _, noise = self.start_step(data)
        return self.report(**self.update_both(noise, images))

    def joint_gradients(self, images):
        """(scalars, gradients of the encoder, gradients of the decoder)."""
        networks = self.encoder, self.generator
        with tf.GradientTape() as tape:
            loss, scalars = self.loss_on(images, training=True)
        return scalars, *tape.gradient(loss, [n.trainable_variables for n in networks])

    def loss_on(self, images, training):
        """The loss, and the scalars to report."""
        error = ops.mean(self.energy(images, self.copier(images, training=training)))
        return error, {"error": error}


@keras.saving.register_keras_serializable("tfgan_papers")
class VAE(Autoencoder):
    """VAE (2013). Minimizes the negative bound, with one draw of epsilon per image.

    Example:

        z, x = keras.Input((4,)), keras.Input((8, 8, 1))
        logits = layers.Reshape((8, 8, 1), name="logits")(layers.Dense(64)(z))
        decoder = keras.Model(z, layers.Activation("sigmoid")(logits))
        h = layers.Dense(32, "tanh")(layers.Flatten()(x))
        vae = VAE(decoder, keras.Model(x, [layers.Dense(4)(h), layers.Dense(4)(h)]))
        vae.compile("adam", "adam")
        images = keras.random.uniform((64, 8, 8, 1))
        history = vae.fit(images, batch_size=16, verbose=0)  # has "bound", in nats
        samples = vae(keras.random.normal((10, 4)))  # (10, 8, 8, 1)

    Args:
        generator: functional model, the decoder, codes (batch, N_z) -> probabilities of
            pixels (batch, height, width, channels), with a layer named "logits".
        encoder: functional model, images in [0, 1] -> [mu, log sigma^2], each (batch, N_z).
        loss: see `Autoencoder`; the error that is displayed for an image. The bound always
            uses cross entropy. Default: "cross_entropy".
        **kwargs: see `Autoencoder`.

    Raises:
        ValueError: the decoder has no layer "logits", or the prior is not "normal", for
            which alone the bound holds.
    """

    scalars = ("bound", "error", "divergence")

    def __init__(self, generator, encoder, loss=cross_entropy, **kwargs):
        super().__init__(generator, encoder, loss=loss, **kwargs)
        if self.prior_name != "normal":
            raise ValueError(f"prior is {self.prior_name!r}: VAE's bound is for 'normal'")
        logits = generator.get_layer("logits").output
        self.logits = surgery.part_of(generator, logits)

    def loss_on(self, images, training):
        error, kl = map(ops.mean, self.terms(images, self.prior(images), training))
        return error + kl, {"bound": -(error + kl), "error": error, "divergence": kl}

    def terms(self, images, epsilon, training=False):
        """-log p(x|z) at z = mu + sigma epsilon, and KL(q(z|x) || p(z)).

        Both are (batch,), in nats.
        """
        mean, log_variance = self.encoder(images, training=training)
        z = mean + ops.exp(0.5 * log_variance) * epsilon
        error = cross_entropy_of_logits(images, self.logits(z, training=training))
        return error, divergence(mean, log_variance)

    def bound(self, images, seed, first_row=0):
        """The lower bound on log p(x) of each image, in nats (batch,).

        Args:
            images: (batch, height, width, channels), values in [0, 1].
            seed: int64 (2,), the seed of epsilon.
            first_row: int, the row of the first image, see `noise.bits`.
        """
        shape = (len(images), self.latent_dim)
        error, kl = self.terms(images, noise.normal(seed, shape, first_row))
        return -(error + kl)


# The experiments.


@dataclasses.dataclass(frozen=True)
class AutoencoderOptions(Options):
    """Options of the models `vae` and `autoencoder`."""

    latent_dim: int = option(20, "N_z, size of the code.", low=1)


class Experiment(NamedTuple):
    """An experiment: the class, the number of outputs of its encoder, and option values."""

    model: type
    heads: int
    defaults: dict[str, object]


_DEFAULTS = {
    "learning_rate": LEARNING_RATE,
    "batch_size": BATCH_SIZE,
    "value_range": "unit",
}
OURS_ON_DIGITS = {
    "latent_dim": 10,
    "steps": 10_000,
    "report_steps": 1000,
    "train_split": "train[:80%]",
    "test_split": "train[80%:]",
}


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    return OURS_ON_DIGITS if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        ValueError: the data are points.
    """
    if len(settings.shape) != 3:
        raise ValueError("this autoencoder is for images")
    networks_ = networks(settings.shape, options.latent_dim, experiment.heads, draw)
    return experiment.model(*networks_, loss=settings.loss, seed=settings.seed)


def make_optimizers(settings, options, experiment):
    """Adagrad optimizers of encoder and decoder, independent of the scale of the loss."""
    return tuple(
        keras.optimizers.Adagrad(
            settings.learning_rate, initial_accumulator_value=0.0, epsilon=EPSILON
        )
        for _ in range(2)
    )


def _paper(name, model, heads, errors):
    return Paper(
        name=name,
        options=AutoencoderOptions,
        losses=errors,
        experiments={"dense": Experiment(model, heads, _DEFAULTS)},
        network_of=lambda dataset: "dense",
        create=create,
        optimizers=make_optimizers,
        dataset_defaults=dataset_defaults,
        follows_code=False,
    )


PAPER = _paper("vae", VAE, 2, {"cross_entropy": cross_entropy})
AUTOENCODER = _paper("autoencoder", Autoencoder, 1, LOSSES)
