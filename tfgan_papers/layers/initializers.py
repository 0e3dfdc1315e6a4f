"""Weight initializers, each with its own seed."""

import keras
import numpy as np


class Draw:
    """Initializers for the networks of one model.

    Each call derives a new seed from `seed`, so the weights depend on `seed` and on the
    order of the calls.

    Args:
        seed: int, the seed of the model.
    """

    def __init__(self, seed: int):
        self.seeds = np.random.SeedSequence(seed)

    def seed(self) -> int:
        """The next seed, 0 to 2^32 - 1."""
        return int(self.seeds.spawn(1)[0].generate_state(1)[0])

    def uniform(self, irange):
        """Uniform on [-irange, irange), as `irange` in pylearn2."""
        return keras.initializers.RandomUniform(-irange, irange, seed=self.seed())

    def normal(self, std, mean=0.0):
        """Normal with the given mean and standard deviation."""
        return keras.initializers.RandomNormal(mean, std, seed=self.seed())

    def truncated_normal(self, std):
        """Normal with mean 0; values beyond two `std` are redrawn."""
        return keras.initializers.TruncatedNormal(0.0, std, seed=self.seed())

    def glorot_uniform(self):
        """Glorot uniform: U(-l, l) with l = sqrt(6 / (fan_in + fan_out))."""
        return keras.initializers.GlorotUniform(seed=self.seed())

    def orthogonal(self, gain):
        """Random orthogonal matrix times `gain`."""
        return keras.initializers.Orthogonal(gain, seed=self.seed())
