"""A folder of images."""

import itertools
import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image

from tfgan_papers.data import splits
from tfgan_papers.data.examples import (
    FileExamples,
    HeldExamples,
    fits_in_memory,
    in_python,
    one_line,
    report,
)
from tfgan_papers.data.images import BAD_IMAGE, GREY, Fitting
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError, UserError

FORMATS = tuple(".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm".split())


def load(split, options):
    """The images below --data_dir in the order of their paths. Where all lie in folders
    of it, these are the classes. Of the split, what cannot be read is named and left out.
    """
    if not options.data_dir:
        raise UsageError("--dataset=folder needs --data_dir, the folder of your images")
    return read(os.path.expanduser(options.data_dir), split, options)


def read(name: str, split: str, options: DataOptions):
    """The same of the images below `name`, an absolute or relative path."""
    paths = files(name, FORMATS)
    if not paths:
        raise UserError(f"{name} holds no image ({' '.join(FORMATS)})")
    fit = Fitting.of(options)
    fit = fit._replace(channels=fit.channels or (1 if all(map(_is_grey, paths)) else 3))
    class_names = _folders(name, paths)
    paths = list(itertools.chain(*splits.taken(name, split, {"train": paths})))
    good, held = [], None
    for path, image in _readable(name, paths, fit):
        if not good:
            shape = image.shape
            if fits_in_memory(len(paths), shape):
                held = np.empty((len(paths), *shape), np.uint8)
        if image.shape != shape:
            sizes = f"{image.shape[1]}x{image.shape[0]}, not {shape[1]}x{shape[0]} pixels"
            raise UsageError(f"{path} is {sizes} as {good[0]}: set --image_size")
        if held is not None:
            held[len(good)] = image
        good.append(path)
    if not good:
        raise UserError(f"none of the {len(paths)} images below {name} can be read")
    labels = None
    if class_names:
        number = {folder: i for i, folder in enumerate(class_names)}
        labels = [number[path.relative_to(name).parts[0]] for path in good]
    if held is not None:
        return HeldExamples(name, held[: len(good)], labels, class_names)

    def decode(number):
        return fit.read(good[number])

    return FileExamples(name, len(good), shape, decode, labels, class_names)


def _folders(root, paths):
    """The folders of `root` that hold the images, sorted; None if some lie in none."""
    parts = [path.relative_to(root).parts for path in paths]
    return sorted({p[0] for p in parts}) if all(len(p) > 1 for p in parts) else None


def _readable(name, paths, fit):
    """(path, image) of each image that can be read; names the others."""

    def read_or_name(i):
        try:
            return fit.read(paths[i])
        except BAD_IMAGE as error:
            logging.warning("left out %s: %s", paths[i], one_line(error))
            return np.empty(0, np.uint8)

    images = tf.data.Dataset.range(len(paths)).map(
        in_python(read_or_name), tf.data.AUTOTUNE
    )
    bad = 0
    for i, image in enumerate(images.as_numpy_iterator()):
        report("%s: %d of %d images read", name, i, len(paths))
        if image.size:
            yield paths[i], image
        bad += not image.size
    if bad:
        logging.warning("%s: %d of %d images left out", name, bad, len(paths))


def files(root, formats):
    """The files below `root` whose names end in one of `formats`, sorted."""

    def unreadable(error):
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    return sorted(
        pathlib.Path(folder, file)
        for folder, _, names in os.walk(root, onerror=unreadable)
        for file in names
        if file.lower().endswith(formats) and not file.startswith(".")
    )


def _is_grey(path):
    """As its header says; of a file without one, True."""
    try:
        with Image.open(path) as image:
            return image.getbands() in GREY
    except BAD_IMAGE:
        return True
