"""Generative Adversarial Networks. Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley,
Ozair, Courville, Bengio, 2014. https://arxiv.org/abs/1406.2661

The discriminator D learns to distinguish data from samples. The generator G learns, through
D's gradients, to generate samples that D classifies as data.

    symbol          here                        paper
    G(z)            generator(z)                Sec. 3
    D(x)            sigmoid(discriminator(x))   Sec. 3; the network outputs the logit
    p_z(z)          prior_name                  Sec. 3
    V(D, G)         losses.py                   Eq. 1
    k               k                           Algorithm 1

The authors' code is goodfeli/adversarial, on Pylearn2. A file without a repository is from
there. Numbers that the paper does not give are from this code, with the name of the file.

Differs: GAN-1 | update order | k updates of D, then one of G on a fresh minibatch of
    latents (Algorithm 1) | both gradients from one batch, with the same samples and
    dropout masks, and both networks updated at once | --fidelity | the two sources
    conflict; `paper` is the default.
Differs: GAN-2 | scale of D's loss | sum of the two terms of V | their mean, so that G's
    gradient has twice the weight at the same learning rate | --fidelity | as GAN-1.
Differs: GAN-3 | G's loss | minimax in Algorithm 1, -log D(G(z)) as a remark in Sec. 3 |
    only -log D(G(z)) | --loss=non_saturating (default) or minimax | the gradient of the
    minimax loss vanishes early in training, as the paper remarks.
Differs: GAN-4 | latents | distribution not stated | U(-sqrt 3, sqrt 3) for MNIST, N(0, 1)
    for TFD and CIFAR-10, 100 dimensions each | --prior | as the code, because the paper
    does not say.
Differs: GAN-5 | TFD generator | one generator | two stages: 50 epochs, then two new layers
    in front of the whole generator and 22 more epochs | --network=tfd_pretrain, then
    --network=tfd --init_from | as the code, because the paper does not say.
Differs: GAN-6 | CIFAR-10 generator | rectifier and sigmoid activations | linear output,
    on images contrast-normalized to norm 55 | none | as the code: the data need this range.
Differs: GAN-7 | random numbers of a run | not stated | Theano's streams | --seed | random
    numbers cannot be reproduced across libraries, only their distributions. N(0, 1) has
    65,536 values of equal probability, up to 4.325, and dropout keeps 52429/65536 for .8.
Differs: GAN-8 | pooling in the convolutional D | not stated | windows may extend beyond the
    edge, where they contain fewer pixels | none | as the code, by padding with -inf.
Differs: GAN-9 | inference network | may be trained after G (Sec. 7) | trained beside the
    pair, for z or for a hidden layer of G | --mode=infer | for z, after G: no gradient
    reaches G in either case.
Differs: GAN-10 | inpainting | a model of x_S given the rest (Sec. 7) | the right half of
    CIFAR-10's images | --mode=inpaint --part | any half, or the centre; dense networks as
    of mnist.yaml and Adam, which suit any images.
Differs: GAN-11 | class-conditional networks | the class is an input of both (Sec. 7) |
    there are none | --network=conditional | one-hot labels beside z and beside the image in
    the networks of mnist.yaml, because the paper gives no networks.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import files, losses, noise
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.losses import LeastSquaresOptions
from tfgan_papers.models import critics
from tfgan_papers.optimizers import HeavyBall
from tfgan_papers.options import option
from tfgan_papers.papers import borrowed
from tfgan_papers.papers import gan_networks as networks
from tfgan_papers.papers.borrowed import BorrowedOptions
from tfgan_papers.papers.contract import Paper, needed_classes

# The model.


@keras.saving.register_keras_serializable("tfgan_papers")
class GAN(critics.ScalarCriticModel):
    """GAN (2014): Algorithm 1, or the simultaneous update of the authors' code (GAN-1,
    GAN-2).

    Example:

        z, x = keras.Input((16,)), keras.Input((64,))
        generator = keras.Model(z, layers.Dense(64, "sigmoid")(z))
        discriminator = keras.Model(x, layers.Dense(1)(layers.Dense(32, "relu")(x)))
        gan = GAN(generator, discriminator, prior="normal")
        gan.compile("adam", "adam")
        points = keras.random.uniform((256, 64))
        history = gan.fit(points, batch_size=32, epochs=2, verbose=0)
        samples = gan(keras.random.normal((10, 16)))  # (10, 64)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points; with
            classes, [latents, labels] -> images.
        discriminator: functional model, images or points -> logits (batch, 1); with
            classes, from [images, labels].
        k: int, 1 to 254, the number of updates of D before each update of G. A batch
            contains k minibatches. Default: 1.
        simultaneous: bool, updates both networks at once, as the authors' code does; k must
            be 1. Default: False.
        **kwargs: see `ScalarCriticModel`.

    Raises:
        ValueError: k is not in 1 to 254, or more than 1 in a simultaneous update.
    """

    conditional = True

    def __init__(self, generator, discriminator, k=1, simultaneous=False, **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        if not 1 <= k <= noise.MOST_UPDATES or (simultaneous and k > 1):
            raise ValueError(
                f"k is {k}: it is 1 to {noise.MOST_UPDATES}, and 1 if simultaneous"
            )
        self.k, self.simultaneous = k, simultaneous

    def get_config(self):
        return {**super().get_config(), "k": self.k, "simultaneous": self.simultaneous}

    def train_step(self, data):
        images, labels, noise = self.start_step(data)
        if self.simultaneous:
            return self.report(**self.update_both(noise, images, labels))
        for i in range(self.k):
            # Every k-th example, which does not depend on the number of replicas. If the
            # last batch of an epoch has fewer than k, some are in several minibatches.
            rows = slice(i % ops.shape(images)[0], None, self.k)
            minibatch = images[rows], None if labels is None else labels[rows]
            scalars, d_gradients = self.run_compiled(self.d_gradients, noise, *minibatch)
            self.apply_gradients("discriminator", d_gradients)
        g_loss, g_gradients = self.run_compiled(self.g_gradients, noise, *minibatch)
        self.apply_gradients("generator", g_gradients)
        return self.report(**scalars, g_loss=g_loss)

    def discriminator_loss(self, real, fake, labels, training=True):
        """-V(D, G) on a batch, or half of it in a simultaneous update (GAN-2)."""
        found = super().discriminator_loss(real, fake, labels, training)
        d_loss, outputs, fake_scores = found
        return d_loss / 2.0 if self.simultaneous else d_loss, outputs, fake_scores


# The experiments, by the name of their networks.


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
        networks: (shape, mean image, Draw) -> (generator, discriminator). Those of the
            experiment `conditional` also take the number of classes.
        prior: name in `noise.PRIORS` of the distribution of z.
        defaults: option values by name.
    """

    networks: Callable
    prior: str
    defaults: dict[str, object]


