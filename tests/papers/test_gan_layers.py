"""GAN (2014): its layers against NumPy, gradients against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import draws
from tfgan_papers import layers, noise
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan_networks


def slope_along(function, x, direction, step=1e-6):
    """Central difference of a float64 function."""
    difference = function(x + step * direction) - function(x - step * direction)
    return difference / (2 * step)


def check_gradients(layer, x, numpy_forward, rng):
    """The layer's gradients in input, kernel and bias against differences in NumPy."""
    kernel, bias = (weight.numpy() for weight in layer.weights)
    upstream = rng.normal(size=numpy_forward(x, kernel, bias).shape)
    x_variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(x_variable) * upstream)
    gradients = tape.gradient(value, [x_variable, *(w.value for w in layer.weights)])
    arguments = [x, kernel, bias]
    for i, gradient in enumerate(gradients):
        direction = rng.normal(size=arguments[i].shape)

        def along(argument, i=i):
            moved = [*arguments[:i], argument, *arguments[i + 1 :]]
            return (numpy_forward(*moved) * upstream).sum()

        slope = (gradient.numpy() * direction).sum()
        expected = slope_along(along, arguments[i], direction)
        assert slope == pytest.approx(expected, rel=1e-5)


def some_weights(layer, x, rng):
    """Build `layer` with random weights, the bias too."""
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


def numpy_maxout(x, kernel, bias, pieces):
    """Unit u takes the largest of the linear maps u, u + units, u + 2 units, ..."""
    linear = x @ kernel + bias
    units = linear.shape[-1] // pieces
    return np.max([linear[:, p * units : (p + 1) * units] for p in range(pieces)], axis=0)


def test_maxout_is_the_largest_of_its_linear_maps(rng):
    x = rng.normal(size=(7, 4))
    layer = some_weights(layers.Maxout(3, 5, dtype="float64"), x, rng)
    assert layer.count_params() == 4 * 15 + 15
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(layer(x), numpy_maxout(x, kernel, bias, 5), rtol=1e-12)
    check_gradients(layer, x, lambda *arguments: numpy_maxout(*arguments, 5), rng)


def numpy_maxout_convolution(x, kernel, bias, pieces, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    side = len(kernel)
    rows, columns = x.shape[1] - side + 1, x.shape[2] - side + 1
    patches = [
        [x[:, i : i + side, j : j + side].reshape(len(x), -1) for j in range(columns)]
        for i in range(rows)
    ]
    z = np.array(patches) @ kernel.reshape(-1, kernel.shape[-1]) + bias
    z = z.transpose(2, 0, 1, 3)  # batch, row, column, channel
    channels = z.shape[-1] // pieces
    parts = [z[..., p * channels : (p + 1) * channels] for p in range(pieces)]
    return np.max(parts, axis=0)


@pytest.mark.parametrize("pad", [0, 2])
def test_maxout_convolution_is_the_largest_of_its_convolutions(pad, rng):
    x = rng.normal(size=(2, 6, 5, 3))
    layer = some_weights(layers.MaxoutConv2D(4, 2, 3, pad, dtype="float64"), x, rng)
    assert layer.compute_output_shape(x.shape) == (2, 4 + 2 * pad, 3 + 2 * pad, 4)

    def in_numpy(x, kernel, bias):
        return numpy_maxout_convolution(x, kernel, bias, 2, pad)

    expected = in_numpy(x, *layer.get_weights())
    np.testing.assert_allclose(layer(x), expected, rtol=1e-11, atol=1e-11)
    check_gradients(layer, x, in_numpy, rng)


def numpy_pool(x, pool, stride):
    """Windows begin every `stride` until one reaches the end; each sees what is there."""
    starts = [0]
    while starts[-1] + pool < x.shape[1]:
        starts.append(starts[-1] + stride)
    pooled = [
        [x[:, i : i + pool, j : j + pool].max(axis=(1, 2)) for j in starts] for i in starts
    ]
    return np.array(pooled).transpose(2, 0, 1, 3)


@pytest.mark.parametrize(
    ("side", "pool"), [(33, 4), (15, 4), (9, 2), (8, 2), (8, 4), (4, 4)]
)
def test_pooling_windows_may_hang_over_the_edge(side, pool, rng):
    x = rng.uniform(-2, -1, (2, side, side, 3)).astype("float32")  # a 0 would show
    expected = numpy_pool(x, pool, 2)
    np.testing.assert_array_equal(layers.CeilMaxPool2D(pool)(x), expected)


def test_pooling_sends_each_windows_gradient_to_its_largest_input(rng):
    x = rng.permutation(81).reshape(1, 9, 9, 1).astype("float32")
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layers.CeilMaxPool2D(4)(variable))
    winners = numpy_pool(x, 4, 2).ravel()
    expected = [np.count_nonzero(winners == entry) for entry in x.ravel()]
    np.testing.assert_array_equal(tf.reshape(tape.gradient(value, variable), -1), expected)


def test_pixel_bias_is_untied(rng):
    layer = layers.PixelBias()
    layer.build((None, 4, 5, 2))
    bias = rng.normal(size=(4, 5, 2)).astype("float32")
    layer.set_weights([bias])
    x = rng.normal(size=(3, 4, 5, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), x + bias, rtol=1e-6)


@pytest.mark.parametrize(
    ("cls", "arguments", "shape"),
    [
        (layers.Maxout, {"maxout_units": 3, "pieces": 5}, (2, 5)),
        (
            layers.MaxoutConv2D,
            {"channels": 4, "pieces": 2, "kernel_size": 3, "pad": 1},
            (2, 6, 6, 3),
        ),
        (layers.CeilMaxPool2D, {"pool_size": 3, "strides": 2}, (2, 6, 6, 3)),
        (layers.PixelBias, {}, (2, 6, 6, 3)),
    ],
)
def test_layers_return_from_their_config(cls, arguments, shape, rng):
    layer, x = cls(name="it", **arguments), rng.normal(size=shape).astype("float32")
    expected = layer(x)
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is cls and twin.name == "it"
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), expected)


def test_discriminator_with_dropout_is_numpys_from_the_same_draws(rng):
    discriminator = gan_networks.maxout_discriminator(3, 2, Draw(1), (2, 2, 1), irange=1.0)
    x = rng.normal(size=(6, 2, 2, 1)).astype("float32")
    base = tf.constant([5, 0], tf.int64)
    with noise.use(noise.Stream(base, 0)):
        scores = discriminator(x, training=True)
    weights = iter(discriminator.get_weights())
    hidden = x.reshape(6, 4)
    for number, rate in enumerate((0.2, 0.5, 0.5)):
        kept = draws.halves(base + [0, number], hidden.shape) < 1 - rate
        hidden = np.where(kept, hidden / (1 - rate), 0)
        pieces = 1 if number == 2 else 2
        hidden = numpy_maxout(hidden, next(weights), next(weights), pieces)
    np.testing.assert_allclose(scores, hidden, rtol=1e-4, atol=1e-6)
