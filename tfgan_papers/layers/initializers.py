"""Weight initializers, each with its own seed."""

import keras
import numpy as np
from keras import ops


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

    def svd_orthogonal(self, gain):
        """`SVDOrthogonal`."""
        return SVDOrthogonal(gain, seed=self.seed())


@keras.saving.register_keras_serializable("tfgan_papers")
class SparseNormal(keras.initializers.Initializer):
    """Gives each unit `nonzero` weights from N(0, 1), the others are 0 (pylearn2's
    sparse_init).
    """

    def __init__(self, nonzero, seed=None):
        self.nonzero, self.seed = nonzero, seed

    def __call__(self, shape, dtype=None):
        draw = np.random.default_rng(self.seed)
        ranks = draw.random(shape).argsort(axis=0).argsort(axis=0)
        return ops.cast(np.where(ranks < self.nonzero, draw.normal(size=shape), 0.0), dtype)

    def get_config(self):
        return {"nonzero": self.nonzero, "seed": self.seed}


@keras.saving.register_keras_serializable("tfgan_papers")
class SVDOrthogonal(keras.initializers.Initializer):
    """Orthogonal matrix from the singular vectors of a matrix with entries from U(0, 1).

    This is `orthogonal_initializer` of TensorFlow before 1.2 (init_ops.py). It is not
    uniform over the orthogonal matrices: the singular vector of the largest singular value
    has entries of one sign.

    Args:
        gain: float, multiplies the matrix.
        seed: int.
    """

    def __init__(self, gain=1.0, seed=None):
        self.gain, self.seed = gain, seed

    def __call__(self, shape, dtype=None):
        rows, columns = shape
        entries = np.random.default_rng(self.seed).random((rows, columns))
        left, _, right = np.linalg.svd(entries, full_matrices=False)
        return ops.cast(self.gain * (left if rows > columns else right), dtype)

    def get_config(self):
        return {"gain": self.gain, "seed": self.seed}
