"""The autoencoder, and Auto-Encoding Variational Bayes (VAE). Kingma, Welling, 2013 (ICLR
2014). https://arxiv.org/abs/1312.6114

What generative models looked like beside the first GAN: an encoder and a decoder that go
down one loss together. Nothing here tells samples from data, so the collapse watch looks at
their diversity alone.

The plain autoencoder copies its input through a few numbers. It knows how to decode the
codes of data, and no law of codes: its samples are decoded from N(0, I), which nothing in
training ties to the codes, and need not look like data. Its use is `reconstruct`. The VAE
makes N(0, I) the law of the codes: it bounds the log likelihood of the data from below.

    symbol           here                                      VAE
    x, z             images, code
    mu, log sigma^2  encoder(x), linear                        Eq. 9, App. C.2
    z                mu + sigma epsilon, epsilon ~ N(0, I)     Sec. 2.4
    p(x|z)           generator(z), the decoder: means          App. C.1
    -KL(q || p(z))   -divergence, in nats                      App. B
    L                bound = -(error + divergence), in nats    Eq. 10
    N_z              --latent_dim                              Sec. 5
    h(x), g(h(x))    of the plain one: encoder(x), critic(x)

No code of the authors is at hand.

Differs: VAE-1 | pixels | Bernoulli, App. C.1 | not public | none | grey values in [0, 1] as
    they are, as if they were probabilities; the bound is not comparable with those of
    models of binarized MNIST.
Differs: VAE-2 | initial weights | N(0, .01), a variance or a deviation | not public | none
    | deviation .01; biases 0.
Differs: VAE-3 | step size of Adagrad | .01, .02 or .1, by the first iterations | not public
    | --learning_rate | .02 by default; sums of squares start at 0.
Differs: VAE-4 | weight decay | a prior N(0, I) of the weights, small beside 60,000 images |
    not public | none | left out.
Differs: VAE-5 | Frey Face | a Gaussian decoder, 200 units | not public | none | left out.
Differs: AUTOENCODER-1 | all but its loss, the squared distance, and a code narrower than
    the image | not of its definition | none | --loss, --latent_dim | layers, optimizer and
    initial weights of the VAE, so that the two differ in nothing but the code.
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import losses, noise
from tfgan_papers.models.generative import GenerativeModel
from tfgan_papers.options import Options, option
from tfgan_papers.papers.contract import Paper

UNITS = 500  # VAE, Sec. 5: MNIST, one hidden layer of tanh each
WEIGHT_STD = 0.01  # VAE, Sec. 5 (VAE-2)
BATCH_SIZE = 100  # VAE, Sec. 5: M
LEARNING_RATE = 0.02  # VAE, Sec. 5: one of the three (VAE-3)
EPSILON = 1e-10  # ours, within Adagrad's root: next to nothing
NEAREST_TO_0 = 1e-7  # probability of a pixel, where cross entropy is of probabilities


# The errors of a copy: images (batch, height, width, channels) -> (batch,), summed.


def squared(images: tf.Tensor, copies: tf.Tensor) -> tf.Tensor:
    """|x - y|^2."""
    return ops.sum(ops.square(images - copies), axis=(1, 2, 3))


def cross_entropy(images: tf.Tensor, copies: tf.Tensor) -> tf.Tensor:
    """-log p(x|z) of Bernoulli pixels of the probabilities `copies`, nats."""
    p = ops.clip(copies, NEAREST_TO_0, 1.0 - NEAREST_TO_0)
    terms = images * ops.log(p) + (1.0 - images) * ops.log(1.0 - p)
    return -ops.sum(terms, axis=(1, 2, 3))


def cross_entropy_of_logits(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`cross_entropy` of sigmoid(logits), for any logits."""
    return ops.sum(ops.softplus(logits) - images * logits, axis=(1, 2, 3))


def divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), nats, of codes (batch, N_z) (VAE,
    App. B)."""
    terms = 1.0 + log_variance - ops.square(mean) - ops.exp(log_variance)
    return -0.5 * ops.sum(terms, axis=1)


LOSSES = {"squared": squared, "cross_entropy": cross_entropy}


# Networks: images (batch, height, width, channels) -> codes, of each `heads` kinds
# (batch, N_z) -> as many images.


def networks(shape, latent_dim, heads, draw):
    """Decoder and encoder with a hidden layer each (VAE, App. C)."""

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
    """Both networks minimize one loss.

    Args:
        generator: the decoder, codes -> images.
        encoder: images -> codes.
        loss: (images, copies) -> error of each, (batch,), or a name in `LOSSES`.
    """

    scalars = ("error",)
    partner_name = "encoder"

    def __init__(self, generator, encoder, loss=squared, prior="normal", **kwargs):
        super().__init__(generator, encoder, prior=prior, **kwargs)
        self.energy = LOSSES[loss] if isinstance(loss, str) else loss
        copies = generator(encoder.outputs[0])
        self.copier = keras.Model(encoder.input, copies, name="autoencoder")

    def get_config(self):
        return {**super().get_config(), "loss": losses.name_of(LOSSES, self.energy)}

    def compile(self, encoder_optimizer, g_optimizer, jit_compile="auto", **kwargs):
        """Attach the optimizers; see `GenerativeModel.compile_with`."""
        optimizers = {"encoder_optimizer": encoder_optimizer, "g_optimizer": g_optimizer}
        self.compile_with(optimizers, jit_compile, **kwargs)

    @property
    def critic(self):
        return self.copier

    def held_out_scalars(self, images, labels):
        return self.loss_on(images)[1]

    def train_step(self, data):
        images, _, noise = self.start_step(data)
        scalars, of_encoder, of_decoder = self.run_compiled(
            self.joint_gradients, noise, images
        )
        self.apply_gradients("encoder", of_encoder)
        self.apply_gradients("generator", of_decoder)
        return self.report(**scalars)

    def joint_gradients(self, images):
        """The scalars, and the gradients of the loss."""
        networks = self.encoder, self.generator
        with tf.GradientTape() as tape:
            loss, scalars = self.loss_on(images)
        return scalars, *tape.gradient(loss, [n.trainable_variables for n in networks])

    def loss_on(self, images):
        error = ops.mean(self.energy(images, self.copier(images, training=True)))
        return error, {"error": error}


@keras.saving.register_keras_serializable("tfgan_papers")
class VAE(Autoencoder):
    """Descends the negative of the bound, at one draw of epsilon an image.

    Args:
        generator: the decoder, codes -> probabilities of pixels, with a layer "logits".
        encoder: images -> [mu, log sigma^2].
    """

    scalars = ("bound", "error", "divergence")

    def __init__(self, generator, encoder, loss=cross_entropy, **kwargs):
        super().__init__(generator, encoder, loss=loss, **kwargs)
        logits = generator.get_layer("logits").output
        self.logits = keras.Model(generator.input, logits)

    def loss_on(self, images):
        error, kl = map(ops.mean, self.terms(images, self.prior(images)))
        return error + kl, {"bound": -(error + kl), "error": error, "divergence": kl}

    def terms(self, images, epsilon):
        """-log p(x|z) at z = mu + sigma epsilon, and KL(q(z|x) || p(z)); (batch,) nats."""
        mean, log_variance = self.encoder(images, training=True)
        z = mean + ops.exp(0.5 * log_variance) * epsilon
        error = cross_entropy_of_logits(images, self.logits(z, training=True))
        return error, divergence(mean, log_variance)

    def bound(self, images, seed, first_row=0):
        """The bound on log p(x) of each image, estimated at row `first_row` and on of the
        normal numbers that `seed`, an int64 pair, stands for; (batch,) nats."""
        shape = (len(images), self.latent_dim)
        error, kl = self.terms(images, noise.normal(seed, shape, first_row))
        return -(error + kl)


# The experiments.


@dataclasses.dataclass(frozen=True)
class AutoencoderOptions(Options):
    """Options of the models `vae` and `autoencoder`."""

    latent_dim: int = option(20, "N_z, size of the code.", low=1)


class Experiment(NamedTuple):
    """`model`: the class; `heads`: outputs of its encoder."""

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


def dataset_defaults(dataset, fidelity):
    return OURS_ON_DIGITS if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """The model of `settings` (`contract.Settings`), not compiled."""
    if len(settings.shape) != 3:
        raise ValueError("an autoencoder here is for images")
    networks_ = networks(settings.shape, options.latent_dim, experiment.heads, draw)
    return experiment.model(*networks_, loss=settings.loss, seed=settings.seed)


def make_optimizers(settings, options, experiment):
    """Adagrad that is indifferent to the scale of the loss."""
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
    )


PAPER = _paper("vae", VAE, 2, {"cross_entropy": cross_entropy})
AUTOENCODER = _paper("autoencoder", Autoencoder, 1, LOSSES)
