"""Data sets by name: `load(split, DataOptions(dataset="mnist"))` gives its `Examples`."""

from collections.abc import Callable

import numpy as np

from tfgan_papers.data import catalog, embedded, folder, glyphs, hwdb, tfd
from tfgan_papers.data.examples import Examples, HeldExamples, one_line
from tfgan_papers.data.options import DataOptions
from tfgan_papers.data.ranges import RANGES
from tfgan_papers.errors import UserError

__all__ = [
    "RANGES",
    "SOURCES",
    "DataOptions",
    "Examples",
    "HeldExamples",
    "array",
    "folder",
    "load",
    "describe_data_error",
]

SOURCES: dict[str, Callable[[str, DataOptions], Examples]] = {
    "digits": embedded.digits,
    "ring": embedded.ring,
    "gaussian": embedded.gaussian,
    "folder": folder.load,
    "tfd": tfd.load,
    "hwdb": hwdb.load,
    "glyphs": glyphs.load,
}


def load(split: str, options: DataOptions) -> Examples:
    """One split of a data set, written as tensorflow-datasets writes splits.

    Raises:
        UsageError: there is no such set or split, or the flags do not fit the set.
        UserError: the data are not there, or cannot be read.
    """
    if options.dataset in SOURCES:
        return SOURCES[options.dataset](split, options)
    return catalog.load(split, options, SOURCES)


def array(path: str) -> HeldExamples:
    """Images (n, height, width[, channels]) of 0 to 255 in a .npy file, of any type.

    Raises:
        UserError: they are not there, not images, or not of 0 to 255.
    """
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    if images.ndim == 3:
        images = images[..., None]
    numbers = np.issubdtype(images.dtype, np.number)
    if not numbers or images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise UserError(f"{path} holds {images.dtype} {images.shape}, and no images")
    low, high = images.min(), images.max()
    if not (0 <= low and 1 < high <= 255):  # nor NaN
        raise UserError(
            f"the images in {path} run from {low:.4g} to {high:.4g}, not from 0 to 255"
        )
    return HeldExamples(path, np.uint8(np.rint(images)))


def describe_data_error(error: Exception, dataset: str) -> str:
    """What to say of an error that a stream met in the middle of a run, on one line; ""
    where the error is not the data's."""
    if "IteratorGetNext" not in str(error):
        return ""
    return f"--dataset={dataset} cannot be read: {one_line(error)}"
