"""Improved Techniques for Training GANs. Salimans, Goodfellow, Zaremba, Cheung, Radford,
Chen, 2016. https://arxiv.org/abs/1606.03498

The discriminator classifies data into K classes, and samples into one more. It learns from
few labels and many unlabelled data if the generator matches its features.

    symbol          here                                    paper
    l_1 ... l_K     discriminator(x); l_{K+1} is 0          Sec. 5
    Z(x)            exp(score(l)), score = logsumexp        Sec. 5
    D(x)            Z / (Z + 1) = sigmoid(score)            Sec. 5
    L_supervised    softmax cross entropy over l_1 ... l_K  Sec. 5
    L_unsupervised  losses.py, with score as the logit      Sec. 5
    f(x)            the layer named "features" of D         Sec. 3.1

The techniques are in layers/, losses.py and models/averaging.py. The authors' code is
openai/improved-gan, on Theano. A file without a repository is from its mnist_svhn_cifar10/.

Differs: IMPROVED-1 | weight of L_unsupervised | 1 | 1/2 | --fidelity | the two sources
    conflict.
Differs: IMPROVED-2 | feature matching | squared distance | its mean over the features
    (MNIST), mean absolute difference (CIFAR-10, SVHN) | --fidelity, --feature_matching |
    a sum of 250 squares, or with --fidelity=code as the code. The factor matters: the
    code's Adam adds 1e-8 inside the root, which acts like an epsilon of 1e-4, and with the
    mean the gradients of G's hidden layers are of this size.
Differs: IMPROVED-3 | networks for MNIST | five hidden layers in each | five in D, two in G
    | none | as the code: only it gives the widths.
Differs: IMPROVED-4 | noise in D | on the output of each layer | std .3 on the image, .5
    after each hidden layer | none | as the code.
Differs: IMPROVED-5 | weights for testing | not mentioned | moving average that starts at
    zero, with rate 1e-4 per step | --average, --average_rate | as the code;
    --average=corrected removes the influence of the initial zeros, which runs much shorter
    than the code's 180,000 steps need.
Differs: IMPROVED-6 | weight normalization | not mentioned | gains initialized by a pass of
    500 images, then fixed, except in the last layer | none | as the code.
Differs: IMPROVED-7 | statistics when sampling | not stated | those of the batch of samples
    | none | moving averages with decay .9 (nn.py, where they are never updated): a sample
    must not depend on the others of its batch.
Differs: IMPROVED-8 | labelled examples | chosen at random, balanced | by NumPy's
    permutation of --seed_data | --label_seed | another permutation: the subsets are not
    those of the code, but have the same distribution.
Differs: IMPROVED-9 | G's loss without feature matching | not stated | log(1 - D), the
    saturating loss | --feature_matching=none --loss | that of the code by default.
Differs: IMPROVED-10 | network for SVHN | as for CIFAR-10 | two thirds of its channels |
    --network=cifar10 --dataset=svhn_cropped | as the code.
Differs: IMPROVED-11 | training on CIFAR-10, SVHN | not stated | learning rate constant,
    then linear decay to zero, updated each epoch. On 10 June 2016, the date of the paper:
    with feature matching constant for 1,001 epochs (SVHN 501), and an average that starts
    at D's weights, rate .001; with minibatch discrimination 500 epochs, the last 200 with
    decay, no average; slope .1 in D | --decay_epochs | as since 14 June 2016, updated each
    step.
Differs: IMPROVED-12 | minibatch discrimination | for samples that look good | CIFAR-10,
    SVHN: noise .2 instead of dropout at D's input, three updates of G for one of D. MNIST,
    8 to 12 June 2016 (train_mnist_minibatch.py): convolutional networks like those of
    CIFAR-10, noise .2, 400 labels per class, three updates of G, saturating loss, learning
    rate 3e-4, 500 epochs; as published it cannot run, because its last deconvolution has
    stride 2 and maps 16x16 to 28x28 | --network=minibatch, --minibatch_kernels | CIFAR-10
    and SVHN as the code; on MNIST, --minibatch_kernels adds the layer to the dense network
    of feature matching.
Differs: IMPROVED-13 | Table 3 | VBN, label smoothing, historical averaging on CIFAR-10;
    number of labels not stated | none of the three | flags/improved_gan_table3_*.flags |
    --network=minibatch with them; target .9 (Sec. 3.4); ours are a reference batch of 100
    images, and 4,000 labels as in Table 2.
Differs: IMPROVED-14 | D without labels (Table 3) | not stated | none | --labels=0 | one
    class, "data"; only L_unsupervised, with weight 1, and no average.
Differs: IMPROVED-15 | averaged D | not mentioned | moves towards the weights before the
    update, because Theano's updates read old values (train_*.py: disc_avg_updates) | none |
    moves towards those after it: the code's average one step later, without the share
    of the initial weights.
Differs: IMPROVED-16 | data for G's step without labels | not stated | none | none | the
    batch that D has just seen, as BORROWED-1; only --feature_matching uses it, and Table 3
    has none.
Differs: IMPROVED-17 | learning rate on MNIST | not stated | before 14 June 2016 .001 for
    200 epochs, then linear decay to zero in 100, no average, and gain and bias of G's last
    layer initialized by a batch of samples; since then .003 | --learning_rate,
    --decay_epochs, --average | .003, published together with the average; G's last layer
    as in the code since then.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import losses, noise, optimizers
from tfgan_papers.errors import UsageError
from tfgan_papers.losses import LeastSquaresOptions
from tfgan_papers.models import averaging, checks, critics, surgery
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.options import option
from tfgan_papers.papers import borrowed
from tfgan_papers.papers import improved_gan_data as data
from tfgan_papers.papers import improved_gan_imagenet as imagenet
from tfgan_papers.papers.borrowed import BorrowedOptions
from tfgan_papers.papers.contract import Paper, warn_of_no_effect, warn_of_zero_rate
from tfgan_papers.papers.improved_gan_experiments import (
    EXPERIMENTS,
    dataset_defaults,
    network_of,
)

PRIOR = "uniform_01"  # train_*.py: theano_rng.uniform
BETA_1 = 0.5  # train_mnist_feature_matching.py: mom1
EPSILON = 1e-8  # nn.py: adam_updates, inside the root
AVERAGE_RATE = 1e-4  # train_mnist_feature_matching.py: disc_avg_updates
LOSSES = {
    "minimax": losses.LOSSES["minimax"],
    **losses.LOSSES,
    "equilibrium": losses.equilibrium,
}


# The model.


def score(logits):
    """log Z(x), the logit of D(x), with l_{K+1} fixed at zero.

    Logits (batch, K) to (batch, 1).
    """
    return ops.logsumexp(logits, -1, keepdims=True)


def supervised(logits, labels):
    """-log p(y | x, y <= K), at least 0.

    Logits (batch, K) and labels (batch,), 0 to K - 1, to (batch, 1).
    """
    of_label = ops.take_along_axis(logits, ops.cast(labels, "int32")[:, None], -1)
    return score(logits) - of_label


@keras.saving.register_keras_serializable("tfgan_papers")
class ImprovedGAN(AdversarialModel):
    """Improved GAN (2016) for semi-supervised learning (Sec. 5).

    A step updates D on labelled, unlabelled and generated images, and then G on other
    unlabelled images. `fit` takes ((labelled, unlabelled, unlabelled for G), labels), with
    images (batch, height, width, channels) and labels (batch,).

    Example:

        z, x = keras.Input((16,)), keras.Input((8, 8, 1))
        image = layers.Reshape((8, 8, 1))(layers.Dense(64, "sigmoid")(z))
        h = layers.Dense(32, "relu", name="features")(layers.Flatten()(x))
        gan = ImprovedGAN(keras.Model(z, image), keras.Model(x, layers.Dense(10)(h)))
        gan.compile("adam", "adam")
        images = keras.random.uniform((64, 8, 8, 1))
        labels = keras.random.randint((64,), 0, 10)
        batches = (images, images, images), labels  # labelled, unlabelled, for G
        history = gan.fit(*batches, batch_size=16, verbose=0)  # has "train_error"
        samples = gan(keras.random.uniform((10, 16)))  # (10, 8, 8, 1)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images.
        discriminator: functional model, images -> logits (batch, K), with a layer named
            "features".
        loss: name of a loss of cross entropy in `losses.LOSSES`, or an `AdversarialLoss`:
            D's loss, and G's loss if `matching` is None. Default: "minimax".
        matching: name in `losses.MATCHING`, or a function in it: (real features, fake
            features) -> G's loss; or None. Default: "squared".
        unsupervised_weight: float, at least 0, the weight of D's loss without labels
            (IMPROVED-1). Default: 1.0.
        g_steps: int, at least 1, the number of updates of G for each of D, each with new
            samples. Default: 1.
        average_rate: float, 0 to 1, the rate of the moving average of D. Default:
            0.0001.
        corrected: bool, removes the influence of the zeros at which the average starts
            (IMPROVED-5). Default: False.
        prior: the distribution of the latents, see `noise.PRIORS`. Default: "uniform_01".
        **kwargs: see `AdversarialModel`.

    Raises:
        ValueError: g_steps is out of range, `matching` is unknown, D ends in a softmax or
            a sigmoid, or `matching` is given and D has no layer "features".
    """

    scalars = ("d_loss", "g_loss", "d_real", "d_fake", "train_error")

    def __init__(
        self,
        generator,
        discriminator,
        loss=losses.LOSSES["minimax"],
        matching=losses.feature_matching,
        unsupervised_weight=1.0,
        g_steps=1,
        average_rate=AVERAGE_RATE,
        corrected=False,
        prior="uniform_01",
        **kwargs,
    ):
        super().__init__(generator, discriminator, prior=prior, **kwargs)
        _check_steps(g_steps)
        self.loss_terms = losses.get(loss)
        checks.check_logits(discriminator)
        self.matching = losses.named(losses.MATCHING, matching)
        self.unsupervised_weight, self.g_steps = unsupervised_weight, g_steps
        self.average_rate, self.corrected = average_rate, corrected
        self.apart = surgery.mixes_examples(discriminator)
        if self.matching is not None:
            features = discriminator.get_layer("features").output
            self.features = surgery.part_of(discriminator, features)
        self.averaged = keras.models.clone_model(self.discriminator)
        for weight in self.averaged.trainable_weights:
            weight.assign(ops.zeros(weight.shape))

    def train_step(self, data):
        (labelled, unlabelled, others), labels, noise = self.start_step(data)
        scalars, gradients = self.run_compiled(
            self.d_gradients, noise, labelled, labels, unlabelled
        )
        self.average(moved=self.apply_gradients("discriminator", gradients))
        for _ in range(self.g_steps):
            scalars["g_loss"], gradients = self.run_compiled(
                self.g_gradients, noise, others
            )
            self.apply_gradients("generator", gradients)
        return self.report(**scalars)

    def d_gradients(self, labelled, labels, unlabelled):
        """D's scalars and gradients, with G fixed."""
        fake = self.generator(self.prior(unlabelled), training=True)
        terms, weight = self.loss_terms, self.unsupervised_weight
        with tf.GradientTape() as tape:
            logits, of_real, of_fake = self.logits(labelled, unlabelled, fake)
            real_scores, fake_scores = score(of_real), score(of_fake)
            d_loss = ops.mean(supervised(logits, labels)) + weight * (
                ops.mean(terms.real(real_scores)) + ops.mean(terms.fake(fake_scores))
            )
        wrong = ops.argmax(logits, -1) != ops.cast(labels, "int32")
        scalars = {
            "d_loss": d_loss,
            "d_real": ops.mean(terms.to_probability(real_scores)),
            "d_fake": ops.mean(terms.to_probability(fake_scores)),
            "train_error": ops.mean(ops.cast(wrong, "float32")),
        }
        return scalars, tape.gradient(d_loss, self.discriminator.trainable_variables)

    def logits(self, *batches):
        """D's logits (batch, K) for each batch.

        D takes all batches in one pass, unless it compares the examples of a batch. In that
        pass the i-th examples of all batches are adjacent, so that the rows of a replica
        get the same noise as on one device.
        """
        if self.apart:
            return [self.discriminator(batch, training=True) for batch in batches]
        n, shape = len(batches), batches[0].shape[1:]
        together = ops.reshape(ops.stack(batches, 1), (-1, *shape))
        logits = self.discriminator(together, training=True)
        return ops.unstack(ops.reshape(logits, (-1, n, logits.shape[-1])), n, 1)

    def g_gradients(self, real):
        """G's loss and gradients, with D fixed."""
        z = self.prior(real)
        of_real = None if self.matching is None else self.features(real, training=True)
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True)
            if self.matching is None:
                scores = score(self.discriminator(fake, training=True))
                g_loss = ops.mean(self.loss_terms.generator(scores))
            else:
                g_loss = self.matching(of_real, self.features(fake, training=True))
        return g_loss, tape.gradient(g_loss, self.generator.trainable_variables)

    def get_config(self):
        return {
            **super().get_config(),
            "loss": losses.config_of(self.loss_terms),
            "matching": losses.name_of(losses.MATCHING, self.matching),
            "unsupervised_weight": self.unsupervised_weight,
            "g_steps": self.g_steps,
            "average_rate": self.average_rate,
            "corrected": self.corrected,
        }

    def held_out_scalars(self, images, labels):
        """The error rate of the averaged D on labelled images, and the mean D(x) of images
        and of samples."""
        fake = self.generator(self.prior(images), training=False)
        terms = self.loss_terms
        d_real, d_fake = (
            ops.mean(terms.to_probability(score(self.discriminator(x, training=False))))
            for x in (images, fake)
        )
        logits = self.averaged(images, training=False)
        wrong = ops.argmax(logits, -1) != ops.cast(labels, "int32")
        error = ops.mean(ops.cast(wrong, "float32"))
        return {"d_real": d_real, "d_fake": d_fake, "train_error": error}

    def average(self, moved=True):
        """Updates the moving average of D, if D has moved."""
        rate = self.average_rate
        if self.corrected:
            accumulated = self.d_optimizer.gradient_accumulation_steps or 1
            moves = self.step.value // accumulated + 1
            rate = averaging.debiased_rate(rate, moves)
        averaging.ema_update(self.averaged, self.discriminator, rate, moved)

    def checkpointed(self):
        return {**super().checkpointed(), "averaged": self.averaged}

    def critic_output(self, images, labels=None):
        """D(x), 0 to 1, (batch, 1)."""
        return ops.sigmoid(super().critic_output(images, labels))

    def score_of(self, output):
        return score(output)

    @property
    def classifier(self):
        """The averaged D: images -> logits (batch, K)."""
        return self.averaged


