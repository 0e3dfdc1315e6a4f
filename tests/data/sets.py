"""What the tests of data sets share: sets made on disk, and ways of reading them."""

import os
import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tfgan_papers import data
from tfgan_papers.errors import UserError

PREPARED = pathlib.Path(
    os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
).expanduser()
BATCH, COUNT = 8, 50  # of the numbered images: 6 batches an epoch, 2 images left over
PER_EPOCH = COUNT // BATCH


def load(split="train", **values):
    return data.load(split, data.DataOptions(**values))


def folder(path, split="train", **values):
    return load(split, dataset="folder", data_dir=str(path), **values)


def pixels(examples):
    """The examples as uint8, in order."""
    stored = examples.all("raw")
    assert np.array_equal(stored, np.uint8(stored))
    return np.uint8(stored)


def message(error, split="train", **values):
    """What is said, on one line, when loading stops with exactly this kind of error."""
    with pytest.raises(UserError) as caught:
        load(split, **values)
    assert caught.type is error
    said = str(caught.value)
    assert said and said == " ".join(said.split())
    return said


def real(name):
    """The name of a prepared real set, or a skip."""
    if not tfds.builder(name, data_dir=PREPARED).is_prepared():
        pytest.skip(f"the real {name} is not in {PREPARED}")
    return name


def own_reading(name, split, data_dir=PREPARED, key="image"):
    """The images of a split as tensorflow-datasets itself reads them, file by file."""
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    stored = tfds.builder(name, data_dir=data_dir).as_dataset(
        split=split, read_config=config
    )
    return np.stack([example[key] for example in tfds.as_numpy(stored)])


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A user's own set, which tensorflow-datasets knows by its files alone."""

    VERSION = tfds.core.Version("1.0.0")
    image = tfds.features.Image(shape=(6, 6, 1))
    label = tf.int64
    ordered = False

    def _info(self):
        features = tfds.features.FeaturesDict({"image": self.image, "label": self.label})
        return tfds.core.DatasetInfo(
            builder=self, features=features, disable_shuffling=self.ordered
        )

    def _split_generators(self, dl_manager):
        raise NotImplementedError

    def _generate_examples(self):
        raise NotImplementedError


def others(feature):
    """Something for every feature but the image."""
    if isinstance(feature, tfds.features.FeaturesDict):
        return {name: others(part) for name, part in feature.items() if name != "image"}
    return "" if isinstance(feature, tfds.features.Text) else np.zeros((), feature.np_dtype)


def prepare(builder, shards=1, labels=None, **splits):
    """Write made images as a set on disk, with the writer of tensorflow-datasets; with
    `labels` image -> label."""
    rest = others(builder.info.features)

    def example(image):
        known = {"label": labels(image)} if labels else {}
        return {"image": image, **rest, **known}

    made = {
        split: ((i, example(image)) for i, image in enumerate(images))
        for split, images in splits.items()
    }
    config = tfds.download.DownloadConfig(num_shards=shards)
    with mock.patch.object(type(builder), "_split_generators", lambda *_: made):
        builder.download_and_prepare(download_config=config)
    return pathlib.Path(builder.data_dir)


NUMBERED = np.arange(COUNT, dtype=np.uint8).repeat(36).reshape(COUNT, 6, 6, 1)


def tiny(path):
    """45 of the numbered images as a set's train split, in two files, and 5 as test."""
    return prepare(Tiny(data_dir=path), 2, train=NUMBERED[5:], test=NUMBERED[:5])


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def resized(image, size):
    """Both sides by a triangle as wide as two steps of the new grid, in float64."""

    def weights(length):
        step = length / size
        centres = (np.arange(size)[:, None] + 0.5) * step
        distances = np.abs(np.arange(length) + 0.5 - centres) / max(step, 1)
        kernel = np.maximum(1 - distances, 0)
        return kernel / kernel.sum(1, keepdims=True)

    return weights(image.shape[0]) @ image.astype(np.float64) @ weights(image.shape[1]).T
