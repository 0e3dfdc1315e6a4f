"""Image sets of tensorflow-datasets."""

import contextlib
import difflib
import io
import json
import logging as python_logging
import os
import pathlib
import sys
import urllib.parse

import numpy as np
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging
from google.protobuf import json_format
from tensorflow_datasets.core.download import downloader

from tfgan_papers.data.disk import REMEDY, RecordExamples, in_python
from tfgan_papers.data.examples import HeldExamples, fits_in_memory, one_line
from tfgan_papers.data.images import Fitting
from tfgan_papers.data.splits import parts
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.files import is_pattern

DOWNLOAD_RETRIES = 3  # with the 10 of tensorflow-datasets, no network costs 200 s
KNOWN = ("mnist", "fashion_mnist", "cifar10", "svhn_cropped", "celeb_a")
BAD_BUILDER = (AssertionError, ImportError, OSError, RuntimeError, ValueError)
BAD_DOWNLOAD = (
    *(OSError, tf.errors.OpError, tfds.download.DownloadError),  # requests': OSErrors
    tfds.download.download_manager.NonMatchingChecksumError,  # also a quota page
    tfds.download.extractor.ExtractError,
    *(AssertionError, ImportError, ValueError),  # manual data; packages; old version
)


def load(split, options, others):
    """Loads an image set of tensorflow-datasets, into memory if it fits there.

    Args:
        split: str in the notation of tensorflow-datasets.
        options: `DataOptions`.
        others: names of the other data sets, for the error message of an unknown name.

    Returns:
        `HeldExamples`, or `RecordExamples` if the set does not fit into memory.

    Raises:
        UsageError, UserError: see `data.load`.
    """
    name = options.dataset
    builder = _builder(options, others)
    features, splits = dict(builder.info.features), builder.info.splits
    feature, label = features["image"], features.get("label")
    infos = [splits[part.splitname] for part in parts(name, split, splits)]
    where = f"{name} in {builder.data_dir}"
    files = [str(path) for info in infos for path in info.filepaths]
    stored = sum(tf.io.gfile.stat(f).length for f in files if tf.io.gfile.exists(f))
    expected = sum(info.num_bytes for info in infos)
    if stored < expected:  # better now than in the middle of a run
        raise UserError(f"{where} has {stored:,} of {expected:,} bytes: {REMEDY}")
    fit = Fitting.of(options)
    shape = fit.shape(*feature.shape)
    if None in shape:
        raise UsageError(f"the images of {name} differ in size: set --image_size")
    fit = fit._replace(channels=shape[-1])  # a colour set may have grey images
    decode = feature.decode_example
    if not fit.keeps(feature.shape):
        decode = in_python(lambda encoded: fit.read(io.BytesIO(encoded)))
    names = label.names if isinstance(label, tfds.features.ClassLabel) else None
    files = splits[split].file_instructions
    record_bytes = stored / sum(info.num_examples for info in infos)
    examples = RecordExamples(where, files, shape, decode, names, record_bytes)
    if not fits_in_memory(examples.size, shape):
        return examples
    if not names:
        return HeldExamples(name, np.concatenate([*examples.blocks()]))
    pairs = examples.blocks(read=lambda k: (examples.read(k), examples.read_labels(k)))
    return HeldExamples(name, *map(np.concatenate, zip(*pairs, strict=True)), names)


def _builder(options, others):
    """Returns a prepared tfds builder. Uses the network only to download missing data."""
    name = options.dataset
    folder = os.path.expanduser(options.data_dir) if options.data_dir else None
    logging.get_absl_logger().addFilter(_is_worth_logging)
    try:
        builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    except (ImportError, OSError, RuntimeError) as error:  # a missing package
        raise UserError(f"{name} cannot be opened: {one_line(error)}") from error
    except (json.JSONDecodeError, json_format.ParseError) as error:
        raise UserError(f"the folder of {name} is invalid ({error}): {REMEDY}") from error
    except (AssertionError, ValueError) as error:  # no such set, configuration or version
        names = ", ".join(_near(name, others) or (*others, *KNOWN))
        raise UsageError(
            f"there is no data set {name!r}; choose {names}, or any image set of "
            "tensorflow.org/datasets/catalog"
        ) from error
    if not _holds_images(builder):
        raise UsageError(f"{name} is not a set of images: it has no 8-bit feature 'image'")
    if not builder.is_prepared():
        if is_pattern(builder.data_dir):
            raise UserError(
                f"tensorflow-datasets takes {builder.data_dir} for a pattern and finds "
                "nothing: set --data_dir to a path without []*?\\, for example to a link"
            )
        _prepare(name, builder, options.download)
    return builder


