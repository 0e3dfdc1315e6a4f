"""Chinese characters rendered from the fonts of the machine, not handwritten.

Each rendering is rotated, stretched, sheared and shifted slightly at random. The set
replaces HWDB for users who have no copy, with as many classes. Results on it do not apply
to handwriting.
"""

import functools

import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image, ImageDraw

from tfgan_papers.data import fonts, splits
from tfgan_papers.data.examples import Examples, Progress, fits_in_memory
from tfgan_papers.data.gb2312 import LEVEL_1
from tfgan_papers.data.images import Fitting
from tfgan_papers.errors import UsageError, UserError

SIDE = 28  # pixels without --image_size, as LSGAN's characters
OVERSAMPLING = 2  # factor by which characters are drawn and transformed larger
EM = 0.76  # of the side; then one rendering in a hundred touches the border
TEST_SHARE = 4  # training renderings per test rendering, about as in HWDB1.0
# The largest changes: degrees; factor of width or height; columns per row; of the side.
ROTATION, STRETCH, SHEAR, SHIFT = 8, 1.15, 0.12, 0.06


def load(split, options):
    """Renders the first --characters of GB2312 level 1.

    `train` has --renderings of each, and `test` a quarter as many, in the same fonts and
    with other random changes. The order is by rendering, then by code, so more
    --renderings do not change the first examples.

    Raises:
        UsageError: the characters do not fit into memory.
        UserError: no font has the characters.
    """
    fit, count = Fitting.of(options), options.characters
    side, characters = fit.size or SIDE, LEVEL_1[:count]
    train, test = (
        n * count for n in (options.renderings, -(-options.renderings // TEST_SHARE))
    )
    chosen = {"train": np.arange(train), "test": np.arange(train, train + test)}
    chosen = np.concatenate(splits.taken("glyphs", split, chosen))
    number = np.append(np.arange(train), np.arange(test))[chosen]
    drawn_side = side * OVERSAMPLING
    changes = np.concatenate([_changes(0, train), _changes(1, test)])[chosen]
    faces = fonts.faces(characters, options.font)
    if not fits_in_memory(len(faces) * count, (drawn_side, drawn_side)):
        raise UsageError(
            f"{count} characters of {side}x{side} pixels in {len(faces)} fonts do not fit "
            "into memory: set fewer --characters, a smaller --image_size or one --font"
        )
    rendering, label = np.divmod(number, count)
    face = (rendering + label) % len(faces)  # uses every font, even with few --renderings
    return GlyphExamples(
        drawn=_drawn(tuple(faces), characters, drawn_side),
        source=face * count + label,
        warps=_warps(changes, drawn_side),
        labels=label,
        characters=characters,
        shape=(side, side, fit.channels or 1),
    )


class GlyphExamples(Examples):
    """Renderings, each transformed when a batch needs it.

    Args:
        drawn: uint8 (m, s, s, 1), characters at OVERSAMPLING times the size.
        source: int (n,), the index in `drawn` of each rendering.
        warps: float32 (n, 8), see `_warps`.
        labels, shape: see `Examples`.
        characters: str, the names of the classes.
    """

    def __init__(self, drawn, source, warps, labels, characters, shape):
        super().__init__("glyphs", len(source), shape, labels, tuple(characters))
        with tf.device("CPU"):
            self.drawn, self.source, self.warps = map(
                tf.convert_to_tensor, (drawn, source, warps)
            )

    def contents(self, keys):
        """Reads the drawings: the warped images differ in rounding between machines."""
        source = tf.gather(self.source, keys)
        return [tf.gather(self.drawn, source), source, self.read_labels(keys)]

    def read(self, keys):
        drawn = tf.gather(self.drawn, tf.gather(self.source, keys))
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(drawn, tf.float32),
            transforms=tf.gather(self.warps, keys),
            output_shape=drawn.shape[1:3],
            fill_value=255.0,
            interpolation="BILINEAR",
        )
        images = tf.nn.avg_pool2d(warped, OVERSAMPLING, OVERSAMPLING, "VALID")
        return tf.repeat(tf.cast(tf.round(images), tf.uint8), self.shape[-1], -1)


def _changes(seed, size):
    """Draws float64 (size, 6) in [-1, 1). A row does not depend on the size."""
    return np.random.default_rng([2016, seed]).uniform(-1, 1, (size, 6))


def _warps(changes, side):
    """Returns float32 (n, 8), for ImageProjectiveTransformV3: the transforms about the
    centre from pixels of the rendering to pixels of the drawing."""
    angle = np.deg2rad(ROTATION) * changes[:, 0]
    width, height = STRETCH ** changes[:, 1:3].T
    shear, shift = SHEAR * changes[:, 3], SHIFT * side * changes[:, 4:]
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [[cosine, shear * cosine - sine], [sine, shear * sine + cosine]]
    matrix = np.moveaxis(np.array(rows) / np.array([width, height]), -1, 0)
    centre = np.full(2, (side - 1) / 2)
    offset = centre + shift - matrix @ centre
    affine = np.concatenate([matrix, offset[..., None]], -1).reshape(-1, 6)
    return np.float32(np.pad(affine, [(0, 0), (0, 2)]))


@functools.lru_cache(1)  # for all splits
def _drawn(faces, characters, side):
    """Draws uint8 (faces * characters, side, side, 1), black on white, centred."""
    logging.info(
        "glyphs: %d characters rendered, not handwritten, in %d fonts: %s",
        *(len(characters), len(faces), ", ".join(face.path for face in faces)),
    )
    drawn = np.empty((len(faces), len(characters), side, side, 1), np.uint8)
    progress = Progress()
    for i, face in enumerate(faces):
        font = fonts.opened(face, round(EM * side))
        for j, character in enumerate(characters):
            wide = Image.new("L", (2 * side, 2 * side))
            ImageDraw.Draw(wide).text((side, side), character, 255, font, "mm")
            box = wide.getbbox()
            if not box:
                raise UserError(
                    f"{face.path} draws nothing for {character}: {fonts.REMEDY}"
                )
            left, top = ((box[k] + box[k + 2] - side) // 2 for k in (0, 1))
            ink = wide.crop((left, top, left + side, top + side))
            drawn[i, j, ..., 0] = 255 - np.asarray(ink)
        progress("glyphs: %d of %d fonts drawn", i + 1, len(faces))
    return drawn.reshape(-1, side, side, 1)
