"""Data sets: what is read, in what order, and what is said when it cannot be."""

import io
import json
import os
import pathlib
import re
import socket
import time
from unittest import mock

import keras
import numpy as np
import pytest
import scipy.io
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import flagsaver
from PIL import Image

from tfgan_papers import data
from tfgan_papers.data import catalog
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.examples import FileExamples, HeldExamples, RecordExamples
from tfgan_papers.errors import UsageError, UserError

PREPARED = pathlib.Path(
    os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
).expanduser()
BATCH, COUNT = 8, 50  # of the numbered images: 6 batches an epoch, 2 images left over
PER_EPOCH = COUNT // BATCH


def load(split="train", **values):
    with flagsaver.flagsaver(**values):
        return data.load(split)


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


def ids(stream, batches):
    """Which of the numbered images are in the first batches: ints (batches, BATCH)."""
    return np.stack([np.int64(batch)[:, 0, 0, 0] for batch in stream.take(batches)])


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with the numbered images: as files, and as the set tiny in three files."""
    path = tmp_path_factory.mktemp("numbered")
    for i, image in enumerate(NUMBERED):
        save(path / f"{i:03}.png", image[..., 0])
    prepare(Tiny(data_dir=path), 3, train=NUMBERED)
    return path


@pytest.fixture(params=["array", "files", "records"])
def examples(request, stored, monkeypatch):
    """The numbered images: in memory, from files, from tensorflow-datasets' files."""
    monkeypatch.setattr(
        examples_module, "IN_MEMORY_BYTES", (request.param == "array") << 30
    )
    dataset = "tiny" if request.param == "records" else "folder"
    found = load(dataset=dataset, data_dir=str(stored))
    kinds = (HeldExamples, FileExamples, RecordExamples)
    assert type(found) is kinds[["array", "files", "records"].index(request.param)]
    return found


@pytest.fixture
def network(monkeypatch):
    """No network; the list of what was asked of it."""
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


# Value ranges.

LEVELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)


@pytest.mark.parametrize(
    ("name", "scale", "offset"),
    [
        ("unit", 1 / 255, 0.0),
        ("symmetric", 2 / 255, -1.0),
        ("symmetric128", 1 / 128, -127.5 / 128),
        ("raw", 1.0, 0.0),
    ],
)
def test_range_is_affine_and_pixels_come_back_exactly(name, scale, offset):
    found = data.RANGES[name].to_network(LEVELS)
    assert found.dtype == tf.float32
    assert np.allclose(found, LEVELS.astype(np.float64) * scale + offset, rtol=0, atol=2e-7)
    back = data.RANGES[name].to_pixels(found)
    assert back.dtype == tf.uint8 and np.array_equal(back, LEVELS)


@pytest.mark.parametrize("name", ["unit", "symmetric", "symmetric128", "raw"])
def test_pixels_beyond_the_range_are_clipped(name):
    ends = data.RANGES[name].to_network(np.uint8([[[[0]], [[255]]]])).numpy()
    beyond = ends + np.float32([[[[-9]], [[9]]]])
    assert np.array_equal(data.RANGES[name].to_pixels(beyond).numpy().ravel(), [0, 255])


