"""Images that the user adds to the data of a run, to score or to embed them."""

import dataclasses
import os
import zipfile

import numpy as np
from absl import logging

from tfgan_papers.data import crops, folder, hwdb
from tfgan_papers.data.examples import Examples, HeldExamples, one_line
from tfgan_papers.data.files import fixed_order
from tfgan_papers.data.images import BAD_IMAGE, Fitting, eight_bits
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError, UserError


def images(path: str, options: DataOptions) -> Examples:
    """Reads all images of a .npy file or below a folder, in a fixed permutation.

    Raises:
        UsageError: the images of the folder differ in size.
        UserError: the file or folder cannot be read or holds no images.
    """
    path = os.path.expanduser(path)
    if path.endswith(".npy"):
        examples = array(path)
    else:
        options = dataclasses.replace(options, data_order="hashed")
        examples = crops.of_examples(folder.read(path, "all", options), options)
    logging.info("%s: %s", path, examples.summary())
    return examples


def array(path: str) -> HeldExamples:
    """Reads images (n, height, width[, channels]) from a .npy file.

    Returns:
        The images in a fixed permutation, with levels converted by `eight_bits`.

    Raises:
        UserError: the file is missing, holds no images, or has levels out of range.
    """
    try:
        stored = np.load(path, mmap_mode="r")
        if not isinstance(stored, np.ndarray):
            raise ValueError("it holds several arrays")
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    if stored.ndim == 3:
        stored = stored[..., None]
    numbers = stored.dtype.kind in "iuf"
    if not numbers or stored.ndim != 4 or stored.shape[-1] not in (1, 3) or not stored.size:
        raise UserError(
            f"{path} holds {stored.dtype} {stored.shape}: images are numbers of the shape "
            "(n, height, width), with 1 or 3 channels last if any"
        )
    if stored.dtype.kind in "iu" and 0 <= stored.max() <= 1:
        raise UserError(
            f"the images in {path} are integers up to 1: store them as floats, or as "
            "integers up to 255"
        )
    try:
        pixels = eight_bits(stored)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return HeldExamples(path, pixels[fixed_order([str(i) for i in range(len(pixels))])])


def fit_image(path: str, options: DataOptions, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads an image and crops, resizes and converts it like the data of a run.

    Args:
        path: str.
        options: `DataOptions` of the run.
        shape: (height, width, channels) of the data.

    Returns:
        uint8 of `shape`.

    Raises:
        UsageError: the file is missing, is not an image, or has another size than the
            data and the data are not resized.
    """
    fitting = hwdb.fitting if options.dataset == "hwdb" else Fitting.of
    fit = fitting(options)._replace(channels=shape[-1])
    try:
        found = fit.read(os.path.expanduser(path))
    except BAD_IMAGE as error:
        raise UsageError(f"{path} is not an image: {one_line(error)}") from error
    if options.crop == "random":
        found = crops.central(found[None], options.image_size)[0]
    if found.shape != tuple(shape):
        raise UsageError(
            f"{path} has {found.shape[1]}x{found.shape[0]} pixels, but the images of this "
            f"run have {shape[1]}x{shape[0]}: resize it"
        )
    return found
