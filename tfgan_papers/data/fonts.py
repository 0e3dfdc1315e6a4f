"""Finds the fonts that have given Chinese characters."""

import os
import struct
import subprocess
from typing import NamedTuple

from absl import logging
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from PIL import ImageFont

from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UserError

REMEDY = (
    "install another font (on Debian and Ubuntu: apt-get install fonts-noto-cjk), or set "
    "--font to font files"
)
BAD_FONT = (OSError, TTLibError, AssertionError, LookupError, ValueError, struct.error)


class Face(NamedTuple):
    path: str
    number: int  # index in a collection


def faces(characters, named: str | None = None):
    """Returns the faces that have all the characters.

    Args:
        characters: str.
        named: font files, separated by commas; all installed fonts by default.

    Raises:
        UserError: no font has the characters, or one of `named` lacks some.
    """
    complete = []
    for path in named.split(",") if named else sorted(installed()):
        path = os.path.expanduser(path)
        try:
            number, glyphs = _simplified(path)
        except BAD_FONT as error:
            if named:
                raise UserError(f"{path} is not a font: {one_line(error)}") from error
            continue
        lacking = [c for c in characters if ord(c) not in glyphs]
        line = (
            f"{path} has no glyph for {len(lacking)} of the {len(characters)} characters: "
            f"{''.join(lacking[:20])}{' ...' if lacking[20:] else ''}"
        )
        if lacking and named:
            raise UserError(f"{line}. Set another --font or fewer --characters")
        if not lacking:
            complete.append(Face(path, number))
        elif len(lacking) < len(characters):
            logging.info("glyphs: left out: %s", line)
    if not complete:
        raise UserError(
            f"no installed font has the first {len(characters)} characters of GB2312: "
            f"{REMEDY}"
        )
    return complete


def _simplified(path):
    """Returns the index of the face with simplified forms, by its name, or else 0, and a
    container of its code points."""
    if path.lower().endswith((".ttc", ".otc")):
        fonts = TTCollection(path, lazy=True).fonts
    else:
        fonts = [TTFont(path, lazy=True)]
    names = [str(font["name"].getDebugName(1)) for font in fonts]
    number = next((i for i, n in enumerate(names) if n.endswith((" SC", " CN"))), 0)
    return number, fonts[number].getBestCmap() or {}


def installed():
    """Returns the paths of the fonts for simplified Chinese that fontconfig lists, or
    without fontconfig those of all fonts."""
    command = ["fc-list", "--format=%{file}\n", ":lang=zh-cn"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return set(os.fsdecode(listed.stdout).splitlines())
    except (OSError, subprocess.SubprocessError):
        from matplotlib import font_manager  # imported here because it takes a second

        return set(font_manager.findSystemFonts())


def opened(face, size):
    """Opens a face for drawing with Pillow; its em square is `size` pixels wide."""
    basic = ImageFont.Layout.BASIC  # these characters need no shaping
    try:
        return ImageFont.truetype(face.path, size, face.number, layout_engine=basic)
    except OSError as error:
        raise UserError(f"{face.path} is not a font: {one_line(error)}") from error