def norm55(images):
    """pylearn2's global_contrast_normalize(scale=55), in float64."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    divisors = np.sqrt((flat**2).sum(1, keepdims=True)) / 55.0
    divisors[divisors < 1e-8] = 1.0
    return (flat / divisors).reshape(images.shape)


def test_norm55_is_pylearn2s_contrast_normalization(rng):
    images = np.uint8(rng.integers(0, 256, (5, 32, 32, 3)))
    images[0] //= 64  # of low contrast
    images[1] = 77  # of none
    found = data.RANGES["norm55"].to_network(images).numpy()
    assert np.allclose(found, norm55(images), rtol=0, atol=2e-5)
    norms = np.linalg.norm(found.reshape(5, -1).astype(np.float64), axis=1)
    assert np.allclose(norms, [55, 0, 55, 55, 55], rtol=0, atol=1e-3)


def test_norm55_pictures_are_divided_by_the_largest_magnitude_of_all(rng):
    samples = np.float32(rng.normal(size=(3, 4, 4, 3)))
    expected = (samples.astype(np.float64) / np.abs(samples).max() + 1) / 2 * 255
    found = data.RANGES["norm55"].to_pixels(samples).numpy()
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 0.5 + 1e-4


def test_raw_points_are_pictured_as_they_are():
    points = np.float32([[-3.5, 700.0]])
    assert np.array_equal(data.RANGES["raw"].to_pixels(points), points)


# Sets that need no file.


def test_digits_are_scikit_learns_in_256_levels():
    expected = sklearn.datasets.load_digits().images * 255 / 16
    found = pixels(load(dataset="digits"))
    assert found.shape == (1797, 8, 8, 1)
    assert np.abs(found[..., 0] - expected).max() <= 0.5


def test_digits_take_another_size_and_colour():
    found = pixels(load("train[:20]", dataset="digits", image_size=16, channels="3"))
    assert found.shape == (20, 16, 16, 3)
    assert np.array_equal(found[..., 0], found[..., 2])
    small = pixels(load("train[:20]", dataset="digits"))
    assert np.allclose(found.mean((1, 2, 3)), small.mean((1, 2, 3)), rtol=0, atol=3)


@pytest.mark.parametrize(("kind", "shares"), [("clean", 8), ("authors", 9)])
def test_ring_is_gaussians_of_std_one_hundredth_on_the_unit_circle(kind, shares):
    found = load(dataset="ring", ring=kind)
    points = found.all("raw").astype(np.float64)
    assert points.shape == (100_000, 2)
    angles = np.arange(8) * np.pi / 4
    centres = np.stack([np.sin(angles), np.cos(angles)], 1)
    offsets = points[:, None] - centres
    nearest = np.square(offsets).sum(-1).argmin(1)
    counts = np.bincount(nearest, minlength=8)
    weights = np.ones(8) / shares
    weights[0] += 1 - weights.sum()  # linspace(0, 2 pi, 9) has the angle 0 twice
    assert np.abs(counts - 1e5 * weights).max() < 5 * np.sqrt(1e5 / 8)
    assert np.allclose(found.modes.centres, centres, rtol=0, atol=1e-12)
    assert np.allclose(found.modes.weights, weights, rtol=0, atol=1e-12)
    assert found.modes.std == 0.01
    residues = offsets[np.arange(len(points)), nearest]
    assert np.abs(residues.std(0) - 0.01).max() < 2e-4
    assert np.abs(residues.mean(0)).max() < 2e-4


def test_sets_whose_modes_are_not_known_have_none():
    assert load(dataset="gaussian").modes is None


def test_gaussian_is_standard_normal_on_a_line():
    points = load(dataset="gaussian").all("raw")
    assert points.shape == (100_000, 1) and points.dtype == np.float32
    assert abs(points.mean()) < 0.015 and abs(points.std() - 1) < 0.01
    assert abs(np.mean(np.abs(points) < 1) - 0.6827) < 0.008


@pytest.mark.parametrize("ask", ["all", "mean", "stream"])
def test_points_have_no_range_of_pixels(ask):
    ring = load("train[:100]", dataset="ring")
    with pytest.raises(UsageError, match="--value_range=raw"):
        ring.stream(10, 1, "unit") if ask == "stream" else getattr(ring, ask)("unit")


# The order of examples.


def test_stream_has_static_shapes_of_float32(examples):
    spec = examples.stream(BATCH, 1, "unit").element_spec
    assert spec == tf.TensorSpec((BATCH, 6, 6, 1), tf.float32)


def test_nothing_tunes_a_stream_and_holds_up_its_end(examples):
    assert examples.stream(4, 0, "unit").options().autotune.enabled is False


def test_stream_is_in_the_range_that_is_asked_for(examples):
    raw, symmetric = (
        next(iter(examples.stream(BATCH, 1, name))).numpy() for name in ("raw", "symmetric")
    )
    assert np.allclose(symmetric, raw.astype(np.float64) / 127.5 - 1, rtol=0, atol=2e-7)


def test_epoch_shows_whole_batches_of_examples_none_twice(examples):
    shown = ids(examples.stream(BATCH, 1, "raw"), 3 * PER_EPOCH)
    for epoch in np.split(shown, 3):
        assert len(set(epoch.ravel())) == PER_EPOCH * BATCH
        assert set(epoch.ravel()) <= set(range(COUNT))


def test_epoch_shows_every_example_when_batches_divide_them(examples):
    shown = ids(examples.stream(10, 1, "raw"), 10)
    for epoch in np.split(shown, 2):
        assert sorted(epoch.ravel()) == list(range(COUNT))


def test_what_one_epoch_leaves_out_is_not_always_the_same(examples):
    shown = ids(examples.stream(BATCH, 1, "raw"), 6 * PER_EPOCH)
    left_out = {frozenset(set(range(COUNT)) - set(e.ravel())) for e in np.split(shown, 6)}
    assert len(left_out) > 3


def test_stream_from_a_step_on_goes_on_as_the_uninterrupted_one(examples):
    whole = ids(examples.stream(BATCH, 7, "raw"), 4 * PER_EPOCH)
    for step in (1, PER_EPOCH - 1, PER_EPOCH, 2 * PER_EPOCH + 3):
        resumed = examples.stream(BATCH, 7, "raw", first_step=step)
        assert np.array_equal(ids(resumed, PER_EPOCH + 2), whole[step:][: PER_EPOCH + 2])


def test_order_differs_by_seed_and_by_epoch_and_from_that_on_disk(examples):
    first, second = np.split(ids(examples.stream(BATCH, 1, "raw"), 2 * PER_EPOCH), 2)
    other = ids(examples.stream(BATCH, 2, "raw"), PER_EPOCH)
    stored = np.int64(examples.all("raw"))[: PER_EPOCH * BATCH, 0, 0, 0].reshape(
        first.shape
    )
    orders = [first, second, other, stored]
    same = [np.mean(a == b) for i, a in enumerate(orders) for b in orders[:i]]
    assert max(same) < 0.3  # by chance 1 in 50


def test_order_ignores_the_global_seed(examples):
    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(ids(examples.stream(BATCH, 1, "raw"), PER_EPOCH))
    assert np.array_equal(*orders)


def test_order_of_a_folder_is_the_same_from_memory_and_from_disk(stored, monkeypatch):
    held = folder(stored)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", NUMBERED.size - 1)
    streamed = folder(stored)
    assert [type(e) for e in (held, streamed)] == [HeldExamples, FileExamples]
    orders = [ids(e.stream(BATCH, 1, "raw"), 2 * PER_EPOCH) for e in (held, streamed)]
    assert np.array_equal(*orders)


def test_streamed_set_is_shuffled_by_windows_of_whole_batches(stored, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(examples_module, "SHUFFLE_WINDOW", BATCH + 3)  # that is two batches
    found = load(dataset="tiny", data_dir=str(stored))
    order = np.int64(found.all("raw"))[:, 0, 0, 0]
    ranks = np.argsort(order)[ids(found.stream(BATCH, 1, "raw"), 2 * PER_EPOCH)]
    windows = ranks.reshape(2, PER_EPOCH // 2, 2 * BATCH)  # epoch, window, place on disk
    inside = windows - 2 * BATCH * np.arange(PER_EPOCH // 2)[:, None]
    assert (np.sort(inside, -1) == np.arange(2 * BATCH)).all()
    assert len(np.unique(inside.reshape(-1, 2 * BATCH), axis=0)) == PER_EPOCH


def test_batch_larger_than_the_set_is_a_usage_error(examples):
    with pytest.raises(UsageError, match="50 examples, fewer than a batch of 51"):
        examples.stream(COUNT + 1, 1, "unit")
    assert len(next(iter(examples.stream(COUNT, 1, "unit")))) == COUNT


def test_all_and_mean_are_those_of_the_images(examples):
    stored = np.sort(examples.all("unit")[:, 2, 3, 0].astype(np.float64))
    assert np.allclose(stored, np.arange(COUNT) / 255, rtol=0, atol=1e-7)
    assert examples.all("unit").shape == (COUNT, 6, 6, 1)
    assert np.array_equal(examples.all("unit", 7), examples.all("unit")[:7])
    mean = examples.mean("unit")
    assert mean.shape == (6, 6, 1) and mean.dtype == np.float64
    assert np.allclose(mean, 24.5 / 255, rtol=0, atol=1e-7)


def test_mean_is_over_more_than_one_block(rng):
    images = np.uint8(rng.integers(0, 256, (2500, 3, 3, 1)))
    found = HeldExamples("made", images)
    assert np.allclose(found.mean("raw"), images.mean(0), rtol=0, atol=1e-6)
    assert found.stored.dtype == tf.uint8


# Labels.

THREE = ("bird", "cat", "dog")  # image i is of class i % 3


@pytest.fixture(params=["array", "files", "records", "records in memory"])
def labelled(request, tmp_path, monkeypatch):
    """The numbered images with labels, from each kind of source."""
    if "records" in request.param:
        monkeypatch.setattr(Tiny, "label", tfds.features.ClassLabel(names=THREE))
        prepare(Tiny(data_dir=tmp_path), 3, lambda x: int(x[0, 0, 0]) % 3, train=NUMBERED)
    else:
        for i, image in enumerate(NUMBERED):
            save(tmp_path / THREE[i % 3] / "deeper" / f"{i:03}.png", image[..., 0])
    in_memory = request.param in ("array", "records in memory")
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    dataset = "tiny" if "records" in request.param else "folder"
    found = load(dataset=dataset, data_dir=str(tmp_path))
    assert isinstance(found, HeldExamples) == in_memory
    return found


def test_labels_are_those_of_their_images(labelled):
    assert labelled.classes == 3 and labelled.class_names == THREE
    images, labels = labelled.labelled("raw")
    assert images.dtype == np.float32 and images.shape == (COUNT, 6, 6, 1)
    assert labels.dtype == np.int32 and labels.shape == (COUNT,)
    assert np.array_equal(labels, images[:, 0, 0, 0] % 3)
    assert np.array_equal(images, labelled.all("raw"))
    some = labelled.labelled("raw", 7)
    assert np.array_equal(some[0], images[:7]) and np.array_equal(some[1], labels[:7])


def test_stream_with_labels_shows_the_same_examples_in_the_same_order(labelled):
    stream = labelled.stream(BATCH, 3, "unit", first_step=4, labels=True)
    assert stream.element_spec == (
        tf.TensorSpec((BATCH, 6, 6, 1), tf.float32),
        tf.TensorSpec((BATCH,), tf.int32),
    )
    bare = labelled.stream(BATCH, 3, "unit", first_step=4)
    for images, (same, labels) in zip(
        bare.take(PER_EPOCH), stream.take(PER_EPOCH), strict=True
    ):
        assert np.array_equal(images, same)
        assert np.array_equal(labels, np.rint(images[:, 0, 0, 0] * 255) % 3)


def test_labels_of_a_part_keep_the_meaning_they_have_in_the_whole(tmp_path):
    for i, name in enumerate(["b", "a", "c"]):
        save(tmp_path / name / "x.png", np.full((4, 4), i, np.uint8))
    images, labels = folder(tmp_path, "train[1:]").labelled("raw")
    assert list(images[:, 0, 0, 0]) == [0, 2] and list(labels) == [1, 2]


def test_digits_labels_are_scikit_learns():
    found = load("train[100:]", dataset="digits")
    assert found.class_names == tuple("0123456789")
    labels = found.labelled("unit")[1]
    assert np.array_equal(labels, sklearn.datasets.load_digits().target[100:])


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_labels_are_read_as_tensorflow_datasets_reads_them(name, network):
    found = load("test[:300]", dataset=real(name))
    feature = tfds.builder(name, data_dir=PREPARED).info.features["label"]
    assert found.classes == 10 and found.class_names == tuple(feature.names)
    expected = own_reading(name, "test[:300]", key="label")
    assert np.array_equal(found.labelled("unit")[1], expected)
    assert not network


@pytest.mark.parametrize("ask", ["labelled", "stream"])
@pytest.mark.parametrize("dataset", ["ring", "folder"])
def test_set_without_labels_says_which_sets_have_some(ask, dataset, tmp_path):
    save(tmp_path / "in" / "a.png", np.zeros((4, 4), np.uint8))
    save(tmp_path / "z.png", np.zeros((4, 4), np.uint8))
    found = load(dataset=dataset, data_dir=str(tmp_path))
    assert found.classes == 0 and found.class_names is None
    with pytest.raises(UsageError, match="has no labels. .*digits.*mnist.*subfolders"):
        if ask == "stream":
            found.stream(2, 1, "raw", labels=True)
        else:
            found.labelled("raw")


@pytest.mark.parametrize("in_memory", [True, False])
def test_labels_that_are_withheld_are_told_once_they_are_asked_for(
    in_memory, tmp_path, monkeypatch
):
    monkeypatch.setattr(Tiny, "label", tfds.features.ClassLabel(names=THREE))
    prepare(Tiny(data_dir=tmp_path), labels=lambda x: -1, test=NUMBERED)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    found = load("test", dataset="tiny", data_dir=str(tmp_path))
    assert found.all("raw").shape == (COUNT, 6, 6, 1)
    for ask in (
        lambda: found.labelled("raw"),
        lambda: found.stream(5, 1, "raw", labels=True),
    ):
        with pytest.raises(UserError, match="tiny.* label -1, .* none of its 3 classes"):
            ask()


def test_single_wrong_label_of_a_streamed_set_is_told_when_it_is_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Tiny, "label", tfds.features.ClassLabel(names=THREE))
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    labels = iter([0] * 1100 + [-1])
    images = np.zeros((1101, 6, 6, 1), np.uint8)
    monkeypatch.setattr(Tiny, "ordered", True)
    prepare(Tiny(data_dir=tmp_path), labels=lambda x: next(labels), train=images)
    found = load(dataset="tiny", data_dir=str(tmp_path))
    with pytest.raises(UserError, match="tiny.* a label which is none of its 3 classes"):
        found.labelled("raw")


# Splits.


@pytest.mark.parametrize(
    "split", ["test", "", "train[", "train[1797:]", "train[5:3]", "nope"]
)
def test_split_without_examples_is_told_with_those_there_are(split):
    said = message(UsageError, split, dataset="digits")
    assert repr(split) in said and "train (1,797 examples)" in said


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train[:50]", slice(50)),
        ("train[-7:]", slice(1790, 1797)),
        ("train[90%:]", slice(1617, 1797)),
        ("train[10:20]+train[30:31]", [*range(10, 20), 30]),
    ],
)
def test_parts_of_a_split_are_its_rows(split, rows):
    every = pixels(load(dataset="digits"))
    assert np.array_equal(pixels(load(split, dataset="digits")), every[rows])


# tensorflow-datasets.


def test_mnist_is_read_as_tensorflow_datasets_reads_it(network):
    name, split = real("mnist"), "train[59000:]+test[:500]"
    assert np.array_equal(pixels(load(split, dataset=name)), own_reading(name, split))
    assert not network


MEANS = {"mnist": 0.1306604762738429, "fashion_mnist": 0.2860405969887955}


@pytest.mark.parametrize("name", MEANS)
def test_each_mnist_has_its_known_mean(name):
    found = load(dataset=real(name))
    mean = found.mean("unit").mean()
    assert (found.size, found.shape) == (60_000, (28, 28, 1))
    if name == "fashion_mnist" and abs(mean - MEANS["mnist"]) < 1e-7:
        pytest.skip(
            "the fashion_mnist here holds MNIST's images: remove and prepare it anew"
        )
    assert abs(mean - MEANS[name]) < 1e-7


def test_cifar10_in_norm55_is_that_of_numpy(network):
    name, split = real("cifar10"), "train[:300]"
    found = load(split, dataset=name).all("norm55")
    assert np.allclose(found, norm55(own_reading(name, split)), rtol=0, atol=5e-5)
    assert abs(np.sqrt(np.mean(found.astype(np.float64) ** 2)) - 0.9923) < 1e-4
    assert not network


@pytest.mark.parametrize("split", ["train", "train[7:33]", "train[50%:]+test[1:]", "all"])
def test_set_in_several_files_is_read_in_their_order(split, tmp_path):
    tiny(tmp_path)
    found = pixels(load(split, dataset="tiny", data_dir=str(tmp_path)))
    assert np.array_equal(found, own_reading("tiny", split, tmp_path))


def made_celeb_a(path, rng, count=6):
    """CelebA's own format, with made pictures."""
    images = np.uint8(rng.integers(0, 256, (count, 6, 5, 3)))
    images = [np.asarray(Image.fromarray(image).resize((178, 218))) for image in images]
    return prepare(tfds.builder("celeb_a", data_dir=path), train=images)


