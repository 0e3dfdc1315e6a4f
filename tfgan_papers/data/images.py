"""Converts images of any size, type and mode to one shape."""

import struct
import sys
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tfgan_papers.data.options import DataOptions
from tfgan_papers.errors import UsageError

GREY = (("1",), ("L",), ("L", "A"), ("I",), ("F",))  # bands, as Pillow names them
STATE_WHITE = ("PNG", "PPM")  # Pillow scales the levels of the latter, also PGM, to 65535
BAD_IMAGE = (
    *(OSError, ValueError, SyntaxError, Image.DecompressionBombError),
    RuntimeError,  # of damaged AVIF, and as NotImplementedError of kinds of DDS and BLP
)


def margin(size: int) -> int:
    """Returns the pixels by which --crop=random reads images larger than windows; ours."""
    return max(1, size // 8)


class Fitting(NamedTuple):
    """A conversion of images to one size and number of channels; 0 keeps their own."""

    size: int  # height and width in pixels
    crop: int  # largest side, in pixels, of the centred square that is cut out first
    channels: int

    @classmethod
    def of(cls, options: DataOptions):
        """Returns the conversion of --image_size, --crop and --channels."""
        size, square = options.image_size, str(sys.maxsize)
        crop = {"none": "0", "square": square, "random": square}.get(
            options.crop, options.crop
        )
        if not crop.isdecimal() or options.crop == "0":
            raise UsageError(
                f"--crop={options.crop}: square, random, none or a number of pixels"
            )
        if options.crop == "random":
            if not size:
                raise UsageError("--crop=random cuts windows of --image_size: set it")
            size += margin(size)
        return cls(size, int(crop), int(options.channels))

    def shape(self, height, width, channels):
        """Returns the shape of a converted image, None where it depends on the image."""
        if self.crop and None not in (height, width):
            height = width = min(self.crop, height, width)
        if self.size:
            height = width = self.size
        return height, width, self.channels or (1 if channels == 1 else 3)

    def keeps(self, shape):
        """Returns whether the conversion does not change images of this shape."""
        return shape == self.shape(*shape) == self._replace(size=0).shape(*shape)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Converts an image to uint8 (height, width, channels).

        The image is turned upright, its levels are those of `eight_bits`, and transparent
        pixels become white.
        """
        channels = self.channels or (1 if image.getbands() in GREY else 3)
        white = 65535 if image.format in STATE_WHITE else None  # of more than 8 bits
        try:
            image = ImageOps.exif_transpose(image)
        except (TypeError, struct.error) as error:
            raise ValueError(f"its EXIF data are damaged ({error})") from error
        if image.mode[0] in "IF":
            image = Image.fromarray(eight_bits(np.asarray(image), white))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if self.crop:
            side = min(self.crop, *image.size)
            left, top = ((length - side) // 2 for length in image.size)
            image = image.crop((left, top, left + side, top + side))
        if self.size:
            size = (self.size, self.size)
            image = image.resize(size, Image.Resampling.BILINEAR)  # antialiased
        return np.atleast_3d(np.asarray(image))

    def read(self, file) -> np.ndarray:
        """Reads and converts the image of a path or an open file."""
        with Image.open(file) as image:
            return self(image)


def eight_bits(levels: np.ndarray, white: int | None = None) -> np.ndarray:
    """Converts pixels of any type to uint8.

    Most files of 16 and 32 bits do not state the level of white, so the largest of
    `levels` determines it: floats up to 1 are in [0, 1], other levels up to 255 have 8
    bits, and levels up to 65535 have 16 bits.

    Args:
        levels: array of any shape.
        white: the level of white, if it is known.

    Raises:
        ValueError: the levels are in none of these ranges.
    """
    if levels.dtype == np.uint8:
        return levels
    low, high = levels.min(), levels.max()
    if not (low >= 0 and high <= 65535):  # also refuses NaN
        raise ValueError(
            f"its pixels run from {low:.4g} to {high:.4g}, not from 0 to 1, 255 or 65535"
        )
    fractions = np.issubdtype(levels.dtype, np.floating)
    if fractions and 1 < high < 2:
        raise ValueError(
            f"its pixels run to {high:.8g}, which is white neither at 1 nor at 255: clip "
            "them to [0, 1], or scale them"
        )
    if white is None:
        white = 1 if fractions and high <= 1 else 255 if np.rint(high) <= 255 else 65535
    return np.uint8(np.rint(levels * (255 / white)))
