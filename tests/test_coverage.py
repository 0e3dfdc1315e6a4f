"""Coverage of the kinds of images: closed forms, and real digits without some kinds."""

import numpy as np
import pytest
from scipy.ndimage import shift

from tfgan_papers.data import DataOptions, HeldExamples, load
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import coverage


def test_the_effective_number_of_k_equal_shares_is_k():
    assert coverage.effective_number(np.repeat([3, 5, 9, 11], 7)) == pytest.approx(4)
    assert coverage.effective_number(np.ones(50)) == 1
    uneven = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    found = coverage.effective_number(np.repeat(["a", "b"], [90, 10]))
    assert found == pytest.approx(np.exp(uneven))


def test_small_pictures_are_means_over_squares_whatever_the_brightness(rng):
    images = rng.random((5, 48, 40, 3))
    found = coverage.small(images)
    assert found.shape == (5, 16 * 13 * 3) and found.dtype == np.float32
    one = images[0, 3:6, 36:39, 1].mean() - images[0, :48, :39].mean()
    assert found[0].reshape(16, 13, 3)[1, 12, 1] * one > 0
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(coverage.small(images * 0.2 - 0.7), found, atol=1e-5)
    assert np.abs(coverage.small(np.full((2, 8, 8, 1), 0.3))).max() < 0.01


@pytest.fixture(scope="module")
def patterns():
    """Four different images."""
    return np.random.default_rng(3).random((4, 8, 8, 1))


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize(
    ("shown", "expected"),
    [([0], 0), ([1, 2], 1 / 3), ([0, 1, 3], 2 / 3), ([0, 1, 2, 3], 1)],
)
def test_so_many_of_four_patterns_have_the_closed_form(patterns, labelled, shown, expected):
    of = np.tile(np.arange(4), 25)
    pictures = coverage.small(patterns[of])
    real = coverage.kinds(pictures, of if labelled else None)
    assert (real.are, real.effective) == (
        "classes" if labelled else "clusters",
        pytest.approx(4),
    )
    found = coverage.score(np.tile(patterns[shown], (30, 1, 1, 1)), real)
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert (found.kinds, found.samples) == (4, 30 * len(shown))


def test_classes_that_no_picture_tells_apart_are_not_the_kinds(patterns, rng):
    pictures = coverage.small(np.repeat(patterns, 25, axis=0))
    real = coverage.kinds(pictures, rng.integers(0, 10, 100))
    assert (real.are, real.effective) == ("clusters", pytest.approx(4))


def test_rare_classes_are_not_the_kinds(patterns):
    """A few samples rarely contain one of a hundred: good samples had coverage 0."""
    of = np.repeat([0, 1, 2], [150, 147, 3])
    labels = (of == 2).astype(int)
    real = coverage.kinds(coverage.small(patterns[of]), labels)
    assert real.are == "clusters" and real.effective == pytest.approx(2)
    alike = np.repeat([0, 1], [297, 3])
    assert coverage.kinds(coverage.small(patterns[alike]), (alike == 1).astype(int)) is None


def test_the_best_by_coverage_is_nearest_to_the_data(patterns):
    of = np.repeat([0, 1, 2, 3], [70, 10, 10, 10])
    real = coverage.kinds(coverage.small(patterns[of]), of)
    shown = [np.repeat(range(4), n) for n in ([97, 1, 1, 1], [70, 10, 10, 10], [25] * 4)]
    few, as_data, even = (coverage.selection(patterns[each], real) for each in shown)
    assert as_data == pytest.approx(1) and max(few, even) < 0.7


def test_few_examples_or_one_kind_only_have_no_coverage(patterns):
    assert coverage.kinds(coverage.small(np.repeat(patterns, 9, axis=0))) is None
    same = HeldExamples("same", np.full((100, 8, 8, 1), 9, np.uint8))
    assert coverage.of_examples(same, "unit") is None
    with pytest.raises(UserError, match="same are fewer than 40 or almost all alike"):
        coverage.reference("unit", same)
    points = HeldExamples("ring", np.zeros((100, 2), np.float32))
    assert coverage.of_examples(points, "raw") is None
    with pytest.raises(UsageError, match="ring contains points"):
        coverage.reference("raw", points)


# Real digits: known collapses, and samples as good as data.


def jittered(image, n, rng):
    """n copies, moved by up to half a pixel, paler or darker, with noise."""
    moves = rng.uniform(-0.5, 0.5, (n, 2))
    copies = np.stack([shift(image, (*move, 0), order=1) for move in moves])
    strength = rng.uniform(0.7, 1.1, (n, 1, 1, 1))
    return copies * strength + rng.normal(0, 0.05, copies.shape)


@pytest.fixture(scope="module")
def digits():
    """name -> 400 samples, of digits that the kinds are not from."""
    images, labels = load("train[60%:]", DataOptions()).labelled("unit")
    rng = np.random.default_rng(0)

    def of(*classes):
        return rng.choice(images[np.isin(labels, classes)], 400)

    return {
        "all": of(*range(10)),
        "all, pale and noisy": 0.3 * of(*range(10)) + rng.normal(0, 0.1, (400, 8, 8, 1)),
        "half the classes": of(0, 2, 4, 6, 8),
        "ones": of(1),
        "ones and sevens": of(1, 7),
        "one image": jittered(images[labels == 3][0], 400, rng),
    }


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("all", 0.8, 1.1),
        ("all, pale and noisy", 0.8, 1.1),
        ("half the classes", 0.35, 0.65),
        ("ones", 0.0, 0.15),
        ("ones and sevens", 0.05, 0.25),
        ("one image", 0.0, 0.1),
    ],
)
def test_digits_of_which_kinds_are_missing(digits, labelled, name, low, high):
    train = load("train[:60%]", DataOptions())
    if not labelled:
        train = HeldExamples("plain", train.stored)
    real = coverage.reference("unit", train)
    assert real.are == ("classes" if labelled else "clusters")
    assert low <= coverage.score(digits[name], real).value <= high


def test_it_is_the_same_every_time_and_in_every_range(digits):
    train = load("train[:60%]", DataOptions())
    plain = HeldExamples("plain", train.stored)
    first = coverage.score(digits["all"], coverage.reference("unit", plain))
    again = coverage.score(digits["all"], coverage.reference("unit", plain))
    assert first == again
    other = coverage.score(2 * digits["all"] - 1, coverage.reference("symmetric", plain))
    assert other.value == pytest.approx(first.value, abs=0.02)


def test_samples_that_are_not_finite_are_refused_and_more_kinds_are_better(digits):
    real = coverage.reference("unit", load("train[:60%]", DataOptions()))
    with pytest.raises(UserError, match="not finite"):
        coverage.score(np.full((3, 8, 8, 1), np.nan), real)
    order = ["ones", "ones and sevens", "half the classes", "all"]
    found = [coverage.selection(digits[name], real) for name in order]
    assert found == sorted(found)
