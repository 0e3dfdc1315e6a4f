"""GAN (2014): its optimizer against NumPy, and its schedules."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers import optimizers


def schedules(step, steps_per_epoch, rate):
    """Learning rate and momentum of the authors' yaml files, in float64."""
    epoch = step // steps_per_epoch + 1  # MomentumAdjustor: 1 in the first epoch
    momentum = 0.5 + 0.2 * min(max((epoch - 1) / 249, 0), 1)
    return max(rate / 1.000004**step, 1e-6), momentum


@pytest.mark.parametrize(
    ("epoch", "momentum"),
    [(1, 0.5), (2, 0.5 + 0.2 / 249), (125, 0.5 + 0.2 * 124 / 249)]
    + [(249, 0.5 + 0.2 * 248 / 249), (250, 0.7), (300, 0.7)],
)
def test_momentum_rises_by_epoch(epoch, momentum):
    optimizer = optimizers.HeavyBall(0.1, 500)
    for step in (500 * epoch - 500, 500 * epoch - 1):  # the same all through the epoch
        at = float(optimizer.momentum_at(tf.constant(step, tf.int64)))
        assert at == pytest.approx(momentum, abs=1e-6)


@pytest.mark.parametrize("step", [0, 1, 1000, 173_287, 10**6, 2 * 10**6, 10**7])
def test_learning_rate_falls_by_minibatch_to_its_floor(step):
    """At 173,287 it has halved. 1.000004 needs more digits than float32 has."""
    rate = float(
        optimizers.HeavyBall(0.1, 500).learning_rate_at(tf.constant(step, tf.int64))
    )
    assert rate == pytest.approx(max(0.1 / 1.000004**step, 1e-6), rel=1e-4)


@pytest.mark.parametrize(("steps_per_epoch", "steps"), [(1, 300), (3, 30)])
def test_heavy_ball_walks_as_numpy_does(steps_per_epoch, steps, rng):
    """v <- m v - lr g; theta <- theta + v; 300 epochs are the whole rise of m."""
    shapes = (3, 2), (2,)
    theta = [rng.normal(size=shape) for shape in shapes]
    variables = [keras.Variable(value.astype("float32")) for value in theta]
    optimizer = optimizers.HeavyBall(0.1, steps_per_epoch)
    optimizer.build(variables)
    velocity = [np.zeros(shape) for shape in shapes]
    for step in range(steps):
        gradients = [rng.normal(size=shape).astype("float32") for shape in shapes]
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
        rate, momentum = schedules(step, steps_per_epoch, 0.1)
        for i, gradient in enumerate(gradients):
            velocity[i] = momentum * velocity[i] - rate * gradient
            theta[i] = theta[i] + velocity[i]
    for variable, expected in zip(variables, theta, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=0, atol=1e-5)
    for momentum, expected in zip(optimizer.momentums, velocity, strict=True):
        np.testing.assert_allclose(momentum, expected, rtol=0, atol=1e-5)


def test_heavy_ball_moves_by_the_floor_when_late():
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer = optimizers.HeavyBall(0.1, 500)
    optimizer.build([variable])
    optimizer.iterations.assign(10**7)
    for moved in (-1e-6, -1e-6 * (1 + 1.7)):  # momentum .7
        optimizer.apply([tf.constant([1.0, -1.0])], [variable])
        np.testing.assert_allclose(variable, [moved, -moved], rtol=1e-5)


def test_heavy_ball_returns_from_its_config():
    optimizer = optimizers.HeavyBall(0.05, 7, name="of_d")
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(twin) is optimizers.HeavyBall and twin.name == "of_d"
    step = tf.constant(7 * 126, tf.int64)
    assert float(twin.learning_rate_at(step)) == float(optimizer.learning_rate_at(step))
    assert float(twin.momentum_at(step)) == float(optimizer.momentum_at(step)) > 0.5
