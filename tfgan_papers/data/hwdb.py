"""CASIA HWDB1.0: handwritten Chinese characters, from the user's own GNT files.

A file has the records of one writer. A record is 4 bytes of size, little-endian, 2 bytes of
GBK code, 2 bytes of width, 2 bytes of height, and one grey byte per pixel, row by row, on
white, as in the code of LSGAN's authors (convert_icdar.py).
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

SIDE = 28  # pixels without --image_size (convert_icdar.py)
HEADER = struct.Struct("<I2sHH")
SOURCE = (
    "CASIA provides HWDB1.0 for research after registration (nlpr.ia.ac.cn/databases/"
    "handwriting/Home.html): unpack HWDB1.0trn_gnt.zip and HWDB1.0tst_gnt.zip into one "
    "folder and set --data_dir to it"
)


def load(split, options):
    """Loads the GB2312 level-1 characters of the GNT files below --data_dir.

    The images are resized without keeping their aspect ratio. `test` has the files in
    folders with `tst` in their name, `train` the others. The classes are the characters of
    all files in the order of codes, 3,740 in HWDB1.0, so a label means the same in every
    split. Other characters are left out. The order is by writer, so the last tenth of
    `train` has other writers than the rest.

    Raises:
        UsageError: --data_dir is not set, or there is no such split.
        UserError: there are no GNT files, or one is damaged.
    """
    root, paths = _files(options)
    records = _characters(root, paths)
    classes, labels = np.unique(records[:, 4], return_inverse=True)
    names = [LEVEL_1[i] for i in classes]
    of_test = np.array([_is_test(path, root) for path in paths])[records[:, 0]]
    rows = {"train": np.flatnonzero(~of_test), "test": np.flatnonzero(of_test)}
    rows = np.concatenate(splits.taken(root, split, rows))
    records, labels = records[rows], labels[rows]
    fit = fitting(options)

    def decode(number):
        file, first, width, height, _ = records[number]
        pixels = np.fromfile(paths[file], np.uint8, width * height, offset=first)
        return fit(Image.fromarray(pixels.reshape(height, width)))

    shape = (fit.size, fit.size, fit.channels)
    examples = FileExamples(root, len(records), shape, decode, labels, names)
    if not fits_in_memory(len(records), shape):
        return examples
    return HeldExamples(root, np.concatenate([*examples.blocks()]), labels, names)


def fitting(options: DataOptions) -> Fitting:
    """Returns how characters are fitted: to 28x28 grey pixels by default, never cropped."""
    fit = Fitting.of(options)
    return fit._replace(size=fit.size or SIDE, crop=0, channels=fit.channels or 1)


def has_test_split(options: DataOptions) -> bool:
    root, paths = _files(options)
    return any(_is_test(path, root) for path in paths)


def _files(options):
    """Returns the folder and the paths of the GNT files below it."""
    if not options.data_dir:
        raise UsageError(f"--dataset=hwdb needs the folder of your GNT files. {SOURCE}")
    root = os.path.expanduser(options.data_dir)
    paths = find(root, (".gnt",)).paths if os.path.isdir(root) else []
    if not paths:
        raise UserError(f"{root} holds no .gnt file. {SOURCE}")
    return root, paths


def _characters(root, paths):
    """Reads the headers of the records with a character of level 1.

    Returns:
        int64 (n, 5): index of the file, first byte of the pixels, width, height, and index
        in LEVEL_1.
    """
    records, progress = [], Progress()
    for i, path in enumerate(paths):
        records.append(np.int64([(i, *r) for r in _records(path)]).reshape(-1, 5))
        progress("%s: %d of %d files read", root, i, len(paths))
    records = np.concatenate(records)
    of_level_1 = records[records[:, 4] >= 0]
    if len(of_level_1) < len(records):
        logging.info(
            "%s: %d of %d records left out, which are not of GB2312 level 1",
            *(root, len(records) - len(of_level_1), len(records)),
        )
    return of_level_1


def _is_test(path, root):
    """Returns whether a folder of the file has `tst` in its name, as HWDB1.0tst_gnt has."""
    below = path.relative_to(root).parts[:-1]
    return any("tst" in part.lower() for part in (pathlib.Path(root).name, *below))


def _records(path):
    """Yields (first byte of the pixels, width, height, index in LEVEL_1 or -1)."""
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
                f"{path} is damaged or not a GNT file: the record at byte {at} has a size "
                f"of {size} bytes for {width}x{height} pixels"
            )
        if at + size > len(content):
            raise _truncated(path, content, at)
        yield at + HEADER.size, width, height, LEVEL_1.find(code.decode("gbk", "replace"))
        at += size


def _truncated(path, content, at):
    return UserError(
        f"{path} is truncated: it ends at byte {len(content)}, within the record that "
        f"begins at byte {at}. Download the file again"
    )
