"""Data sets by name: `load(split, DataOptions(dataset="mnist"))` returns `Examples`."""

import dataclasses
from collections.abc import Callable, Collection

from absl import logging

from tfgan_papers.data import (
    catalog,
    crops,
    embedded,
    folder,
    glyphs,
    hwdb,
    printed,
    strokes,
    tfd,
)
from tfgan_papers.data.examples import Examples, HeldExamples, one_line
from tfgan_papers.data.given import array, fit_image, images
from tfgan_papers.data.options import DataOptions
from tfgan_papers.data.ranges import RANGES
from tfgan_papers.errors import UsageError

__all__ = [
    "LICENCES",
    "RANGES",
    "SOURCES",
    "DataOptions",
    "Examples",
    "HeldExamples",
    "array",
    "describe_data_error",
    "fit_image",
    "folder",
    "images",
    "load",
    "with_held_out_split",
]

SOURCES: dict[str, Callable[[str, DataOptions], Examples]] = {
    "digits": embedded.digits,
    printed.NAME: printed.load,
    "ring": embedded.ring,
    "gaussian": embedded.gaussian,
    "folder": folder.load,
    "tfd": tfd.load,
    "hwdb": hwdb.load,
    "glyphs": glyphs.load,
    "strokes": strokes.load,
}
LICENCES = {  # as the sets' own pages state them
    "digits": "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
    "mnist": "CC BY-SA 3.0 (Y. LeCun and C. Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
    "printed_digits": "drawn with fonts under the Bitstream Vera licence (DejaVu), the SIL "
    "OFL 1.1 (STIX) and the BaKoMa licence (Computer Modern)",
}
HELD_OUT = ("train[:90%]", "train[90%:]")
POINTS = ("ring", "gaussian")
WITHOUT_FILES = ("digits", printed.NAME, *POINTS, "glyphs")  # they read no --data_dir
ONLY_OF = {  # option -> the data sets that have it
    "ring": ("ring",),
    "font": ("glyphs",),
    "characters": ("glyphs", "strokes"),
    "renderings": ("glyphs", "strokes"),
    "tfd_fold": ("tfd",),
    "data_order": ("folder",),
}


def load(split: str, options: DataOptions) -> Examples:
    """Loads one split of a data set.

    Args:
        split: str in the notation of tensorflow-datasets, for example `train[:90%]`.
        options: the data set, and the size and order of its images.

    Raises:
        UsageError: there is no such set or split, or the options do not fit the set.
        UserError: the data are missing or cannot be read.
    """
    if options.dataset in SOURCES:
        examples = SOURCES[options.dataset](split, options)
    else:
        examples = catalog.load(split, options, SOURCES)
    examples = crops.of_examples(examples, options)
    logging.info("%s, split %s: %s", examples.name, split, examples.summary())
    return examples


def check_used(dataset: str, given: Collection[str]):
    """Warns of options that the data set does not read.

    Args:
        dataset: the name of the data set.
        given: names of the options that the user gives.

    Raises:
        UsageError: --data_dir is one, and the user has not named the data set. The run
            would train on other images than the user's.
    """
    unused = {name for name, sets in ONLY_OF.items() if dataset not in sets}
    unused |= {"image_size", "channels", "crop"} if dataset in POINTS else set()
    unused |= {"data_dir", "download"} if dataset in WITHOUT_FILES else set()
    for name in sorted(unused.intersection(given)):
        said = f"--dataset={dataset} does not read --{name}"
        if name == "data_dir" and "dataset" not in given:
            raise UsageError(f"{said}: for your own images add --dataset=folder")
        logging.warning("%s", said)


def with_held_out_split(options: DataOptions) -> DataOptions:
    """Returns the options, with another test split if the data set has none.

    If the options name the splits `train` and `test`, and the set has no `test`, the last
    tenth of `train` in its fixed order becomes the test split, which is logged. Otherwise
    the options are unchanged.

    Raises:
        UsageError, UserError: see `load`.
    """
    named = (options.train_split, options.test_split)
    if named != ("train", "test") or _has_test_split(options):
        return options
    train, test = HELD_OUT
    logging.info(
        "%s has no test split: the last tenth of train is held out for scores "
        "(--train_split=%s --test_split=%s)",
        *(options.dataset, train, test),
    )
    return dataclasses.replace(options, train_split=train, test_split=test)


def _has_test_split(options):
    if options.dataset in ("digits", printed.NAME, "ring", "gaussian"):
        return False
    if options.dataset in ("tfd", "glyphs", "strokes"):
        return True
    if options.dataset in ("folder", "hwdb"):
        return {"folder": folder, "hwdb": hwdb}[options.dataset].has_test_split(options)
    return catalog.has_test_split(options, SOURCES)


def describe_data_error(error: Exception, dataset: str | None) -> str:
    """Describes an error of the input stream of a run, on one line.

    Args:
        error: the error.
        dataset: the name of the data set, if it is known.

    Returns:
        str, empty if the data did not cause the error.
    """
    if "IteratorGetNext" not in str(error):
        return ""
    name = f"--dataset={dataset}" if dataset else "the data set of the run"
    return f"{name} cannot be read: {one_line(error)}"
