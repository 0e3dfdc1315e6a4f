"""Data sets by name, as batches in the value range that a network wants.

The order of examples is a function of (seed, epoch), so the batches from any step on
are too: a resumed run reads what the uninterrupted one would have read.
"""

import concurrent.futures
import pathlib
from typing import NamedTuple

import numpy as np
import scipy.io
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import flags, logging
from PIL import Image, ImageOps

from tfgan_papers.errors import UsageError, UserError

IN_MEMORY_BYTES = 2 << 30  # larger sets are read from disk, batch by batch
SHUFFLE_BUFFER = 16_384  # examples, of a set read from disk
FORMATS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)

_DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "digits (embedded), ring, gaussian (synthetic), folder (your images), tfd (your "
    "Toronto Face Database), or any image set of tensorflow-datasets: mnist, "
    "fashion_mnist, cifar10, svhn_cropped, celeb_a, lsun/bedroom, ...",
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
    "square of so many pixels, none nothing (the aspect is lost).",
)
_TRAIN_SPLIT = flags.DEFINE_string(
    "train_split", "train", "Split to train on, as tensorflow-datasets writes splits."
)
_VALIDATION_SPLIT = flags.DEFINE_string(
    "validation_split", "", "Split on which scores choose their own parameters."
)
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split that scores are of.")
_TFD_FOLD = flags.DEFINE_integer(
    "tfd_fold", 0, "Which of TFD's five folds.", lower_bound=0, upper_bound=4
)


class ValueRange(NamedTuple):
    """How stored examples become what networks see, and back."""

    to_network: callable  # uint8 (batch, h, w, c) or float -> float32
    to_pixels: callable  # float32 -> uint8, for pictures


def _norm55(images):
    """Each image less its mean, scaled to norm 55 (gcn: 55. in cifar10_*.yaml)."""
    images = tf.cast(images, tf.float32)
    axes = list(range(1, images.shape.rank))
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
    "raw": ValueRange(lambda x: tf.cast(x, tf.float32), lambda x: x),  # points
}


