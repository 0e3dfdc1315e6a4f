"""The latents at which a generator comes nearest to given images: BEGAN, 2017, Sec. 4.3
and Fig. 4, for any generator of images.

    z_r = argmin |x_r - G(z)|

is found by Adam, as the paper says, which gives no further number. Here it descends from
several latents of G's own law and keeps the best, and z stays where that law is: outside
of it G draws what it would never draw as a sample.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

STARTS = 8  # ours
STEPS = 500  # ours
LEARNING_RATE = 0.05  # ours, at the start; then to 0 as half a cosine


class Embedding(NamedTuple):
    """Of each image: z (n, latent_dim); the mean of |x - G(z)| over its pixels, (n,), in
    the generator's value range; and the least of that among the starts."""

    z: np.ndarray
    error: np.ndarray
    error_of_starts: np.ndarray


def embed(
    generate: Callable,
    images: np.ndarray,
    starts: np.ndarray,
    support: tuple[float, float],
    jit_compile: bool = False,
) -> Embedding:
    """Embed `images`, all of them and from all starts at once, in one graph.

    Args:
        generate: z (m, latent_dim) -> images (m, ...), row by row.
        images: (n, ...) in the generator's value range.
        starts: (k, latent_dim), where the descent to each image begins.
        support: bounds of the elements of z.
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
                total = tf.reduce_sum(error())  # so that each row descends its own
            adam.apply([tape.gradient(total, z.value)], [z])
            z.assign(tf.clip_by_value(z.value, *support))
        return before, error()

    before, after = (e.numpy().reshape(n, k) for e in descend())
    best = after.argmin(1)
    found = keras.ops.convert_to_numpy(z).reshape(n, k, -1)
    return Embedding(found[np.arange(n), best], after.min(1), before.min(1))
