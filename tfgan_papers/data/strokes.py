"""Chinese characters drawn stroke by stroke, by made-up writers.

The centre lines of the strokes are data of the Make Me a Hanzi project. Every writer has a
pen, a slant, proportions and an unsteadiness, and may join strokes; every stroke is
shifted, turned, stretched and bent a little at random. So the strokes vary on their own, as
in handwriting, and not only the character as a whole. The set is synthetic: no person has
written it, and results on it do not apply to handwriting.
"""

import json
import os
import pathlib

import numpy as np
from absl import logging
from PIL import Image, ImageDraw

from tfgan_papers.data import splits
from tfgan_papers.data.disk import FileExamples
from tfgan_papers.data.examples import HeldExamples, fits_in_memory, one_line
from tfgan_papers.data.gb2312 import LEVEL_1
from tfgan_papers.data.images import Fitting
from tfgan_papers.errors import UsageError, UserError

SIDE = 28  # pixels without --image_size, as LSGAN's characters
OVERSAMPLING = 4  # factor by which characters are drawn larger
EM = 1024  # height and width of the square that the centre lines are in
POINTS = 16  # of each centre line
INK = 0.82  # the longer side of a character, as a share of the image
TEST_SHARE = 4  # writers of `train` per writer of `test`, about as in HWDB1.0
FIRST_TEST_WRITER = 1_000_000
# Ranges of a writer, uniform: columns per row; degrees; logarithm of width over height;
# radius of the pen, as a share of the image; unsteadiness; share of joined strokes.
SLANT, TURN, ASPECT = (-0.25, 0.25), (-5, 5), (-0.18, 0.18)
PEN, UNSTEADINESS, JOINS = (0.016, 0.034), (0.4, 1.4), (-0.3, 0.6)
WRITER = np.transpose([SLANT, TURN, ASPECT, PEN, UNSTEADINESS, JOINS])
# Standard deviations of a stroke, for an unsteadiness of 1: share of the em square;
# degrees; logarithm of its length; bend, as a share of its length; pressure.
SHIFT, STROKE_TURN, STRETCH, BEND, PRESSURE = 0.02, 4, 0.07, 0.05, 0.15
LONGEST_JOIN, JOIN_WIDTH = 0.4, 0.5  # as shares of the em square, of the pen
SMALLEST = 0.4  # of the em square; smaller characters, such as one line, stay smaller
SOURCE = (
    "the JSON files of hanzi-writer-data (npm pack hanzi-writer-data, then unpack the "
    "file): set --data_dir to the folder that has one for each character"
)