class Examples:
    """A split held in memory: uint8 images (h, w, c), or float points."""

    readers = None  # how many batches are read at once; a slice is too cheap for two

    def __init__(self, name, array):
        self.name, self.array = name, array
        self.shape, self.size = array.shape[1:], len(array)

    def stream(self, batch_size, seed, value_range, first_step=0):
        """Endless batches, float32, those of `first_step` first."""
        per_epoch = self.size // batch_size
        if not per_epoch:
            raise UsageError(
                f"{self.name} has {self.size} examples, fewer than a batch of {batch_size}"
            )

        def epoch(number):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.size, dtype=tf.int32),
                seed=tf.stack([tf.cast(seed, tf.int64), number]),
            )
            batches = tf.reshape(order[: per_epoch * batch_size], (per_epoch, batch_size))
            return tf.data.Dataset.from_tensor_slices(batches)

        convert, rows = RANGES[value_range].to_network, self.reader()
        first_epoch, skipped = divmod(first_step, per_epoch)
        return (
            tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            .flat_map(epoch)
            .skip(skipped)
            .map(lambda batch: convert(rows(batch)), num_parallel_calls=self.readers)
            .prefetch(2)
        )

    def reader(self):
        """A graph function: int32 indices (batch,) -> the examples."""
        stored = tf.constant(self.array)
        return lambda batch: tf.gather(stored, batch)

    def all(self, value_range, limit=None):
        """Every example, or the first `limit`, as one float32 array."""
        return RANGES[value_range].to_network(self.array[:limit]).numpy()

    def mean(self, value_range):
        """The mean example, float64, over the first 50,000."""
        stored = self.array[:50_000]
        return sum(
            np.sum(RANGES[value_range].to_network(block), axis=0, dtype=np.float64)
            for block in np.array_split(stored, max(1, len(stored) // 1000))
        ) / len(stored)


class StreamedExamples(Examples):
    """A split that stays on disk. Shuffled within a window of `SHUFFLE_BUFFER`."""

    def __init__(self, name, dataset, size, shape):
        self.name, self.dataset, self.size, self.shape = name, dataset, size, shape

    def stream(self, batch_size, seed, value_range, first_step=0):
        per_epoch = self.size // batch_size
        first_epoch, skipped = divmod(first_step, per_epoch)

        def epoch(number):
            shuffled = self.dataset.shuffle(
                SHUFFLE_BUFFER,
                seed=seed * 1_000_003 + number,
                reshuffle_each_iteration=False,
            )
            return shuffled.batch(batch_size, drop_remainder=True)

        return (
            tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            .flat_map(epoch)
            .skip(skipped)
            .map(RANGES[value_range].to_network)
            .prefetch(2)
        )

    def all(self, value_range, limit=None):
        batches = self.dataset.take(limit or self.size).batch(256)
        convert = RANGES[value_range].to_network
        return np.concatenate([convert(batch).numpy() for batch in batches])

    def mean(self, value_range):
        return self.all(value_range, limit=10_000).mean(axis=0, dtype=np.float64)


# Images of any size to one size.


class Fitting(NamedTuple):
    """How images come to one size; sides in pixels, 0 as they are."""

    size: int
    crop: str
    channels: int

    @classmethod
    def of_flags(cls):
        crop = _CROP.value
        if crop not in ("square", "none") and not (crop.isdigit() and int(crop)):
            raise UsageError(f"--crop={crop} is not square, none or a number of pixels")
        return cls(_IMAGE_SIZE.value, crop, int(_CHANNELS.value))

    def __call__(self, image):
        """A Pillow image, as uint8 (height, width, channels)."""
        mode = {1: "L", 3: "RGB"}.get(self.channels)
        if mode is None:
            mode = "L" if image.mode in ("1", "L", "I", "I;16", "LA") else "RGB"
        image = ImageOps.exif_transpose(image).convert(mode)
        if self.crop != "none":
            side = min(image.size) if self.crop == "square" else int(self.crop)
            left, top = ((length - side) // 2 for length in image.size)
            image = image.crop((left, top, left + side, top + side))
        if self.size:
            size = (self.size, self.size)
            image = image.resize(size, Image.Resampling.BILINEAR)  # antialiased
        return np.atleast_3d(np.asarray(image))

    def array(self, image):
        """The same for a uint8 array (height, width, channels)."""
        height, width, channels = image.shape
        same_size = self.size in (0, height) and height == width
        if same_size and self.channels in (0, channels) and not self.crop.isdigit():
            return image
        return self(Image.fromarray(image[..., 0] if channels == 1 else image))


# The sources: name -> a function of the split that gives Examples.


def _part(name, split, size):
    """The slice that a split such as "train[:90%]" takes of the `size` examples."""
    whole = tfds.core.SplitInfo(name="train", shard_lengths=[size], num_bytes=0)
    try:
        instruction = tfds.core.ReadInstruction.from_spec(split)
        (part,) = instruction.to_absolute({"train": whole})
    except (AssertionError, KeyError, ValueError) as error:
        raise UsageError(
            f"{name} has no split {split!r}: only train, or a part such as train[90%:]"
        ) from error
    return slice(part.from_, part.to)


def _held(name, array, split):
    return Examples(name, array[_part(name, split, len(array))])


def _digits(split):
    """The 1,797 real 8x8 digits that come with scikit-learn."""
    images = sklearn.datasets.load_digits().images  # 0 .. 16
    images = np.uint8(np.rint(images * 255 / 16))[..., np.newaxis]
    fit = Fitting.of_flags()
    return _held("digits", np.stack([fit.array(image) for image in images]), split)


def _ring(split):
    """Eight Gaussians, std .01, on the unit circle (LSGAN, mixture_gaussian/)."""
    draw = np.random.default_rng(2016)
    angle = draw.integers(8, size=100_000) * (2 * np.pi / 8)
    points = np.stack([np.sin(angle), np.cos(angle)], 1)
    points += 0.01 * draw.standard_normal(points.shape)
    return _held("ring", np.float32(points), split)


def _gaussian(split):
    """N(0, 1) on a line, for Fig. 1 of GAN (2014), which gives no numbers."""
    points = np.random.default_rng(2014).standard_normal((100_000, 1))
    return _held("gaussian", np.float32(points), split)


def _tfd(split):
    """The Toronto Face Database, 48x48, from the user's own file."""
    path = pathlib.Path(_DATA_DIR.value or ".", "TFD_48x48.mat").expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no {path}. Its makers give the Toronto Face Database out on request "
            "(aclab.ca/users/josh/TFD.html); put TFD_48x48.mat into a folder and name it "
            "with --data_dir"
        )
    codes = {"unlabeled": 0, "train": 1, "valid": 2, "test": 3}  # pylearn2's TFD.mapper
    if split not in codes:
        raise UsageError(f"tfd has the splits {', '.join(codes)}, not {split!r}")
    try:
        stored = scipy.io.loadmat(path)
        images, folds = stored["images"], stored["folds"][:, _TFD_FOLD.value]
    except (ValueError, KeyError, IndexError, OSError, NotImplementedError) as error:
        raise UserError(f"{path} cannot be read as the TFD file: {error}") from error
    images = np.uint8(images[folds == codes[split]]).reshape(-1, 48, 48, 1)
    fit = Fitting.of_flags()
    return Examples("tfd", np.stack([fit.array(image) for image in images]))


class FolderExamples(Examples):
    """Images too many for memory, decoded batch by batch."""

    readers = 2

    def __init__(self, name, paths, fit, shape):
        self.name, self.paths, self.fit = name, paths, fit
        self.shape, self.size = shape, len(paths)

    def rows(self, indices):
        return np.stack([_read_image(self.paths[i], self.fit) for i in indices])

    def reader(self):
        def read(batch):
            images = tf.numpy_function(self.rows, [batch], tf.uint8)
            return tf.ensure_shape(images, (batch.shape[0], *self.shape))

        return read

    def all(self, value_range, limit=None):
        return RANGES[value_range].to_network(self.rows(range(limit or self.size))).numpy()

    def mean(self, value_range):
        return self.all(value_range, min(self.size, 10_000)).mean(0, dtype=np.float64)


def _read_image(path, fit):
    with Image.open(path) as image:
        return fit(image)


def _folder(split):
    """Every image below --data_dir. Each is decoded once at the start; what cannot be
    is named and left out."""
    if not _DATA_DIR.value:
        raise UsageError("--dataset=folder needs --data_dir, the folder of your images")
    root = pathlib.Path(_DATA_DIR.value).expanduser()
    if not root.is_dir():
        raise UserError(f"there is no folder {root}")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in FORMATS)
    if not paths:
        raise UserError(f"{root} holds no image ({' '.join(FORMATS)})")
    fit = Fitting.of_flags()
    fit = fit._replace(size=fit.size or 64, channels=fit.channels or _channels(paths))
    shape = (fit.size, fit.size, fit.channels)
    in_memory = len(paths) * np.prod(shape) <= IN_MEMORY_BYTES
    good, images = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for path, image in zip(paths, pool.map(lambda p: _try_image(p, fit), paths)):
            if isinstance(image, str):
                logging.warning("left out %s: %s", path, image)
                continue
            good.append(path)
            if in_memory:
                images.append(image)
    if len(good) < len(paths):
        logging.warning("%d of %d images left out", len(paths) - len(good), len(paths))
    if not good:
        raise UserError(f"none of the {len(paths)} images below {root} can be read")
    if in_memory:
        return _held(str(root), np.stack(images), split)
    return FolderExamples(str(root), good[_part(str(root), split, len(good))], fit, shape)


def _try_image(path, fit):
    """The image, or why it cannot be read."""
    try:
        return _read_image(path, fit)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__


def _channels(paths):
    """Colour if any of the first hundred readable images is."""
    for path in paths[:100]:
        try:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "I", "I;16", "LA"):
                    return 3
        except OSError:
            continue
    return 1


