"""CASIA HWDB1.0: handwritten Chinese characters, from the user's own GNT files.

A file is one writer's: records of 4 bytes size, little-endian, 2 bytes GBK code, 2 bytes
width, 2 bytes height, then a grey byte a pixel, row by row, on white. LSGAN's authors
read them so (convert_icdar.py).
"""

import os
import pathlib
import struct

import numpy as np
from absl import logging
from PIL import Image

from tfgan_papers.data import splits
from tfgan_papers.data.disk import FileExamples
from tfgan_papers.data.examples import HeldExamples, Progress, fits_in_memory
from tfgan_papers.data.files import find
from tfgan_papers.data.gb2312 import LEVEL_1
from tfgan_papers.data.images import Fitting
from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError, UserError

SIDE = 28  # pixels, where --image_size does not say (convert_icdar.py)
HEADER = struct.Struct("<I2sHH")
SOURCE = (
    "CASIA gives HWDB1.0 out for research on registration (nlpr.ia.ac.cn/databases/"
    "handwriting/Home.html): unpack HWDB1.0trn_gnt.zip and HWDB1.0tst_gnt.zip into one "
    "folder and name it with --data_dir"
)


def load(split, options):
    """The GB2312 level-1 characters of the files below --data_dir, resized with the
    aspect ignored: `test` is of files in a folder named like tst, `train` of the others.

    Classes are the characters found in all files, in the order of their codes, so that a
    label means the same in every run and split; HWDB1.0 has 3,740. Others are left out.
    They go writer by writer: the last tenth is of other hands.
    """
    root, paths = _files(options)
    found = _characters(root, paths)
    classes, labels = np.unique(found[:, 4], return_inverse=True)
    names = [LEVEL_1[i] for i in classes]
    of_test = np.array([_is_test(path, root) for path in paths])[found[:, 0]]
    rows = {"train": np.flatnonzero(~of_test), "test": np.flatnonzero(of_test)}
    rows = np.concatenate(splits.taken(root, split, rows))
    found, labels = found[rows], labels[rows]
    fit = fitting(options)

    def decode(number):
        file, first, width, height, _ = found[number]
        pixels = np.fromfile(paths[file], np.uint8, width * height, offset=first)
        return fit(Image.fromarray(pixels.reshape(height, width)))

    shape = (fit.size, fit.size, fit.channels)
    examples = FileExamples(root, len(found), shape, decode, labels, names)
    if not fits_in_memory(len(found), shape):
        return examples
    return HeldExamples(root, np.concatenate([*examples.blocks()]), labels, names)


def fitting(options: DataOptions) -> Fitting:
    """The characters are resized to 28x28 if nothing else is asked for, and not cropped."""
    fit = Fitting.of(options)
    return fit._replace(size=fit.size or SIDE, crop=0, channels=fit.channels or 1)


def has_test_split(options: DataOptions) -> bool:
    root, paths = _files(options)
    return any(_is_test(path, root) for path in paths)


def _files(options):
    """The folder, and the paths of the GNT files below it."""
    if not options.data_dir:
        raise UsageError(f"--dataset=hwdb needs the folder of your GNT files. {SOURCE}")
    root = os.path.expanduser(options.data_dir)
    paths = find(root, (".gnt",)).paths if os.path.isdir(root) else []
    if not paths:
        raise UserError(f"{root} holds no .gnt file. {SOURCE}")
    return root, paths


def _characters(root, paths):
    """int64 (n, 5): number of the file, first byte of the pixels, width, height, and
    place in LEVEL_1 of each record that has one."""
    records, progress = [], Progress()
    for i, path in enumerate(paths):
        records.append(np.int64([(i, *r) for r in _records(path)]).reshape(-1, 5))
        progress("%s: %d of %d files looked through", root, i, len(paths))
    records = np.concatenate(records)
    found = records[records[:, 4] >= 0]
    if len(found) < len(records):
        logging.info(
            "%s: %d of %d records left out, which are not of GB2312 level 1",
            *(root, len(records) - len(found), len(records)),
        )
    return found


def _is_test(path, root):
    """By the name of a folder: CASIA's own is HWDB1.0tst_gnt."""
    below = path.relative_to(root).parts[:-1]
    return any("tst" in part.lower() for part in (pathlib.Path(root).name, *below))


def _records(path):
    """(first byte of the pixels, width, height, place in LEVEL_1 or -1) of each record."""
    try:
        content, at = path.read_bytes(), 0
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    while at < len(content):
        if at + HEADER.size > len(content):
            raise _truncated(path, content, at)
        size, code, width, height = HEADER.unpack_from(content, at)
        if not width * height or size != HEADER.size + width * height:
            raise UserError(
                f"{path} is damaged, or no GNT file: the record at byte {at} says that it "
                f"is of {size} bytes and {width}x{height} pixels"
            )
        if at + size > len(content):
            raise _truncated(path, content, at)
        yield at + HEADER.size, width, height, LEVEL_1.find(code.decode("gbk", "replace"))
        at += size


def _truncated(path, content, at):
    return UserError(
        f"{path} is truncated: it ends at byte {len(content)}, within the record that "
        f"begins at byte {at}. Get the file again"
    )
