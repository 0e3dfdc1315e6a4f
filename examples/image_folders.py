"""Writes image sets of other libraries as the folders that recipes read.

    python examples/image_folders.py olivetti
    python examples/image_folders.py mnist

`olivetti` writes the 400 faces of scikit-learn's `fetch_olivetti_faces`, 64x64 pixels, to
~/tensorflow_datasets/olivetti_png/person-00/000.png and so on, for the recipes on faces.
`mnist` writes the first 50,000 training images to runs/mnist_png/DIGIT/NUMBER.png, which
`--metrics=nearest_class --images=runs/mnist_png` scores. Both are downloaded on first use.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

FACES = pathlib.Path("~/tensorflow_datasets/olivetti_png").expanduser()
DIGITS = pathlib.Path("runs/mnist_png")


def write_faces(faces, folder):
    """Writes float images (400, 64, 64) in [0, 1], ten for each person."""
    for i, face in enumerate(faces):
        _write(face * 255, folder / f"person-{i // 10:02d}" / f"{i:03d}.png")


def write_digits(images, labels, folder):
    """Writes uint8 images (n, 28, 28) by class."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        _write(image, folder / str(label) / f"{i:05d}.png")


def _write(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(np.rint(image))).save(path)


def main(name):
    if name == "olivetti":
        from sklearn.datasets import fetch_olivetti_faces

        write_faces(fetch_olivetti_faces().images, FACES)
    elif name == "mnist":
        from tfgan_papers import data

        examples = data.load("train[:50000]", data.DataOptions(dataset="mnist"))
        images, labels = examples.labelled("unit")
        write_digits(images[..., 0] * 255, labels, DIGITS)
    else:
        sys.exit(f"{name!r} is not a set: write olivetti or mnist")


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
