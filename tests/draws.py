"""The random numbers of `noise.bernoulli`, for dropout in NumPy."""

import numpy as np

from tfgan_papers import noise


def halves(seed, shape, first_row=0):
    """The 16-bit halves of the draw's words, little end first, as uniforms in [0, 1)."""
    size = int(np.prod(shape[1:]))
    words = noise.bits(seed, (shape[0], (size + 1) // 2), first_row).numpy()
    found = words.astype("<u4").view("<u2").reshape(shape[0], -1)[:, :size]
    return found.reshape(shape) / 2**16