@pytest.mark.parametrize("in_memory", [True, False])
def test_celeb_a_is_cropped_and_resized_as_asked(
    in_memory, tmp_path, rng, monkeypatch, network
):
    made_celeb_a(tmp_path, rng)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    values = dict(dataset="celeb_a", data_dir=str(tmp_path))
    found = pixels(load(**values, crop="108", image_size=64))
    expected = [
        Image.fromarray(image).crop((35, 55, 143, 163)).resize((64, 64), Image.BILINEAR)
        for image in own_reading("celeb_a", "train", tmp_path)
    ]
    assert found.shape == (6, 64, 64, 3)
    assert np.abs(found.astype(int) - np.stack(expected)).mean() < 1  # two JPEG decoders
    assert found.std() > 20
    assert load(**values).shape == (178, 178, 3)
    assert load(**values, crop="none").shape == (218, 178, 3)
    assert not network


def test_lsun_of_varied_sizes_needs_an_image_size(tmp_path, rng):
    builder = tfds.builder("lsun/bedroom", data_dir=tmp_path)
    images = [np.uint8(rng.integers(0, 256, (h, w, 3))) for h, w in [(20, 30), (25, 21)]]
    prepare(builder, train=images)
    values = dict(dataset="lsun/bedroom", data_dir=str(tmp_path))
    assert "--image_size" in message(UsageError, **values)
    found = load(**values, image_size=16)
    assert (found.size, found.shape) == (2, (16, 16, 3))


