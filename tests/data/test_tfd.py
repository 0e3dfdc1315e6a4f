"""The Toronto Face Database: its splits, and what is said of other files."""

import os
import pathlib

import numpy as np
import pytest
import scipy.io

from tests.data.sets import load, message, pixels
from tfgan_papers.errors import UsageError, UserError


@pytest.fixture
def tfd(tmp_path, rng):
    """The options for a made TFD_48x48.mat, its images and its folds."""
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
