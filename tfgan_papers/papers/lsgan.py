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
    on the batch size. Adam nearly cancels the factor. TensorFlow 1's RMSProp does not at
    first, because its mean square starts at 1, nor for gradients below 1e-5, because it
    adds 1e-10 inside the root.
Differs: LSGAN-2 | targets | 0-1 scheme in the experiments (Sec. 3.2.3) | 0-1, but -1, 1, 0
    in BN_GD_ls_rms | --a --b --c | those of the paper by default.
Differs: LSGAN-3 | update order | not stated | D, then G on the same latents; both at once
    for the mixture | none | as the code. D's update does not change G, so its samples are
    computed once, and G's moving averages are updated once with decay .9; the code updates
    them in both runs, .81 in total.
Differs: LSGAN-4 | labels in D | appended to the input of every convolution and dense layer
    | not appended to the image | --network=characters | as the code.
Differs: LSGAN-5 | mixture | eight Gaussians; figures to 40,000 steps | nine, with one
    centre twice; 35,000 steps | --fidelity=code, or --ring and --steps | as the paper.
Differs: LSGAN-6 | stability runs | four settings | BN_G with Adam, BN_GD with RMSProp |
    --batch_norm, --optimizer | all four.
Differs: LSGAN-7 | latents | uniform or Gaussian | U(-1, 1)^1024 for images, N(0, 1)^256 for
    the mixture | none | as the code.
Differs: LSGAN-8 | order of the classes | not stated | order of a shuffled directory | none
    | sorted, so that a label means the same character in every run.
Differs: LSGAN-9 | CIFAR-10 network | not stated | not released | --network=stability | the
    DCGAN architecture of the stability runs, for the image sizes of DCGAN-7.
Differs: LSGAN-10 | points of the mixture | not stated | new ones each step
    (mixture_gaussian/ls.py: sample_mog) | --fidelity=code | 90,000, drawn once and
    shuffled each epoch: a data set like the others, of which a tenth is held out.
Differs: LSGAN-11 | orthogonal initial weights of the mixture's networks | not stated | from
    the singular vectors of a matrix of U(0, 1), as TensorFlow before 1.2 drew them: all
    output weights of D have one sign | --fidelity=code | uniform over orthogonal matrices.
Differs: LSGAN-12 | regular GAN on the mixture, scale of G's loss | not stated | the
    gradient of a sum over the batch (sig.py: G_loss is not reduced) | --fidelity=code | a
    mean. Adam nearly cancels the factor.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgan_papers import losses, optimizers
from tfgan_papers.data.examples import ahead
from tfgan_papers.errors import UsageError
from tfgan_papers.losses import LeastSquaresOptions
from tfgan_papers.models import critics
from tfgan_papers.options import option
from tfgan_papers.papers import borrowed
from tfgan_papers.papers import convolutional as shared
from tfgan_papers.papers import lsgan_networks as networks
from tfgan_papers.papers.borrowed import BorrowedOptions
from tfgan_papers.papers.contract import Paper, needed_classes

BETA_1 = 0.5  # Sec. 4.1; train_*.py: beta1
EPSILON = 1e-8  # TensorFlow 1's Adam; mixture_gaussian/ls.py: epsilon
LOSSES = {"least_squares": losses.LOSSES["least_squares"], **losses.LOSSES}


# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class LSGAN(critics.ScalarCriticModel):
    """LSGAN (2016). Updates D, then G on the same samples, or both at once (LSGAN-3).

    Example:

        import numpy as np
        z, x = keras.Input((16,)), keras.Input((2,))
        generator = keras.Model(z, layers.Dense(2)(layers.Dense(64, "tanh")(z)))
        discriminator = keras.Model(x, layers.Dense(1)(layers.Dense(64, "tanh")(x)))
        lsgan = LSGAN(generator, discriminator, prior="normal", simultaneous=True)
        lsgan.compile(keras.optimizers.Adam(1e-4, 0.5), keras.optimizers.Adam(1e-3, 0.5))
        angles = np.arange(512) * np.pi / 4  # the ring of Fig. 7: 64 points of each mode
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        ring += np.random.normal(0, 0.01, ring.shape)
        history = lsgan.fit(ring, batch_size=64, verbose=0)
        samples = lsgan(keras.random.normal((10, 16)))  # (10, 2)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points; with
            classes, [latents, labels] -> images.
        discriminator: functional model, images or points -> raw scores (batch, 1); with
            classes, from [images, labels].
        loss: name in `losses.LOSSES`, or an `AdversarialLoss`, such as
            `losses.least_squares(a, b, c)`. Default: "least_squares".
        simultaneous: bool, updates both networks at once. Default: False.
        **kwargs: see `ScalarCriticModel`.
    """

    conditional = True

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
            return self.report(**self.update_both(noise, images, labels))
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
        networks.lsun_networks, _defaults(1e-3)
    ),
    "characters": Experiment(  # train_chn.py
        networks.character_networks, _defaults(2e-4, "unit")
    ),
    "stability": Experiment(  # stability_comparison/*/train.py
        networks.stability_networks, _defaults(2e-4)
    ),
    "mixture": Experiment(  # mixture_gaussian/ls.py: params
        networks.mixture_networks,
        _defaults(1e-3, "raw", 512),
        "normal",
        d_rate=0.1,
        sum_of_code=0.5,
    ),
}
NETWORK_OF_DATASET = {
    "ring": "mixture",
    "gaussian": "mixture",
    "hwdb": "characters",
    "glyphs": "characters",
    "strokes": "characters",
}


