"""The Parzen window against closed forms, a plain loop and scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from tfgan_papers import data
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import parzen_window, subsets


def naive(samples, x, sigma):
    """The definition, example by example."""
    found = []
    for row in x:
        squares = ((row - samples) ** 2).sum(1)
        terms = np.exp(-squares / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** (
            samples.shape[1] / 2
        )
        found.append(np.log(terms.mean()))
    return np.array(found)


def test_equals_the_definition_for_every_sigma():
    draw = np.random.default_rng(0)
    samples, x = draw.random((50, 5)), draw.random((430, 5))  # more than two batches
    sigmas = [0.1, 0.3, 1.0]
    found = parzen_window.log_likelihoods(samples, x, sigmas)
    expected = [naive(samples, x, sigma) for sigma in sigmas]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_equals_scikit_learns_kernel_density():
    draw = np.random.default_rng(1)
    samples, x = draw.normal(size=(300, 2)), draw.random(size=(40, 2))
    density = KernelDensity(bandwidth=0.4, kernel="gaussian").fit(samples)
    found = parzen_window.log_likelihoods(samples, x, [0.4])[0]
    np.testing.assert_allclose(found, density.score_samples(x), rtol=1e-9)


def test_an_example_on_one_of_far_centres_has_the_closed_form():
    centres = np.eye(7) * 1e3
    found = parzen_window.log_likelihoods(centres, centres[:3], [0.2])[0]
    expected = -np.log(7) - 7 * np.log(0.2 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_far_examples_do_not_underflow():
    found = parzen_window.log_likelihoods(np.zeros((4, 784)), np.ones((1, 784)), [0.1])
    expected = -784 / (2 * 0.01) - 784 * np.log(0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-12)


def test_sigma_is_chosen_on_validation_and_nearest_to_the_datas_own_width():
    draw = np.random.default_rng(2)
    samples = draw.normal(size=(400, 3)) * 0.0
    validation = draw.normal(size=(1000, 3)) * 0.3
    real = parzen_window.Reference(validation, validation[:9])
    sigma = parzen_window.score(samples, real).sigma
    nearest = parzen_window.SIGMAS[np.abs(parzen_window.SIGMAS - 0.3).argmin()]
    assert sigma == nearest


def test_score_reports_error_and_the_edge_of_the_grid():
    draw = np.random.default_rng(3)
    samples = np.zeros((10, 2, 2, 1), np.float32)
    wide = draw.normal(size=(60, 2, 2, 1)) * 5
    score = parzen_window.score(samples, parzen_window.Reference(wide[:30], wide[30:]))
    each = naive(np.zeros((10, 4)), wide[30:].reshape(30, 4), 1.0)
    assert score.sigma == 1.0 and score.at_grid_edge
    np.testing.assert_allclose(score.value, each.mean(), rtol=1e-10)
    np.testing.assert_allclose(score.standard_error, each.std() / np.sqrt(30), rtol=1e-10)
    narrow = parzen_window.Reference(wide[:30] * 0.06, wide[30:] * 0.06)
    inside = parzen_window.score(samples, narrow)
    assert not inside.at_grid_edge


def test_a_thousand_validation_examples_from_all_over_choose_sigma():
    """Of 5,000 whose deviation is .2 and as many of .9 that lie behind them."""
    draw = np.random.default_rng(4)
    validation = draw.normal(size=(10_000, 2)) * np.repeat([[0.2], [0.9]], 5000, 0)
    splits = [data.HeldExamples("made", np.float32(validation))] * 2
    real = parzen_window.reference("raw", *splits)
    np.testing.assert_array_equal(
        real.validation, splits[0].stored.numpy()[subsets.spread(10_000, 1000)]
    )
    assert (np.abs(real.validation) > 1.2).any(1).sum() > 100
    found = parzen_window.score(np.zeros((5, 2), np.float32), real)
    assert (found.validation_examples, found.test_examples) == (1000, 10_000)


def test_samples_that_are_not_finite_are_refused():
    samples = np.full((3, 4), np.nan)
    with pytest.raises(UserError, match="not finite"):
        parzen_window.score(samples, parzen_window.Reference(*np.zeros((2, 2, 4))))


@pytest.mark.parametrize("value_range", ["symmetric", "symmetric128", "raw"])
def test_the_score_is_in_the_unit_range_whatever_that_of_the_networks(value_range, rng):
    images = rng.integers(0, 256, (90, 3, 3, 1), dtype=np.uint8)
    splits = [data.HeldExamples("made", part) for part in (images[:30], images[30:60])]
    found = []
    for each in ("unit", value_range):
        real = parzen_window.reference(each, *splits)
        fake = data.RANGES[each].to_network(images[60:]).numpy()
        found.append((parzen_window.score(fake, real), parzen_window.selection(fake, real)))
    (unit, chosen), (other, chosen_too) = found
    np.testing.assert_allclose(other[:2], unit[:2], rtol=1e-5)
    assert other.sigma == unit.sigma
    assert chosen_too == pytest.approx(chosen, rel=1e-5)


def test_points_are_scored_as_they_are(rng):
    points = np.float32(rng.normal(size=(60, 2)) * 0.3)
    splits = [data.HeldExamples("made", part) for part in (points[:30], points[30:])]
    real = parzen_window.reference("raw", *splits)
    np.testing.assert_array_equal(real.test, points[30:])
    each = naive(points[:30], points[30:], parzen_window.score(points[:30], real).sigma)
    assert parzen_window.score(points[:30], real).value == pytest.approx(each.mean())


def test_a_range_without_a_way_back_is_refused():
    splits = [data.HeldExamples("made", np.zeros((3, 2, 2, 1), np.uint8))] * 2
    with pytest.raises(UsageError, match="--value_range=norm55 cannot be scaled"):
        parzen_window.reference("norm55", *splits)
