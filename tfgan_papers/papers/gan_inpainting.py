"""Conditional modelling of parts: inpainting (GAN, 2014, Sec. 7, item 3).

G receives an image in which a part is replaced by noise, and returns that part. D sees
whole images: data, and data with the part that G returned.

    fake = (1 - m) x + m G((1 - m) x + m n),    n ~ N(0, 1), m = 1 in the part
"""

import keras
import numpy as np
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.papers import gan
from tfgan_papers.papers.gan_networks import maxout_discriminator

PARTS = ("right", "left", "top", "bottom", "centre")
UNITS = (1200, 1200)  # as G's of mnist.yaml
D_UNITS, D_PIECES = 240, 5  # D's of mnist.yaml


def mask(shape, part: str) -> np.ndarray:
    """A mask of a half of the image, or of the central square of half its side.

    Args:
        shape: (height, width, channels).
        part: one of PARTS.

    Returns:
        float32 (height, width, 1): 1 in the part that G draws, 0 elsewhere.
    """
    height, width = shape[:2]
    rows, columns = slice(None), slice(None)
    if part == "centre":
        rows = slice(height // 4, height // 4 + height // 2)
        columns = slice(width // 4, width // 4 + width // 2)
    elif part in ("top", "bottom"):
        rows = slice(height // 2) if part == "top" else slice(height // 2, None)
    else:
        columns = slice(width // 2) if part == "left" else slice(width // 2, None)
    inside = np.zeros((height, width, 1), np.float32)
    inside[rows, columns] = 1.0
    return inside


@keras.saving.register_keras_serializable("tfgan_papers")
class InpaintingGAN(gan.GAN):
    """GAN (2014) whose generator draws a part of an image, given the rest.

    Args:
        generator: functional model, images with noise in the part -> images, both (batch,
            height, width, channels).
        part: one of PARTS, the part that the generator draws.
        **kwargs: see `GAN`.
    """

    def __init__(self, generator, discriminator, part="right", **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        self.part = part
        self.inside = tf.constant(mask(generator.output_shape[1:], part))

    def get_config(self):
        return {**super().get_config(), "part": self.part}

    def samples_for(self, real, labels, z=None, training=True):
        """The images `real` with the part that G draws."""
        values = noise.active().normal((tf.shape(real)[0], *real.shape[1:]))
        return self.completed(real, values, training)

    def completed(self, images, values, training=False):
        """The images with the part that G draws from noise.

        Args:
            images, values: (batch, height, width, channels); only the values in the part
                are used.
            training: bool, whether layers are in training mode.
        """
        given = images + self.inside * (values - images)
        drawn = self.generator(given, training=training)
        return images + self.inside * (drawn - images)


def networks(shape, limits, draw):
    """A multilayer perceptron as G, whose output is within `limits`, and D of mnist.yaml.

    Args:
        shape: (height, width, channels).
        limits: (low, high), the range of the pixels.
        draw: `initializers.Draw`, for the weights.
    """
    low, high = limits
    given = keras.Input(shape, name="given")
    x = keras.layers.Flatten()(given)
    for units in UNITS:
        x = keras.layers.Dense(units, "relu", kernel_initializer=draw.uniform(0.05))(x)
    pixels = int(np.prod(shape))
    x = keras.layers.Dense(pixels, "sigmoid", kernel_initializer=draw.uniform(0.05))(x)
    x = keras.layers.Rescaling(high - low, low)(keras.layers.Reshape(shape)(x))
    generator = keras.Model(given, x, name="generator")
    return generator, maxout_discriminator(D_UNITS, D_PIECES, draw, shape)
