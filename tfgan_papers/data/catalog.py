"""Image sets of tensorflow-datasets."""

import contextlib
import difflib
import importlib.util
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

DOWNLOAD_RETRIES = 3  # the 10 of tensorflow-datasets take 200 s to miss a network
KNOWN = ("mnist", "fashion_mnist", "cifar10", "svhn_cropped", "celeb_a")
BAD_BUILDER = (AssertionError, ImportError, OSError, RuntimeError, ValueError)
NEEDS = {"lsun": "tensorflow_io"}  # found missing only after 40 GB of bedrooms
BAD_DOWNLOAD = (
    *(OSError, tf.errors.OpError, tfds.download.DownloadError),  # requests': OSErrors
    tfds.download.download_manager.NonMatchingChecksumError,  # a quota page, too
    tfds.download.extractor.ExtractError,
    *(AssertionError, ImportError, ValueError),  # by hand; other packages; old version
)


def load(split, options, others):
    """An image set of tensorflow-datasets: in memory where it fits, else streamed.

    Args:
        others: names of sets that it does not have, to say them where `name` is none.
    """
    name = options.dataset
    builder = _builder(options, others)
    features, splits = dict(builder.info.features), builder.info.splits
    feature, label = features["image"], features.get("label")
    infos = [splits[part.splitname] for part in parts(name, split, splits)]
    where = f"{name} in {builder.data_dir}"
    files = [str(path) for info in infos for path in info.filepaths]
    stored = sum(tf.io.gfile.stat(f).length for f in files if tf.io.gfile.exists(f))
    due = sum(info.num_bytes for info in infos)
    if stored < due:  # better now than in the middle of a run
        raise UserError(f"{where} has {stored:,} bytes of {due:,}: {REMEDY}")
    fit = Fitting.of(options)
    shape = fit.shape(*feature.shape)
    if None in shape:
        raise UsageError(f"the images of {name} differ in size: set --image_size")
    decode = feature.decode_example
    if not fit.keeps(feature.shape):
        decode = in_python(lambda encoded: fit.read(io.BytesIO(encoded)))
    names = label.names if isinstance(label, tfds.features.ClassLabel) else None
    files = splits[split].file_instructions
    examples = RecordExamples(where, files, shape, decode, names)
    if not fits_in_memory(examples.size, shape):
        return examples
    if not names:
        return HeldExamples(name, np.concatenate([*examples.blocks()]))
    pairs = examples.blocks(read=lambda k: (examples.read(k), examples.read_labels(k)))
    return HeldExamples(name, *map(np.concatenate, zip(*pairs, strict=True)), names)


def _builder(options, others):
    """A prepared tfds builder. Touches the network only to download what is missing."""
    name = options.dataset
    folder = options.data_dir and os.path.expanduser(options.data_dir)
    logging.get_absl_logger().addFilter(_is_worth_saying)
    try:
        builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    except (ImportError, OSError, RuntimeError) as error:  # what only this set needs
        raise UserError(f"{name} cannot be opened: {one_line(error)}") from error
    except (json.JSONDecodeError, json_format.ParseError) as error:
        raise UserError(f"the folder of {name} is unclear ({error}): {REMEDY}") from error
    except (AssertionError, ValueError) as error:  # no such set, configuration or version
        there = ", ".join(_near(name, others) or (*others, *KNOWN))
        raise UsageError(
            f"there is no data set {name!r}; there is {there}, or any image set of "
            "tensorflow.org/datasets/catalog"
        ) from error
    if not _holds_images(builder):
        raise UsageError(f"{name} is not a set of images: it has no 'image' of 8 bits")
    if not builder.is_prepared():
        _prepare(name, builder, options.download)
    return builder


def has_test_split(options, others) -> bool:
    return "test" in _builder(options, others).info.splits


def _holds_images(builder):
    """Whether the examples have an `image` of 8 bits."""
    features = builder.info.features
    named = isinstance(features, tfds.features.FeaturesDict) and "image" in features
    image = features["image"] if named else None
    return isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8


def _near(name, others):
    """The sets whose names are like `name` and which can be trained on."""
    known = [*others, *tfds.list_builders(with_community_datasets=False)]
    family = name.partition("/")[0]
    if family in known[len(others) :]:
        configs = tfds.builder_cls(family).builder_configs
        known += [f"{family}/{config}" for config in configs]
    like = [k for k in known if k.rstrip("0123456789") == name]  # imagenet2012
    like += [k for k in known if name and k.startswith(name)][:3]
    like += difflib.get_close_matches(name, known)
    like += [family] if family in known else []
    return [k for k in dict.fromkeys(like) if k in others or _is_image_set(k)]


def _is_image_set(name):
    try:
        return _holds_images(tfds.builder(name, try_gcs=False))
    except BAD_BUILDER:
        return False


def _prepare(name, builder, download):
    """Download and write to disk, if --download."""
    remedy = (
        f"Prepare it where there is a network (tfds build {name}) and copy the folder to "
        f"{builder.data_dir}, or put what it downloads into "
        f"{builder.data_dir_root / 'downloads' / 'manual'}, or name another --data_dir"
    )
    if not download:
        raise UserError(f"{name} is not in {builder.data_dir}. {remedy}")
    package = NEEDS.get(builder.name)
    if package and not importlib.util.find_spec(package):
        raise UserError(
            f"{name} is not in {builder.data_dir}, and to prepare it tensorflow-datasets "
            f"needs {package}. {remedy}"
        )
    logging.info("%s is not in %s: downloading it", name, builder.data_dir)
    downloader.MAX_RETRIES = DOWNLOAD_RETRIES
    # Its threads go on trying, and saying so, after the error.
    python_logging.getLogger("urllib3").setLevel(python_logging.ERROR)
    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except BAD_DOWNLOAD as error:
        raise UserError(
            f"{name} cannot be prepared ({_reason(error)}). {remedy}"
        ) from error
    if not builder.is_prepared():  # tensorflow-datasets leaves a folder that is there
        raise UserError(f"{name} in {builder.data_dir} has no dataset_info.json: {REMEDY}")


def _is_worth_saying(record):
    """Not the lines of tensorflow-datasets for each folder it looks into and each file it
    downloads; what goes wrong is an error, which is told in one line."""
    theirs = str(pathlib.Path(tfds.__file__).parent)
    return record.levelno >= python_logging.ERROR or theirs not in record.pathname


def _reason(error):
    """What an error of a download says; of a missing connection where to."""
    request = getattr(error, "request", None)
    if isinstance(error, requests.ConnectionError) and request is not None:
        return f"there is no connection to {urllib.parse.urlsplit(request.url).hostname}"
    return one_line(error)
