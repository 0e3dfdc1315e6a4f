"""Fonts for Chinese characters: which there are, and which have what is asked for."""

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
    "install one (in Debian and Ubuntu: apt-get install fonts-noto-cjk), or name files "
    "with --font"
)
BAD_FONT = (OSError, TTLibError, AssertionError, LookupError, ValueError, struct.error)


class Face(NamedTuple):
    path: str
    number: int  # in a collection of several


def faces(characters, named: str | None = None):
    """The faces that have all the characters: of --font, or of what is installed.

    Raises:
        UserError: there is none, or a font of --font lacks some.
    """
    found = []
    for path in named.split(",") if named else sorted(installed()):
        path = os.path.expanduser(path)
        try:
            number, glyphs = _simplified(path)
        except BAD_FONT as error:
            if named:
                raise UserError(f"{path} is no font: {one_line(error)}") from error
            continue
        lacking = [c for c in characters if ord(c) not in glyphs]
        line = (
            f"{path} has no glyph for {len(lacking)} of the {len(characters)} characters: "
            f"{''.join(lacking[:20])}{' ...' if lacking[20:] else ''}"
        )
        if lacking and named:
            raise UserError(f"{line}. Name another --font, or set fewer --characters")
        if not lacking:
            found.append(Face(path, number))
        elif len(lacking) < len(characters):
            logging.info("glyphs: left out: %s", line)
    if not found:
        raise UserError(
            f"no font here has the first {len(characters)} characters of GB2312: {REMEDY}"
        )
    return found


def _simplified(path):
    """The face of a file that has the simplified forms, by its name, else the first; and
    the code points that it has."""
    if path.lower().endswith((".ttc", ".otc")):
        fonts = TTCollection(path, lazy=True).fonts
    else:
        fonts = [TTFont(path, lazy=True)]
    names = [str(font["name"].getDebugName(1)) for font in fonts]
    number = next((i for i, n in enumerate(names) if n.endswith((" SC", " CN"))), 0)
    return number, fonts[number].getBestCmap() or {}


def installed():
    """Paths of the fonts for simplified Chinese by fontconfig; without it, of all fonts."""
    command = ["fc-list", "--format=%{file}\n", ":lang=zh-cn"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return set(os.fsdecode(listed.stdout).splitlines())
    except (OSError, subprocess.SubprocessError):
        from matplotlib import font_manager  # here, for it takes a second

        return set(font_manager.findSystemFonts())


def opened(face, size):
    """The face as Pillow draws it, its em square `size` pixels wide."""
    basic = ImageFont.Layout.BASIC  # these characters need no shaping
    try:
        return ImageFont.truetype(face.path, size, face.number, layout_engine=basic)
    except OSError as error:
        raise UserError(f"{face.path} is no font: {one_line(error)}") from error
