"""Printed digits: 0 to 9 in nine bold fonts that come with Matplotlib.

Each of the 2,000 images is rotated, stretched, sheared and shifted slightly at random. The
set needs no network and no file of its own. It is small, but its strokes are sharp, and its
digits are aligned, as faces are: BEGAN copies such images well.
"""

import functools
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfgan_papers.data import splits
from tfgan_papers.data.images import Fitting

NAME = "printed_digits"
FONTS = (
    *("DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSansMono-Bold"),
    *("DejaVuSansMono-BoldOblique", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
    *("STIXGeneralBol", "STIXGeneralBolIta", "cmb10"),
)
IMAGES, SIDE = 2000, 32
OVERSAMPLING = 4  # factor by which digits are drawn and transformed larger
EM = 1.05  # of the side; a digit is about .7 em high
# The largest changes: degrees; factor of width or height; columns per row; of the side.
ROTATION, STRETCH, SHEAR, SHIFT = 8, 1.12, 0.12, 0.04
SEED = 2017


def load(split, options):
    """Renders the images, white on black; image i shows the digit i % 10.

    They have 32x32 pixels, or --image_size. The only split is `train`.
    """
    images, digits = _rendered(Fitting.of(options).size or SIDE)
    names = tuple(map(str, range(10)))
    return splits.held(NAME, split, options, {"train": images}, {"train": digits}, names)


@functools.lru_cache(2)  # for all splits
def _rendered(side):
    """uint8 (IMAGES, side, side, 1) and their digits, int (IMAGES,)."""
    large = side * OVERSAMPLING
    draw, digits = np.random.default_rng(SEED), np.arange(IMAGES) % 10
    fonts, changes = (
        draw.integers(len(FONTS), size=IMAGES),
        draw.uniform(-1, 1, (IMAGES, 6)),
    )
    images = [
        _drawn(FONTS[font], str(digit), large)
        .transform((large, large), Image.Transform.AFFINE, _affine(change, large),
                   Image.Resampling.BILINEAR)
        .resize((side, side), Image.Resampling.BOX)
        for font, digit, change in zip(fonts, digits, changes, strict=True)
    ]  # fmt: skip
    return np.stack(images)[..., None], digits


@functools.cache
def _drawn(font, digit, side):
    """A digit in a square of `side` pixels, its ink centred."""
    import matplotlib  # imported here because it is slow

    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    wide = Image.new("L", (2 * side, 2 * side))
    basic = ImageFont.Layout.BASIC
    face = ImageFont.truetype(str(path), round(EM * side), layout_engine=basic)
    ImageDraw.Draw(wide).text((side, side), digit, 255, face, "mm")
    box = wide.getbbox()
    left, top = ((box[k] + box[k + 2] - side) // 2 for k in (0, 1))
    return wide.crop((left, top, left + side, top + side))


def _affine(change, side):
    """The transform from pixels of the image to pixels of the drawing, about the centre of
    a square of `side` pixels, as Pillow takes it; `change` is float (6,) in [-1, 1)."""
    angle, shear = np.deg2rad(ROTATION) * change[0], SHEAR * change[3]
    turn = [[np.cos(angle), shear - np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix = np.array(turn) / STRETCH ** change[1:3, None]
    centre = np.full(2, (side - 1) / 2)
    offset = centre + SHIFT * side * change[4:] - matrix @ centre
    return (*matrix[0], offset[0], *matrix[1], offset[1])
