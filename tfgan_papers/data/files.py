"""Finds the files in a folder tree and puts them in a fixed order.

Folders often store one class after another. The order is therefore a permutation by a hash
of the relative path, so that splits, limits and the references of scores have all classes.
"""

import collections
import hashlib
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image, ImageFile

from tfgan_papers.errors import UserError

# Names, in lower case, of files and folders that operating systems and programs create.
SYSTEM = {
    *("__macosx", "lost+found", "thumbs.db", "desktop.ini", "#recycle", "#snapshot"),
    *("$recycle.bin", "system volume information"),
}


class Found(NamedTuple):
    """The files in a folder tree.

    Attributes:
        paths: sorted list of the files with one of the suffixes.
        left_out: reason -> number of the other files and folders.
    """

    paths: list[pathlib.Path]
    left_out: collections.Counter


def find(root: str, suffixes: Iterable[str]) -> Found:
    """Finds the files below `root` whose names end in one of `suffixes`, in any case.

    Hidden and system files and folders are left out. Links are followed. A folder that
    several links point to is read once, at its own path if that is below `root`.

    Raises:
        UserError: a folder cannot be read.
    """
    suffixes = set(suffixes)
    paths, left_out, seen, starts = [], collections.Counter(), set(), [os.fspath(root)]
    for start in starts:  # the loop appends the linked folders
        for folder, inner, names in os.walk(start, onerror=_refuse):
            if (real := os.path.realpath(folder)) in seen:
                left_out["links to folders that are read already"] += folder == start
                inner.clear()
                continue
            seen.add(real)
            left_out["hidden or system folders"] += sum(map(_is_system, inner))
            inner[:] = sorted(name for name in inner if not _is_system(name))
            inside = (os.path.join(folder, name) for name in inner)
            starts += [path for path in inside if os.path.islink(path)]
            for name in names:
                reason = _reason(name, suffixes)
                left_out[reason] += bool(reason)
                paths += [] if reason else [pathlib.Path(folder, name)]
    return Found(sorted(paths), +left_out)


def _refuse(error):
    raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


def _is_system(name):
    return name.startswith((".", "@")) or name.lower() in SYSTEM


def _reason(name, suffixes):
    """Returns the reason why a file is left out, or an empty string."""
    suffix = os.path.splitext(name)[1].lower()
    if _is_system(name):
        return "hidden or system files"
    return "" if suffix in suffixes else f"{suffix or 'without a suffix'}"


def image_suffixes() -> set[str]:
    """Returns the suffixes, in lower case, of the image files that Pillow can decode."""
    return {
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and not _is_stub(Image.OPEN[name][0])
    }


def _is_stub(opener):
    """Returns whether Pillow reads only the header of the format (HDF5, GRIB, BUFR)."""
    return isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)


def fixed_order(names: Sequence[str]) -> list[int]:
    """Returns the indices of `names`, sorted by the sha256 of the name.

    The order is the same on every machine, and further names do not change it.
    """
    hashes = [hashlib.sha256(_bytes(name)).digest() for name in names]
    return sorted(range(len(names)), key=hashes.__getitem__)


def _bytes(name):
    """Encodes the composed form of a name, which some file systems decompose."""
    return os.fsencode(unicodedata.normalize("NFC", name))


def natural(name: str) -> tuple:
    """Returns a sorting key that puts "2" before "10"."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