@dataclasses.dataclass(frozen=True)
class LSGANOptions(
    shared.WidthOptions, shared.AugmentationOptions, BorrowedOptions, LeastSquaresOptions
):
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
    if dataset == "ring" and fidelity == "code":  # mixture_gaussian/*.py: max_iter
        return {"ring": "authors", "steps": 35_000}
    if dataset == "ring":  # Fig. 7
        return {"steps": 40_000}
    return {"steps": 2000, "report_steps": 250} if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        UsageError: --batch_norm is given for other networks, or the data have no classes.
    """
    make, further, classes = experiment.networks, (), 0
    of_code = settings.fidelity == "code"
    on_mixture = make is networks.mixture_networks
    if on_mixture:
        further = (of_code,)
    if make is networks.stability_networks:
        further = (options.batch_norm,)
    elif options.batch_norm != "both":
        raise UsageError(f"--batch_norm={options.batch_norm} is of --network=stability")
    if make is networks.character_networks:
        further = (classes := needed_classes(settings, "lsgan"),)
    style = shared.in_width(networks.STYLE, options)
    generator, discriminator, arguments = borrowed.apply_techniques(
        *make(settings.shape, style, draw, *further),
        *(settings, options, draw, experiment.prior),
    )
    if of_code and settings.loss.real is not losses.real_cross_entropy:  # LSGAN-1
        factor = settings.batch_size * experiment.sum_of_code
        arguments["loss"] = losses.scaled(arguments["loss"], factor)
    elif of_code and on_mixture:  # LSGAN-12
        arguments["loss"] = losses.scaled(arguments["loss"], 1.0, settings.batch_size)
    return LSGAN(
        generator,
        discriminator,
        simultaneous=on_mixture,
        prior=experiment.prior,
        seed=settings.seed,
        augmentations=options.diff_augment,
        classes=classes,
        **arguments,
    )


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""
    rates = settings.learning_rate * experiment.d_rate, settings.learning_rate
    if options.optimizer == "rmsprop":
        return tuple(map(optimizers.TF1RMSprop, rates))
    return tuple(optimizers.Adam(rate, beta_1=BETA_1, epsilon=EPSILON) for rate in rates)


def batches(examples, settings, options, batch_size, seed, value_range, first_step=0):
    """The training batches, starting with that of `first_step`.

    With --fidelity=code, points of a mixture are new in each step (LSGAN-10). They are a
    function of the seed and the step.
    """
    if settings.fidelity != "code" or examples.modes is None:
        labels = (settings.network or network_of(settings.dataset)) == "characters"
        return examples.stream(batch_size, seed, value_range, first_step, labels=labels)
    centres, std, weights = examples.modes
    centres = tf.constant(centres, tf.float32)
    logits = tf.math.log(tf.constant([weights], tf.float32))

    def points(step):
        of_modes, of_points = (
            tf.stack([tf.constant(seed, tf.int64), 2 * step + i]) for i in (0, 1)
        )
        modes = tf.random.stateless_categorical(logits, batch_size, of_modes)[0]
        normal = tf.random.stateless_normal((batch_size, centres.shape[1]), of_points)
        return tf.gather(centres, modes) + std * normal

    return ahead(tf.data.Dataset.counter(first_step).map(points))


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
    batches=batches,
    batch_dependent="batch normalization uses the statistics of each replica's share",
    check=shared.check_range,
)
