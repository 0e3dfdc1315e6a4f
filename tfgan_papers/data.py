"""Data sets by name, as batches in the value range that a network wants.

The order of examples is a function of (seed, epoch), so the batches from any step on
are too: a resumed run reads what the uninterrupted one would have read.
"""

import difflib
import io
import itertools
import json
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import flags, logging
from google.protobuf import json_format
from PIL import Image, ImageOps
from tensorflow_datasets.core.download import downloader

from tfgan_papers.errors import UsageError, UserError

IN_MEMORY_BYTES = 2 << 30  # of uint8; larger sets are read from disk, batch by batch
SHUFFLE_WINDOW = 8192  # examples of a streamed set that change places among themselves
DOWNLOAD_RETRIES = 3  # the 10 of tensorflow-datasets take 200 s to miss a network
FORMATS = tuple(".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm".split())
GREY = (("1",), ("L",), ("L", "A"), ("I",), ("F",))  # bands, as Pillow names them
BAD_IMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
BAD_DOWNLOAD = (
    *(OSError, tf.errors.OpError, tfds.download.DownloadError),  # requests': OSErrors
    tfds.download.download_manager.NonMatchingChecksumError,  # a quota page, too
    tfds.download.extractor.ExtractError,
    *(AssertionError, ImportError, ValueError),  # by hand; other packages; old version
)
LABELLED = (
    "digits, mnist, fashion_mnist, cifar10, svhn_cropped, imagenet2012, glyphs, hwdb, and "
    "a folder all of whose images lie in subfolders"
)
REMEDY = "it is damaged; delete that folder and prepare it again"

_DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "digits (embedded), ring, gaussian (synthetic), folder (your images), tfd (your "
    "Toronto Face Database), or any image set of tensorflow-datasets: mnist, "
    "fashion_mnist, cifar10, svhn_cropped, celeb_a, lsun/bedroom, imagenet2012, ...",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the data: your images with --dataset=folder, TFD_48x48.mat with tfd, else "
    "that of tensorflow-datasets. Default: $TFDS_DATA_DIR or ~/tensorflow_datasets.",
)
_DOWNLOAD = flags.DEFINE_bool(
    "download", True, "Let tensorflow-datasets download a set that is not on disk."
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 0, "Height and width in pixels; 0 keeps the set's own.", lower_bound=0
)
_CHANNELS = flags.DEFINE_enum(
    "channels", "0", ["0", "1", "3"], "1 grey, 3 colour, 0 the set's own."
)
_CROP = flags.DEFINE_string(
    "crop",
    "square",
    "Before resizing: square cuts out the largest centred square, a number the centred "
    "square of so many pixels (or of all there are), none nothing (the aspect is lost).",
)
_TRAIN_SPLIT = flags.DEFINE_string(
    "train_split", "train", "Split to train on, such as train[:50000] or train[:90%]."
)
_VALIDATION_SPLIT = flags.DEFINE_string(
    "validation_split", "", "Split on which scores choose their own parameters."
)
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split that scores are of.")
_TFD_FOLD = flags.DEFINE_integer(
    "tfd_fold", 0, "Which of TFD's five folds, 0 to 4.", lower_bound=0, upper_bound=4
)


class ValueRange(NamedTuple):
    """How stored examples become what networks see, and back."""

    to_network: Callable  # uint8 (batch, h, w, c), or float points -> float32
    to_pixels: Callable  # float32 -> uint8, for pictures


def _norm55(images):
    """Each image less its mean, scaled to norm 55 (gcn: 55. in cifar10_*.yaml)."""
    images = tf.cast(images, tf.float32)
    axes = list(range(1, len(images.shape)))
    images -= tf.reduce_mean(images, axes, keepdims=True)
    norm = tf.sqrt(tf.reduce_sum(images**2, axes, keepdims=True)) / 55.0
    # pylearn2 leaves images of vanishing norm as they are
    return images / tf.where(norm < 1e-8, tf.ones_like(norm), norm)


def _as_pixels(unit):
    return tf.cast(tf.round(tf.clip_by_value(unit, 0.0, 1.0) * 255.0), tf.uint8)


def _norm55_pixels(images):
    """Divided by the largest magnitude of all, as the authors show CIFAR-10 samples
    (show_samples_cifar_full_paper.py)."""
    largest = tf.maximum(tf.reduce_max(tf.abs(images)), 1e-8)
    return _as_pixels((images / largest + 1.0) / 2.0)


