"""The techniques of Improved GAN (2016), as options of all papers whose discriminator gives
one score per example.

Differs: BORROWED-1 | data for feature matching | not stated | a separate batch for G
    (train_mnist_feature_matching.py) | none | the batch of D's update in the same step,
    because the steps of the other papers read no second one; --model=improved_gan with
    labels follows the code.
Differs: BORROWED-2 | batch statistics on several replicas | one GPU | computed on each GPU
    (imagenet/build_model.py) | none | as the code: feature means and minibatch features are
    those of a replica's share of the batch.
Differs: BORROWED-3 | historical averaging | a term in each player's cost | none |
    --historical_averaging | the paper gives no weight; 1 is its formula.
Differs: BORROWED-4 | initialization of minibatch features | not mentioned | from 500 images
    (train_cifar_minibatch_discrimination.py: init_param) | none | from as many images as
    are compared in training, so that the features, which are sums over these, start with
    mean 0; --model=improved_gan follows the code.
Differs: BORROWED-6 | minibatch features | a sum over all examples of the batch, the example
    itself included (Sec. 3.2) | the example itself is excluded, a bias is added, and the
    columns of T have learned norms (nn.py: MinibatchLayer) | none | as the code.
"""

import dataclasses

import tensorflow as tf

from tfgan_papers import layers, losses, noise
from tfgan_papers.errors import UsageError
from tfgan_papers.models import surgery
from tfgan_papers.options import Options, option
from tfgan_papers.papers.contract import warn_of_no_effect

BEFORE_INITIALIZATION = -2  # the step number whose noise gives the reference batch
INITIALIZATION = -1  # the step number of the data-dependent initialization
SEEDS_APART = 2**32  # between the seeds of the image order there and in training


@dataclasses.dataclass(frozen=True)
class BorrowedOptions(Options):
    """Techniques of Improved GAN (2016), all off by default."""

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
        5, "Dimensions in which each kernel compares the examples.", low=1
    )
    historical_averaging: float = option(
        0.0,
        "Weight of the squared distance between each player's weights and their mean so "
        "far, which is added to its loss; 0: none.",
        low=0.0,
    )
    label_smoothing: float = option(
        0.0,
        "Share s of D's target for samples, a, in its target for data, which was b: it "
        "becomes (1 - s) b + s a, which is 1 - s under cross entropy. a stays.",
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
    """Applies the techniques that the options select.

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points.
        discriminator: functional model, images or points -> (batch, n).
        settings: `contract.Settings`.
        options: `BorrowedOptions`.
        draw: `initializers.Draw`, for the new weights.
        prior: name in `noise.PRIORS` of the distribution of the latents.
        matching: name in `losses.MATCHING`, used if the user gives none.

    Returns:
        (generator, discriminator, dict of further arguments for the model).

    Raises:
        UsageError: these networks, or this batch size, do not support a technique.
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
    size = BorrowedOptions.minibatch_kernel_size
    if not options.minibatch_kernels and options.minibatch_kernel_size != size:
        warn_of_no_effect("minibatch_kernel_size", "--minibatch_kernels=0")
    if options.minibatch_kernels:
        discriminator = _compared(discriminator, settings, options, draw)
    if options.reference_batch:
        generator = _by_reference(generator, settings, options, draw, prior)
    return generator, discriminator, arguments


def initialize(model, examples, settings, options, value_range):
    """Initializes the minibatch features of D before step 1 (nn.py: MinibatchLayer, init).

    It uses as many images as the layer compares in training. Without it, the sums over a
    batch dominate the other inputs of D's last layer. Does nothing if D has no minibatch
    features.

    Args:
        model: the compiled model.
        examples: the training data, `data.Examples`.
        settings: `contract.Settings`.
        options: `BorrowedOptions`.
        value_range: name of the value range of the images.
    """
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
        raise UsageError("--reference_batch=1 has no variance: set 2 or more")
    stream = noise.Stream.of_step(settings.seed, tf.constant(BEFORE_INITIALIZATION), 0)
    shape = (options.reference_batch, *generator.inputs[0].shape[1:])
    gains = draw.normal(layers.REFERENCE_GAIN_STD, 1.0)
    try:
        return surgery.with_virtual_batch_normalization(
            generator, stream.latents(prior, shape).numpy(), gains
        )
    except ValueError as error:
        raise UsageError(f"--reference_batch: {error}") from error
