"""Labels: whose they are, in what order, and what is said of sets that have none."""

import re

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.data.sets import (
    BATCH,
    COUNT,
    NUMBERED,
    PER_EPOCH,
    PREPARED,
    Tiny,
    folder,
    load,
    own_reading,
    prepare,
    real,
    save,
)
from tfgan_papers import data
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.errors import UsageError, UserError

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
    images, labels = folder(tmp_path, "train[1:]", data_order="sorted").labelled("raw")
    assert list(images[:, 0, 0, 0]) == [0, 2] and list(labels) == [1, 2]


@pytest.mark.parametrize(
    ("dataset", "given", "unused"),
    [
        ("digits", {"dataset", "data_dir", "image_size"}, {"data_dir"}),
        ("digits", {"dataset", "download", "data_order"}, {"download", "data_order"}),
        ("ring", {"image_size", "font", "ring"}, {"image_size", "font"}),
        ("glyphs", {"font", "characters"}, set()),
        ("mnist", {"data_dir", "tfd_fold"}, {"tfd_fold"}),
    ],
)
def test_options_that_a_set_does_not_read_are_warned_of(dataset, given, unused, caplog):
    data.check_used(dataset, given)
    assert set(re.findall(r"does not read --(\w+)", caplog.text)) == unused


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
