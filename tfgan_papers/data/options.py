"""Options of the data: the set, its splits, and the conversion of its images."""

import dataclasses

from tfgan_papers.data.ranges import RANGES
from tfgan_papers.options import Options, option


@dataclasses.dataclass(frozen=True)
class DataOptions(Options):
    """Options of a data set, its splits, and the conversion of its images."""

    dataset: str = option(
        "digits",  # or the paper's own, see `contract.Paper`
        "digits (8x8, embedded), printed_digits (drawn from fonts, embedded), ring or "
        "gaussian (synthetic points), folder (your own images), tfd (your copy of the "
        "Toronto Face Database), hwdb (your copy of CASIA HWDB1.0), glyphs (Chinese "
        "characters rendered from fonts), strokes (the same, drawn from centre lines by "
        "made-up writers), or an image set of tensorflow-datasets, for "
        "example mnist, fashion_mnist, cifar10, svhn_cropped or celeb_a.",
    )
    data_dir: str | None = option(
        None,
        "Folder of the data: your images for folder, TFD_48x48.mat for tfd, GNT files for "
        "hwdb, JSON files for strokes, otherwise the folder of tensorflow-datasets. "
        "Default: $TFDS_DATA_DIR or ~/tensorflow_datasets.",
    )
    download: bool = option(
        True, "Let tensorflow-datasets download a set that is not on disk."
    )
    image_size: int = option(
        0, "Height and width of the images in pixels; 0 keeps their own.", low=0
    )
    channels: str = option(
        "0", "1 for grey, 3 for colour, 0 for the data's own.", choices=("0", "1", "3")
    )
    crop: str = option(
        "square",
        "What is cut out before images are resized: square is the largest centred square, "
        "a number the centred square of that many pixels, none keeps the whole image and "
        "loses its aspect ratio. random reads the largest centred square at 9/8 of "
        "--image_size, and training sees a window of --image_size at a random place.",
    )
    value_range: str = option(
        "unit", "Range of the pixel values that networks see.", choices=tuple(RANGES)
    )
    train_split: str = option(
        "train", "Split to train on, for example train[:50000] or train[:90%]."
    )
    validation_split: str = option("", "Split on which scores choose their own parameters.")
    test_split: str = option("test", "Split that scores compare samples with.")
    data_order: str = option(
        "hashed",
        "Order of the images of a folder, which splits and limits follow: hashed is a "
        "fixed permutation; sorted is by path, which may put one class after another, and "
        "class 10 before class 2.",
        choices=("hashed", "sorted"),
    )
    ring: str = option(
        "clean",
        "Modes of the ring: clean has eight equal modes; authors draws one of them twice "
        "as often, as the code of LSGAN's authors does.",
        choices=("clean", "authors"),
    )
    characters: int = option(
        3740,
        "Number of characters of glyphs and strokes, from the start of GB2312 level 1.",
        low=1,
        high=3755,
    )
    renderings: int = option(
        32,
        "Renderings of each character of glyphs, or writers of strokes, in the train "
        "split; the test split has a quarter as many.",
        low=1,
    )
    font: str | None = option(
        None,
        "Font files of glyphs, separated by commas. Default: all installed fonts that have "
        "the characters, which differ between machines.",
    )
    tfd_fold: int = option(0, "Fold of TFD, from 0 to 4.", low=0, high=4)
