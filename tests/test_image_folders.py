"""examples/image_folders.py writes the folders that recipes read."""

import importlib.util

import numpy as np
import pytest

from tests import launch
from tfgan_papers import data


@pytest.fixture(scope="module")
def example():
    path = launch.ROOT / "examples" / "image_folders.py"
    place = importlib.util.spec_from_file_location("image_folders", path)
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_faces_have_a_folder_for_each_person(example, tmp_path, rng):
    pixels = rng.integers(0, 256, (20, 64, 64))
    example.write_faces(np.float32(pixels / 255), tmp_path)
    assert (tmp_path / "person-01" / "019.png").is_file()
    options = data.DataOptions(dataset="folder", data_dir=str(tmp_path), image_size=64)
    found = data.load("train", options)
    assert (found.size, found.shape, found.classes) == (20, (64, 64, 1), 2)
    images = data.RANGES["unit"].to_pixels(found.all("unit")).numpy()[..., 0]
    assert sorted(map(np.sum, images)) == sorted(map(np.sum, pixels))


def test_digits_have_a_folder_for_each_class(example, tmp_path, rng):
    images, labels = rng.integers(0, 256, (30, 28, 28)), np.arange(30) % 10
    example.write_digits(images, labels, tmp_path)
    options = data.DataOptions(dataset="folder", data_dir=str(tmp_path), image_size=28)
    found = data.load("train", options)
    assert found.class_names == tuple("0123456789")
    assert [(found.labels == k).sum() for k in range(10)] == [3] * 10
