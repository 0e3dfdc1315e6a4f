"""Sets that need no file: scikit-learn's digits and synthetic points."""

import numpy as np

from tfgan_papers.data import splits
from tfgan_papers.data.examples import Modes

RING_STD = 0.01


def digits(split, options):
    """Loads the 1,797 real 8x8 digits of scikit-learn."""
    import sklearn.datasets  # imported here because it is slow

    stored = sklearn.datasets.load_digits()
    images = np.uint8(np.rint(stored.images * 255 / 16))[..., None]  # from [0, 16]
    labels, names = {"train": stored.target}, map(str, stored.target_names)
    return splits.held("digits", split, options, {"train": images}, labels, tuple(names))


def ring(split, options):
    """Draws points from eight Gaussians of standard deviation .01 on the unit circle.

    Source: xudonmao/LSGAN, mixture_gaussian/. The authors use nine angles, from 0 to 2 pi
    inclusive, so the first centre is drawn twice as often (--ring=authors).
    """
    components = {"clean": 8, "authors": 9}[options.ring]
    mode_of = np.arange(components) % 8
    angles = np.arange(8) * (2 * np.pi / 8)
    centres = np.stack([np.sin(angles), np.cos(angles)], 1)
    draw = np.random.default_rng(2016)
    points = centres[mode_of[draw.integers(components, size=100_000)]]
    points += RING_STD * draw.standard_normal(points.shape)
    examples = splits.held("ring", split, options, {"train": np.float32(points)})
    examples.modes = Modes(centres, RING_STD, np.bincount(mode_of) / components)
    return examples


def gaussian(split, options):
    """Draws numbers from N(0, 1), for Fig. 1 of GAN (2014), which gives no numbers."""
    points = np.random.default_rng(2014).standard_normal((100_000, 1))
    return splits.held("gaussian", split, options, {"train": np.float32(points)})
