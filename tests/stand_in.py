"""Runs main.py with random images in place of every data set that is not in the package.

The images have the size of those of the data set, and ten classes, in every split. The
largest networks, which have no option for their width, have fewer units; the tests of the
papers build them in full.
"""

import functools

import numpy as np
import tensorflow as tf

from tfgan_papers import cli, data
from tfgan_papers.data.images import Fitting
from tfgan_papers.papers import (
    gan_networks,
    improved_gan_experiments,
    improved_gan_networks,
)
from tfgan_papers.papers import improved_gan_imagenet as imagenet

SIZES = {
    **dict.fromkeys(("mnist", "fashion_mnist", "hwdb", "glyphs", "strokes"), (28, 28, 1)),
    **dict.fromkeys(("cifar10", "svhn_cropped"), (32, 32, 3)),
    **dict.fromkeys(("lsun/bedroom", "lsun/church_outdoor"), (256, 256, 3)),
    "celeb_a": (218, 178, 3),
    "imagenet2012": (128, 128, 3),
    "folder": (64, 64, 1),
    "tfd": (48, 48, 1),
}
CLASSES = 10
# As many as a recipe needs.
LABELLED = {"cifar10": 4000, "svhn_cropped": 1000, "fashion_mnist": 1000}
load = data.load


def made(split, options):
    """Returns noise images whose mean brightness depends on the class."""
    if options.dataset not in SIZES:
        return load(split, options)
    shape = Fitting.of(options).shape(*SIZES[options.dataset])
    count = LABELLED.get(options.dataset, 400 if max(shape) <= 32 else 40)
    draw = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    images = draw.integers(0, 60, (count, *shape)) + 18 * labels[:, None, None, None]
    names = tuple(map(str, range(CLASSES)))
    return data.HeldExamples("made", images.astype(np.uint8), labels, names)


if __name__ == "__main__":
    data.load = made
    data.with_held_out_split = lambda options: options  # `made` has any split
    gan_networks.UNITS = 200
    improved_gan_networks.G_FILTERS = (32, 16, 8)
    experiments = improved_gan_experiments.EXPERIMENTS
    for name in ("cifar10", "svhn", "minibatch"):
        experiments[name].networks.keywords["filters"] = 8
    imagenet.networks = functools.partial(imagenet.networks, width=8)
    experiments["imagenet"] = experiments["imagenet"]._replace(networks=imagenet.networks)
    # Graphs that are executed twice are not worth optimizing.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    cli.run()
