"""Value ranges: the conversions from stored examples to inputs of networks, and back."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgan_papers.errors import UsageError


class ValueRange(NamedTuple):
    """The conversions from stored examples to inputs of networks, and back."""

    to_network: Callable  # uint8 (batch, h, w, c), or float points -> float32
    to_pixels: Callable  # float32 -> uint8, for figures
    # inputs for 0 and 255; None if to_pixels of an image depends on the other images
    limits: tuple[float, float] | None

    def clip(self, images: tf.Tensor) -> tf.Tensor:
        """Clips images (batch, h, w, c) to the limits. Points, and images without limits,
        do not change."""
        bounded = self.limits is not None and len(images.shape) == 4
        return tf.clip_by_value(images, *self.limits) if bounded else images


def _norm55(images):
    """Subtracts its mean from each image and scales it to norm 55 (gcn: 55. in
    cifar10_*.yaml)."""
    images = tf.cast(images, tf.float32)
    axes = list(range(1, len(images.shape)))
    images -= tf.reduce_mean(images, axes, keepdims=True)
    norm = tf.sqrt(tf.reduce_sum(images**2, axes, keepdims=True)) / 55.0
    # like pylearn2, keeps images of vanishing norm
    return images / tf.where(norm < 1e-8, tf.ones_like(norm), norm)


def _as_pixels(unit):
    return tf.cast(tf.round(tf.clip_by_value(unit, 0.0, 1.0) * 255.0), tf.uint8)


def _norm55_pixels(images):
    """Divides by the largest magnitude of the batch, as the authors display samples of
    CIFAR-10 (show_samples_cifar_full_paper.py)."""
    largest = tf.maximum(tf.reduce_max(tf.abs(images)), 1e-8)
    return _as_pixels((images / largest + 1.0) / 2.0)


RANGES = {
    "unit": ValueRange(lambda x: tf.cast(x, tf.float32) / 255.0, _as_pixels, (0.0, 1.0)),
    "symmetric": ValueRange(
        lambda x: tf.cast(x, tf.float32) / 127.5 - 1.0,
        lambda x: _as_pixels((x + 1.0) / 2.0),
        (-1.0, 1.0),
    ),
    "symmetric128": ValueRange(  # Improved GAN, cifar10_data.py
        lambda x: (tf.cast(x, tf.float32) - 127.5) / 128.0,
        lambda x: _as_pixels((128.0 * x + 127.5) / 255.0),
        (-127.5 / 128.0, 127.5 / 128.0),
    ),
    "norm55": ValueRange(_norm55, _norm55_pixels, None),
    "raw": ValueRange(  # keeps points unchanged in both directions
        lambda x: tf.cast(x, tf.float32),
        lambda x: x if len(x.shape) == 2 else _as_pixels(x / 255.0),
        (0.0, 255.0),
    ),
}

OF_ACTIVATION = {"sigmoid": ["unit"], "tanh": ["symmetric", "symmetric128"]}


def check(generator: keras.Model, value_range: str):
    """Checks that the last activation of a generator has the value range.

    Raises:
        UsageError: it has another range.
    """
    activation = _last_activation(generator)
    possible = OF_ACTIVATION.get(activation, [value_range])
    if value_range not in possible:
        raise UsageError(
            f"--value_range={value_range}: this generator ends in a {activation}, which "
            f"needs --value_range={' or '.join(possible)}"
        )


def of_generator(generator: keras.Model) -> str:
    """The range that its last activation gives; "symmetric" where that is linear."""
    return OF_ACTIVATION.get(_last_activation(generator), ["symmetric"])[0]


def _last_activation(network):
    """Returns the name of the last activation of a network, or None."""
    for layer in reversed(network.layers):
        if isinstance(layer, keras.Model):
            return _last_activation(layer)
        if hasattr(layer, "activation"):
            return layer.activation.__name__
