"""Layers that several papers share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import draws
from tfgan_papers import layers, noise
from tfgan_papers.layers import strided

BASE = tf.constant([5, 1 << 16], tf.int64)


def draw(shape, number=0, first_row=0):
    return draws.halves(BASE + [0, number], shape, first_row)


def numpy_dropout(x, uniform, rate):
    """Inverted dropout: what is kept is scaled so that the mean stays."""
    keep = np.float32(1 - rate)
    return np.where(uniform < keep, x / keep, np.float32(0))


@pytest.fixture
def x(rng):
    return rng.normal(size=(6, 5, 3)).astype("float32")


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_in_a_stream_is_numpys_from_the_same_draw(x, rate):
    with noise.use(noise.Stream(BASE, 0)):
        dropped = layers.Dropout(rate)(x, training=True)
    np.testing.assert_allclose(dropped, numpy_dropout(x, draw(x.shape), rate), rtol=1e-6)


def test_each_call_of_dropout_takes_the_next_draw(x):
    first, second = layers.Dropout(0.5), layers.Dropout(0.2)
    with noise.use(noise.Stream(BASE, 0)):
        dropped = [layer(x, training=True) for layer in (first, second, first)]
    for number, rate in enumerate((0.5, 0.2, 0.5)):
        expected = numpy_dropout(x, draw(x.shape, number), rate)
        np.testing.assert_allclose(dropped[number], expected, rtol=1e-6)


def test_replicas_drop_what_one_device_would_drop_from_the_whole_batch(x):
    shares = []
    for replica in range(3):
        with noise.use(noise.Stream(BASE, replica)):
            shares.append(layers.Dropout(0.5)(x[2 * replica :][:2], training=True))
    expected = numpy_dropout(x, draw(x.shape), 0.5)
    np.testing.assert_allclose(np.concatenate(shares), expected, rtol=1e-6)


def test_dropout_draws_alike_where_xla_compiles(x):
    layer = layers.Dropout(0.2)

    @tf.function(jit_compile=True)
    def compiled(x):
        with noise.use(noise.Stream(BASE, 0)):
            return layer(x, training=True)

    expected = numpy_dropout(x, draw(x.shape), 0.2)
    np.testing.assert_array_equal(compiled(x) == 0, expected == 0)
    np.testing.assert_allclose(compiled(x), expected, rtol=1e-6)


def test_dropout_masks_in_a_functional_model_of_unknown_batch_size(x):
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layers.Dropout(0.5)(inputs))
    with noise.use(noise.Stream(BASE, 0)):
        dropped = tf.function(model)(x, training=True)
    expected = numpy_dropout(x, draw(x.shape), 0.5)
    np.testing.assert_allclose(dropped, expected, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_keeps_the_expectation(rate):
    ones = np.ones((2000, 100), "float32")
    with noise.use(noise.Stream(BASE, 0)):
        dropped = layers.Dropout(rate)(ones, training=True).numpy()
    deviation = (rate / (1 - rate) / ones.size) ** 0.5
    assert dropped.mean() == pytest.approx(1, abs=5 * deviation)
    share = np.count_nonzero(dropped) / ones.size
    assert share == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / ones.size) ** 0.5)


def test_gradients_pass_through_what_dropout_keeps(x):
    x = tf.constant(x)
    with tf.GradientTape() as tape, noise.use(noise.Stream(BASE, 0)):
        tape.watch(x)
        dropped = layers.Dropout(0.2)(x, training=True)
    expected = numpy_dropout(np.ones(x.shape, "float32"), draw(x.shape), 0.2)
    np.testing.assert_allclose(tape.gradient(dropped, x), expected, rtol=1e-6)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_dropout_without_effect_takes_no_draw(x, rate, training):
    with noise.use(noise.Stream(BASE, 0)) as stream:
        np.testing.assert_array_equal(layers.Dropout(rate)(x, training=training), x)
    assert stream.drawn == 0


def test_dropout_outside_a_stream_is_keras_own(x):
    ours, theirs = layers.Dropout(0.5, seed=3), keras.layers.Dropout(0.5, seed=3)
    for _ in range(2):
        dropped = ours(x, training=True)
        np.testing.assert_array_equal(dropped, theirs(x, training=True))
        assert 0 < np.count_nonzero(dropped) < x.size
    np.testing.assert_array_equal(ours(x, training=False), x)


def test_dropout_returns_from_its_config_and_still_draws_from_the_stream(x):
    layer = layers.Dropout(0.3, name="before_logit")
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is layers.Dropout
    assert (twin.rate, twin.name) == (0.3, "before_logit")
    with noise.use(noise.Stream(BASE, 0)):
        dropped = twin(x, training=True)
    np.testing.assert_allclose(dropped, numpy_dropout(x, draw(x.shape), 0.3), rtol=1e-6)


# Convolutions of stride 2.


def padded_convolution(x, kernel, before):
    """TensorFlow's own, with `before` zeros ahead and enough behind."""
    k = kernel.shape[0]
    sides = []
    for side in x.shape[1:3]:
        after = (-(-side // 2) - 1) * 2 + k - side - before
        sides.append((before, after))
    if min(after for _, after in sides) < 0:
        raise ValueError("no such padding")
    x = np.pad(x, ((0, 0), *sides, (0, 0)))
    return tf.nn.conv2d(x, kernel, 2, "VALID").numpy()


PADDINGS = [
    *((3, False, 0), (3, True, 1), (4, False, 1), (5, False, 1), (5, True, 2)),
    *((6, False, 2), (7, False, 2)),
]
FORMS = pytest.mark.parametrize(
    ("subpixel", "channels"),
    [(False, 3), (True, 3), (True, strided.NARROW)],
    ids=["strided", "six taps", "by phase"],
)


@FORMS
@pytest.mark.parametrize(("k", "symmetric", "before"), PADDINGS)
def test_down_convolution_halves_as_the_padding_says(
    k, symmetric, before, subpixel, channels, rng
):
    x = rng.normal(size=(2, 8, 6, channels)).astype("float32")
    layer = layers.DownConv2D(channels, k, symmetric=symmetric, bias_initializer="ones")
    layer.subpixel = subpixel
    found = layer(x)
    expected = 1.0 + padded_convolution(x, layer.kernel.numpy(), before)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == found.shape == (2, 4, 3, channels)


@FORMS
@pytest.mark.parametrize(("k", "symmetric", "before"), PADDINGS)
def test_up_convolution_is_the_gradient_of_the_down(
    k, symmetric, before, subpixel, channels, rng
):
    """<down x, y> = <x, up y> for all x and y, with one kernel."""
    x = rng.normal(size=(2, 8, 6, channels)).astype("float32")
    y = rng.normal(size=(2, 4, 3, channels)).astype("float32")
    up = layers.UpConv2D(channels, k, symmetric=symmetric, bias_initializer="ones")
    up.subpixel = subpixel
    raised = up(y) - 1.0
    down = padded_convolution(x, up.kernel.numpy(), before)
    np.testing.assert_allclose((down * y).sum(), (x * raised).numpy().sum(), rtol=1e-4)
    assert up.compute_output_shape(y.shape) == raised.shape == x.shape


@FORMS
def test_a_kernel_of_one_pixel_takes_or_gives_every_second_pixel(subpixel, channels, rng):
    x = rng.normal(size=(2, 4, 6, channels)).astype("float32")
    down, up = layers.DownConv2D(5, 1), layers.UpConv2D(5, 1)
    down.subpixel = up.subpixel = subpixel
    halved, raised = down(x), up(x)
    expected = x[:, ::2, ::2] @ down.kernel.numpy()[0, 0]
    np.testing.assert_allclose(halved, expected, rtol=1e-4, atol=1e-5)
    expected = np.zeros((2, 8, 12, 5), "float32")
    expected[:, ::2, ::2] = x @ up.kernel.numpy()[0, 0].T
    np.testing.assert_allclose(raised, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [layers.DownConv2D, layers.UpConv2D])
@pytest.mark.parametrize("channels", [3, strided.NARROW])
def test_both_forms_apply_the_activation(kind, channels, rng):
    x = rng.normal(size=(2, 4, 6, channels)).astype("float32")
    layer = kind(channels, 5, activation="tanh", kernel_initializer="ones")
    expected = layer(x)
    assert np.abs(expected).max() > 0.5
    layer.subpixel = True
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(layer(x)).max() <= 1


@pytest.mark.parametrize("kind", [layers.DownConv2D, layers.UpConv2D])
@pytest.mark.parametrize("channels", [3, strided.NARROW])
def test_the_form_for_xla_has_the_strided_forms_gradients(kind, channels, rng):
    x = tf.constant(rng.normal(size=(2, 4, 6, channels)), tf.float32)
    layer = kind(channels, 5)
    layer.build(x.shape)

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 3)
        return tape.gradient(loss, [x, layer.kernel.value])

    expected = gradients()
    layer.subpixel = True
    found = tf.function(gradients, jit_compile=True)()
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layer", [layers.DownConv2D, layers.UpConv2D])
def test_symmetric_padding_of_an_even_kernel_is_refused(layer):
    """With k // 2 zeros on every side, a side of 8 pixels would become one of 5."""
    with pytest.raises(ValueError, match=r"odd kernel_size, not \(4, 4\)"):
        layer(3, 4, symmetric=True)


@pytest.mark.parametrize("layer", [layers.DownConv2D, layers.UpConv2D])
def test_strided_layers_return_from_their_config(layer):
    again = layer.from_config(layer(4, 5, symmetric=True).get_config())
    assert (again.symmetric, again.filters, again.strides) == (True, 4, (2, 2))


def test_xla_on_a_cpu_gets_the_subpixel_form():
    from tfgan_papers.papers.lsgan import LSGAN

    z, x = keras.Input((3,)), keras.Input((4, 4, 1))
    up = layers.UpConv2D(1, 5)
    down = layers.DownConv2D(2, 5)
    fake = up(keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4)(z)))
    score = keras.layers.Dense(1)(keras.layers.Flatten()(down(x)))
    model = LSGAN(keras.Model(z, fake), keras.Model(x, score))
    model.compile(keras.optimizers.SGD(), keras.optimizers.SGD(), jit_compile=False)
    assert not up.subpixel and not down.subpixel
    model.compile(keras.optimizers.SGD(), keras.optimizers.SGD(), jit_compile=True)
    assert up.subpixel and down.subpixel


def test_one_hot_is_numpys():
    np.testing.assert_array_equal(layers.OneHot(4)(np.array([2, 0])), np.eye(4)[[2, 0]])
