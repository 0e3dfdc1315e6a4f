"""Pictures of samples: sheets of images, scatters of points, Fig. 1 of GAN (2014)."""

import io

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402  after the choice of a screenless backend

GAP = 2  # pixels between the images of a sheet
SMALLEST = 32  # images below this height are shown enlarged, pixel by pixel


def sheet(images, columns):
    """uint8 images (n, h, w, c) in rows of `columns`, as one uint8 image (h, w, 3)."""
    images = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
    zoom = -(-SMALLEST // images.shape[1])
    images = images.repeat(zoom, 1).repeat(zoom, 2)
    rows = -(-len(images) // columns)
    height, width = (side + GAP for side in images.shape[1:3])
    page = np.full((rows * height + GAP, columns * width + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * height, GAP + i % columns * width
        page[top : top + height - GAP, left : left + width - GAP] = image
    return page


def points(samples, real):
    """Samples beside data, points on a line or in the plane, as a uint8 image."""
    figure, axes = plt.subplots(figsize=(4, 4))
    if real.shape[1] == 1:
        bins = np.linspace(*np.quantile(real, [0.001, 0.999]), 50)
        axes.hist(real[:, 0], bins, density=True, color="0.75", label="data")
        axes.hist(samples[:, 0], bins, density=True, histtype="step", label="samples")
    else:
        axes.plot(*real.T[:2], ".", color="0.75", markersize=2, label="data")
        axes.plot(*samples.T[:2], ".", markersize=3, label="samples")
        axes.set_aspect("equal")
    axes.legend(loc="upper right")
    return _picture(figure)


def _picture(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, bbox_inches="tight")
    plt.close(figure)
    return np.asarray(Image.open(buffer).convert("RGB"))


def save(picture, path):
    """Write a uint8 image as PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    Image.fromarray(picture).save(partial, format="PNG")
    partial.replace(path)


def nearest(samples, examples):
    """For each sample the nearest example in squared Euclidean distance."""
    flat, samples = examples.reshape(len(examples), -1), samples.reshape(len(samples), -1)
    squares = (flat**2).sum(1) - 2 * samples @ flat.T  # less |sample|^2, the same for all
    return examples[squares.argmin(1)]