def _defaults(learning_rate, batch_size, value_range, splits=()):
    names = ("train_split", "validation_split", "test_split")
    return {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "value_range": value_range,
        **dict(zip(names, splits, strict=False)),
    }


HELD_OUT = ("train[:50000]", "train[50000:]")  # mnist.yaml: start, stop; DATA-2
CIFAR10_HELD_OUT = ("train[:40000]", "train[40000:]")  # cifar10_*.yaml
TFD_SPLITS = ("unlabeled", "valid")  # tfd_pretrain/*.yaml: which_set

POINT_SPLITS = ("train[:90%]", "", "train[90%:]")  # ours

EXPERIMENTS = {  # learning rates and batch sizes: each yaml's algorithm section
    "mnist": Experiment(  # mnist.yaml
        networks.mnist_networks, "uniform_sqrt3", _defaults(0.1, 100, "unit", HELD_OUT)
    ),
    "tfd_pretrain": Experiment(  # tfd_pretrain/pretrain.yaml
        networks.tfd_networks, "normal", _defaults(0.05, 100, "unit", TFD_SPLITS)
    ),
    "tfd": Experiment(  # tfd_pretrain/train.yaml
        networks.tfd_stacked_networks, "normal", _defaults(0.05, 100, "unit", TFD_SPLITS)
    ),
    "cifar10": Experiment(  # cifar10_fully_connected.yaml
        networks.cifar10_dense_networks,
        "normal",
        _defaults(0.025, 100, "norm55", CIFAR10_HELD_OUT),
    ),
    "cifar10_convolutional": Experiment(  # cifar10_convolutional.yaml
        networks.cifar10_conv_networks,
        "normal",
        _defaults(0.004, 128, "norm55", CIFAR10_HELD_OUT),
    ),
    "points": Experiment(  # ours: the paper gives no numbers for Fig. 1
        networks.point_networks, "uniform", _defaults(0.05, 512, "raw", POINT_SPLITS)
    ),
    "conditional": Experiment(  # mnist.yaml with classes (Sec. 7, item 1)
        networks.mnist_networks, "uniform_sqrt3", _defaults(0.1, 100, "unit")
    ),
    "images": Experiment(  # mnist.yaml for any other images
        networks.mnist_networks, "uniform_sqrt3", _defaults(0.1, 100, "unit")
    ),
}
NETWORK_OF_DATASET = {
    "mnist": "mnist",
    "fashion_mnist": "mnist",
    "tfd": "tfd_pretrain",
    "cifar10": "cifar10",
    "gaussian": "points",
    "ring": "points",
}