def test_lsun_scenes_become_112_pixels_with_the_aspect_ignored(tmp_path, rng):
    """vgg.py, train_lsun.py of LSGAN's authors."""
    name, image = "lsun/church_outdoor", np.uint8(rng.integers(0, 256, (3, 4, 3)))
    image = np.asarray(Image.fromarray(image).resize((160, 120)))
    prepare(tfds.builder(name, data_dir=tmp_path), train=[image])
    values = dict(dataset=name, data_dir=str(tmp_path))
    (found,) = pixels(load(**values, crop="none", image_size=112))
    expected = np.stack([resized(image[..., c], 112) for c in range(3)], -1)
    assert np.abs(found - expected).mean() < 3  # JPEG is lossy


@pytest.mark.parametrize("scene", ["bedroom", "church_outdoor", "conference_room"])
def test_missing_lsun_is_told_before_it_is_downloaded_in_vain(
    scene, network, tmp_path, monkeypatch
):
    monkeypatch.setitem(catalog.NEEDS, "lsun", "a_package_that_is_not_there")
    said = message(UserError, dataset=f"lsun/{scene}", data_dir=str(tmp_path))
    assert f"tfds build lsun/{scene}" in said and "a_package_that_is_not_there" in said
    assert not network


def test_batches_of_a_streamed_set_are_of_the_one_size(tmp_path, rng, monkeypatch):
    made_celeb_a(tmp_path, rng, 5)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    found = load(dataset="celeb_a", data_dir=str(tmp_path), image_size=24, channels="1")
    stream = found.stream(2, 1, "unit")
    assert stream.element_spec.shape == (2, 24, 24, 1)
    shown = np.concatenate([batch.numpy() for batch in stream.take(2)])
    stored = found.all("unit")
    gaps = np.abs(shown[:, None] - stored[None]).max((2, 3, 4))
    assert (gaps.min(1) == 0).all() and len(set(gaps.argmin(1))) == 4


