"""The data of Improved GAN (2016): few labelled examples beside all the others, and the
data-dependent initialization.
"""

import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.errors import UsageError
from tfgan_papers.models import surgery
from tfgan_papers.papers import improved_gan_imagenet as imagenet
from tfgan_papers.papers.improved_gan_experiments import BATCH_SIZE, experiment_of

FIRST_IMAGES = 500  # train_mnist_feature_matching.py: init_param
SEEDS_APART = 2**32  # between the seeds of the streams' orders


def labelled_examples(examples, options):
    """The labelled examples: --labels of them, chosen by --label_seed.

    Raises:
        UsageError: the number is not a multiple of the number of classes, or a class has
            too few examples.
    """
    per_class, left = divmod(options.labels, examples.classes)
    if left:
        raise UsageError(
            f"--labels={options.labels} cannot be the same number of each of "
            f"{examples.classes} classes"
        )
    try:
        return examples.balanced(per_class, options.label_seed)
    except ValueError as error:
        raise UsageError(f"--labels={options.labels}: {error}") from error


def batches(examples, settings, options, batch_size, seed, value_range, first_step=0):
    """The training batches, starting with that of `first_step`.

    Returns:
        A `tf.data.Dataset`. With --labels=0, of images. With --network=imagenet, of
        (images, labels). Otherwise of ((labelled, unlabelled, unlabelled for G), labels):
        the labelled set is repeated in new orders, and the unlabelled images are from all
        the data.
    """
    if not options.labels:
        every = experiment_of(settings).networks is imagenet.networks
        return examples.stream(batch_size, seed, value_range, first_step, labels=every)
    unlabelled, others = (
        examples.stream(batch_size, seed + i * SEEDS_APART, value_range, first_step)
        for i in (0, 1)
    )
    chosen = labelled_examples(examples, options)
    labelled = chosen.repeated(batch_size, seed + 2 * SEEDS_APART, value_range, first_step)
    return tf.data.Dataset.zip(labelled, unlabelled, others).map(
        lambda labelled, unlabelled, others: (
            (labelled[0], unlabelled, others),
            labelled[1],
        )
    )


def initialize_by_data(model, images, of_generator=False):
    """Data-dependent initialization (IMPROVED-6) before step 1.

    Args:
        model: the model whose D is initialized.
        images: a batch of images (batch, height, width, channels).
        of_generator: whether to initialize G too, with latents from the prior.
    """
    with noise.use(noise.Stream.of_step(model.seed, tf.constant(-1), 0)) as stream:
        surgery.initialize(model.discriminator, images)
        if of_generator:
            z = stream.latents(model.prior_name, (BATCH_SIZE, model.latent_dim))
            surgery.initialize(model.generator, z)


def initialize(model, examples, settings, options, value_range):
    """Data-dependent initialization before step 1, except of imagenet's networks.

    Raises:
        UsageError: see `labelled_examples`; it is raised before anything is written.
    """
    if isinstance(model, imagenet.ImageNetGAN):
        return
    seed = model.seed - SEEDS_APART
    d_alone = experiment_of(settings).first_of_all
    labelled = labelled_examples(examples, options) if options.labels else None
    if d_alone or labelled is None:
        n = min(FIRST_IMAGES, examples.size)
        images = next(iter(examples.stream(n, seed, value_range)))
    else:
        images, _ = next(iter(labelled.repeated(FIRST_IMAGES, seed, value_range)))
    initialize_by_data(model, images, not d_alone)