@dataclasses.dataclass(frozen=True)
class GANOptions(BorrowedOptions, LeastSquaresOptions):
    """Options of the model `gan`."""

    k: int = option(
        1,
        "Steps of D before each step of G (Algorithm 1).",
        low=1,
        high=noise.MOST_UPDATES,
    )
    prior: str | None = option(
        None,
        "Distribution of z. By default that of the authors' experiment.",
        choices=tuple(noise.PRIORS),
    )
    init_from: str | None = option(
        None,
        "Run folder of --network=tfd_pretrain whose generator --network=tfd continues.",
    )


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    return {"steps": 5000, "report_steps": 500} if dataset == "digits" else {}


def create(settings, options, experiment, draw):
    """Creates the model, not compiled; `settings` is a `contract.Settings`.

    Raises:
        UsageError: k is more than 1 with the authors' update, or the data have no classes.
    """
    prior = options.prior or experiment.prior
    conditional = settings.network == "conditional"
    classes = (needed_classes(settings, "gan"),) if conditional else ()
    generator, discriminator, arguments = borrowed.apply_techniques(
        *experiment.networks(settings.shape, settings.mean, draw, *classes),
        *(settings, options, draw, prior),
    )
    simultaneous = settings.fidelity == "code"
    if simultaneous and options.k > 1:
        raise UsageError("--k > 1 goes with --fidelity=paper: the authors' code has k = 1")
    return GAN(
        generator,
        discriminator,
        k=options.k,
        simultaneous=simultaneous,
        prior=prior,
        seed=settings.seed,
        classes=sum(classes),
        **arguments,
    )


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G. D makes k updates for each update of G."""
    rate, steps = settings.learning_rate, max(1, settings.steps_per_epoch // options.k)
    return HeavyBall(rate, steps * options.k), HeavyBall(rate, steps)


def initialize(model, examples, settings, options, value_range):
    """Calls `borrowed.initialize`. On TFD the second stage loads the first generator.

    Raises:
        UsageError: --init_from is missing, or given for other networks.
        UserError: --init_from has no checkpoint of these networks.
    """
    stacked = any(layer.name == "pretrained" for layer in model.generator.layers)
    if stacked != bool(options.init_from):
        raise UsageError("--network=tfd needs --init_from, and no other network takes it")
    borrowed.initialize(model, examples, settings, options, value_range)
    if not stacked:
        return
    folder = pathlib.Path(options.init_from).expanduser() / "checkpoints" / "last"
    indices = sorted(folder.glob("step-*.index"))
    if not indices:
        raise UserError(f"--init_from: there is no checkpoint in {folder}")
    pretrained = tf.train.Checkpoint(generator=model.generator.get_layer("pretrained"))
    try:
        with files.without_wildcards(folder) as plain:
            status = pretrained.read(str(plain / indices[-1].stem))
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise UserError(
            f"--init_from: {indices[-1]} does not hold a generator of tfd_pretrain"
        ) from error


PAPER = Paper(
    name="gan",
    options=GANOptions,
    losses=losses.LOSSES,
    experiments=EXPERIMENTS,
    network_of=lambda dataset: NETWORK_OF_DATASET.get(dataset, "images"),
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    initialize=initialize,
    minibatches_per_step=lambda options: options.k,
)
