"""Sets of tensorflow-datasets: what is read, and what is said when it cannot be."""

import json
import os
import re
import sys
import tempfile
import time
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tests import launch
from tests.data.sets import (
    BATCH,
    COUNT,
    PREPARED,
    Tiny,
    load,
    message,
    own_reading,
    pixels,
    prepare,
    real,
    resized,
    save,
    tiny,
)
from tfgan_papers import data
from tfgan_papers.data import examples as examples_module
from tfgan_papers.errors import UsageError, UserError


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


def test_grey_image_of_a_colour_set_is_read_in_colour(tmp_path, rng):
    """ImageNet has some."""
    grey = np.uint8(rng.integers(0, 256, (20, 20)))
    file = save(tmp_path / "grey.jpg", grey)
    prepare(tfds.builder("lsun/bedroom", data_dir=tmp_path), train=[file])
    (found,) = pixels(load(dataset="lsun/bedroom", data_dir=str(tmp_path), image_size=20))
    stored = np.asarray(Image.open(file))
    assert np.array_equal(found, stored[..., None].repeat(3, -1))


@pytest.mark.parametrize("scene", ["bedroom", "church_outdoor", "conference_room"])
@pytest.mark.parametrize("installed", [False, True])
def test_missing_lsun_is_told_before_it_is_downloaded_in_vain(
    installed, scene, network, tmp_path, monkeypatch
):
    """Without tensorflow_io, or with one whose library is of another TensorFlow."""
    found = mock.MagicMock() if installed else None
    if installed:
        found.IODataset.from_lmdb.side_effect = NotImplementedError("undefined symbol")
    monkeypatch.setitem(sys.modules, "tensorflow_io", found)
    said = message(UserError, dataset=f"lsun/{scene}", data_dir=str(tmp_path))
    assert f"tfds build lsun/{scene}" in said and "--dataset=folder" in said
    assert not network


def test_an_empty_folder_of_data_is_the_default_one(network):
    said = message(UserError, dataset="lsun/tower", data_dir="", download=False)
    assert os.path.join(os.path.expanduser(PREPARED), "lsun", "tower") in said
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
    ("name", "near"), [("nosuch", "celeb_a"), ("mnits", "mnist"), ("foo bar", "digits"),
                       ("imagenet", "imagenet2012"), ("", "folder"),
                       ("mnist/nope", "mnist"), ("mnist:9.9.9", "mnist"),
                       ("lsun/church", "lsun/church_outdoor"), ("ring/clean", "ring")]
)  # fmt: skip
def test_unknown_set_is_told_with_those_that_are_near(name, near, network):
    said = message(UsageError, dataset=name)
    offered = said.partition("; choose ")[2].partition(", or any image set")[0]
    assert repr(name) in said and near in offered.split(", ")
    assert not network


@pytest.mark.parametrize("name", ["nsyth", "nosuch", "cifar", "voxceleb2", "svhn", "face"])
def test_only_sets_that_can_be_trained_on_are_suggested(name, network):
    said = message(UsageError, dataset=name)
    for offered in said.partition("; choose ")[2].partition(", or any ")[0].split(", "):
        if offered not in data.SOURCES:
            features = tfds.builder(offered, try_gcs=False).info.features
            assert features["image"].np_dtype == np.uint8
    assert "nsynth" not in said


def test_sets_that_go_on_in_digits_are_named_first(network):
    said = message(UsageError, dataset="imagenet")
    assert "choose imagenet2012, " in said


def test_set_without_images_is_told_before_anything_is_downloaded(network, tmp_path):
    said = message(UsageError, dataset="imdb_reviews", data_dir=str(tmp_path))
    assert "imdb_reviews" in said and "image" in said
    assert not network


def test_set_of_sixteen_bits_is_not_taken_for_one_of_eight(tmp_path, monkeypatch):
    wide = tfds.features.Image(shape=(6, 6, 1), dtype=np.uint16)
    monkeypatch.setattr(Tiny, "image", wide)
    prepare(Tiny(data_dir=tmp_path), train=np.zeros((1, 6, 6, 1), "u2"))
    assert "8-bit" in message(UsageError, dataset="tiny", data_dir=str(tmp_path))


def test_set_in_a_folder_that_tfds_takes_for_a_pattern_is_not_called_damaged(tmp_path, rng):
    made_celeb_a(tmp_path / "plain", rng)
    (tmp_path / "plain").rename(tmp_path / "a[1]")
    said = message(UserError, dataset="celeb_a", data_dir=str(tmp_path / "a[1]"))
    assert "for a pattern" in said and "a link" in said and "delete" not in said


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


def test_missing_connection_is_one_line_of_the_command():
    """A proxy that is not there, in place of a machine without a network."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (f"--data_dir={folder}/sets", f"--logdir={folder}/run")
        ended = launch.fork(
            "--dataset=celeb_a", *arguments, environment={"https_proxy": "127.0.0.1:9"}
        )
    downloading, error = ended.err.splitlines()
    assert ended.code == 1 and not ended.out and "downloading it" in downloading
    assert error.startswith("error: celeb_a cannot be prepared (there is no connection to ")
    assert "tfds build celeb_a" in error


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
    said = data.describe_data_error(caught.value, "tiny")
    assert said.startswith("--dataset=tiny cannot be read: ")
    assert re.search(r"(No such file or directory|corrupted record at \d+)$", said)
    assert said == " ".join(said.split()) and len(said) < 500
    another = tf.errors.InternalError(None, None, "another")
    assert not data.describe_data_error(another, "tiny")


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
