"""Initial weights, each draw with a seed of its own."""

import keras
import numpy as np


class Draw:
    """Initializers of a model's networks, in the order in which they are asked for."""

    def __init__(self, seed: int):
        self.seeds = np.random.SeedSequence(seed)

    def seed(self) -> int:
        return int(self.seeds.spawn(1)[0].generate_state(1)[0])

    def uniform(self, irange):
        """U(-irange, irange), pylearn2's `irange`."""
        return keras.initializers.RandomUniform(-irange, irange, seed=self.seed())

    def normal(self, std, mean=0.0):
        return keras.initializers.RandomNormal(mean, std, seed=self.seed())

    def truncated_normal(self, std):
        """Normal, drawn again beyond two `std`."""
        return keras.initializers.TruncatedNormal(0.0, std, seed=self.seed())

    def glorot_uniform(self):
        return keras.initializers.GlorotUniform(seed=self.seed())

    def orthogonal(self, gain):
        return keras.initializers.Orthogonal(gain, seed=self.seed())
