"""BEGAN: Boundary Equilibrium Generative Adversarial Networks. Berthelot, Schumm, Metz,
2017. https://arxiv.org/abs/1703.10717

D is an autoencoder that distinguishes data from samples by its reconstruction error. A
controller keeps the ratio of the two errors constant: if D is too strong, it reduces the
weight of the samples in D's loss. The control error plus D's error on data measures
convergence.

    symbol        here                           paper
    D(v)          discriminator(v), an image     Sec. 3
    L(v)          l1(v, D(v)), mean over pixels  Sec. 3.1; eta = 1, or 2 with --loss=l2
    G(z)          generator(z), z ~ U(-1, 1)     Sec. 3.5
    gamma         --gamma                        Eq. 4: E L(G(z)) / E L(x) at equilibrium
    k_t           k, in [0, 1], k_0 = 0          Sec. 3.4
    lambda_k      --lambda_k                     Sec. 3.4
    M_global      m_global                       Sec. 3.4.1
    n, N_h, N_z   --width, --n_h, --n_z          Sec. 3.5
    carry         carry, from 1 down to 0        Sec. 3.5.1
    h_0           the decoder's 8 x 8 x n        Sec. 3.5.1

The authors released no training code. One of them published david-berthelot/tf_img_tech
("the author's"), whose tfswag/layers.py contains these blocks. The best-known port is
carpedm20/BEGAN-tensorflow ("the port"). The paper has no table of layers. That its networks
consist of the author's blocks is inferred from their 17.3 million weights at 128x128.

Differs: BEGAN-1 | learning rate | 1e-4, halved when M_global stalls | the port: 8e-5,
    halved every 100,000 steps, not below 2e-5 | --fidelity | the paper does not define a
    stall: here, no new best mean of M_global in --stall_steps, 5,000 as in tensorpack's
    port; --learning_rate_floor is that of the port.
Differs: BEGAN-2 | networks | carry and skip connections are optional | the author's have
    both, 17,268,038 weights at 128x128 with n = 128; the port's have neither, 25,233,222 |
    --network=authors or plain, --carry_steps | the first has the paper's 17.3 million
    weights. --carry_steps=0 switches its carry off; its skip connections cannot be switched
    off alone.
Differs: BEGAN-3 | initial weights | not stated | the author's: truncated normal, deviation
    .01; the port's: Glorot uniform | --network, --weight_std | as each code; .01 suits the
    author's n.
Differs: BEGAN-4 | latents | z_D for D's loss, z_G for G's | the port: one batch for both |
    none | as the port. Both networks are updated at once, so one batch of samples and one
    pass through D are enough.
Differs: BEGAN-5 | Adam | default parameters | the port reads beta_1 = .5 but does not use
    it | none | .9 and .999; epsilon 1e-8 as in TensorFlow 1.
Differs: BEGAN-6 | k | in [0, 1] | tensorpack's port does not clip it; an early version of
    the port clipped a copy | none | the stored value is clipped.
Differs: BEGAN-7 | data | 360,000 faces, not public | the port: celeb_a, 128x128 from (50,
    25), every second pixel | none | any images; --crop=128 crops the centre.
Differs: BEGAN-8 | embedded digits | faces, 32x32 and larger; batches of 16, N_h = 64,
    lambda_k .001, carry in 16,000 steps, learning rate 1e-4, halved when M_global stalls |
    faces; the author's n = 64 and initial weights of deviation .01 | --dataset --image_size
    --width --weight_std --n_h --batch_size --image_noise --lambda_k --carry_steps
    --learning_rate --d_rate --halving_steps --learning_rate_floor --steps | 16x16, n = 16,
    weights of deviation .08, N_h = 16, batches of 32, noise of .25 on the data, lambda_k
    .1, carry in 300 steps, learning rate 8e-4, D's .15 of it, halved every 600 steps, not
    below 1e-6, and 2,500 steps, so that the default run takes minutes. With gamma = .5 the
    error of samples must be half that of data. Clean digits have no texture that samples
    could lack, so G would generate only the digits with the smallest error. Noise on the
    data adds such a texture, and a lower learning rate for D keeps the two errors apart.
    The default set is printed digits, which are aligned, as faces are; samples of the 8x8
    handwritten ones are blurred.
Differs: BEGAN-9 | z of an image | Adam on the L1 error of G(z), then straight lines | the
    port: by default no such step, and great circles | none | as the paper; the numbers in
    embedding.py are ours, and z stays in [-1, 1].
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import keras_internals, losses, noise, optimizers
from tfgan_papers.errors import UsageError
from tfgan_papers.models import adversarial, checks
from tfgan_papers.models.optimizer_group import computes_its_rate
from tfgan_papers.options import option
from tfgan_papers.papers.began_networks import NETWORKS, WEIGHT_STD, Carry, Style, networks
from tfgan_papers.papers.contract import Paper, warn_of_no_effect
from tfgan_papers.papers.convolutional import WidthOptions, in_width

LEARNING_RATE = 1e-4  # Sec. 4.1
PORT_LEARNING_RATE = 8e-5  # the port's config.py: d_lr, g_lr
PORT_HALVING_STEPS = 100_000  # the port's config.py: lr_update_step
PORT_FLOOR = 2e-5  # the port's config.py: lr_lower_boundary
EPSILON = 1e-8  # TensorFlow 1's Adam
BATCH_SIZE = 16  # Sec. 3.4
STALL_STEPS = 5000  # tensorpack's BEGAN.py: 10 epochs of 500 steps
CHECKS = 10  # means of M_global per --stall_steps; tensorpack: 10 epochs of 500 steps


# The losses, Sec. 3.1: images (batch, height, width, channels) -> (batch,).


def l1(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """L(v) = |v - D(v)|, mean over pixels and channels, at least 0: the paper's eta = 1."""
    return ops.mean(ops.abs(images - reconstructions), axis=(1, 2, 3))


