"""The files below a folder: which are read, which are left out, and in what order.

Data often lie class by class. A fixed permutation, by a hash of the relative path, lets
splits, limits and the references of scores hold all classes.
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

# In lower case: what systems and programs leave in folders of images.
SYSTEM = {
    *("__macosx", "lost+found", "thumbs.db", "desktop.ini", "#recycle", "#snapshot"),
    *("$recycle.bin", "system volume information"),
}


class Found(NamedTuple):
    """The files below a folder.

    Attributes:
        paths: those with one of the wanted suffixes, sorted.
        left_out: reason -> how many, of all others.
    """

    paths: list[pathlib.Path]
    left_out: collections.Counter


def find(root: str, suffixes: Iterable[str]) -> Found:
    """The files below `root` whose names end in one of `suffixes`, in any case.

    Hidden and system files and folders are left out. Links are followed; a folder that
    several links lead to is read once, at its own place if that is below `root`.

    Raises:
        UserError: a folder cannot be read.
    """
    suffixes = set(suffixes)
    paths, left_out, seen, starts = [], collections.Counter(), set(), [os.fspath(root)]
    for start in starts:  # which grows: folders first, then those that links lead to
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
    """Why a file is left out; "" if it is not."""
    suffix = os.path.splitext(name)[1].lower()
    if _is_system(name):
        return "hidden or system files"
    return "" if suffix in suffixes else f"{suffix or 'without a suffix'}"


def image_suffixes() -> set[str]:
    """The suffixes, in lower case, of all files of images that Pillow can decode."""
    return {
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and not _is_stub(Image.OPEN[name][0])
    }


def _is_stub(opener):
    """Whether Pillow knows the format by its header alone (HDF5, GRIB, BUFR)."""
    return isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)


def fixed_order(names: Sequence[str]) -> list[int]:
    """A permutation of the examples of these names: by the sha256 of each, so that it is
    the same on every machine and that further examples leave it as it is."""
    hashes = [hashlib.sha256(_bytes(name)).digest() for name in names]
    return sorted(range(len(names)), key=hashes.__getitem__)


def _bytes(name):
    """Of the composed form, which a file system may have taken apart."""
    return os.fsencode(unicodedata.normalize("NFC", name))


def natural(name: str) -> tuple:
    """The key by which "2" is sorted before "10"."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
