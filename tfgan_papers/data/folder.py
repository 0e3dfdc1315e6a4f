"""A folder of images."""

import functools
import itertools
import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image

from tfgan_papers.data import splits
from tfgan_papers.data.disk import FileExamples, in_python
from tfgan_papers.data.examples import (
    CLASSES_SHOWN,
    Examples,
    HeldExamples,
    Progress,
    fits_in_memory,
    named,
    one_line,
)
from tfgan_papers.data.files import find, fixed_order, image_suffixes, natural
from tfgan_papers.data.images import BAD_IMAGE, GREY, Fitting
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError, UserError

SPLITS = {  # name of a folder, in lower case -> its split
    **{name: name for name in ("train", "test", "val", "valid", "validation")},
    **{"training": "train", "testing": "test"},
}


def load(split, options):
    """Loads the images below --data_dir, in the order of --data_order.

    If folders named `train` and `test` (or otherwise, see SPLITS) hold all images, they are
    the splits. Otherwise all images are in `train`, with a warning if only some images lie
    beside both folders. If all images of `train` lie in two or more subfolders, these are
    the classes. Images of the split that cannot be read are logged and left out.
    """
    return read(_root(options), split, options)


def has_test_split(options: DataOptions) -> bool:
    return "test" in _tree(_root(options), options)[0].splits


def _root(options):
    if not options.data_dir:
        raise UsageError("--dataset=folder needs --data_dir, the folder of your images")
    return os.path.expanduser(options.data_dir)


def read(name: str, split: str, options: DataOptions) -> Examples:
    """Loads the images below the path `name` as `load` does; "all" is the whole tree."""
    tree, left_out = _tree(name, options)
    fit = Fitting.of(options)
    if not fit.channels:
        fit = fit._replace(channels=1 if all(map(_is_grey, tree.paths)) else 3)
    paths = tree.paths
    if split != "all":
        if tree.beside:
            _warn_of_images_beside_splits(name, *tree.beside[:CLASSES_SHOWN])
        paths = list(itertools.chain(*splits.taken(name, split, tree.splits)))
    good, held, shape = _good(name, paths, fit)
    labels, names = tree.labels(good)
    if held is not None:
        examples = HeldExamples(name, held, labels, names)
    else:

        def decode(number):
            return fit.read(good[number])

        examples = FileExamples(name, len(good), shape, decode, labels, names)
    bad = len(paths) - len(good)
    examples.left_out = left_out | ({"images that cannot be read": bad} if bad else {})
    return examples


def _tree(name, options):
    """Returns the `Tree` of the images below `name`, and reason -> number left out."""
    paths, left_out = find(name, image_suffixes())
    if not paths:
        others = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise UserError(
            f"{name} holds no image that Pillow can read, for example .png or .jpg"
            + (f", but {others}" if others else "")
        )
    return Tree(name, paths, options), dict(left_out)


def _good(name, paths, fit):
    """Reads the images.

    Returns:
        (paths of the readable images, uint8 array of these or None if they do not fit into
        memory, shape of an image).
    """
    good, held = [], None
    for path, image in _readable(name, paths, fit):
        if not good:
            shape = image.shape
            if fits_in_memory(len(paths), shape):
                held = np.empty((len(paths), *shape), np.uint8)
        if image.shape != shape:
            raise UsageError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels, but {good[0]} has "
                f"{shape[1]}x{shape[0]}: set --image_size"
            )
        if held is not None:
            held[len(good)] = image
        good.append(path)
    if not good:
        raise UserError(
            f"none of the {len(paths)} images below {name} can be read: see the warnings"
        )
    return good, None if held is None else held[: len(good)], shape


@functools.cache  # once, not for each split
def _warn_of_images_beside_folders(root, count):
    logging.warning(
        "%s: its folders are not classes, because images lie beside them (%d): move these "
        "into a folder to have classes",
        *(root, count),
    )


@functools.cache
def _warn_of_images_beside_splits(root, *beside):
    logging.warning(
        "%s: its folders for training and testing are no splits, because images lie beside "
        "them: to have splits, move %s elsewhere",
        *(root, ", ".join(beside)),
    )


class Tree:
    """The splits and classes of the images in a folder tree.

    Attributes:
        paths: list of the paths of all images, in order.
        splits: name -> list of the paths of its images, in order.
        class_names: list of the folders of `train`, or None if they are not classes.
    """

    def __init__(self, root: str, paths: list[pathlib.Path], options: DataOptions):
        self.root = root
        self.parts = {path: path.relative_to(root).parts for path in paths}
        hashed = options.data_order == "hashed"
        names = ["/".join(parts) for parts in self.parts.values()]
        self.paths = [paths[i] for i in fixed_order(names)] if hashed else paths
        tops = {SPLITS.get(parts[0].lower()) for parts in self.parts.values()}
        firsts = {parts[0] for parts in self.parts.values()}
        self.beside = []  # folders and images beside those of training and testing
        if {"train", "test"} <= tops:
            self.beside = sorted(each for each in firsts if each.lower() not in SPLITS)
        self.depth = int("train" in tops and None not in tops)
        names = {"train"} | (tops if self.depth else set())
        self.splits = {name: [] for name in sorted(names, key="train".__ne__)}
        for path in self.paths:
            split = SPLITS[self.parts[path][0].lower()] if self.depth else "train"
            self.splits[split].append(path)
        folders = {self._folder(path) for path in self.splits["train"]}
        classes = None not in folders and len(folders) > 1
        if None in folders and len(folders) > 2:
            beside = sum(self._folder(path) is None for path in self.splits["train"])
            _warn_of_images_beside_folders(root, beside)
        key = natural if hashed else None
        self.class_names = sorted(folders, key=key) if classes else None

    def labels(self, paths: list[pathlib.Path]) -> tuple:
        """Returns (labels, class names), or (None, None) if `paths` or `train` have none.

        Raises:
            UsageError: the images have a class that `train` lacks.
        """
        folders = [self._folder(path) for path in paths]
        if not self.class_names or None in folders:
            return None, None
        number = {name: i for i, name in enumerate(self.class_names)}
        if lacking := sorted({*folders} - {*number}, key=natural):
            raise UsageError(
                f"{self.root} has images of {named('class', lacking)}, which train lacks: "
                f"train has {named('class', self.class_names)}"
            )
        return [number[folder] for folder in folders], self.class_names

    def _folder(self, path):
        """Returns the top folder of an image below its split, or None."""
        folders = self.parts[path][self.depth : -1]
        return folders[0] if folders else None


def _readable(name, paths, fit):
    """Yields (path, image) of each readable image, and logs the others."""

    def read_or_name(i):
        try:
            return fit.read(paths[i])
        except BAD_IMAGE as error:
            logging.warning("left out %s: %s", paths[i], one_line(error))
            return np.empty(0, np.uint8)

    images = tf.data.Dataset.range(len(paths)).map(
        in_python(read_or_name), tf.data.AUTOTUNE
    )
    bad, progress = 0, Progress()
    for i, image in enumerate(images.as_numpy_iterator()):
        progress("%s: %d of %d images read", name, i, len(paths))
        if image.size:
            yield paths[i], image
        bad += not image.size
    if bad:
        logging.warning("%s: %d of %d images left out", name, bad, len(paths))


def _is_grey(path):
    """Returns whether the header of an image says grey; True if there is no header."""
    try:
        with Image.open(path) as image:
            return image.getbands() in GREY
    except BAD_IMAGE:
        return True
