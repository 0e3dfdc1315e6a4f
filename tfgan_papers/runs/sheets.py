"""The sheets of a run: samples at fixed latents, and examples in the same layout."""

import pathlib

import numpy as np
import tensorflow as tf

from tfgan_papers import data, figures, noise
from tfgan_papers.metrics import subsets
from tfgan_papers.models.adversarial import AdversarialModel

LAYOUT = (8, 8)  # rows and columns
POINTS = 5120  # samples in a picture of points (LSGAN, mixture_gaussian/: 10 batches)
SEED = 0  # of the latents: the same in every run, so that runs can be compared


def drawer(model: AdversarialModel, value_range: str, points: np.ndarray | None = None):
    """Returns a function that draws samples at latents that are the same in every run.

    The function takes the model and returns (samples, picture of them): a sheet of images,
    a scatter plot of points in the plane, or Fig. 1 of GAN (2014) for points on a line.

    Args:
        model: the model.
        value_range: name in `data.RANGES` of the range of the generator's images.
        points: for a model of points, some of the data (n, dimensions).
    """
    rows, columns = LAYOUT
    images = points is None
    n = rows * columns if images else POINTS
    seed = tf.constant([SEED, 0], tf.int64)
    z = noise.latents(model.prior_name, seed, (n, model.latent_dim))
    labels = row_labels(model, rows, columns)
    to_pixels = data.RANGES[value_range].to_pixels

    def draw(model):
        samples = to_pixels(model.generate(z, labels)).numpy()
        if images:
            return samples, figures.sheet(samples, columns)
        if points.shape[1] == 1:
            picture = figures.line(
                z.numpy(), samples, points, lambda x: model.critic_output(x).numpy()
            )
            return samples, picture
        return samples, figures.plane(samples, points)

    return draw


def save(picture: np.ndarray, folder: pathlib.Path, step: int):
    """Writes a picture of samples as that of a step and as the latest."""
    for name in (f"step-{step:09d}.png", "latest.png"):
        figures.save(picture, folder / name)


def some_points(examples: data.Examples, value_range: str) -> np.ndarray | None:
    """Examples that `drawer` shows beside the samples; None of images."""
    if len(examples.shape) == 3:
        return None
    return subsets.some(examples, POINTS).all(value_range)


def row_labels(model: AdversarialModel, rows: int, columns: int):
    """Returns a class per row, evenly spaced over all classes, repeated for each column.

    Returns:
        int32 (rows * columns,); None without classes.
    """
    if not model.classes:
        return None
    classes = np.linspace(0, model.classes - 1, min(rows, model.classes))
    of_row = np.resize(np.rint(classes), rows)
    return tf.constant(np.repeat(of_row, columns), tf.int32)


def of_examples(examples: data.Examples) -> np.ndarray | None:
    """Draws examples in the layout of the samples' sheet; returns None for points."""
    rows, columns = LAYOUT
    if len(examples.shape) != 3:
        return None
    blocks = subsets.some(examples, rows * columns).blocks()
    return figures.sheet(np.concatenate([np.asarray(block) for block in blocks]), columns)
