"""Images that are given beside the data: their levels, order, and fit to a run's data."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from tests.data.sets import message, pixels, save
from tfgan_papers import data
from tfgan_papers.data.images import eight_bits
from tfgan_papers.errors import UsageError, UserError

KINDS = [(dtype, white) for dtype in ("u2", "i4", "f4") for white in (255, 65535)]


@pytest.mark.parametrize(("dtype", "white"), [*KINDS, ("f4", 1)])
@pytest.mark.parametrize("where", ["file", "array"])
def test_range_of_levels_is_their_own(where, dtype, white, tmp_path, rng):
    levels = rng.integers(0, 256, (6, 6))
    levels[0, :2] = 0, 255
    stored = (levels * (white / 255)).astype(dtype)
    if where == "array":
        np.save(tmp_path / "x.npy", stored[None])
        found = pixels(data.array(str(tmp_path / "x.npy")))
    else:
        save(tmp_path / "a.tif", stored)
        found = pixels(data.images(str(tmp_path), data.DataOptions()))
    assert np.array_equal(found[0, ..., 0], levels)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([-1, 5], "run from -1 to 5"),
        ([0, 65536], "run from 0 to 6.554e\\+04"),
        ([0.0, np.nan], "run from nan to nan"),
        ([np.inf, 2.0], "run from 2 to inf"),
        (np.float32([0, 1.0000002]), "run to 1.0000002, which is white neither"),
        ([0.0, 1.7], "run to 1.7, which is white neither"),
    ],
)
def test_levels_of_no_range_are_refused(levels, said):
    with pytest.raises(ValueError, match=said):
        eight_bits(np.array(levels))


def test_float_a_little_above_white_is_not_of_sixteen_bits():
    assert list(eight_bits(np.float32([0, 100.4, 255.3]))) == [0, 100, 255]


def test_array_is_in_a_fixed_permutation(tmp_path):
    stored = np.arange(200, dtype=np.uint8).repeat(4).reshape(200, 2, 2)
    np.save(tmp_path / "x.npy", stored)
    found = pixels(data.images(str(tmp_path / "x.npy"), data.DataOptions()))[:, 0, 0, 0]
    hashes = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(200)]
    assert list(found) == sorted(range(200), key=hashes.__getitem__)


@pytest.mark.parametrize(
    "stored",
    [
        np.ones((3, 2, 2), np.uint8),
        np.ones((3, 2, 2), bool),
        np.ones((3, 2, 2), complex),
        np.ones((3, 2, 2, 4), np.uint8),
        np.ones((3, 2), np.uint8),
    ],
)
def test_array_of_no_images_is_told(stored, tmp_path):
    np.save(tmp_path / "x.npy", stored)
    with pytest.raises(UserError, match="x.npy"):
        data.array(str(tmp_path / "x.npy"))


def test_a_file_of_no_or_several_arrays_is_told(tmp_path):
    (tmp_path / "empty.npy").touch()
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("empty.npy", "several.npy"):
        with pytest.raises(UserError, match=f"{name} cannot be read: "):
            data.array(str(tmp_path / name))


def test_given_images_are_those_of_all_splits_in_one_permutation(tmp_path):
    """Even of an old run, whose own data keep the order of their paths."""
    for i in range(60):
        split = "train" if i < 30 else "test"
        save(tmp_path / split / str(i % 3) / f"{i}.png", np.full((2, 2), i, np.uint8))
    options = data.DataOptions(data_order="sorted")
    images, labels = data.images(str(tmp_path), options).labelled("raw")
    order = images[:, 0, 0, 0]
    assert sorted(order) == list(range(60)) and np.array_equal(labels, order % 3)
    assert 5 < np.sum(order[:30] < 30) < 25


# Images that are fitted as a run fits its data.


@pytest.mark.parametrize("crop", ["square", "none", "20"])
@pytest.mark.parametrize("channels", ["0", "1", "3"])
def test_image_is_fitted_as_the_data_are(channels, crop, tmp_path, rng):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, np.uint8(rng.integers(0, 256, (33, 47, 3))))
    options = data.DataOptions(
        dataset="folder",
        data_dir=str(tmp_path),
        image_size=16,
        crop=crop,
        channels=channels,
        data_order="sorted",
    )
    examples = data.load("train", options)
    found = [
        data.fit_image(str(tmp_path / name), options, examples.shape)
        for name in ("a.png", "b.png")
    ]
    assert np.array_equal(found, pixels(examples))


def test_colour_image_becomes_grey_where_the_data_are(tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (8, 8, 3)))
    path = save(tmp_path / "a.png", image)
    found = data.fit_image(str(path), data.DataOptions(), (8, 8, 1))
    assert np.abs(found[..., 0] - image @ [0.299, 0.587, 0.114]).max() < 1


def test_characters_of_hwdb_are_stretched_to_28_pixels(tmp_path, rng):
    path = save(tmp_path / "a.png", np.uint8(rng.integers(0, 256, (50, 31))))
    found = data.fit_image(str(path), data.DataOptions(dataset="hwdb"), (28, 28, 1))
    with Image.open(path) as image:
        expected = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR))
    assert np.array_equal(found[..., 0], expected)


@pytest.mark.parametrize("content", ["other size", "no image", "missing"])
def test_image_that_cannot_be_fitted_is_told(content, tmp_path):
    path = tmp_path / "a.png"
    if content == "other size":
        save(path, np.zeros((9, 9), np.uint8))
    elif content == "no image":
        path.write_text("text")
    with pytest.raises(UsageError) as caught:
        data.fit_image(str(path), data.DataOptions(), (8, 8, 1))
    said = str(caught.value)
    assert str(path) in said and said == " ".join(said.split())
    assert content != "other size" or ("9x9" in said and "8x8" in said)


# What is held out.


def splits(options):
    options = data.with_held_out_split(options)
    return options.train_split, options.test_split


def test_digits_hold_out_a_tenth_that_has_all_classes():
    options = data.DataOptions(dataset="digits")
    parts = [data.load(split, options) for split in splits(options)]
    assert [part.size for part in parts] == [1617, 180]
    assert all(set(part.labels) == set(range(10)) for part in parts)
    whole = pixels(data.load("train", options))
    assert np.array_equal(np.concatenate([*map(pixels, parts)]), whole)


@pytest.mark.parametrize("dataset", ["ring", "gaussian"])
def test_points_hold_out_a_tenth(dataset):
    assert splits(data.DataOptions(dataset=dataset)) == data.HELD_OUT


@pytest.mark.parametrize("named", [{"train_split": "train[:50%]"}, {"test_split": "train"}])
def test_nothing_is_held_out_where_other_splits_are_named(named):
    options = data.DataOptions(dataset="digits", **named)
    assert data.with_held_out_split(options) == options


@pytest.mark.parametrize("with_test", [False, True])
def test_folder_holds_out_a_tenth_unless_it_has_a_test_split(with_test, tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    for i in range(20):
        save(tmp_path / "train" / f"{i}.png", np.full((2, 2), i, np.uint8))
    if with_test:
        save(tmp_path / "test" / "x.png", np.full((2, 2), 77, np.uint8))
    options = data.DataOptions(dataset="folder", data_dir=str(tmp_path))
    train, test = (pixels(data.load(split, options)) for split in splits(options))
    assert (len(train), len(test)) == ((20, 1) if with_test else (18, 2))
    assert not set(train[:, 0, 0, 0]) & set(test[:, 0, 0, 0])
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert ("--train_split=train[:90%]" in said) != with_test


def test_missing_folder_is_told_before_anything_is_held_out(tmp_path):
    options = data.DataOptions(dataset="folder", data_dir=str(tmp_path))
    with pytest.raises(UserError, match="holds no image"):
        data.with_held_out_split(options)
    assert "--data_dir" in message(UsageError, dataset="folder")
