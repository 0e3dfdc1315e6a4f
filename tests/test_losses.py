"""Adversarial losses against their textbook forms, and GAN's theory (2014, Sec. 4)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers import losses
from tfgan_papers.losses import LOSSES


def sigmoid(score):
    return 1 / (1 + np.exp(-np.asarray(score, "float64")))


# The loss of a score; its value from D = sigmoid(score); its value far to the left and
# far to the right; its slope.
TEXTBOOK = [
    (losses.real_cross_entropy, lambda d: -np.log(d), (-1, 0), lambda d: d - 1),
    (losses.fake_cross_entropy, lambda d: -np.log(1 - d), (0, 1), lambda d: d),
    (losses.minimax, lambda d: np.log(1 - d), (0, -1), lambda d: -d),
    (losses.non_saturating, lambda d: -np.log(d), (-1, 0), lambda d: d - 1),
]
FORMS = pytest.mark.parametrize(
    ("loss", "form", "asymptotes", "slope"), TEXTBOOK, ids=[t[0].__name__ for t in TEXTBOOK]
)


def slope_of(loss, scores):
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        values = loss(scores)
    return tape.gradient(values, scores).numpy()


@FORMS
def test_loss_is_its_textbook_form(loss, form, asymptotes, slope):
    scores = np.linspace(-12, 12, 97).astype("float32")
    np.testing.assert_allclose(loss(scores), form(sigmoid(scores)), rtol=1e-4, atol=1e-7)


@FORMS
def test_loss_in_float64_is_its_textbook_form_to_more_digits(loss, form, asymptotes, slope):
    scores = np.linspace(-12, 12, 97)
    np.testing.assert_allclose(loss(scores), form(sigmoid(scores)), rtol=1e-9)


@FORMS
def test_loss_of_huge_scores_is_its_asymptote(loss, form, asymptotes, slope):
    left, right = asymptotes
    for size in (90.0, 1e4, 1e30):  # exp(90) is beyond float32
        values = loss(np.array([-size, size], "float32"))
        expected = [left * -size, right * size]
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-30)


@FORMS
def test_slope_is_its_closed_form(loss, form, asymptotes, slope):
    scores = np.linspace(-12, 12, 97).astype("float32")
    expected = slope(sigmoid(scores))
    np.testing.assert_allclose(slope_of(loss, scores), expected, rtol=1e-5, atol=2e-7)


@FORMS
def test_slope_of_huge_scores_is_that_of_the_asymptote(loss, form, asymptotes, slope):
    scores = np.array([-1e30, -1e4, -90, 90, 1e4, 1e30], "float32")
    left, right = asymptotes
    expected = [left] * 3 + [right] * 3
    np.testing.assert_allclose(slope_of(loss, scores), expected, rtol=0, atol=1e-30)


@FORMS
@pytest.mark.parametrize("shape", [(), (4,), (4, 1), (2, 3, 1)])
def test_loss_gives_one_value_a_score(loss, form, asymptotes, slope, shape):
    assert loss(np.zeros(shape, "float32")).shape == shape


def test_losses_by_name_have_these_parts():
    parts = {
        name: tuple(part.__name__ for part in loss[:4]) for name, loss in LOSSES.items()
    }
    d = ("real_cross_entropy", "fake_cross_entropy")
    assert parts["non_saturating"] == (*d, "non_saturating", "sigmoid")
    assert parts["minimax"] == (*d, "minimax", "sigmoid")


@pytest.mark.parametrize("targets", [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)])
def test_least_squares_is_half_the_squared_distance_to_each_target(targets):
    scores = np.linspace(-3, 3, 13)
    loss = losses.least_squares(*targets)
    for part, target in zip((loss.fake, loss.real, loss.generator), targets, strict=True):
        np.testing.assert_allclose(part(scores), (scores - target) ** 2 / 2)
    np.testing.assert_array_equal(loss.to_probability(scores), scores)


def test_one_sided_smoothing_of_least_squares_moves_the_target_for_data_towards_the_other():
    smoothed = losses.one_sided(losses.least_squares(-1.0, 3.0, 3.0), 1 - 0.25)
    target = (1 - 0.25) * 3.0 + 0.25 * -1.0
    np.testing.assert_allclose(slope_of(smoothed.real, [0.0, target]), [-target, 0.0])
    np.testing.assert_allclose(smoothed.fake(np.array([-1.0])), [0.0])


def test_a_scaled_loss_has_its_factor_in_what_is_descended_alone():
    loss, scores = LOSSES["non_saturating"], np.linspace(-3, 3, 13)
    scaled = losses.scaled(loss, 64.0)
    for part in ("real", "fake", "generator"):
        expected = 64.0 * np.asarray(getattr(loss, part)(scores))
        np.testing.assert_allclose(getattr(scaled, part)(scores), expected)
    np.testing.assert_array_equal(
        scaled.to_probability(scores), loss.to_probability(scores)
    )


def test_minimax_is_a_zero_sum_game():
    """What G wins on samples, D loses."""
    scores = np.linspace(-30, 30, 61).astype("float32")
    loss = LOSSES["minimax"]
    np.testing.assert_array_equal(loss.fake(scores) + loss.generator(scores), 0 * scores)


def test_only_minimax_starves_a_generator_that_d_sees_through():
    scores = np.full(3, -10, "float32")  # D(G(z)) = 4.5e-5
    starved = slope_of(losses.minimax, scores)
    fed = slope_of(losses.non_saturating, scores)
    np.testing.assert_allclose(starved, -4.5398e-5, rtol=1e-4)
    np.testing.assert_allclose(fed, -1 + 4.5398e-5, rtol=1e-6)


# Two densities on a grid, the expectations of Eq. 1 as sums over it.

GRID, WIDTH = np.linspace(-12, 12, 2401, retstep=True)


def log_gaussian(mean, deviation):
    exponent = -0.5 * ((GRID - mean) / deviation) ** 2
    return exponent - np.log(np.exp(exponent).sum() * WIDTH)


def gaussian(mean, deviation):
    return np.exp(log_gaussian(mean, deviation))


LAW_OF_DATA = (-1.0, 1.0)
DATA = gaussian(*LAW_OF_DATA)


def d_loss(scores, p_g, name="minimax"):
    """-V(D, G) of D = sigmoid(scores)."""
    loss = LOSSES[name]
    density = DATA * loss.real(scores) + p_g * loss.fake(scores)
    return keras.ops.sum(density) * WIDTH


def divergence(p, q):
    """Kullback-Leibler, in nats."""
    inside = p > 0
    return np.sum(p[inside] * np.log(p[inside] / q[inside])) * WIDTH


def jensen_shannon(p, q):
    return (divergence(p, (p + q) / 2) + divergence(q, (p + q) / 2)) / 2


def optimal_scores(mean, deviation):
    """The logits of D* against a Gaussian G: log(p_data / p_g)."""
    return log_gaussian(*LAW_OF_DATA) - log_gaussian(mean, deviation)


def test_optimal_scores_are_the_logits_of_proposition_1():
    """D*(x) = p_data / (p_data + p_g)."""
    expected = DATA / (DATA + gaussian(1.5, 0.7))
    np.testing.assert_allclose(sigmoid(optimal_scores(1.5, 0.7)), expected, rtol=1e-9)


def test_value_is_minus_log_4_where_d_is_one_half():
    half = np.zeros_like(GRID)
    assert float(d_loss(half, gaussian(1.5, 0.7))) == pytest.approx(np.log(4), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_descending_the_discriminator_loss_ends_at_the_optimal_discriminator(name):
    """Newton's method, the points of the grid being independent of one another."""
    p_g = gaussian(1.5, 0.7)
    near = DATA + p_g > 1e-6  # elsewhere D does not matter
    scores = tf.Variable(np.zeros_like(GRID))
    for _ in range(40):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = d_loss(scores, p_g, name)
            gradient = inner.gradient(value, scores)
        step = tf.math.divide_no_nan(gradient, outer.gradient(gradient, scores))
        scores.assign_sub(tf.clip_by_value(step, -1, 1))
    reached = np.asarray(LOSSES[name].to_probability(scores))[near]
    np.testing.assert_allclose(reached, (DATA / (DATA + p_g))[near], atol=1e-6)


