"""Sets that need no file: scikit-learn's digits and synthetic points."""

import numpy as np

from tfgan_papers.data import splits


def digits(split):
    """The 1,797 real 8x8 digits that come with scikit-learn."""
    import sklearn.datasets  # here, for the other sets need not wait for it

    stored = sklearn.datasets.load_digits()
    images = np.uint8(np.rint(stored.images * 255 / 16))[..., None]  # from 0 .. 16
    labels, names = {"train": stored.target}, map(str, stored.target_names)
    return splits.held("digits", split, {"train": images}, labels, tuple(names))


def ring(split):
    """Eight Gaussians, std .01, on the unit circle (LSGAN, mixture_gaussian/)."""
    draw = np.random.default_rng(2016)
    angle = draw.integers(8, size=100_000) * (2 * np.pi / 8)
    points = np.stack([np.sin(angle), np.cos(angle)], 1)
    points += 0.01 * draw.standard_normal(points.shape)
    return splits.held("ring", split, {"train": np.float32(points)})


def gaussian(split):
    """N(0, 1) on a line, for Fig. 1 of GAN (2014), which gives no numbers."""
    points = np.random.default_rng(2014).standard_normal((100_000, 1))
    return splits.held("gaussian", split, {"train": np.float32(points)})