RANGES = {
    "unit": ValueRange(lambda x: tf.cast(x, tf.float32) / 255.0, _as_pixels),  # [0, 1]
    "symmetric": ValueRange(  # [-1, 1]
        lambda x: tf.cast(x, tf.float32) / 127.5 - 1.0,
        lambda x: _as_pixels((x + 1.0) / 2.0),
    ),
    "norm55": ValueRange(_norm55, _norm55_pixels),
    "raw": ValueRange(  # images in [0, 255]; points as they are, here and back
        lambda x: tf.cast(x, tf.float32),
        lambda x: x if len(x.shape) == 2 else _as_pixels(x / 255.0),
    ),
}


class Examples:
    """A split. Subclasses say by what keys its examples go, and how to read them.

    Attributes:
        name: str, for messages.
        size: int, how many examples.
        shape: (height, width, channels) of images, (dimensions,) of points.
        class_names: tuple of str, what the labels 0, 1, ... mean; None without labels.
        window: int, so many keys change places among themselves; all, if not told.
    """

    parallel_calls = tf.data.AUTOTUNE  # how many batches are read at once
    mean_of = 10_000  # examples at most that `mean` looks at
    remedy = "start again, and what is damaged is left out"

    def __init__(
        self,
        name: str,
        size: int,
        shape: Sequence[int],
        labels: np.ndarray | None = None,
        class_names: Sequence[str] | None = None,
    ):
        self.name, self.size, self.shape, self.window = name, size, tuple(shape), size
        self.labels = None if labels is None else np.int32(labels)  # by number
        self.class_names = class_names and tuple(class_names)

    @property
    def classes(self) -> int:
        """How many classes the labels tell apart; 0 without labels."""
        return len(self.class_names or ())

    def keys(self) -> tf.data.Dataset:
        """One key an example, in the order of the split; here its number."""
        return tf.data.Dataset.range(self.size)

    def read(self, keys: tf.Tensor) -> tf.Tensor:
        """In a graph: keys (n,) -> examples (n, *shape) as they are stored."""
        raise NotImplementedError

    def read_labels(self, keys: tf.Tensor) -> tf.Tensor:
        """In a graph: keys (n,) -> labels, int32 (n,)."""
        return tf.gather(self.labels, keys)

    def stream(
        self,
        batch_size: int,
        seed: int,
        value_range: str,
        first_step: int = 0,
        labels: bool = False,
    ) -> tf.data.Dataset:
        """Endless batches, float32 (batch_size, *shape), from that of `first_step` on.

        An epoch shows each example at most once; a last, partial batch is dropped. With
        `labels` the same batches, each with its labels: (images, int32 (batch_size,)).

        Raises:
            UsageError: fewer examples than a batch, points in a range of pixels, or no
                labels.
        """
        read, per_epoch = self._reader(value_range, labels), self.size // batch_size
        if not per_epoch:
            raise UsageError(
                f"{self.name} has {self.size} examples, fewer than a batch of {batch_size}"
            )
        window = -(-min(self.window, self.size) // batch_size) * batch_size

        def epoch(number):
            def batches(i, keys):
                order = tf.random.fold_in(tf.stack([seed, number]), i)
                keys = tf.random.experimental.stateless_shuffle(keys, order)
                whole = keys[: tf.size(keys) // batch_size * batch_size]
                whole = tf.reshape(whole, (-1, batch_size))
                return tf.data.Dataset.from_tensor_slices(whole)

            return self.keys().batch(window).prefetch(1).enumerate().flat_map(batches)

        first_epoch, skipped = divmod(first_step, per_epoch)
        return (
            tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            .flat_map(epoch)
            .skip(skipped)
            .map(read, self.parallel_calls)
            .prefetch(2)
        )

    def blocks(self, limit: int | None = None, read: Callable | None = None) -> Iterator:
        """`read`, by default the examples as they are stored, of all keys or the first
        `limit`, 1024 at a time."""
        done, keys = 0, self.keys().take(limit or self.size).batch(1024)
        try:
            for block in keys.map(read or self.read, self.parallel_calls):
                yield block
                done += 1024
                _report("%s: %d examples read", self.name, min(done, self.size))
        except tf.errors.OpError as error:
            raise UserError(
                f"{self.name} cannot be read ({_line(error)}): {self.remedy}"
            ) from error

    def all(self, value_range: str, limit: int | None = None) -> np.ndarray:
        """The examples, or the first `limit`, float32 (n, *shape)."""
        return np.concatenate([*self.blocks(limit, self._reader(value_range))])

    def labelled(
        self, value_range: str, limit: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same with their labels, int32 (n,).

        Raises:
            UsageError: there are no labels.
            UserError: a label is not one of the classes.
        """
        images, labels = zip(
            *self.blocks(limit, self._reader(value_range, labels=True)), strict=True
        )
        return np.concatenate(images), np.concatenate(labels)

    def mean(self, value_range: str) -> np.ndarray:
        """The mean example, float64; of a set on disk that of its first 10,000."""
        read, n = self._reader(value_range), min(self.size, self.mean_of)
        return sum(np.sum(b, 0, dtype=np.float64) for b in self.blocks(n, read)) / n

    def _reader(self, value_range, labels=False):
        """In a graph: keys -> what networks see, with labels or without."""
        if len(self.shape) == 1 and value_range != "raw":
            raise UsageError(f"{self.name} holds points: they need --value_range=raw")
        if labels and not self.classes:
            raise UsageError(f"{self.name} has no labels. Sets that have: {LABELLED}")
        convert = RANGES[value_range].to_network
        if not labels:
            return lambda keys: convert(self.read(keys))
        self._check_labels()
        return lambda keys: (convert(self.read(keys)), self.read_labels(keys))

    def _check_labels(self):
        """Of a set on disk the first block's: where labels are withheld, all are."""
        found = self.labels
        if found is None:
            (found,) = self.blocks(1024, self.read_labels)
        bad = np.setdiff1d(found, range(self.classes))
        if bad.size:
            raise UserError(
                f"{self.name} has the label {bad[0]}, which is none of its {self.classes} "
                "classes: a split whose labels are withheld serves without labels only"
            )


class HeldExamples(Examples):
    """In memory as one tensor: uint8 images or float32 points."""

    parallel_calls = None  # a slice is too cheap for two
    mean_of = sys.maxsize

    def __init__(self, name, stored, labels=None, class_names=None):
        super().__init__(name, len(stored), stored.shape[1:], labels, class_names)
        with tf.device("CPU"):
            self.stored = tf.convert_to_tensor(stored)

    def read(self, keys):
        return tf.gather(self.stored, keys)


class FileExamples(Examples):
    """Image files, decoded when their turn comes."""

    def __init__(self, name, paths, shape, fit, labels=None, class_names=None):
        super().__init__(name, len(paths), shape, labels, class_names)
        self.read_file = _in_python(lambda i: fit.read(paths[i]))

    def read(self, keys):
        return _each(self.read_file, keys, self.shape)


class RecordExamples(Examples):
    """Files of tensorflow-datasets; a key is a serialized example.

    Args:
        files: `FileInstruction`s: which examples of which file.
        decode: in a graph, the string of an encoded image -> uint8 of `shape`.
    """

    remedy = REMEDY

    def __init__(self, name, files, shape, decode, class_names=None):
        size = sum(file.take for file in files)
        super().__init__(name, size, shape, class_names=class_names)
        self.files, self.decode, self.window = files, decode, SHUFFLE_WINDOW

    def keys(self):
        names = [str(file.filename) for file in self.files]
        rows = np.int64([(file.skip, file.take) for file in self.files])
        return (
            tf.data.Dataset.from_tensor_slices((names, rows))
            .flat_map(lambda f, row: tf.data.TFRecordDataset(f).skip(row[0]).take(row[1]))
            .apply(tf.data.experimental.assert_cardinality(self.size))
        )

    def read(self, keys):
        stored = {"image": tf.io.FixedLenFeature((), tf.string)}
        return _each(self.decode, tf.io.parse_example(keys, stored)["image"], self.shape)

    def read_labels(self, keys):
        stored = {"label": tf.io.FixedLenFeature((), tf.int64)}
        return tf.cast(tf.io.parse_example(keys, stored)["label"], tf.int32)


def _each(read, keys, shape):
    """Image by image: read(key) -> uint8 of `shape`."""
    return tf.map_fn(read, keys, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def _in_python(read):
    """read(key) -> uint8 array, for use in a graph."""
    return lambda key: tf.numpy_function(read, [key], tf.uint8)


def _report(line, *values):
    logging.log_every_n_seconds(logging.INFO, line, 10, *values)


# Images of any size to one size.


class Fitting(NamedTuple):
    """How images come to one size and number of channels; 0 as they are."""

    size: int  # height and width, pixels
    crop: int  # side of the centred square that is cut out first, pixels at most
    channels: int

    @classmethod
    def of_flags(cls):
        crop = {"none": "0", "square": str(sys.maxsize)}.get(_CROP.value, _CROP.value)
        if not crop.isdecimal() or _CROP.value == "0":
            raise UsageError(f"--crop={_CROP.value}: square, none or a number of pixels")
        return cls(_IMAGE_SIZE.value, int(crop), int(_CHANNELS.value))

    def shape(self, height, width, channels):
        """What an image of this shape becomes; None where that depends on the image."""
        if self.crop and None not in (height, width):
            height = width = min(self.crop, height, width)
        if self.size:
            height = width = self.size
        return height, width, self.channels or (1 if channels == 1 else 3)

    def keeps(self, shape):
        """Whether images of this shape stay as they are."""
        return shape == self.shape(*shape) == self._replace(size=0).shape(*shape)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """uint8 (height, width, channels); upright, 16 bits as 8, transparency on white."""
        channels = self.channels or (1 if image.getbands() in GREY else 3)
        image = ImageOps.exif_transpose(image)
        if image.mode[0] in "IF":
            levels = np.asarray(image)
            if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
                raise ValueError("its pixels are neither of 8 nor of 16 bits")
            image = Image.fromarray(np.uint8(np.rint(levels / 257)))
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
        """The same of a path or an open file."""
        with Image.open(file) as image:
            return self(image)


# The sources: name -> a function of the split that gives Examples.


def _parts(name, split, infos: Mapping[str, tfds.core.SplitInfo]):
    """What `split` takes of `infos`: a list of (splitname, from_, to)."""
    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
        if all(range(infos[p.splitname].num_examples)[p.from_ : p.to] for p in parts):
            return parts
    except (AssertionError, KeyError, ValueError):
        pass
    there = ", ".join(f"{key} ({infos[key].num_examples:,} examples)" for key in infos)
    raise UsageError(
        f"{name} has nothing in the split {split!r}: there is {there}, and parts such as "
        "train[:50000] or train[90%:]"
    )


def _taken(name, split, splits: Mapping[str, Sequence]) -> list[Sequence]:
    """What `split` takes of `splits`, arrays or lists by name, piece by piece."""
    infos = {
        key: tfds.core.SplitInfo(name=key, shard_lengths=[len(examples)], num_bytes=0)
        for key, examples in splits.items()
    }
    return [splits[p.splitname][p.from_ : p.to] for p in _parts(name, split, infos)]


def _held(name, split, splits, labels=None, class_names=None):
    """In memory: arrays by split, and their labels likewise."""
    stored = np.concatenate(_taken(name, split, splits))
    if labels is not None:
        labels = np.concatenate(_taken(name, split, labels))
    if stored.ndim == 4:
        fit = Fitting.of_flags()
        stored = np.stack([fit(Image.fromarray(image[..., 0])) for image in stored])
    return HeldExamples(name, stored, labels, class_names)


def _digits(split):
    """The 1,797 real 8x8 digits that come with scikit-learn."""
    import sklearn.datasets  # here, for the other sets need not wait for it

    stored = sklearn.datasets.load_digits()
    images = np.uint8(np.rint(stored.images * 255 / 16))[..., None]  # from 0 .. 16
    labels, names = {"train": stored.target}, map(str, stored.target_names)
    return _held("digits", split, {"train": images}, labels, tuple(names))


def _ring(split):
    """Eight Gaussians, std .01, on the unit circle (LSGAN, mixture_gaussian/)."""
    draw = np.random.default_rng(2016)
    angle = draw.integers(8, size=100_000) * (2 * np.pi / 8)
    points = np.stack([np.sin(angle), np.cos(angle)], 1)
    points += 0.01 * draw.standard_normal(points.shape)
    return _held("ring", split, {"train": np.float32(points)})


def _gaussian(split):
    """N(0, 1) on a line, for Fig. 1 of GAN (2014), which gives no numbers."""
    points = np.random.default_rng(2014).standard_normal((100_000, 1))
    return _held("gaussian", split, {"train": np.float32(points)})


def _tfd(split):
    """The Toronto Face Database, 48x48, from the user's own file."""
    import scipy.io  # here, for the other sets need not wait for it

    path = pathlib.Path(_DATA_DIR.value or ".", "TFD_48x48.mat").expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no {path}. Its makers give the Toronto Face Database out on request "
            "(aclab.ca/users/josh/TFD.html); put TFD_48x48.mat into a folder and name it "
            "with --data_dir"
        )
    bad = (OSError, LookupError, NotImplementedError, TypeError, ValueError)
    try:
        stored = scipy.io.loadmat(path)
        images, folds = stored["images"], stored["folds"][:, _TFD_FOLD.value]
        images = images.astype(np.uint8, casting="safe").reshape(len(folds), 48, 48, 1)
    except (*bad, scipy.io.matlab.MatReadError) as error:
        raise UserError(f"{path} cannot be read as the TFD file: {_line(error)}") from error
    codes = {"unlabeled": 0, "train": 1, "valid": 2, "test": 3}  # pylearn2's TFD.mapper
    return _held("tfd", split, {key: images[folds == codes[key]] for key in codes})


def _folder(split):
    """The images below --data_dir in the order of their paths. Where all lie in folders
    of it, these are the classes. Of the split, what cannot be read is named and left out.
    """
    if not _DATA_DIR.value:
        raise UsageError("--dataset=folder needs --data_dir, the folder of your images")
    name = os.path.expanduser(_DATA_DIR.value)
    paths = _image_paths(name)
    if not paths:
        raise UserError(f"{name} holds no image ({' '.join(FORMATS)})")
    fit = Fitting.of_flags()
    fit = fit._replace(channels=fit.channels or (1 if all(map(_is_grey, paths)) else 3))
    class_names = _folders(name, paths)
    paths = list(itertools.chain(*_taken(name, split, {"train": paths})))
    good, held = [], None
    for path, image in _readable(name, paths, fit):
        if not good:
            shape = image.shape
            if len(paths) * image.size <= IN_MEMORY_BYTES:
                held = np.empty((len(paths), *shape), np.uint8)
        if image.shape != shape:
            sizes = f"{image.shape[1]}x{image.shape[0]}, not {shape[1]}x{shape[0]} pixels"
            raise UsageError(f"{path} is {sizes} as {good[0]}: set --image_size")
        if held is not None:
            held[len(good)] = image
        good.append(path)
    if not good:
        raise UserError(f"none of the {len(paths)} images below {name} can be read")
    labels = None
    if class_names:
        number = {folder: i for i, folder in enumerate(class_names)}
        labels = [number[path.relative_to(name).parts[0]] for path in good]
    if held is not None:
        return HeldExamples(name, held[: len(good)], labels, class_names)
    return FileExamples(name, good, shape, fit, labels, class_names)


def _folders(root, paths):
    """The folders of `root` that hold the images, sorted; None if some lie in none."""
    parts = [path.relative_to(root).parts for path in paths]
    return sorted({p[0] for p in parts}) if all(len(p) > 1 for p in parts) else None


def _readable(name, paths, fit):
    """(path, image) of each image that can be read; names the others."""

    def read_or_name(i):
        try:
            return fit.read(paths[i])
        except BAD_IMAGE as error:
            logging.warning("left out %s: %s", paths[i], _line(error))
            return np.empty(0, np.uint8)

    images = tf.data.Dataset.range(len(paths)).map(
        _in_python(read_or_name), tf.data.AUTOTUNE
    )
    bad = 0
    for i, image in enumerate(images.as_numpy_iterator()):
        _report("%s: %d of %d images read", name, i, len(paths))
        if image.size:
            yield paths[i], image
        bad += not image.size
    if bad:
        logging.warning("%s: %d of %d images left out", name, bad, len(paths))


def _image_paths(root):
    def unreadable(error):
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    return sorted(
        pathlib.Path(folder, file)
        for folder, _, files in os.walk(root, onerror=unreadable)
        for file in files
        if file.lower().endswith(FORMATS) and not file.startswith(".")
    )


def _is_grey(path):
    """As its header says; of a file without one, True."""
    try:
        with Image.open(path) as image:
            return image.getbands() in GREY
    except BAD_IMAGE:
        return True


def _tfds(name, split):
    """An image set of tensorflow-datasets: in memory where it fits, else streamed."""
    builder = _builder(name)
    features, splits = dict(builder.info.features), builder.info.splits
    feature, label = features["image"], features.get("label")
    infos = [splits[part.splitname] for part in _parts(name, split, splits)]
    where = f"{name} in {builder.data_dir}"
    files = [str(path) for info in infos for path in info.filepaths]
    stored = sum(tf.io.gfile.stat(f).length for f in files if tf.io.gfile.exists(f))
    due = sum(info.num_bytes for info in infos)
    if stored < due:  # better now than in the middle of a run
        raise UserError(f"{where} has {stored:,} bytes of {due:,}: {REMEDY}")
    fit = Fitting.of_flags()
    shape = fit.shape(*feature.shape)
    if None in shape:
        raise UsageError(f"the images of {name} differ in size: set --image_size")
    decode = feature.decode_example
    if not fit.keeps(feature.shape):
        decode = _in_python(lambda encoded: fit.read(io.BytesIO(encoded)))
    names = label.names if isinstance(label, tfds.features.ClassLabel) else None
    files = splits[split].file_instructions
    examples = RecordExamples(where, files, shape, decode, names)
    if examples.size * np.prod(shape) > IN_MEMORY_BYTES:
        return examples
    if not names:
        return HeldExamples(name, np.concatenate([*examples.blocks()]))
    pairs = examples.blocks(read=lambda k: (examples.read(k), examples.read_labels(k)))
    return HeldExamples(name, *map(np.concatenate, zip(*pairs, strict=True)), names)


def _builder(name):
    """A prepared tfds builder. Touches the network only to download what is missing."""
    folder = _DATA_DIR.value and os.path.expanduser(_DATA_DIR.value)
    try:
        builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    except (ImportError, OSError, RuntimeError) as error:  # what only this set needs
        raise UserError(f"{name} cannot be opened: {_line(error)}") from error
    except (json.JSONDecodeError, json_format.ParseError) as error:
        raise UserError(f"the folder of {name} is unclear ({error}): {REMEDY}") from error
    except (AssertionError, ValueError) as error:  # no such set, configuration or version
        known = [*SOURCES, *tfds.list_builders(with_community_datasets=False)]
        like = difflib.get_close_matches(name, known, cutoff=0.5) or list(SOURCES)
        raise UsageError(
            f"there is no data set {name!r}; there is {', '.join(like)}, or any image set "
            "of tensorflow.org/datasets/catalog"
        ) from error
    features = builder.info.features
    named = isinstance(features, tfds.features.FeaturesDict) and "image" in features
    image = features["image"] if named else None
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise UsageError(f"{name} is not a set of images: it has no 'image' of 8 bits")
    if not builder.is_prepared():
        _prepare(name, builder)
    return builder


def _prepare(name, builder):
    """Download and write to disk, if --download."""
    remedy = (
        f"Prepare it where there is a network (tfds build {name}) and copy the folder to "
        f"{builder.data_dir}, or put what it downloads into "
        f"{builder.data_dir_root / 'downloads' / 'manual'}, or name another --data_dir"
    )
    if not _DOWNLOAD.value:
        raise UserError(f"{name} is not in {builder.data_dir}. {remedy}")
    logging.info("%s is not in %s: downloading it", name, builder.data_dir)
    downloader.MAX_RETRIES = DOWNLOAD_RETRIES
    try:
        builder.download_and_prepare()
    except BAD_DOWNLOAD as error:
        raise UserError(f"{name} cannot be prepared ({_line(error)}). {remedy}") from error
    if not builder.is_prepared():  # tensorflow-datasets leaves a folder that is there
        raise UserError(f"{name} in {builder.data_dir} has no dataset_info.json: {REMEDY}")


def _line(error):
    """What an error says, on one line, without TensorFlow's frame."""
    frame = r"\{\{.*?\}\}|\[Op:.*|Traceback.*"
    text = textwrap.shorten(re.sub(frame, "", str(error), flags=re.DOTALL), 400)
    return text or type(error).__name__


SOURCES: dict[str, Callable[[str], Examples]] = {
    "digits": _digits,
    "ring": _ring,
    "gaussian": _gaussian,
    "folder": _folder,
    "tfd": _tfd,
}


def load(split: str) -> Examples:
    """One split of `--dataset`, written as tensorflow-datasets writes splits.

    Raises:
        UsageError: there is no such set or split, or the flags do not fit the set.
        UserError: the data are not there, or cannot be read.
    """
    name = _DATASET.value
    return SOURCES[name](split) if name in SOURCES else _tfds(name, split)