@pytest.mark.parametrize(
    ("name", "near"), [("mnits", "mnist"), ("imagenet", "imagenet"), ("foo bar", "digits"),
                       ("", "folder"), ("mnist/nope", "mnist"), ("mnist:9.9.9", "mnist"),
                       ("lsun/church", "lsun/church_outdoor"), ("ring/clean", "ring")]
)  # fmt: skip
def test_unknown_set_is_told_with_those_that_are_near(name, near, network):
    said = message(UsageError, dataset=name)
    assert (
        repr(name) in said
        and near in said.partition("there is ")[2].partition(repr(name))[2]
    )
    assert not network


def test_set_without_images_is_told_before_anything_is_downloaded(network, tmp_path):
    said = message(UsageError, dataset="imdb_reviews", data_dir=str(tmp_path))
    assert "imdb_reviews" in said and "image" in said
    assert not network


def test_set_of_sixteen_bits_is_not_taken_for_one_of_eight(tmp_path, monkeypatch):
    wide = tfds.features.Image(shape=(6, 6, 1), dtype=np.uint16)
    monkeypatch.setattr(Tiny, "image", wide)
    prepare(Tiny(data_dir=tmp_path), train=np.zeros((1, 6, 6, 1), "u2"))
    assert "8 bits" in message(UsageError, dataset="tiny", data_dir=str(tmp_path))


def test_missing_set_is_told_with_folder_and_command(network, tmp_path):
    said = message(
        UserError, dataset="svhn_cropped", data_dir=str(tmp_path), download=False
    )
    assert str(tmp_path / "svhn_cropped") in said and "tfds build svhn_cropped" in said
    assert not network


def test_download_without_a_network_ends_soon_with_one_line(network, tmp_path):
    start = time.monotonic()
    said = message(UserError, dataset="tf_flowers", data_dir=str(tmp_path))
    assert time.monotonic() - start < 20
    assert "download.tensorflow.org" in said and "tfds build tf_flowers" in said
    assert network


def test_file_fetched_by_hand_that_is_not_the_right_one_is_told(network, tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for part in ("train", "test", "extra"):
        (manual / f"{part}_32x32.mat").write_text("Quota exceeded")
    said = message(UserError, dataset="svhn_cropped", data_dir=str(tmp_path))
    assert "svhn_cropped cannot be prepared" in said and "32x32.mat" in said
    assert not network


def test_set_to_be_fetched_by_hand_is_told_with_its_files(network, tmp_path):
    said = message(UserError, dataset="imagenet2012", data_dir=str(tmp_path))
    assert "ILSVRC2012_img_train.tar" in said and str(tmp_path / "downloads/manual") in said
    assert not network


def test_set_that_needs_a_missing_package_is_told(monkeypatch):
    failing = mock.Mock(side_effect=ModuleNotFoundError("No module named 'further'"))
    monkeypatch.setattr(tfds, "builder", failing)
    assert "further" in message(UserError, dataset="mnist")


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("tiny-train.tfrecord-00001-of-00002", cut),
        ("tiny-train.tfrecord-00001-of-00002", os.remove),
        ("tiny-train.tfrecord-00001-of-00002", flip),
        ("dataset_info.json", cut),
        ("features.json", cut),
    ],
)
def test_damaged_set_is_told(file, damage, in_memory, tmp_path, monkeypatch, network):
    damage(tiny(tmp_path) / file)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    values = dict(dataset="tiny", data_dir=str(tmp_path))
    if damage is flip and not in_memory:  # that takes a reading
        with pytest.raises(UserError, match="tiny in .* cannot be read .* it is damaged"):
            load(**values).all("unit")
    else:
        said = message(UserError, **values)
        assert "tiny" in said and "damaged" in said and "prepare it again" in said
    assert not network


@pytest.mark.parametrize("damage", [flip, os.remove])
def test_damage_met_in_the_middle_of_a_run_is_one_line(damage, tmp_path, monkeypatch):
    folder = tiny(tmp_path)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    found = load(dataset="tiny", data_dir=str(tmp_path))
    damage(folder / "tiny-train.tfrecord-00001-of-00002")
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten()])
    model.compile(loss=lambda y, x: x)
    stream = found.stream(BATCH, 1, "unit").map(lambda x: (x, x))
    with pytest.raises(tf.errors.OpError) as caught:
        model.fit(stream, steps_per_epoch=9, verbose=0)
    said = data.trouble(caught.value)
    assert said.startswith("--dataset=") and "cannot be read: " in said
    assert re.search(r"(No such file or directory|corrupted record at \d+)$", said)
    assert said == " ".join(said.split()) and len(said) < 500
    assert not data.trouble(tf.errors.InternalError(None, None, "another"))


def test_prepared_folder_without_its_description_is_told(tmp_path, network):
    path = tmp_path / "mnist" / "3.0.1"
    path.mkdir(parents=True)
    said = message(UserError, dataset="mnist", data_dir=str(tmp_path))
    assert str(path) in said and "dataset_info.json" in said
    assert not network


def test_record_too_few_is_told(tmp_path):
    description = tiny(tmp_path) / "dataset_info.json"
    facts = json.loads(description.read_text())
    (train,) = (split for split in facts["splits"] if split["name"] == "train")
    assert sum(map(int, train["shardLengths"])) == COUNT - 5
    train["shardLengths"][1] = str(int(train["shardLengths"][1]) + 1)
    description.write_text(json.dumps(facts))
    assert "damaged" in message(UserError, dataset="tiny", data_dir=str(tmp_path))


# The Toronto Face Database.


