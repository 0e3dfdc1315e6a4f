"""DCGAN: counts and starts of its networks, the order of its step, its schedule."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.initializers import Draw
from tfgan_papers.papers import dcgan

SMALL = dcgan.AUTHORS._replace(width=4)


def count(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def test_networks_have_the_authors_number_of_weights():
    built = dcgan.networks((64, 64, 3), dcgan.AUTHORS, Draw(0))
    assert [count(network) for network in built] == [18_885_760, 17_232_768]


def test_the_port_has_half_the_width_and_biases():
    generator, _ = dcgan.networks((64, 64, 3), dcgan.PORT, Draw(0))
    assert count(generator) == 5_135_363


def test_class_conditional_networks_have_the_shapes_of_the_authors():
    """mnist/train_cond_dcgan.py: gw, gw2, gw3, gwx and dw, dw2, dw3, dwy; nothing else."""
    style = dcgan.AUTHORS._replace(width=64)
    generator, discriminator = dcgan.conditional_networks((28, 28, 1), style, Draw(0), 10)
    shapes = [
        [tuple(w.shape) for w in n.trainable_weights] for n in (generator, discriminator)
    ]
    assert shapes[0] == [(110, 1024), (1034, 6272), (5, 5, 64, 138), (5, 5, 1, 74)]
    assert shapes[1] == [(5, 5, 11, 64), (5, 5, 74, 128), (6282, 1024), (1034, 1)]


@pytest.mark.parametrize("side", [8, 16, 28, 32, 48, 64, 112, 256])
def test_any_side_that_halves_to_4_to_7(side):
    generator, discriminator = dcgan.networks((side, side, 1), SMALL, Draw(0))
    assert generator.output_shape == (None, side, side, 1)
    assert max(layer.output.shape[-1] for layer in discriminator.layers[1:-2]) <= 8 * 4


@pytest.mark.parametrize("shape", [(30, 30, 1), (7, 7, 1), (64, 32, 3), (6, 8, 1)])
def test_other_sides_are_refused(shape):
    with pytest.raises(ValueError, match="--image_size"):
        dcgan.levels(shape)


def test_weights_and_gains_start_as_in_the_paper():
    generator, discriminator = dcgan.networks((64, 64, 3), dcgan.AUTHORS, Draw(0))
    for network in (generator, discriminator):
        for weight in network.trainable_weights:
            values, name = weight.numpy(), weight.path.rsplit("/")[-1]
            mean = {"gamma": 1.0}.get(name, 0.0)
            std = {"beta": 0.0}.get(name, 0.02)
            assert abs(values.mean() - mean) < 0.02
            np.testing.assert_allclose(values.std(), std, rtol=0.25)


def test_the_first_normalization_is_per_unit_or_per_channel():
    for style, shape in ((dcgan.AUTHORS, (16_384,)), (dcgan.PORT, (512,))):
        generator, _ = dcgan.networks((64, 64, 3), style, Draw(0))
        first = next(x for x in generator.layers if "batch_norm" in x.name)
        assert first.gamma.shape == shape


def tiny(**kwargs):
    def dense(units, seed):
        initializer = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
        return keras.layers.Dense(units, kernel_initializer=initializer)

    z, x = keras.Input((3,)), keras.Input((4,))
    fake = dense(4, 2)(keras.layers.ReLU()(dense(8, 1)(z)))
    score = dense(1, 4)(keras.layers.LeakyReLU(0.2)(dense(8, 3)(x)))
    model = dcgan.DCGAN(keras.Model(z, fake), keras.Model(x, score), seed=2, **kwargs)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    return model


def latents(branch, rows):
    stream = noise.Stream.of_step(2, tf.constant(0, tf.int64), 0)
    for _ in range(branch):
        base = stream.branch()
    return noise.latents("uniform", base, (rows, 3))


def descend(network, loss_of, weight_decay=0.0):
    with tf.GradientTape() as tape:
        loss = loss_of()
    for weight, gradient in zip(
        network.trainable_variables,
        tape.gradient(loss, network.trainable_variables),
        strict=True,
    ):
        weight.assign_sub(0.1 * (gradient + weight_decay * weight))


def cross_entropy(target, scores):
    return keras.losses.binary_crossentropy(
        tf.fill(scores.shape, target), scores, from_logits=True
    )


@pytest.mark.parametrize("port", [False, True], ids=["authors", "port"])
def test_the_order_of_the_turns(port, rng):
    model, twin = tiny(port=port, weight_decay=0.05), tiny()
    real = tf.constant(rng.normal(size=(6, 4)), tf.float32)
    model.train_step(real)
    g, d = twin.generator, twin.discriminator

    def d_turn(z):
        fake = g(z)
        descend(d, lambda: d_loss(fake), 0.05)

    def d_loss(fake):
        return tf.reduce_mean(cross_entropy(1.0, d(real)) + cross_entropy(0.0, d(fake)))

    def g_turn(z):
        descend(g, lambda: tf.reduce_mean(cross_entropy(1.0, d(g(z)))), 0.05)

    if port:
        z = latents(1, 6)
        d_turn(z)
        g_turn(z)
        g_turn(z)
    else:
        g_turn(latents(1, 6))
        d_turn(latents(2, 6))
    for mine, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        if mine.dtype == np.float32:
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