def load(split, options):
    """Draws the first --characters of GB2312 level 1.

    `train` has --renderings writers, and `test` a quarter as many others. The order is by
    writer, then by code, so more --renderings do not change the first examples.

    Raises:
        UsageError: --data_dir is not set, or there is no such split.
        UserError: the file of a character is missing or damaged.
    """
    characters = LEVEL_1[: options.characters]
    lines = _centre_lines(options.data_dir, characters)
    writers = np.arange(options.renderings)
    others = FIRST_TEST_WRITER + np.arange(-(-options.renderings // TEST_SHARE))
    pairs = {
        name: np.stack(np.meshgrid(of, np.arange(len(lines)), indexing="ij"), -1)
        for name, of in {"train": writers, "test": others}.items()
    }
    pairs = {name: pair.reshape(-1, 2) for name, pair in pairs.items()}
    pairs = np.concatenate(splits.taken("strokes", split, pairs))
    fit = Fitting.of(options)
    shape = (fit.size or SIDE, fit.size or SIDE, fit.channels or 1)
    logging.info("strokes: drawn for made-up writers, not handwritten")

    def decode(i):
        writer, label = pairs[i]
        image = draw(lines[label], writer, ord(characters[label]), shape[0])
        return image[..., None].repeat(shape[-1], -1)

    labels, names = pairs[:, 1], tuple(characters)
    examples = FileExamples("strokes", len(pairs), shape, decode, labels, names)
    if not fits_in_memory(len(pairs), shape):
        return examples
    return HeldExamples("strokes", np.concatenate([*examples.blocks()]), labels, names)


def draw(lines: np.ndarray, writer: int, code: int, side: int) -> np.ndarray:
    """Draws a character as a writer would, in black on white.

    Args:
        lines: float (strokes, POINTS, 2), the centre lines; x to the right, y upwards.
        writer, code: int; the two numbers are the seed of the random changes.
        side: int, pixels.

    Returns:
        uint8 (side, side).
    """
    hand, chance = (
        np.random.default_rng([2016, *key]) for key in ((writer,), (writer, code))
    )
    slant, turn, aspect, pen, unsteadiness, joins = hand.uniform(*WRITER)
    lines = _unsteady(
        lines * [1, -1] / EM, unsteadiness * chance.normal(size=(len(lines), 5))
    )
    form = _rotation(np.deg2rad(turn)) @ [[1, -slant], [0, 1]]
    lines = lines @ form.T * np.exp([aspect / 2, -aspect / 2])
    low, high = lines.min((0, 1)), lines.max((0, 1))
    large = side * OVERSAMPLING
    scale = large * (INK - 2 * pen) / max(*(high - low), SMALLEST)
    lines = (lines - (low + high) / 2) * scale + (large - 1) / 2
    page = Image.new("L", (large, large), 255)
    brush = ImageDraw.Draw(page)
    for line in lines:
        pressure = chance.normal(0, PRESSURE, POINTS).cumsum() / POINTS**0.5
        _stroke(brush, line, pen * large * np.exp(pressure))
    for first, then in zip(lines[:-1, -1], lines[1:, 0], strict=True):
        near = np.linalg.norm(then - first) < LONGEST_JOIN * scale
        if near and chance.random() < joins:
            _stroke(brush, np.stack([first, then]), np.full(2, JOIN_WIDTH * pen * large))
    return np.asarray(page.resize((side, side), Image.Resampling.BOX))


def _unsteady(lines, changes):
    """Bends each stroke, then turns, stretches and shifts it about its centre.

    Args:
        lines: float (strokes, POINTS, 2).
        changes: float (strokes, 5), the changes in standard deviations.
    """
    bend, turn, stretch = (changes[:, i, None, None] for i in range(3))
    shift = changes[:, None, 3:]
    centre = lines.mean(1, keepdims=True)
    along = lines[:, -1:] - lines[:, :1]
    across = along[..., ::-1] * [-1, 1]
    arc = np.sin(np.linspace(0, np.pi, POINTS))[:, None]
    turns = _rotation(np.deg2rad(STROKE_TURN) * turn[:, 0, 0]).transpose(2, 1, 0)
    lines = (lines + BEND * bend * across * arc - centre) * np.exp(STRETCH * stretch)
    return lines @ turns + centre + SHIFT * shift


def _rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _stroke(brush, line, radii):
    """Draws a line (n, 2) with a radius at each point (n,), and round ends."""
    tangents = np.gradient(line, axis=0)
    lengths = np.maximum(np.linalg.norm(tangents, axis=1), 1e-9)
    normals = tangents[:, ::-1] * [-1, 1] * (radii / lengths)[:, None]
    outline = np.concatenate([line + normals, (line - normals)[::-1]])
    brush.polygon([*outline.flat], 0)
    for (x, y), radius in zip(line, radii, strict=True):  # rounds corners and ends
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), 0)


def _centre_lines(folder, characters):
    """Reads float (strokes, POINTS, 2) for each character."""
    if not folder:
        raise UsageError(f"--dataset=strokes needs {SOURCE}")
    folder = pathlib.Path(os.path.expanduser(folder))
    missing = [c for c in characters if not (folder / f"{c}.json").is_file()]
    if missing:
        raise UserError(
            f"{folder} has no file for {len(missing)} of the {len(characters)} characters, "
            f"such as {missing[0]}.json. --dataset=strokes needs {SOURCE}"
        )
    return [_read(folder / f"{c}.json") for c in characters]


def _read(path):
    try:
        medians = json.loads(path.read_bytes())["medians"]
        lines = np.stack([_resampled(np.float64(line)) for line in medians])
        if lines.shape[1:] != (POINTS, 2) or not np.isfinite(lines).all():
            raise ValueError("medians are not lists of points x, y")
        return lines
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{path} is damaged ({one_line(error)}): unpack it again"
        ) from error


def _resampled(line):
    """POINTS points at equal distances on a line (n, 2)."""
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    at = np.append(0, lengths.cumsum())
    wanted = np.linspace(0, at[-1], POINTS)
    return np.stack([np.interp(wanted, at, values) for values in line.T], -1)
