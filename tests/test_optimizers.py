"""Optimizers against their recursions in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers.optimizers import Adam, RootAdam, TF1RMSprop, ToZero


def test_rmsprop_is_tensorflow_1s_recursion(rng):
    start = rng.normal(size=5).astype("float32")
    weight, optimizer = keras.Variable(start), TF1RMSprop(0.01)
    optimizer.build([weight])
    theta, mean_square = start.astype("float64"), np.ones(5)
    for _ in range(20):
        gradient = rng.normal(size=5).astype("float32")
        optimizer.apply([tf.constant(gradient)], [weight])
        mean_square = 0.9 * mean_square + 0.1 * gradient.astype("float64") ** 2
        theta -= 0.01 * gradient / np.sqrt(mean_square + 1e-10)
    np.testing.assert_allclose(weight.numpy(), theta, rtol=1e-5)


def test_its_first_step_is_small_where_keras_is_large():
    moved = []
    for optimizer in (TF1RMSprop(0.01), keras.optimizers.RMSprop(0.01)):
        weight = keras.Variable([0.0])
        optimizer.build([weight])
        optimizer.apply([tf.constant([1e-3])], [weight])
        moved.append(abs(float(weight.numpy()[0])))
    assert moved[0] < 1.1e-5 and moved[1] > 0.02


def test_rmsprop_returns_from_its_config():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(TF1RMSprop(0.02, 0.8)))
    assert isinstance(again, TF1RMSprop)
    assert (again.rho, again.epsilon) == (0.8, 1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_adam_is_keras_adam(jit_compile, rng):
    start = [rng.normal(size=shape).astype("float32") for shape in ((4, 3), (3,))]
    gradients = [[rng.normal(size=w.shape) for w in start] for _ in range(30)]
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)

    def trained(kind):
        weights = [keras.Variable(w) for w in start]
        optimizer = kind(schedule, beta_1=0.5, epsilon=1e-3)
        optimizer.build(weights)
        step = tf.function(lambda g: optimizer.apply(g, weights), jit_compile=jit_compile)
        for each in gradients:
            step([tf.constant(gradient, tf.float32) for gradient in each])
        return [w.numpy() for w in weights]

    for mine, theirs in zip(trained(Adam), trained(keras.optimizers.Adam), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_root_adam_has_epsilon_inside_the_root(jit_compile, rng):
    """Gradients of 1e-4: epsilon, 1e-8, counts as much as their squares."""
    start = rng.normal(size=5).astype("float32")
    weight, optimizer = keras.Variable(start), RootAdam(0.01, beta_1=0.5)
    optimizer.build([weight])
    step = tf.function(lambda g: optimizer.apply([g], [weight]), jit_compile=jit_compile)
    theta, m, v = start.astype("float64"), 0.0, 0.0
    for t in range(1, 31):
        gradient = (1e-4 * rng.normal(size=5)).astype("float32")
        step(tf.constant(gradient))
        m = 0.5 * m + 0.5 * np.float64(gradient)
        v = 0.999 * v + 0.001 * np.float64(gradient) ** 2
        theta -= 0.01 * (m / (1 - 0.5**t)) / np.sqrt(v / (1 - 0.999**t) + 1e-8)
    np.testing.assert_allclose(weight.numpy(), theta, rtol=1e-5, atol=1e-6)


def test_amsgrad_is_refused():
    for kind in (Adam, RootAdam):
        with pytest.raises(ValueError, match="amsgrad is not implemented"):
            kind(1e-3, amsgrad=True)
    assert not Adam.from_config(Adam(1e-3).get_config()).amsgrad


def test_root_adam_returns_from_its_config():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(RootAdam(0.02)))
    assert isinstance(again, RootAdam)
    assert (again.root_epsilon, again.epsilon) == (1e-8, 0.0)


def test_the_learning_rate_is_flat_and_then_falls_to_zero():
    """DCGAN's on MNIST; Improved GAN's on CIFAR-10: 3e-4 min(3 - epoch / 400, 1)."""
    schedule = ToZero(2e-4, 100)
    rates = [float(schedule(step)) for step in (0, 100, 150, 200, 300)]
    np.testing.assert_allclose(rates, [2e-4, 2e-4, 1e-4, 0, 0], atol=1e-12)
    schedule = ToZero.from_config(ToZero(3e-4, 800, 400).get_config())
    for epoch in (0, 799, 800, 900, 1000, 1199, 1200):
        expected = 3e-4 * min(3 - epoch / 400, 1)
        np.testing.assert_allclose(schedule(epoch), expected, rtol=1e-5, atol=1e-12)