@pytest.fixture
def tfd(tmp_path, rng):
    """The flags for a made TFD_48x48.mat, its images and its folds."""
    images, folds = (
        np.uint8(rng.integers(0, 256, (40, 48, 48))),
        rng.integers(0, 4, (40, 5)),
    )
    folds[:4] = np.arange(4)[:, None]  # no part is empty
    stored = {
        "images": images,
        "folds": np.uint8(folds),
        "labs_ex": np.zeros((40, 1), "i2"),
    }
    scipy.io.savemat(tmp_path / "TFD_48x48.mat", stored)
    return dict(dataset="tfd", data_dir=str(tmp_path)), images, folds


@pytest.mark.parametrize("fold", [0, 3])
def test_tfd_splits_are_the_codes_of_the_fold(tfd, fold):
    values, images, folds = tfd
    for code, split in enumerate(["unlabeled", "train", "valid", "test"]):
        found = pixels(load(split, **values, tfd_fold=fold))
        assert np.array_equal(found[..., 0], images[folds[:, fold] == code])


def test_tfd_splits_are_written_as_everywhere(tfd):
    values, images, folds = tfd
    train, valid = (images[folds[:, 0] == code] for code in (1, 2))
    found = pixels(load("train+valid[:1]", **values))
    assert np.array_equal(found[..., 0], np.concatenate([train, valid[:1]]))
    said = message(UsageError, "validation", **values)
    assert all(f"{split} (" in said for split in ("unlabeled", "train", "valid", "test"))


def test_tfd_takes_another_size(tfd):
    assert load("train", **tfd[0], image_size=24).shape == (24, 24, 1)


def test_missing_tfd_is_told_with_the_way_to_get_it(tmp_path):
    said = message(UserError, dataset="tfd", data_dir=str(tmp_path))
    assert str(tmp_path / "TFD_48x48.mat") in said
    assert "request" in said and "aclab.ca" in said and "--data_dir" in said


@pytest.mark.parametrize("size", [0, 60, 130, 200, 5000])
def test_cut_tfd_file_is_told(tfd, size):
    path = pathlib.Path(tfd[0]["data_dir"], "TFD_48x48.mat")
    os.truncate(path, size)
    assert str(path) in message(UserError, **tfd[0])


@pytest.mark.parametrize(
    "stored",
    [
        {"images": np.zeros((4, 48, 48), "u1")},
        {"images": np.zeros((4, 32, 32), "u1"), "folds": np.ones((4, 5), "u1")},
        {"images": np.zeros((4, 48, 48), "u1"), "folds": np.ones((4, 1), "u1")},
        {"images": np.zeros((4, 48, 48), "f8"), "folds": np.ones((4, 5), "u1")},
    ],
    ids=["no folds", "another size", "one fold", "fractions"],
)
def test_other_mat_file_is_not_taken_for_tfd(stored, tmp_path):
    scipy.io.savemat(tmp_path / "TFD_48x48.mat", stored)
    said = message(UserError, dataset="tfd", data_dir=str(tmp_path), tfd_fold=2)
    assert "TFD_48x48.mat" in said


# Folders of images.


def test_olivetti_faces_are_read_in_the_order_of_their_paths():
    root = PREPARED / "olivetti_png"
    if not root.is_dir():
        pytest.skip(f"the Olivetti faces are not in {root}")
    paths = [f"{at}/{file}" for at, _, files in os.walk(root) for file in files]
    expected = np.stack([np.asarray(Image.open(path)) for path in sorted(paths)])
    found = folder(root)
    assert (found.size, found.shape) == (400, (64, 64, 1))
    assert np.array_equal(pixels(found)[..., 0], expected)


def test_folders_are_searched_through_in_the_order_of_paths(tmp_path):
    names = ["b.png", "a/z.PNG", "a/b c/ü ñ 画.png", "c.d/e.jpeg.png", "a/a.png"]
    for i, name in enumerate(names):
        save(tmp_path / name, np.full((4, 4), i, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._b.png").write_text("what a file system leaves behind")
    (tmp_path / "empty.png").mkdir()
    order = [names.index(name) for name in sorted(names, key=lambda name: name.split("/"))]
    assert list(pixels(folder(tmp_path))[:, 0, 0, 0]) == order


def one_of(path, **values):
    (image,) = pixels(folder(path, **values))
    return image


def test_grey_stays_grey_and_one_colour_image_makes_all_colour(tmp_path, rng):
    grey, colour = (np.uint8(rng.integers(0, 256, (5, 5, *c))) for c in [(), (3,)])
    for i in range(120):
        save(tmp_path / f"{i:03}.png", grey)
    assert np.array_equal(pixels(folder(tmp_path))[7, ..., 0], grey)
    save(tmp_path / "999.png", colour)
    found = pixels(folder(tmp_path))
    assert np.array_equal(found[0], np.stack([grey] * 3, -1))
    assert np.array_equal(found[-1], colour)
    luma = colour @ [0.299, 0.587, 0.114]
    assert np.abs(pixels(folder(tmp_path, channels="1"))[-1, ..., 0] - luma).max() < 1


@pytest.mark.parametrize("bands", [2, 4])
def test_transparent_pixels_are_white(bands, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (6, 6, bands)))
    image[0, :, -1], image[1, :, -1] = 0, 255
    save(tmp_path / "a.png", image)
    alpha = image[..., -1:] / 255
    expected = image[..., :-1] * alpha + 255 * (1 - alpha)
    found = one_of(tmp_path)
    assert found.shape == (6, 6, bands - 1)
    assert np.abs(found - expected).max() < 1.01
    assert np.array_equal(found[1], image[1, :, :-1]) and (found[0] == 255).all()


def test_palette_gives_its_colours_and_its_transparent_one_white(tmp_path, rng):
    indices = np.uint8(rng.integers(0, 4, (8, 8)))
    palette = np.uint8([[10, 20, 30], [200, 100, 0], [0, 0, 255], [1, 2, 3]])
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "a.png")
    assert np.array_equal(one_of(tmp_path), palette[indices])
    picture.save(tmp_path / "a.png", transparency=1)
    palette[1] = 255
    assert np.array_equal(one_of(tmp_path), palette[indices])


