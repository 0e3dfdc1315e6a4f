"""Embedding of images: the latents whose samples are nearest to given images.

This is the experiment of BEGAN, 2017, Sec. 4.3 and Fig. 4, for any generator of images:

    z_r = argmin |x_r - G(z)|

The paper uses Adam and gives no number. Here, several latents from G's prior are optimized
for each image and the best is chosen. z is kept within the support of the prior, outside
of which G was not trained.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgan_papers import noise

STARTS = 8  # ours
STEPS = 500  # ours
LEARNING_RATE = 0.05  # ours, at the start; decays to 0 as half a cosine


class Embedding(NamedTuple):
    """The embeddings of n images.

    Attributes:
        z: (n, latent_dim).
        error: (n,), the mean of |x - G(z)| over the pixels, in the value range of the
            generator.
        error_of_starts: (n,), the smallest error among the starts.
    """

    z: np.ndarray
    error: np.ndarray
    error_of_starts: np.ndarray


def embed(
    generate: Callable,
    images: np.ndarray,
    starts: np.ndarray,
    prior: str,
    jit_compile: bool = False,
) -> Embedding:
    """Embeds all images from all starts at once, in one graph.

    Args:
        generate: function from z (m, latent_dim) to images (m, ...), row by row.
        images: (n, ...) in the value range of the generator.
        starts: (k, latent_dim), the initial latents for each image.
        prior: name of the distribution of z, one of `noise.PRIORS`.
        jit_compile: whether to compile the optimization with XLA.

    Returns:
        `Embedding`.
    """
    n, k = len(images), len(starts)
    targets = tf.repeat(tf.constant(images, tf.float32), k, axis=0)
    z = keras.Variable(np.tile(starts, (n, 1)), dtype="float32", name="z")
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)
    adam = keras.optimizers.Adam(rate)
    adam.build([z])

    def error():
        distance = tf.abs(targets - tf.cast(generate(z.value), tf.float32))
        return tf.reduce_mean(tf.reshape(distance, (n * k, -1)), axis=1)

    @tf.function(jit_compile=jit_compile)
    def descend():
        before = error()
        for _ in tf.range(STEPS):
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(error())  # each row has its own gradient
            adam.apply([tape.gradient(total, z.value)], [z])
            z.assign(noise.onto_support(prior, z.value))
        return before, error()

    before, after = (e.numpy().reshape(n, k) for e in descend())
    best = after.argmin(1)
    latents = keras.ops.convert_to_numpy(z).reshape(n, k, -1)
    return Embedding(latents[np.arange(n), best], after.min(1), before.min(1))
