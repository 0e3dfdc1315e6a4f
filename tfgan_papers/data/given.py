"""Images that are given beside the data of a run: to be scored, or embedded."""

import dataclasses
import os

import numpy as np
from absl import logging

from tfgan_papers.data import folder, hwdb
from tfgan_papers.data.examples import Examples, HeldExamples, one_line
from tfgan_papers.data.files import fixed_order
from tfgan_papers.data.images import BAD_IMAGE, Fitting, eight_bits
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError, UserError


def images(path: str, options: DataOptions) -> Examples:
    """The images of a .npy file or below a folder, all of them, in a fixed permutation.

    Raises:
        UsageError: those of a folder differ in size.
        UserError: they cannot be read, or are no images.
    """
    path = os.path.expanduser(path)
    if path.endswith(".npy"):
        examples = array(path)
    else:
        options = dataclasses.replace(options, data_order="hashed")
        examples = folder.read(path, "all", options)
    logging.info("%s: %s", path, examples.summary())
    return examples


def array(path: str) -> HeldExamples:
    """Images (n, height, width[, channels]) in a .npy file, of any type, in a fixed
    permutation; their levels are read as `eight_bits` says.

    Raises:
        UserError: they are not there, not images, or of another range.
    """
    try:
        stored = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    if stored.ndim == 3:
        stored = stored[..., None]
    numbers = stored.dtype.kind in "iuf"
    if not numbers or stored.ndim != 4 or stored.shape[-1] not in (1, 3) or not stored.size:
        raise UserError(f"{path} holds {stored.dtype} {stored.shape}, and no images")
    if stored.dtype.kind in "iu" and 0 <= stored.max() <= 1:
        raise UserError(
            f"the images in {path} are whole numbers up to 1: not from 0 to 255"
        )
    try:
        pixels = eight_bits(stored)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return HeldExamples(path, pixels[fixed_order([str(i) for i in range(len(pixels))])])


def fit_image(path: str, options: DataOptions, shape: tuple[int, int, int]) -> np.ndarray:
    """The image of a file, cropped, resized and made grey or coloured as the data of
    `options` are: uint8 of `shape`, that of the data.

    Raises:
        UsageError: it is not there, not an image, or of another size where the data are
            not resized.
    """
    fitting = hwdb.fitting if options.dataset == "hwdb" else Fitting.of
    fit = fitting(options)._replace(channels=shape[-1])
    try:
        found = fit.read(os.path.expanduser(path))
    except BAD_IMAGE as error:
        raise UsageError(f"{path} is no image: {one_line(error)}") from error
    if found.shape != tuple(shape):
        raise UsageError(
            f"{path} is of {found.shape[1]}x{found.shape[0]} pixels, the images of this "
            f"run are of {shape[1]}x{shape[0]}: resize it"
        )
    return found
