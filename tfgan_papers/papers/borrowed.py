"""The techniques of Improved GAN (2016) by flag, on the networks and the loss of any paper
whose discriminator gives one score an example. Each flag's own default leaves it out.

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

import tensorflow as tf
from absl import flags

from tfgan_papers import layers, losses, noise
from tfgan_papers.errors import UsageError
from tfgan_papers.models import surgery

MATCHING = {
    "squared": losses.feature_matching,
    "mean": losses.mean_feature_matching,
    "absolute": losses.absolute_feature_matching,
    "none": None,
}
BEFORE_INITIALIZATION = -2  # the "step" whose noise the reference batch is
INITIALIZATION = -1  # that of the first pass
SEEDS_APART = 2**32  # of the order of its images, and that of training

_MATCHING = flags.DEFINE_enum(
    "feature_matching",
    None,
    list(MATCHING),
    "In place of --loss G descends the squared distance of D's mean features of data and "
    "samples, its mean over the features, or their mean absolute difference. None by "
    "default, but with improved_gan squared, or by --fidelity=code what the authors have.",
)
_KERNELS = flags.DEFINE_integer(
    "minibatch_kernels", 0, "Minibatch discrimination before D's last layer, by so many "
    "kernels; 0: none.", lower_bound=0,
)  # fmt: skip
_KERNEL_SIZE = flags.DEFINE_integer(
    "minibatch_kernel_size", 5, "Dimensions in which each compares.", lower_bound=1
)
_HISTORY = flags.DEFINE_float(
    "historical_averaging", 0.0, "Weight of ||theta - its mean so far||^2 beside each "
    "player's loss; 0: none.", lower_bound=0.0,
)  # fmt: skip
_SMOOTHING = flags.DEFINE_float(
    "label_smoothing", 0.0, "D's target for data is 1 less this; that for samples stays.",
    lower_bound=0.0, upper_bound=0.5,
)  # fmt: skip
_REFERENCE = flags.DEFINE_integer(
    "reference_batch", 0, "Virtual batch normalization in G, by so many reference latents, "
    "in place of batch normalization; 0: none.", lower_bound=0,
)  # fmt: skip


def applied(generator, discriminator, settings, draw, prior="uniform", matching="none"):
    """(generator, discriminator, what their model is to be told besides) with the
    techniques that the flags ask for.

    Args:
        settings: `training.Settings`.
        draw: `initializers.Draw`, of further weights.
        prior: law of the latents.
        matching: name in `MATCHING` where the user names none.

    Raises:
        UsageError: a technique that these networks, or this batch, cannot take.
    """
    options = {"loss": settings.loss, "history": _HISTORY.value}
    if _SMOOTHING.value:
        options["loss"] = losses.one_sided(settings.loss, 1.0 - _SMOOTHING.value)
    matching = _MATCHING.value or matching
    options["matching"] = MATCHING[matching]
    named = any(layer.name == "features" for layer in discriminator.layers)
    if options["matching"] and not named:
        network = f"--network={settings.network} " if settings.network else ""
        raise UsageError(
            f"--feature_matching={matching}: D of --model={flags.FLAGS.model} {network}on "
            f"--dataset={settings.dataset} has no layer named features"
        )
    if _KERNELS.value:
        discriminator = _compared(discriminator, settings, draw)
    if _REFERENCE.value:
        generator = _by_reference(generator, settings, draw, prior)
    return generator, discriminator, options


def start(model, examples, value_range):
    """What precedes step 1 where D has minibatch features: they are initialized (nn.py:
    MinibatchLayer, init) by as many images as they compare in training, else their sum
    over a batch drowns what else D's last layer sees."""
    if not _KERNELS.value:
        return
    rows = flags.FLAGS.batch_size // model.replicas
    labels, seed = model.classes > 0, model.seed - SEEDS_APART
    found = next(iter(examples.stream(rows, seed, value_range, labels=labels)))
    inputs = list(found) if labels else found
    with noise.use(noise.Stream.of_step(model.seed, tf.constant(INITIALIZATION), 0)):
        surgery.initialize(model.discriminator, inputs)


def _compared(discriminator, settings, draw):
    share = settings.batch_size // tf.distribute.get_strategy().num_replicas_in_sync
    if share < 2:
        raise UsageError(
            "--minibatch_kernels compares the examples of a batch, and each device has "
            f"{share}: raise --batch_size"
        )
    try:
        return surgery.with_minibatch_discrimination(
            discriminator, _KERNELS.value, _KERNEL_SIZE.value, draw.normal(0.05)
        )  # nn.py: theta
    except ValueError as error:
        raise UsageError(f"--minibatch_kernels: {error}") from error


def _by_reference(generator, settings, draw, prior):
    if _REFERENCE.value < 2:
        raise UsageError("--reference_batch=1 has no variance: name 2 or more")
    stream = noise.Stream.of_step(settings.seed, tf.constant(BEFORE_INITIALIZATION), 0)
    shape = (_REFERENCE.value, *generator.inputs[0].shape[1:])
    gains = draw.normal(layers.REFERENCE_GAIN_STD, 1.0)
    try:
        return surgery.with_virtual_batch_normalization(
            generator, stream.latents(prior, shape).numpy(), gains
        )
    except ValueError as error:
        raise UsageError(f"--reference_batch: {error}") from error