def test_sixteen_bits_become_eight(tmp_path, rng):
    image = np.uint16(rng.integers(0, 65536, (6, 6)))
    image[0, :2] = 0, 65535
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path)
    assert found.shape == (6, 6, 1)
    assert np.abs(found[..., 0] - image / 257).max() <= 0.5


def test_bilevel_becomes_black_and_white(tmp_path, rng):
    image = rng.integers(0, 2, (6, 6)).astype(bool)
    save(tmp_path / "a.png", image)
    assert np.array_equal(one_of(tmp_path)[..., 0], image * 255)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_photo_taken_upright_is_shown_upright(suffix, tmp_path):
    image = np.zeros((16, 24, 3), np.uint8)
    image[:8, :12] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
    save(tmp_path / f"a.{suffix}", image, exif=exif)
    found = one_of(tmp_path, crop="none")
    assert found.shape == (24, 16, 3)
    assert np.abs(found.astype(int) - np.rot90(image, -1)).max() < 40  # JPEG is lossy


def test_cmyk_photo_comes_in_its_colours(tmp_path):
    ink = (200, 30, 90, 60)
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=95)
    expected = [(255 - c) * (255 - ink[3]) / 255 for c in ink[:3]]
    assert np.abs(one_of(tmp_path) - expected).max() < 6


@pytest.mark.parametrize(
    "suffix", ["bmp", "gif", "webp", "tif", "ppm", "png", "jpg", "JPEG"]
)
def test_format_is_read(suffix, tmp_path):
    save(tmp_path / f"a.{suffix}", np.full((16, 16, 3), (200, 40, 90), np.uint8))
    assert np.abs(one_of(tmp_path) - (200.0, 40.0, 90.0)).max() < 6


def resized(image, size):
    """Both sides by a triangle as wide as two steps of the new grid, in float64."""

    def weights(length):
        step = length / size
        centres = (np.arange(size)[:, None] + 0.5) * step
        distances = np.abs(np.arange(length) + 0.5 - centres) / max(step, 1)
        kernel = np.maximum(1 - distances, 0)
        return kernel / kernel.sum(1, keepdims=True)

    return weights(image.shape[0]) @ image.astype(np.float64) @ weights(image.shape[1]).T


@pytest.mark.parametrize("size", [5, 16, 33, 60])
def test_resizing_is_antialiased_bilinear(size, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (33, 33)))
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path, image_size=size)
    assert found.shape == (size, size, 1)
    assert np.abs(found[..., 0] - resized(image, size)).max() < 1.6  # rounded twice


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        ("square", np.s_[:, 2:8]),
        ("none", np.s_[:, :]),
        ("4", np.s_[1:5, 3:7]),
        ("3", np.s_[1:4, 3:6]),
        ("99", np.s_[:, 2:8]),
    ],
)
def test_crop_is_centred(crop, box, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (6, 10)))
    save(tmp_path / "a.png", image)
    assert np.array_equal(one_of(tmp_path, crop=crop)[..., 0], image[box])


def test_uncropped_image_is_stretched(tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (20, 12)))
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path, crop="none", image_size=8)
    assert np.abs(found[..., 0] - resized(image, 8)).max() < 1.6


@pytest.mark.parametrize("crop", ["0", "-3", "3.5", "round", ""])
def test_crop_that_is_none_is_a_usage_error(crop, tmp_path):
    save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    assert "--crop" in message(
        UsageError, dataset="folder", data_dir=str(tmp_path), crop=crop
    )


def spoil(path, rng):
    """Files of the names of images that are none; their names."""
    image = np.uint8(rng.integers(0, 256, (64, 64, 3)))
    for name in ("cut.png", "cut.jpg", "cut.webp", "cut.tif", "cut.gif", "cut.bmp"):
        content = io.BytesIO()
        Image.fromarray(image).save(
            content, {"jpg": "jpeg", "tif": "tiff"}.get(name[4:], name[4:])
        )
        (path / name).write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
    (path / "empty.png").write_bytes(b"")
    (path / "text of its own.png").write_text("This is no image.")
    save(path / "float.tif", np.zeros((6, 6), np.float32))
    save(path / "wide.tif", np.full((6, 6), 1 << 20, np.int32))
    return {file.name for file in path.iterdir()}


@pytest.mark.parametrize("in_memory", [True, False])
def test_bad_files_are_named_counted_and_left_out(
    in_memory, tmp_path, rng, monkeypatch, caplog
):
    bad = spoil(tmp_path, rng)
    good = [np.uint8(rng.integers(0, 256, (6, 6, 3))) for _ in range(3)]
    for name, image in zip(["a.png", "d.png", "z.png"], good, strict=True):
        save(tmp_path / name, image)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    found = folder(tmp_path)
    assert found.size == 3 and np.array_equal(pixels(found), np.stack(good))
    said = [
        record.getMessage() for record in caplog.records if record.levelname == "WARNING"
    ]
    named = {
        line.removeprefix(f"left out {tmp_path}/").partition(":")[0] for line in said[:-1]
    }
    assert named == bad and len(said) == len(bad) + 1
    assert said[-1] == f"{tmp_path}: {len(bad)} of {len(bad) + 3} images left out"
    assert not any("\n" in line for line in said)


def test_split_of_a_folder_is_of_its_files(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.png", np.full((4, 4), i, np.uint8))
    (tmp_path / "3.png").write_bytes(b"")
    train, test = (
        pixels(folder(tmp_path, s))[:, 0, 0, 0] for s in ("train[:70%]", "train[70%:]")
    )
    assert list(train) == [0, 1, 2, 4, 5, 6] and list(test) == [7, 8, 9]
    said = message(UsageError, "test", dataset="folder", data_dir=str(tmp_path))
    assert "train (10 examples)" in said


def test_folder_of_bad_files_only_is_told(tmp_path, rng):
    bad = spoil(tmp_path, rng)
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert str(tmp_path) in said and f"none of the {len(bad)} images" in said


def test_images_that_differ_in_size_need_an_image_size(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 6), np.uint8))
    save(tmp_path / "b.png", np.zeros((9, 8), np.uint8))
    values = dict(dataset="folder", data_dir=str(tmp_path))
    said = message(UsageError, **values)
    assert "--image_size" in said and "8x8" in said and "6x6" in said and "b.png" in said
    assert load(**values, image_size=4).shape == (4, 4, 1)