def test_optimal_discriminator_is_stationary_and_a_minimum_of_its_loss():
    p_g = gaussian(1.5, 0.7)
    scores = tf.constant(optimal_scores(1.5, 0.7))
    with tf.GradientTape() as outer:
        outer.watch(scores)
        with tf.GradientTape() as inner:
            inner.watch(scores)
            value = d_loss(scores, p_g)
        gradient = inner.gradient(value, scores)
    curvature = outer.gradient(gradient, scores) / WIDTH  # diagonal: a sum over points
    np.testing.assert_allclose(gradient, np.zeros_like(GRID), atol=1e-12)
    expected = DATA * p_g / (DATA + p_g)  # (p_data + p_g) D* (1 - D*)
    np.testing.assert_allclose(curvature, expected, rtol=1e-6, atol=1e-15)
    assert curvature.numpy()[np.abs(GRID) < 3].min() > 0


@pytest.mark.parametrize(("mean", "deviation"), [(-1, 1), (-0.5, 1), (1.5, 0.7), (8, 0.5)])
def test_value_at_the_optimal_discriminator_is_that_of_theorem_1(mean, deviation):
    """C(G) = -log 4 + 2 JSD(p_data, p_g)."""
    p_g = gaussian(mean, deviation)
    value = -float(d_loss(optimal_scores(mean, deviation), p_g))
    expected = -np.log(4) + 2 * jensen_shannon(DATA, p_g)
    assert value == pytest.approx(expected, abs=1e-9)


def test_the_generator_is_best_only_where_it_makes_the_data():
    def criterion(mean, deviation):
        p_g = gaussian(mean, deviation)
        return -float(d_loss(optimal_scores(mean, deviation), p_g))

    assert criterion(-1.0, 1.0) == pytest.approx(-np.log(4), abs=1e-9)
    for mean, deviation in ((-1.1, 1), (-0.9, 1), (-1, 0.9), (-1, 1.1)):
        assert -np.log(4) + 1e-3 < criterion(mean, deviation) < -np.log(4) + 0.02
    shifts = [criterion(-1.0 + shift, 1.0) for shift in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)]
    assert shifts == sorted(shifts)
    assert -1e-3 < shifts[-1] < 0  # the densities hardly meet: 2 JSD is all but log 4