def l2(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """L(v) = |v - D(v)|^2, mean over pixels and channels, at least 0: eta = 2."""
    return ops.mean(ops.square(images - reconstructions), axis=(1, 2, 3))


LOSSES = {"l1": l1, "l2": l2}


# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class BEGAN(adversarial.AdversarialModel):
    """BEGAN (2017).

    A step updates both networks at once, from one pass of each (BEGAN-4), and also the
    carry, k and the learning rates.

    Example:

        z, x = keras.Input((8,)), keras.Input((8, 8, 1))
        code = layers.Dense(8)(layers.Flatten()(x))
        copy = layers.Reshape((8, 8, 1))(layers.Dense(64)(code))
        image = layers.Reshape((8, 8, 1))(layers.Dense(64)(z))
        began = BEGAN(keras.Model(z, image), keras.Model(x, copy), gamma=0.5)
        began.compile("adam", "adam")
        images = keras.random.uniform((64, 8, 8, 1), -1, 1)
        history = began.fit(images, batch_size=16, verbose=0)  # has "k", "m_global"
        samples = began(keras.random.uniform((10, 8), -1, 1))  # (10, 8, 8, 1)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images (batch, height,
            width, channels).
        discriminator: functional model, images -> reconstructions of the same shape.
        loss: function (images, reconstructions) -> errors (batch,), or its name in
            `LOSSES`: "l1" or "l2". Default: "l1".
        gamma: float, 0 to 1, the ratio E L(G(z)) / E L(x) at equilibrium. A higher ratio
            gives more diversity. Default: 0.5.
        lambda_k: float, at least 0, the gain of the controller of k. Default: 0.001.
        carry_steps: int, at least 0, the number of steps in which the carry of the `Carry`
            layers decreases from 1 to 0; with 0 it is always 0. Default: 16000.
        stall_steps: int, a multiple of 10. After this number of steps without a new best
            mean of M_global, both learning rates are halved, which then must be numbers. 0
            never halves them. Default: 0.
        learning_rate_floor: float, at least 0, the learning rates are not halved below it.
            Default: 0.0.
        image_noise: float, at least 0, the standard deviation of the noise that is added to
            the data (BEGAN-8). Default: 0.0.
        d_rate: float, positive, D's learning rate as a multiple of G's when they are
            halved. None halves D's own. Default: None.
        **kwargs: see `AdversarialModel`.

    Raises:
        ValueError: an argument is out of range, or the output of D does not have the shape
            of the images.
    """

    scalars = ("d_loss", "g_loss", "d_real", "k", "m_global")

    def __init__(
        self,
        generator,
        discriminator,
        loss=l1,
        gamma=0.5,
        lambda_k=1e-3,
        carry_steps=16_000,
        stall_steps=0,
        learning_rate_floor=0.0,
        image_noise=0.0,
        d_rate=None,
        **kwargs,
    ):
        super().__init__(generator, discriminator, **kwargs)
        self.image_noise, self.d_rate = image_noise, d_rate
        if not 0.0 <= gamma <= 1.0:
            raise ValueError(f"gamma is {gamma}: it is in [0, 1]")
        if not lambda_k >= 0.0:
            raise ValueError(f"lambda_k is {lambda_k}: it is not negative")
        if stall_steps % CHECKS:
            raise ValueError(f"stall_steps is {stall_steps}: it is a multiple of {CHECKS}")
        adversarial.check_reconstructs("BEGAN", generator, discriminator)
        self.energy = losses.named(LOSSES, loss)
        checks.check_energy(self.energy, discriminator)
        self.gamma, self.lambda_k = gamma, lambda_k
        self.carry_steps, self.check_steps = carry_steps, stall_steps // CHECKS
        self.learning_rate_floor = learning_rate_floor
        self.k = self.carried("k", 0.0)
        self.m_sum = self.carried("m_sum", 0.0)  # sum of M_global since the last check
        self.m_best = self.carried("m_best", float("inf"))  # lowest mean between two checks
        self.stalled = self.carried("stalled", 0.0)  # checks without a new best

    def compile(self, d_optimizer, g_optimizer, jit_compile="auto", **kwargs):
        super().compile(d_optimizer, g_optimizer, jit_compile, **kwargs)
        for name, each in self.named_optimizers.items():
            if self.check_steps and computes_its_rate(each):
                raise ValueError(
                    f"stall_steps halves the learning rates, and {name} computes its own: "
                    "give it a number, or set stall_steps to 0"
                )

    def get_config(self):
        return {
            **super().get_config(),
            "loss": losses.name_of(LOSSES, self.energy),
            "gamma": self.gamma,
            "lambda_k": self.lambda_k,
            "carry_steps": self.carry_steps,
            "stall_steps": self.check_steps * CHECKS,
            "learning_rate_floor": self.learning_rate_floor,
            "image_noise": self.image_noise,
            "d_rate": self.d_rate,
        }

    def checkpointed(self):
        carried = (self.k, self.m_sum, self.m_best, self.stalled)
        return super().checkpointed() | {scalar.name: scalar.value for scalar in carried}

    def train_step(self, data):
        images, _, noise = self.start_step(data)
        self.set_carry()
        k = tf.identity(self.k.value)
        real, fake = self.over_replicas(*self.update_both(noise, images, k))
        balance = self.gamma * real - fake
        self.k.assign(tf.clip_by_value(k + self.lambda_k * balance, 0.0, 1.0))
        m_global = real + tf.abs(balance)
        if self.check_steps:
            self.halve_if_stalled(m_global)
        return self.report(
            d_loss=real - k * fake, g_loss=fake, d_real=real, k=k, m_global=m_global
        )

    def joint_gradients(self, real, k):
        """The errors and the gradients of both networks.

        D minimizes L(x) - k L(G(z)). G minimizes L(G(z)); its gradient flows through both
        D(G(z)) and G(z), the image it is compared with.

        Returns:
            ((L(x), L(G(z))), gradients of D, gradients of G).
        """
        d, g = (n.trainable_variables for n in (self.discriminator, self.generator))
        z = self.prior(real)
        if self.image_noise:
            shape = (tf.shape(real)[0], *real.shape[1:])
            real += self.image_noise * noise.active().normal(shape)
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(z, training=True)
            real_loss, fake_loss = (
                ops.mean(self.energy(v, self.discriminator(v, training=True)))
                for v in (real, fake)
            )
        of_real = tape.gradient(real_loss, d)
        of_fake, g_gradients = tape.gradient(fake_loss, [d, g])  # in one backward pass
        d_gradients = [x - k * f for x, f in zip(of_real, of_fake, strict=True)]
        return (real_loss, fake_loss), d_gradients, g_gradients

    def held_out_scalars(self, images, labels):
        fake = self.generator(self.prior(images), training=False)
        real_loss, fake_loss = (
            ops.mean(self.energy(v, self.discriminator(v, training=False)))
            for v in (images, fake)
        )
        k = tf.convert_to_tensor(self.k)
        return {
            "d_loss": real_loss - k * fake_loss,
            "g_loss": fake_loss,
            "d_real": real_loss,
            "k": k,
            "m_global": real_loss + tf.abs(self.gamma * real_loss - fake_loss),
        }

    def set_carry(self):
        """Sets the carry: 1 at step 0, 0 from step `carry_steps` on, linear in between."""
        left = self.carry_steps - tf.cast(self.step.value, "float32")
        for layer in keras_internals.layers(self.generator, self.discriminator):
            if isinstance(layer, Carry):
                layer.carry.assign(tf.maximum(left / max(1, self.carry_steps), 0.0))

    def halve_if_stalled(self, m_global):
        """Halves the learning rates if M_global has stalled.

        After each tenth of `stall_steps` steps, compares the mean of M_global since the
        last comparison with the lowest so far. Only the step number decides when, so that
        interrupting a run changes nothing.
        """
        m_sum, floor = self.m_sum.value + m_global, self.learning_rate_floor
        due = (self.step.value + 1) % self.check_steps == 0
        mean = m_sum / self.check_steps
        better = due & (mean < self.m_best.value)
        stalled = tf.where(better, 0.0, self.stalled.value + tf.cast(due, "float32"))
        before = tf.convert_to_tensor(self.g_optimizer.learning_rate)
        halve = (stalled >= CHECKS) & (before > floor)
        rate = tf.where(halve, tf.maximum(before / 2.0, floor), before)
        self.m_best.assign(tf.where(better, mean, self.m_best.value))
        self.stalled.assign(tf.where(halve, 0.0, stalled))
        self.m_sum.assign(tf.where(due, 0.0, m_sum))
        self.g_optimizer.learning_rate.assign(rate)
        of_d = tf.convert_to_tensor(self.d_optimizer.learning_rate)
        halved = of_d * (rate / before) if self.d_rate is None else self.d_rate * rate
        self.d_optimizer.learning_rate.assign(tf.where(halve, halved, of_d))

    def status_message(self):
        if not self.check_steps:
            return ""
        rate = float(tf.convert_to_tensor(self.g_optimizer.learning_rate))
        if float(tf.convert_to_tensor(self.stalled.value)) < CHECKS:
            return f"G's learning rate is {rate:.3g}"
        return f"M_global has stalled with G's learning rate at its floor, {rate:.3g}"


# The experiments, by the name of their networks.

OF_SCHEDULE = ("learning_rate", "d_rate", "learning_rate_floor", "halving_steps")  # BEGAN-1
OURS_ON_DIGITS = {  # BEGAN-8
    "image_size": 16,  # the smallest: halved once to 8x8
    "width": 16,  # takes minutes on two cores
    "weight_std": 0.08,  # about 1 / sqrt(9 n), which preserves the scale of activations
    "n_h": 16,  # with 64 elements, D could copy the 64 pixels of any image
    "batch_size": 32,  # less noise in L, for a run of few steps
    "image_noise": 0.25,
    "d_rate": 0.15,
    "learning_rate": 8e-4,
    "learning_rate_floor": 1e-6,  # a longer run stays as varied as it is
    "lambda_k": 0.1,  # this and below: for a run of a hundredth of the author's steps
    "carry_steps": 300,
    "halving_steps": 600,
    "steps": 2500,
    "report_steps": 250,
}


@dataclasses.dataclass(frozen=True)
class BEGANOptions(WidthOptions):
    """Options of the model `began`."""

    gamma: float = option(
        0.5,
        "Diversity ratio E L(G(z)) / E L(x) at equilibrium, from 0 to 1 (Eq. 4).",
        low=0.0,
        high=1.0,
    )
    lambda_k: float = option(  # Sec. 3.4
        1e-3, "Proportional gain of the control of k.", low=0.0
    )
    carry_steps: int = option(  # Sec. 3.5.1
        16_000, "Steps in which the carry of vanishing residuals falls; 0: none.", low=0
    )
    stall_steps: int = option(  # BEGAN-1
        STALL_STEPS,
        "Steps without a new best M_global after which the learning rates are halved, a "
        "multiple of 10.",
        low=CHECKS,
    )
    halving_steps: int = option(
        0,
        "Halve both learning rates after every N steps; 0: as --stall_steps says, or with "
        "--fidelity=code as the port does.",
        low=0,
    )
    learning_rate_floor: float = option(
        PORT_FLOOR, "The learning rates are not halved below this value.", low=0.0
    )
    n_h: int = option(64, "Size of D's code h.", low=1)  # BEGAN-2
    n_z: int = option(64, "Size of z.", low=1)
    image_noise: float = option(  # BEGAN-8
        0.0,
        "Standard deviation of the Gaussian noise that is added to the training images, in "
        "their value range.",
        low=0.0,
    )
    d_rate: float = option(  # BEGAN-8
        1.0, "Learning rate of D as a multiple of G's.", above=0.0
    )
    weight_std: float = option(  # BEGAN-3
        WEIGHT_STD,
        "Standard deviation of the initial weights of --network=authors.",
        low=0.0,
    )


class Experiment(NamedTuple):
    """An experiment: the architecture, and option values by name."""

    style: Style
    defaults: dict[str, object]


_DEFAULTS = {"batch_size": BATCH_SIZE, "value_range": "symmetric"}
EXPERIMENTS = {name: Experiment(style, _DEFAULTS) for name, style in NETWORKS.items()}


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    ours = OURS_ON_DIGITS if dataset in ("printed_digits", "digits") else {}
    if fidelity == "code":  # its rate and its schedule, also in a run too short for them
        ours = {k: v for k, v in ours.items() if k not in OF_SCHEDULE}
        return {"learning_rate": PORT_LEARNING_RATE, **ours}
    return {"learning_rate": LEARNING_RATE, **ours}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        UsageError: the learning rate is below its floor.
    """
    style, floor = in_width(experiment.style, options), options.learning_rate_floor
    if _halving_steps(settings, options) and options.stall_steps != STALL_STEPS:
        fixed = f"--halving_steps={options.halving_steps}"
        code = "--fidelity=code, which halves the rates at fixed steps"
        warn_of_no_effect("stall_steps", fixed if options.halving_steps else code)
    if style.std is not None:
        style = style._replace(std=options.weight_std)
    elif options.weight_std != WEIGHT_STD:
        warn_of_no_effect("weight_std", "--network=plain, whose weights are Glorot's")
    if floor > settings.learning_rate:
        raise UsageError(
            f"--learning_rate_floor={floor} is above --learning_rate="
            f"{settings.learning_rate}"
        )
    return BEGAN(
        *networks(settings.shape, style, draw, n_h=options.n_h, n_z=options.n_z),
        loss=settings.loss,
        gamma=options.gamma,
        lambda_k=options.lambda_k,
        carry_steps=options.carry_steps,
        stall_steps=0 if _halving_steps(settings, options) else options.stall_steps,
        learning_rate_floor=floor,
        image_noise=options.image_noise,
        d_rate=options.d_rate,
        seed=settings.seed,
    )


def _halving_steps(settings, options):
    """The number of steps between two halvings; 0 if stalls decide."""
    follows_code = settings.fidelity == "code"
    return options.halving_steps or (PORT_HALVING_STEPS if follows_code else 0)


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""

    def adam(factor):
        rate = factor * settings.learning_rate
        if steps := _halving_steps(settings, options):
            rate = optimizers.Halving(rate, steps, factor * options.learning_rate_floor)
        return optimizers.Adam(rate, epsilon=EPSILON)

    return adam(options.d_rate), adam(1.0)


PAPER = Paper(
    name="began",
    options=BEGANOptions,
    losses=LOSSES,
    experiments=EXPERIMENTS,
    network_of=lambda dataset: "authors",
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    dataset="printed_digits",
)
