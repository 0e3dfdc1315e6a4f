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
from tfgan_papers.data.examples import Progress, no_autograph

STARTS = 8  # ours
STEPS = 500  # ours
STEPS_PER_CALL = 25  # between them Ctrl-C ends it, and the log shows progress
IMAGES_AT_ONCE = 16  # bounds the memory
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
    labels: np.ndarray | None = None,
) -> Embedding:
    """Embeds images from all starts at once.

    Args:
        generate: function from z (m, latent_dim), and labels (m,) if there are any, to
            images (m, ...), row by row.
        images: (n, ...) in the value range of the generator.
        starts: (k, latent_dim), the initial latents for each image.
        prior: name of the distribution of z, one of `noise.PRIORS`.
        jit_compile: whether to compile the optimization with XLA.
        labels: (n,), the class of each image, or None.

    Returns:
        `Embedding`.
    """
    progress, parts = Progress(), []
    for first in range(0, len(images), IMAGES_AT_ONCE):
        rows = slice(first, first + IMAGES_AT_ONCE)
        part, more = images[rows], ()
        if labels is not None:
            more = (tf.repeat(tf.constant(labels[rows]), len(starts)),)
        where = f"embedding of images {first + 1} to {first + len(part)} of {len(images)}"

        def said(step, where=where):
            progress(f"{where}: step %d of %d", step, STEPS)

        @no_autograph
        def generated(z, more=more):
            return generate(z, *more)

        parts.append(_embed(generated, part, starts, prior, jit_compile, said))
    return Embedding(*map(np.concatenate, zip(*parts, strict=True)))


def _embed(generate, images, starts, prior, jit_compile, progress):
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
        for _ in tf.range(STEPS_PER_CALL):
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(error())  # each row has its own gradient
            adam.apply([tape.gradient(total, z.value)], [z])
            z.assign(noise.onto_support(prior, z.value))
        return before, error()

    found = []
    for step in range(0, STEPS, STEPS_PER_CALL):
        found.append([e.numpy().reshape(n, k) for e in descend()])
        progress(step + STEPS_PER_CALL)
    before, after = found[0][0], found[-1][1]
    best = after.argmin(1)
    latents = keras.ops.convert_to_numpy(z).reshape(n, k, -1)
    return Embedding(latents[np.arange(n), best], after.min(1), before.min(1))
