"""Differentiable augmentation (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).

D sees only augmented images, data and samples alike, in its own step and in G's. With few
training images, D cannot memorize them as fast, and G learns the distribution of images
before augmentation. The numbers are those of mit-han-lab/data-efficient-gans,
DiffAugment_tf.py, for images in [-1, 1].

Differs: BORROWED-5 | differentiable augmentation | none of the papers augments | none |
    --diff_augment | off by default; for runs on few images of one's own.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgan_papers.noise import Stream

TRANSLATION = 1 / 8  # largest shift, as a share of the side
CUTOUT = 1 / 2  # side of the square, as a share of the image's


def color(images: tf.Tensor, stream: Stream) -> tf.Tensor:
    """Changes brightness by up to 0.5, saturation by a factor of 0 to 2, and contrast by
    one of 0.5 to 1.5."""
    draws = [stream.uniform((tf.shape(images)[0], 1, 1, 1)) for _ in range(3)]
    brightness, saturation, contrast = (tf.cast(x, images.dtype) for x in draws)
    images = images + (brightness - 0.5)
    if images.shape[3] > 1:
        grey = tf.reduce_mean(images, 3, keepdims=True)
        images = grey + 2.0 * saturation * (images - grey)
    mean = tf.reduce_mean(images, (1, 2, 3), keepdims=True)
    return mean + (0.5 + contrast) * (images - mean)


def translation(images: tf.Tensor, stream: Stream) -> tf.Tensor:
    """Shifts by up to an eighth of each side, and fills with 0."""
    n = tf.shape(images)[0]
    for axis, side in ((1, images.shape[1]), (2, images.shape[2])):
        most = int(side * TRANSLATION)
        shift = _integers(stream, n, 2 * most + 1)
        padding = [[0, 0]] * 4
        padding[axis] = [most, most]
        places = shift[:, None] + tf.range(side)
        padded = tf.pad(images, padding)
        images = tf.gather(padded, places, axis=axis, batch_dims=1)
    return images


def cutout(images: tf.Tensor, stream: Stream) -> tf.Tensor:
    """Sets a rectangle of half the side to 0; its centre is anywhere in the image."""
    n, inside = tf.shape(images)[0], None
    for axis, side in ((1, images.shape[1]), (2, images.shape[2])):
        length = int(side * CUTOUT)
        centre = _integers(stream, n, side + 1 - length % 2)[:, None]
        start = centre - length // 2
        places = tf.range(side)
        within = (places >= start) & (places < start + length)
        within = tf.expand_dims(tf.expand_dims(within, 3 - axis), 3)
        inside = within if inside is None else inside & within
    return images * tf.cast(~inside, images.dtype)


AUGMENTATIONS = {"color": color, "translation": translation, "cutout": cutout}


def augment(images: tf.Tensor, names: Sequence[str], stream: Stream) -> tf.Tensor:
    """Applies augmentations one after the other; each image has random values of its own.

    Args:
        images: float (batch, height, width, channels) in [-1, 1].
        names: names in AUGMENTATIONS.
        stream: the source of the random values.
    """
    for name in names:
        images = AUGMENTATIONS[name](images, stream)
    return images


def check(names: Sequence[str], discriminator: keras.Model) -> list[str]:
    """Returns the names as a list.

    Raises:
        ValueError: a name is unknown, or D's input is not an image.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            known = ", ".join(AUGMENTATIONS)
            raise ValueError(f"augmentation {name!r} is none of {known}")
    if names and len(discriminator.inputs[0].shape) != 4:
        raise ValueError("augmentations are for images, and the data are points")
    return list(names)


def _integers(stream, n, count):
    """n random integers from 0 to count - 1, int32 (n,)."""
    drawn = tf.cast(count * stream.uniform((n, 1)), tf.int32)
    return tf.minimum(drawn, count - 1)[:, 0]