def _tfds(name):
    """An image set of tensorflow-datasets: in memory where it fits, else streamed."""

    def load(split):
        builder = _builder(name)
        info = builder.info
        if "image" not in (info.features or {}):
            raise UsageError(f"{name} is not a set of images: it has no feature 'image'")
        try:
            size = info.splits[split].num_examples
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"{name} has the splits {', '.join(info.splits)}, not {split!r}"
            ) from error
        fit, shape = Fitting.of_flags(), info.features["image"].shape
        if None in shape[:2] and not fit.size:
            raise UsageError(f"the images of {name} differ in size: set --image_size")
        raw = builder.as_dataset(split=split, shuffle_files=False)
        shape = fit.array(next(iter(raw.take(1)))["image"].numpy()).shape

        def fitted(example):
            image = tf.numpy_function(fit.array, [example["image"]], tf.uint8)
            return tf.ensure_shape(image, shape)

        images = raw.map(fitted, num_parallel_calls=2, deterministic=True)
        if size * np.prod(shape) > IN_MEMORY_BYTES:
            return StreamedExamples(name, images, size, shape)
        blocks = list(images.batch(1024).as_numpy_iterator())
        return Examples(name, np.concatenate(blocks))

    return load


def _builder(name):
    """A prepared tfds builder. Touches the network only to download what is missing."""
    try:
        builder = tfds.builder(name, data_dir=_DATA_DIR.value, try_gcs=False)
    except (tfds.core.DatasetNotFoundError, ValueError, KeyError) as error:
        sets = f"{', '.join(SOURCES)}, or a set of tensorflow-datasets"
        raise UsageError(f"there is no data set {name!r}: try {sets}") from error
    if builder.is_prepared():
        return builder
    remedy = (
        f"Prepare it on a machine with a network, `tfds build {name}`, and copy the folder "
        f"to {builder.data_dir}; or name another with --data_dir"
    )
    if not _DOWNLOAD.value:
        raise UserError(f"{name} is not in {builder.data_dir}. {remedy}")
    logging.info("%s is not in %s: downloading it", name, builder.data_dir)
    try:
        builder.download_and_prepare()
    except (OSError, AssertionError, tfds.download.DownloadError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{name} could not be prepared ({reason}). {remedy}") from error
    return builder


SOURCES = {
    "digits": _digits,
    "ring": _ring,
    "gaussian": _gaussian,
    "folder": _folder,
    "tfd": _tfd,
}


def load(split):
    """The Examples of one split of `--dataset`."""
    name = _DATASET.value
    return SOURCES.get(name, _tfds(name))(split)
