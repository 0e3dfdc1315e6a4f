"""Random windows of the training images, for --crop=random.

The images are read at 9/8 of --image_size (`images.margin`). Training sees a window of
--image_size at a random place, everything else the central one. A window is a pure function
of (seed, step, row of the batch), so a resumed run and several replicas see the same ones.
"""

import copy

import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.data.examples import Examples
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError


def of_examples(examples: Examples, options: DataOptions) -> Examples:
    """The examples, with random windows in training if --crop=random.

    Raises:
        UsageError: --crop=random, and the examples are points.
    """
    if options.crop != "random":
        return examples
    if len(examples.shape) != 3:
        raise UsageError("--crop=random is of images, and these data are points")
    size, found = options.image_size, copy.copy(examples)
    found.shape = (size, size, examples.shape[-1])
    found.read = lambda keys: central(examples.read(keys), size)
    found.vary = lambda keys, seed, step: windows(examples.read(keys), size, seed, step)
    found.balanced = lambda *which: of_examples(examples.balanced(*which), options)
    return found


def central(images, size: int):
    """The central windows of images (n, height, width, channels)."""
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    return images[:, top : top + size, left : left + size]


def windows(images: tf.Tensor, size: int, seed: int, step: tf.Tensor) -> tf.Tensor:
    """One window of each image, (n, size, size, channels), at a random place.

    Args:
        images: (n, height, width, channels).
        size: height and width of the windows.
        seed: the seed of the order of the examples.
        step: int64 scalar, the training step.
    """
    # The negative seed keeps these draws apart from the noise of the training step.
    base = tf.stack([tf.constant(-1 - seed, tf.int64), step])
    words = noise.bits(base, (tf.shape(images)[0], 2))
    for axis in (1, 2):
        places = tf.cast(images.shape[axis] - size + 1, tf.uint32)
        first = tf.cast(words[:, axis - 1] % places, tf.int32)
        pixels = first[:, None] + tf.range(size)
        images = tf.gather(images, pixels, axis=axis, batch_dims=1)
    return images
