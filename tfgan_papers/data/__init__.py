"""Data sets by name: `load(split)` gives the `Examples` of a split of --dataset."""

from collections.abc import Callable

import numpy as np
from absl import flags

from tfgan_papers.data import catalog, embedded, folder, glyphs, hwdb, tfd
from tfgan_papers.data.examples import Examples, HeldExamples, one_line
from tfgan_papers.data.ranges import RANGES
from tfgan_papers.errors import UserError

__all__ = [
    "RANGES",
    "SOURCES",
    "Examples",
    "HeldExamples",
    "array",
    "folder",
    "load",
    "trouble",
]

# The sources read these as FLAGS.name.
_DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "digits (embedded), ring, gaussian (synthetic), folder (your images), tfd (your "
    "Toronto Face Database), hwdb (your CASIA HWDB1.0, handwritten Chinese characters), "
    "glyphs (Chinese characters rendered from fonts, not handwritten), or any image set "
    "of tensorflow-datasets: mnist, fashion_mnist, cifar10, svhn_cropped, celeb_a, "
    "lsun/bedroom, imagenet2012, ...",
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the data: your images with --dataset=folder, TFD_48x48.mat with tfd, GNT "
    "files with hwdb, else that of tensorflow-datasets. Default: $TFDS_DATA_DIR or "
    "~/tensorflow_datasets.",
)
flags.DEFINE_bool(
    "download", True, "Let tensorflow-datasets download a set that is not on disk."
)
flags.DEFINE_integer(
    "image_size", 0, "Height and width in pixels; 0 keeps the set's own.", lower_bound=0
)
flags.DEFINE_enum("channels", "0", ["0", "1", "3"], "1 grey, 3 colour, 0 the set's own.")
flags.DEFINE_string(
    "crop",
    "square",
    "Before resizing: square cuts out the largest centred square, a number the centred "
    "square of so many pixels (or of all there are), none nothing (the aspect is lost).",
)
flags.DEFINE_string(
    "train_split", "train", "Split to train on, such as train[:50000] or train[:90%]."
)
flags.DEFINE_string(
    "validation_split", "", "Split on which scores choose their own parameters."
)
flags.DEFINE_string("test_split", "test", "Split that scores are of.")
flags.DEFINE_enum(
    "ring",
    "clean",
    ["clean", "authors"],
    "clean: ring's eight modes alike; authors: one of them twice as often, as in the code "
    "of LSGAN's authors.",
)
flags.DEFINE_integer(
    "characters",
    3740,
    "glyphs are of so many characters, the first of GB2312 level 1.",
    lower_bound=1,
    upper_bound=3755,
)
flags.DEFINE_integer(
    "renderings", 32, "glyphs shows each character so often; in its test split a quarter "
    "as often.", lower_bound=1,
)  # fmt: skip
flags.DEFINE_string(
    "font",
    None,
    "Files of the fonts that glyphs are rendered from, with commas; by default all that "
    "are installed here and have the characters, which differ from machine to machine.",
)
flags.DEFINE_integer(
    "tfd_fold", 0, "Which of TFD's five folds, 0 to 4.", lower_bound=0, upper_bound=4
)

SOURCES: dict[str, Callable[[str], Examples]] = {
    "digits": embedded.digits,
    "ring": embedded.ring,
    "gaussian": embedded.gaussian,
    "folder": folder.load,
    "tfd": tfd.load,
    "hwdb": hwdb.load,
    "glyphs": glyphs.load,
}


def load(split: str) -> Examples:
    """One split of `--dataset`, written as tensorflow-datasets writes splits.

    Raises:
        UsageError: there is no such set or split, or the flags do not fit the set.
        UserError: the data are not there, or cannot be read.
    """
    name = _DATASET.value
    return SOURCES[name](split) if name in SOURCES else catalog.load(name, split, SOURCES)


def array(path: str) -> HeldExamples:
    """Images (n, height, width[, channels]) of 0 to 255 in a .npy file, of any type.

    Raises:
        UserError: they are not there, not images, or not of 0 to 255.
    """
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    if images.ndim == 3:
        images = images[..., None]
    numbers = np.issubdtype(images.dtype, np.number)
    if not numbers or images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise UserError(f"{path} holds {images.dtype} {images.shape}, and no images")
    low, high = images.min(), images.max()
    if not (0 <= low and 1 < high <= 255):  # nor NaN
        raise UserError(
            f"the images in {path} run from {low:.4g} to {high:.4g}, not from 0 to 255"
        )
    return HeldExamples(path, np.uint8(np.rint(images)))


def trouble(error: Exception) -> str:
    """What to say of an error that a stream met in the middle of a run, on one line; ""
    where the error is not the data's."""
    if "IteratorGetNext" not in str(error):
        return ""
    return f"--dataset={_DATASET.value} cannot be read: {one_line(error)}"
