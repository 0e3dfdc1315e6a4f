"""Sets that need no file: what is in them, and parts of their splits."""

import numpy as np
import pytest
import sklearn.datasets
from sklearn.neighbors import KNeighborsClassifier

from tests.data.sets import load, message, pixels
from tfgan_papers.errors import UsageError


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


def test_printed_digits_are_ten_digits_in_turn():
    found, labels = load(dataset="printed_digits").labelled("unit")
    assert found.shape == (2000, 32, 32, 1)
    assert np.array_equal(labels, np.arange(2000) % 10)
    ink = found.mean((1, 2, 3))
    assert 0.08 < ink.min() and ink.max() < 0.45  # white on black
    border = np.concatenate([found[:, [0, -1]].ravel(), found[:, :, [0, -1]].ravel()])
    assert (border > 0.5).mean() < 0.01  # a digit touches it rarely
    small = load("train[:20]", dataset="printed_digits", image_size=8).all("unit")
    blocks = found[:20].reshape(20, 8, 4, 8, 4, 1).mean((2, 4))
    # Drawn anew for its size; fonts have other pixels there, but the same shapes.
    assert np.corrcoef(small.ravel(), blocks.ravel())[0, 1] > 0.95
    nearest = KNeighborsClassifier(5).fit(found[:1800].reshape(1800, -1), labels[:1800])
    assert nearest.score(found[1800:].reshape(200, -1), labels[1800:]) > 0.99


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