def has_test_split(options, others) -> bool:
    return "test" in _builder(options, others).info.splits


def _holds_images(builder):
    """Returns whether the examples have an 8-bit feature `image`."""
    features = builder.info.features
    named = isinstance(features, tfds.features.FeaturesDict) and "image" in features
    image = features["image"] if named else None
    return isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8


def _near(name, others):
    """Returns the image sets whose names resemble `name`."""
    known = [*others, *tfds.list_builders(with_community_datasets=False)]
    family = name.partition("/")[0]
    if family in known[len(others) :]:
        configs = tfds.builder_cls(family).builder_configs
        known += [f"{family}/{config}" for config in configs]
    similar = [k for k in known if k.rstrip("0123456789") == name]  # imagenet2012
    similar += [k for k in known if name and k.startswith(name)][:3]
    similar += difflib.get_close_matches(name, known)
    similar += [family] if family in known else []
    return [k for k in dict.fromkeys(similar) if k in others or _is_image_set(k)]


def _is_image_set(name):
    try:
        return _holds_images(tfds.builder(name, try_gcs=False))
    except BAD_BUILDER:
        return False


def _prepare(name, builder, download):
    """Downloads the set and writes it to disk; with --download=false raises UserError."""
    remedy = (
        f"Prepare it on a machine with a network (tfds build {name}) and copy the folder "
        f"to {builder.data_dir}, or put the downloaded files into "
        f"{builder.data_dir_root / 'downloads' / 'manual'}, or set another --data_dir"
    )
    if not download:
        raise UserError(f"{name} is not in {builder.data_dir}. {remedy}")
    if builder.name == "lsun" and not _reads_lmdb():  # or it fails after 40 GB
        raise UserError(
            f"{name} is not in {builder.data_dir}, and tensorflow-datasets needs a "
            f"tensorflow_io that works with TensorFlow {tf.__version__} to prepare it. "
            "Save the images of its LMDB as files and give --dataset=folder "
            f"--data_dir=THEIR_FOLDER. Or, with such a package: {remedy}"
        )
    logging.info("%s is not in %s: downloading it", name, builder.data_dir)
    downloader.MAX_RETRIES = DOWNLOAD_RETRIES
    # Its threads keep retrying, and logging their retries, after the error.
    python_logging.getLogger("urllib3").setLevel(python_logging.ERROR)
    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except BAD_DOWNLOAD as error:
        raise UserError(
            f"{name} cannot be prepared ({_reason(error)}). {remedy}"
        ) from error
    if not builder.is_prepared():  # tensorflow-datasets skips a folder that exists
        raise UserError(f"{name} in {builder.data_dir} has no dataset_info.json: {REMEDY}")


def _reads_lmdb():
    """Whether tensorflow_io is installed and its library loads, which not every release
    does with every TensorFlow."""
    try:
        import tensorflow_io

        tensorflow_io.IODataset.from_lmdb(os.devnull)
    except (ImportError, NotImplementedError):
        return False
    except (tf.errors.OpError, ValueError):
        pass  # it has tried to read the file
    return True


def _is_worth_logging(record):
    """Returns False for the messages of tensorflow-datasets below the level ERROR.

    It logs every folder that it searches and every file that it downloads. Failures become
    exceptions, which are reported in one line.
    """
    theirs = str(pathlib.Path(tfds.__file__).parent)
    return record.levelno >= python_logging.ERROR or theirs not in record.pathname


def _reason(error):
    """Describes a download error; without a connection, names the host."""
    request = getattr(error, "request", None)
    if isinstance(error, requests.ConnectionError) and request is not None:
        return f"there is no connection to {urllib.parse.urlsplit(request.url).hostname}"
    return one_line(error)