def test_folder_without_images_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("no image")
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert str(tmp_path) in said and ".png" in said


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_folder_that_is_none_is_told(kind, tmp_path):
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    assert str(path) in message(UserError, dataset="folder", data_dir=str(path))


def test_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    closed, scandir = str(tmp_path / "closed"), os.scandir
    os.mkdir(closed)

    def refuse(path):
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert closed in said and "Permission denied" in said


def test_folder_needs_a_data_dir():
    assert "--data_dir" in message(UsageError, dataset="folder", data_dir=None)


def test_home_is_understood_in_data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "faces" / "a.png", np.zeros((4, 4), np.uint8))
    assert folder("~/faces").size == 1
    tiny(tmp_path / "sets")
    assert load("test", dataset="tiny", data_dir="~/sets").size == 5


# CASIA HWDB.


def gnt(path, *records):
    """Write a GNT file; a record is a character, or two bytes of code, and its pixels."""
    content = b""
    for code, image in records:
        code = code if isinstance(code, bytes) else code.encode("gbk")
        head = np.array([10 + image.size], "<u4").tobytes() + code
        content += head + np.array(image.shape[::-1], "<u2").tobytes() + image.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def hwdb(tmp_path, rng):
    """The flags for three writers' made files, and what they wrote, file by file."""

    def written(*codes):
        sizes = rng.integers(5, 90, (len(codes), 2))
        return [
            (c, np.uint8(rng.integers(0, 256, s)))
            for c, s in zip(codes, sizes, strict=True)
        ]

    train = [written("国", b"A\0", "啊", "亍"), written("座", "国", "，", "啊")]
    test = [written("啊", "中")]
    gnt(tmp_path / "HWDB1.0trn_gnt" / "001-f.gnt", *train[0])
    gnt(tmp_path / "HWDB1.0trn_gnt" / "002-f.gnt", *train[1])
    gnt(tmp_path / "HWDB1.0tst_gnt" / "301-f.gnt", *test[0])
    return dict(dataset="hwdb", data_dir=str(tmp_path)), sum(train, []), sum(test, [])


LEVEL_1_WRITTEN = "啊国中座"  # in the order of their codes, b0a1 b9fa d6d0 d7f9


@pytest.mark.parametrize("in_memory", [True, False])
def test_hwdb_is_what_was_written_with_its_character(in_memory, hwdb, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    values, *written = hwdb
    for split, records in zip(["train", "test"], written, strict=True):
        found = load(split, **values)
        assert isinstance(found, HeldExamples) == in_memory
        images, labels = found.labelled("raw")
        known = [(c, image) for c, image in records if c in list(LEVEL_1_WRITTEN)]
        assert found.class_names == tuple(LEVEL_1_WRITTEN)
        assert [LEVEL_1_WRITTEN[label] for label in labels] == [c for c, _ in known]
        assert images.shape == (len(known), 28, 28, 1)
        expected = np.stack([resized(image, 28) for _, image in known])
        assert np.abs(images[..., 0] - expected).max() < 1.6  # rounded twice


def test_hwdb_takes_another_size_and_stays_white_around(tmp_path):
    image = np.full((64, 48), 255, np.uint8)
    image[20:40, 10:30] = 30
    gnt(tmp_path / "1.gnt", ("啊", image))
    found = pixels(load(dataset="hwdb", data_dir=str(tmp_path), image_size=32))
    assert found.shape == (1, 32, 32, 1)
    assert (found[0, :5] == 255).all() and found.min() == 30


def test_hwdb_tells_how_many_symbols_it_leaves_out(hwdb, caplog):
    caplog.set_level("INFO", logger="absl")
    load(**hwdb[0])
    assert any("3 of 10 records left out" in r.getMessage() for r in caplog.records)


def test_missing_hwdb_is_told_with_the_way_to_get_it(tmp_path):
    for said in (
        message(UserError, dataset="hwdb", data_dir=str(tmp_path / "none")),
        message(UserError, dataset="hwdb", data_dir=str(tmp_path)),
        message(UsageError, dataset="hwdb", data_dir=None),
    ):
        assert "registration" in said and "HWDB1.0trn_gnt.zip" in said


@pytest.mark.parametrize("left", [1, 9, 10, 11, 39])
def test_truncated_gnt_file_is_told_with_the_byte(left, hwdb, tmp_path):
    path = gnt(tmp_path / "x.gnt", *[("啊", np.zeros((5, 6), np.uint8))] * 3)
    os.truncate(path, 80 + left)  # a record is of 40 bytes
    said = message(UserError, **hwdb[0])
    assert str(path) in said and f"ends at byte {80 + left}" in said
    assert "record that begins at byte 80" in said


@pytest.mark.parametrize("size", [7, 39, 41, 0])
def test_file_that_is_no_gnt_file_is_told_with_the_byte(size, hwdb, tmp_path):
    path = gnt(tmp_path / "x.gnt", *[("啊", np.zeros((5, 6), np.uint8))] * 3)
    content = bytearray(path.read_bytes())
    content[40:44] = np.array([size], "<u4").tobytes()
    path.write_bytes(content)
    said = message(UserError, **hwdb[0])
    assert str(path) in said and "record at byte 40" in said


def test_hwdb_without_test_files_has_no_test_split(tmp_path):
    gnt(tmp_path / "1.gnt", ("啊", np.zeros((5, 6), np.uint8)))
    said = message(UsageError, "test", dataset="hwdb", data_dir=str(tmp_path))
    assert "train (1 examples)" in said
