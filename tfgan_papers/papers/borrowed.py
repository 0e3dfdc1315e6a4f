"""The techniques of Improved GAN (2016) as options of every paper whose discriminator gives
one score per example.

Differs: BORROWED-1 | data that features are matched with | not stated | a batch of G's own
    (train_mnist_feature_matching.py) | none | here, but for --model=improved_gan with
    labels, the batch that D has just seen: those papers' steps read no second one.
Differs: BORROWED-2 | statistics over several replicas | one GPU | those of each GPU
    (imagenet/build_model.py) | none | as the code: matched means and minibatch features are
    of a replica's share of the batch.
Differs: BORROWED-3 | historical averaging | a term of each player's cost | none | its
    weight | the paper names no weight; 1 is its formula.
Differs: BORROWED-4 | first pass of minibatch features | not mentioned | 500 images
    (train_cifar_minibatch_discrimination.py: init_param) | none | here, but for
    --model=improved_gan, as many as are compared in training: the features, sums over
    the others, then begin at a mean of 0.
"""

import dataclasses

import tensorflow as tf

from tfgan_papers import layers, losses, noise
from tfgan_papers.errors import UsageError
from tfgan_papers.models import surgery
from tfgan_papers.options import Options, option

BEFORE_INITIALIZATION = -2  # the "step" whose noise the reference batch is
INITIALIZATION = -1  # that of the first pass
SEEDS_APART = 2**32  # of the order of its images, and that of training


@dataclasses.dataclass(frozen=True)
class BorrowedOptions(Options):
    """Techniques of Improved GAN (2016). The default of each leaves it out."""

    feature_matching: str | None = option(
        None,
        "What G minimizes in place of --loss: the squared distance between D's mean "
        "features of data and of samples, its mean over the features, or their mean "
        "absolute difference. By default none; for improved_gan squared, or with "
        "--fidelity=code what the authors use.",
        choices=tuple(losses.MATCHING),
    )
    minibatch_kernels: int = option(
        0, "Kernels of minibatch discrimination before D's last layer; 0: none.", low=0
    )
    minibatch_kernel_size: int = option(
        5, "Dimensions in which each kernel compares.", low=1
    )
    historical_averaging: float = option(
        0.0,
        "Weight of the squared distance between each player's weights and their mean so "
        "far, which is added to its loss; 0: none.",
        low=0.0,
    )
    label_smoothing: float = option(
        0.0,
        "D's target for data is 1 minus this value; the target for samples stays 0.",
        low=0.0,
        high=0.5,
    )
    reference_batch: int = option(
        0,
        "Size of the reference batch of virtual batch normalization, which then replaces "
        "G's batch normalization; 0: none.",
        low=0,
    )


def apply_techniques(
    generator, discriminator, settings, options, draw, prior="uniform", matching="none"
):
    """The networks with the techniques that the options ask for, and further arguments of
    their model: (generator, discriminator, dict).

    Args:
        settings: `contract.Settings`.
        options: `BorrowedOptions`.
        draw: `initializers.Draw`, of further weights.
        prior: distribution of the latents.
        matching: name in `losses.MATCHING` where the user names none.

    Raises:
        UsageError: a technique that these networks, or this batch, cannot take.
    """
    arguments = {"loss": settings.loss, "history": options.historical_averaging}
    if options.label_smoothing:
        target = 1.0 - options.label_smoothing
        arguments["loss"] = losses.one_sided(settings.loss, target)
    matching = options.feature_matching or matching
    arguments["matching"] = losses.MATCHING[matching]
    named = any(layer.name == "features" for layer in discriminator.layers)
    if arguments["matching"] and not named:
        network = f"--network={settings.network} " if settings.network else ""
        raise UsageError(
            f"--feature_matching={matching}: D {network}on --dataset={settings.dataset} "
            "has no layer named features"
        )
    if options.minibatch_kernels:
        discriminator = _compared(discriminator, settings, options, draw)
    if options.reference_batch:
        generator = _by_reference(generator, settings, options, draw, prior)
    return generator, discriminator, arguments


def initialize(model, examples, settings, options, value_range):
    """What precedes step 1 where D has minibatch features: they are initialized (nn.py:
    MinibatchLayer, init) by as many images as they compare in training; otherwise their
    sum over a batch drowns what else D's last layer sees."""
    if not options.minibatch_kernels:
        return
    rows = settings.batch_size // model.replicas
    labels, seed = model.classes > 0, model.seed - SEEDS_APART
    batch = next(iter(examples.stream(rows, seed, value_range, labels=labels)))
    inputs = list(batch) if labels else batch
    with noise.use(noise.Stream.of_step(model.seed, tf.constant(INITIALIZATION), 0)):
        surgery.initialize(model.discriminator, inputs)


def _compared(discriminator, settings, options, draw):
    share = settings.batch_size // tf.distribute.get_strategy().num_replicas_in_sync
    if share < 2:
        raise UsageError(
            "--minibatch_kernels compares the examples of a batch, and each device has "
            f"{share}: raise --batch_size"
        )
    try:
        return surgery.with_minibatch_discrimination(
            discriminator,
            options.minibatch_kernels,
            options.minibatch_kernel_size,
            draw.normal(0.05),
        )  # nn.py: theta
    except ValueError as error:
        raise UsageError(f"--minibatch_kernels: {error}") from error


def _by_reference(generator, settings, options, draw, prior):
    if options.reference_batch < 2:
        raise UsageError("--reference_batch=1 has no variance: name 2 or more")
    stream = noise.Stream.of_step(settings.seed, tf.constant(BEFORE_INITIALIZATION), 0)
    shape = (options.reference_batch, *generator.inputs[0].shape[1:])
    gains = draw.normal(layers.REFERENCE_GAIN_STD, 1.0)
    try:
        return surgery.with_virtual_batch_normalization(
            generator, stream.latents(prior, shape).numpy(), gains
        )
    except ValueError as error:
        raise UsageError(f"--reference_batch: {error}") from error