@keras.saving.register_keras_serializable("tfgan_papers")
class UnlabelledGAN(critics.ScalarCriticModel):
    """Improved GAN (2016) without labels (IMPROVED-14).

    D has one logit (K = 1), which is the score. G's update uses the data that D has just
    seen.

    Args:
        generator: functional model, latents (batch, latent_dim) -> images.
        discriminator: functional model, images -> logits (batch, 1).
        g_steps: int, at least 1, the number of updates of G for each of D.
        **kwargs: see `ScalarCriticModel`.

    Raises:
        ValueError: g_steps is out of range.
    """

    def __init__(self, generator, discriminator, g_steps=1, **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        _check_steps(g_steps)
        self.g_steps = g_steps

    def get_config(self):
        return {**super().get_config(), "g_steps": self.g_steps}

    def train_step(self, data):
        images, _, noise = self.start_step(data)
        scalars, gradients = self.run_compiled(self.d_gradients, noise, images, None)
        self.apply_gradients("discriminator", gradients)
        for _ in range(self.g_steps):
            g_loss, gradients = self.run_compiled(self.g_gradients, noise, images, None)
            self.apply_gradients("generator", gradients)
        return self.report(**scalars, g_loss=g_loss)


def _check_steps(g_steps):
    if g_steps < 1:
        raise ValueError(f"g_steps is {g_steps}: it is at least 1")


@dataclasses.dataclass(frozen=True)
class ImprovedGANOptions(BorrowedOptions, LeastSquaresOptions):
    """Options of the model `improved_gan`."""

    labels: int | None = option(
        None,
        "Labelled examples, the same number of each class; 0 trains without labels. By "
        "default what the authors use; --network=imagenet uses all labels.",
        low=0,
    )
    label_seed: int = option(1, "Seed of the choice of labelled examples.", low=0)
    g_steps: int = option(
        1, "Steps of G for each step of D.", low=1, high=noise.MOST_UPDATES
    )
    decay_epochs: int = option(
        0,
        "The learning rate is constant for twice this number of epochs and then falls "
        "linearly to zero within this number; 0: it is constant.",
        low=0,
    )
    average: str = option(
        "zero",
        "Average of D's weights for testing: started at zero as in the authors' code, "
        "corrected for that start, or none, which tests the weights themselves.",
        choices=("zero", "corrected", "none"),
    )
    average_rate: float = option(
        AVERAGE_RATE,
        "Rate of the average of D's weights, per step.",
        low=1e-9,
        high=0.999,
    )


def create(settings, options, experiment, draw):
    """Creates an ImprovedGAN, UnlabelledGAN or ImageNetGAN, not compiled.

    Args:
        settings: `contract.Settings`.

    Raises:
        UsageError: the data have no labels, the loss needs a D without labels, or
            --labels is given to networks that take all.
        ValueError: the data are points.
    """
    every = experiment.networks is imagenet.networks
    if every and options.labels is not None:
        raise UsageError("--network=imagenet takes all the labels: leave out --labels")
    if not every and options.labels is None:  # imagenet2012 with networks of other sets
        raise UsageError(
            f"--labels has no default for --dataset={settings.dataset} with these "
            "networks: give a number, or 0 to train without labels"
        )
    if every:
        unused = ("g_steps", "decay_epochs", *OF_LABELS)
        _warn_of(unused, settings, options, "--network=imagenet")
    elif not options.labels:
        _warn_of(OF_LABELS, settings, options, "--labels=0")
    elif options.average == "none":
        _warn_of(("average_rate",), settings, options, "--average=none")
    if (every or options.labels) and not settings.classes:
        raise UsageError(
            f"--model=improved_gan learns from labels, and --dataset={settings.dataset} "
            f"has none{'' if every else ': --labels=0 does without'}"
        )
    if len(settings.shape) != 3:
        raise ValueError("these networks are for images")
    of_code = settings.fidelity == "code"
    classes = settings.classes if every or options.labels else 1
    if settings.loss is losses.equilibrium:
        loss = losses.equilibrium(options.label_smoothing)
        settings = settings._replace(loss=loss)
    if classes > 1 and settings.loss.real is not losses.real_cross_entropy:
        raise UsageError(
            "--loss=least_squares needs a D that gives one score: add --labels=0, and do "
            "not use --network=imagenet"
        )
    given, matching = settings.loss, experiment.matching
    matching = matching if of_code or matching == "none" else "squared"
    prior = "uniform" if every else PRIOR
    *pair, arguments = borrowed.apply_techniques(
        *experiment.networks(settings.shape, classes, draw),
        *(settings, options, draw, prior, matching),
    )
    arguments |= {"prior": prior, "seed": settings.seed}
    if classes > 1 and arguments["matching"] and given is not next(iter(LOSSES.values())):
        warn_of_no_effect("loss", "feature matching, which is what G minimizes")
    if every:
        return imagenet.ImageNetGAN(*pair, **arguments)
    if not options.labels:
        return UnlabelledGAN(*pair, g_steps=options.g_steps, **arguments)
    return ImprovedGAN(
        *pair,
        unsupervised_weight=0.5 if of_code else 1.0,
        g_steps=options.g_steps,
        average_rate=1.0 if options.average == "none" else options.average_rate,
        corrected=options.average == "corrected",
        **arguments,
    )


OF_LABELS = ("label_seed", "average", "average_rate")  # options of chosen labels


def _warn_of(names, settings, options, beside):
    """Warns of the options `names`, which have no effect, if they are not the defaults."""
    network = settings.network or network_of(settings.dataset)
    special = dataset_defaults(settings.dataset, network, settings.fidelity)
    for field in dataclasses.fields(options):
        default = special.get(field.name, field.default)
        if field.name in names and getattr(options, field.name) not in (default, "none"):
            warn_of_no_effect(field.name, beside)


def make_optimizers(settings, options, experiment):
    """Optimizers of D and G."""
    if experiment.networks is imagenet.networks:
        rate = settings.learning_rate
        return tuple(map(imagenet.adam, (rate, rate)))
    return tuple(adam(settings, options, steps) for steps in (1, options.g_steps))


def adam(settings, options, updates_per_step):
    """The authors' Adam; a training step updates the network `updates_per_step` times."""
    rate = settings.learning_rate
    if options.decay_epochs:
        epochs = settings.steps_per_epoch * options.decay_epochs
        if settings.steps > 3 * epochs:
            warn_of_zero_rate(3 * epochs, settings.steps)
        falling = updates_per_step * epochs
        rate = optimizers.ToZero(rate, 2 * falling, falling)
    return optimizers.RootAdam(rate, beta_1=BETA_1, epsilon=EPSILON)


PAPER = Paper(
    name="improved_gan",
    options=ImprovedGANOptions,
    losses=LOSSES,
    experiments=EXPERIMENTS,
    network_of=network_of,
    create=create,
    optimizers=make_optimizers,
    dataset_defaults=dataset_defaults,
    initialize=data.initialize,
    batches=data.batches,
    batch_dependent="feature matching and batch normalization see each replica's share",
)
