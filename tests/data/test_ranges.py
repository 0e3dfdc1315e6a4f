"""Value ranges: what networks get, and the pixels that come back."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.sets import load, own_reading, real
from tfgan_papers import data

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


def test_cifar10_in_norm55_is_that_of_numpy(network):
    name, split = real("cifar10"), "train[:300]"
    found = load(split, dataset=name).all("norm55")
    assert np.allclose(found, norm55(own_reading(name, split)), rtol=0, atol=5e-5)
    assert abs(np.sqrt(np.mean(found.astype(np.float64) ** 2)) - 0.9923) < 1e-4
    assert not network
