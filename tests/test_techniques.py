"""Each technique against NumPy in float64, and gradients against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers import layers, losses, noise
from tfgan_papers.models import averaging, surgery

F64 = {"dtype": "float64"}


def numeric_gradient(function, x, step=1e-5):
    """Of a function of a float64 array, by central differences."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def assert_gradients(layer, x, numpy_form, weights, **options):
    """Those of sum(w * output) by the input and by each trainable weight. `numpy_form`
    takes x and the weights' values, as arrays; `layer` takes x and the options."""
    w = np.random.default_rng(7).normal(size=np.shape(layer(x, **options)))
    variables = layer.trainable_variables
    with tf.GradientTape() as tape:
        inputs = tf.Variable(x)
        loss = tf.reduce_sum(w * layer(inputs, **options))
    found = tape.gradient(loss, [inputs, *[v.value for v in variables]])
    values = [x, *weights]
    assert len(found) == len(values)
    for i, gradient in enumerate(found):

        def loss_at(value, i=i):
            return (w * numpy_form(*values[:i], value, *values[i + 1 :])).sum()

        expected = numeric_gradient(loss_at, values[i])
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


# Weight normalization.


def normalized_dense(units=4, **kwargs):
    dense = keras.layers.Dense(units, use_bias=False, **F64)
    return layers.WeightNormalization(dense, **F64, **kwargs)


def test_weight_normalization_is_gain_times_the_direction(rng):
    x = rng.normal(size=(6, 3))
    layer = normalized_dense(activation="tanh", trainable_gain=True)
    layer.build((None, 3))
    v, gain, bias = (rng.normal(size=s) for s in ((3, 4), (4,), (4,)))
    layer.layer.kernel.assign(v)
    layer.gain.assign(gain)
    layer.bias.assign(bias)

    def numpy_form(x, gain, bias, v):
        return np.tanh(x @ (gain * v / np.sqrt((v**2).sum(0))) + bias)

    np.testing.assert_allclose(layer(x), numpy_form(x, gain, bias, v), rtol=1e-12)
    assert [w.name for w in layer.trainable_variables] == ["gain", "bias", "kernel"]
    assert_gradients(layer, x, numpy_form, [gain, bias, v])


@pytest.mark.parametrize("kind", [keras.layers.Conv2D, keras.layers.Conv2DTranspose])
def test_weight_normalization_of_convolutions_is_by_output_channel(kind, rng):
    x = rng.normal(size=(2, 5, 5, 3)).astype("float32")
    bare = kind(4, 3, strides=2, padding="same", use_bias=False)
    layer = layers.WeightNormalization(bare, epsilon=1e-6)
    found = layer(x)
    kernel = bare.kernel.numpy()
    axes, shape = ((0, 1, 2), (1, 1, 1, 4)) if kind is keras.layers.Conv2D else (
        (0, 1, 3), (1, 1, 4, 1)
    )  # fmt: skip
    norms = np.sqrt((np.float64(kernel) ** 2).sum(axes) + 1e-6)
    plain = kind(4, 3, strides=2, padding="same", use_bias=False)
    plain.build(x.shape)
    plain.kernel.assign(kernel / norms.reshape(shape))
    np.testing.assert_allclose(found, plain(x), rtol=1e-4, atol=1e-5)


def test_gains_are_fixed_unless_asked(rng):
    layer = normalized_dense()
    layer.build((None, 3))
    assert [w.name for w in layer.trainable_variables] == ["bias", "kernel"]


def test_the_first_pass_standardizes_each_unit_under_noise(rng):
    x = rng.normal(3.0, 2.0, size=(500, 3))
    inputs = keras.Input((3,), dtype="float64")
    first, last = normalized_dense(5), normalized_dense(2, initial_std=0.1)
    middle = layers.GaussianNoise(0.5, **F64)(first(inputs))
    network = keras.Model(inputs, last(middle))
    outer = keras.Model(inputs, [first.output, network.output])
    stream = noise.Stream(tf.constant([1, 0], tf.int64), 0)
    with noise.use(stream):
        surgery.initialize(network, x)
    again = noise.Stream(tf.constant([1, 0], tf.int64), 0)
    with noise.use(again):  # the same draws
        hidden, output = outer(x, training=True)
    for values, std in ((hidden, 1.0), (output, 0.1)):
        np.testing.assert_allclose(np.mean(values, 0), 0, atol=1e-9)
        np.testing.assert_allclose(np.std(values, 0), std, rtol=1e-9)
    before = [w.numpy() for w in network.weights]
    outer(x, training=True)
    for old, weight in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def test_a_layer_with_its_own_bias_is_refused():
    with pytest.raises(ValueError, match="belong to its wrapper"):
        layers.WeightNormalization(keras.layers.Dense(3))


# Minibatch discrimination.


def numpy_minibatch_features(x, kernel, log_scale, bias):
    t = kernel * np.exp(log_scale) / np.sqrt((kernel**2).sum(0))
    m = np.einsum("ia,abc->ibc", x, t)
    similar = np.zeros((len(x), len(bias)))
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                similar[i] += np.exp(-np.abs(m[i] - m[j]).sum(-1))
    return np.concatenate([x, similar + bias], 1)


def test_minibatch_features_are_sec_3_2(rng):
    x = rng.normal(size=(5, 3))
    layer = layers.MinibatchDiscrimination(4, 2, **F64)
    layer.build((None, 3))
    weights = [rng.normal(size=w.shape) for w in layer.weights]
    layer.set_weights(weights)
    expected = numpy_minibatch_features(x, *weights)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12)
    assert layer.compute_output_shape(x.shape) == expected.shape
    assert_gradients(layer, x, numpy_minibatch_features, weights)


def test_equal_examples_are_as_similar_as_there_are_others():
    layer = layers.MinibatchDiscrimination(3, **F64)
    found = layer(np.ones((7, 2)))[:, 2:]
    np.testing.assert_allclose(found, 7 - 1 - 1)  # not itself; the bias starts at -1


def test_the_first_pass_scales_minibatch_features_by_the_nearest_other(rng):
    x = rng.normal(size=(20, 3))
    inputs = keras.Input((3,), dtype="float64")
    layer = layers.MinibatchDiscrimination(4, **F64)
    network = keras.Model(inputs, layer(inputs))
    kernel, log_scale, bias = (w.numpy() for w in layer.weights)
    surgery.initialize(network, x)
    m = np.einsum("ia,abc->ibc", x, kernel / np.sqrt((kernel**2).sum(0)))
    distances = np.abs(m[:, None] - m[None]).sum(-1) + 1e6 * np.eye(20)[..., None]
    unit = distances.min(1).mean(0) / 2
    expected = np.tile(-np.log(unit)[:, None], (1, 5))
    np.testing.assert_allclose(layer.log_scale.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(np.mean(network(x)[:, 3:], 0), 0, atol=1e-9)


def test_minibatch_features_are_not_put_behind_the_last_weights():
    x = keras.Input((4,))
    logit = keras.layers.Dense(1)(x)
    compared = surgery.with_minibatch_discrimination(keras.Model(x, logit), 3)
    assert compared.layers[-1].kernel.shape == (4 + 3, 1)
    ends_otherwise = keras.Model(x, keras.layers.Activation("linear")(logit))
    with pytest.raises(ValueError, match="D's last layer is Activation, not Dense"):
        surgery.with_minibatch_discrimination(ends_otherwise, 3)


# Virtual batch normalization.


def virtual(shape, reference, **kwargs):
    x = inputs = keras.Input(shape, dtype="float64")
    x = layers.WithReference(len(reference), **F64)(x)
    x = layers.VirtualBatchNormalization(len(reference), **F64, **kwargs)(x)
    both = keras.Model(inputs, x)
    both.layers[1].set_weights([reference])
    alone = layers.WithoutReference(len(reference), **F64)(x)
    return keras.Model(inputs, alone), both


@pytest.mark.parametrize("shape", [(3,), (4, 4, 3)])
def test_virtual_batch_norm_is_by_the_reference_and_the_example_itself(shape, rng):
    reference, x = rng.normal(2, 3, size=(6, *shape)), rng.normal(size=(5, *shape))
    network, _ = virtual(shape, reference)
    gamma = network.layers[2].gamma.numpy()
    axes = tuple(range(len(shape)))[:-1]
    for example, found in zip(x, network(x), strict=True):
        own, squares = example.mean(axes), (example**2).mean(axes)
        mean = reference.mean((0, *[a + 1 for a in axes])) * 6 / 7 + own / 7
        square = (reference**2).mean((0, *[a + 1 for a in axes])) * 6 / 7 + squares / 7
        expected = (example - mean) / np.sqrt(square - mean**2 + 1e-5) * gamma
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_virtual_batch_norm_of_an_image_does_not_depend_on_its_batch_mates(rng):
    reference, x = rng.normal(size=(6, 4, 4, 3)), rng.normal(size=(5, 4, 4, 3))
    network, _ = virtual((4, 4, 3), reference)
    alone = [network(image[None])[0] for image in x]
    np.testing.assert_allclose(network(x), alone, rtol=1e-12)


def test_virtual_batch_norm_of_the_reference_is_batch_norm(rng):
    reference = rng.normal(2, 3, size=(6, 4, 4, 3))
    _, both = virtual((4, 4, 3), reference, gamma_initializer="ones")
    batch_norm = keras.layers.BatchNormalization(epsilon=1e-5, **F64)
    expected = batch_norm(reference, training=True)
    np.testing.assert_allclose(both(reference)[:6], expected, rtol=1e-9, atol=1e-12)


def test_virtual_batch_norm_of_large_values_keeps_their_variance(rng):
    """Of 4,000 and a deviation of 1/4 float32 has the mean square to +- 1."""
    x = np.float32(rng.normal(4000, 0.25, size=(11, 4, 4, 3)))
    single, double = (
        layers.VirtualBatchNormalization(6, gamma_initializer="ones", dtype=dtype)
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(single(x), double(np.float64(x)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(2,), (2, 3, 2)])
def test_virtual_batch_norm_differentiates_through_the_reference(shape, rng):
    layer = layers.VirtualBatchNormalization(3, **F64)
    layer.build((None, *shape))
    places = tuple(range(1, len(shape)))

    def with_reference(values):
        own = values.mean(places, keepdims=True)
        ref = own[:3].mean(0, keepdims=True)
        return np.concatenate([np.repeat(ref, 3, 0), (3 * ref + own[3:]) / 4])

    def numpy_form(x, gamma, beta):
        mean, square = with_reference(x), with_reference(x**2)
        return (x - mean) / np.sqrt(square - mean**2 + 1e-5) * gamma + beta

    weights = [w.numpy() for w in layer.weights]
    assert_gradients(layer, rng.normal(size=(5, *shape)), numpy_form, weights)


@pytest.mark.parametrize(
    "layer",
    [
        normalized_dense(3, activation="relu", trainable_gain=True, initial_std=0.1),
        layers.MinibatchDiscrimination(4, 3),
        layers.WithReference(4),
        layers.WithoutReference(4),
        layers.VirtualBatchNormalization(4, epsilon=1e-3),
        layers.GaussianNoise(0.3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_return_from_their_config(layer):
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is type(layer) and twin.get_config() == layer.get_config()


# Losses.


@pytest.mark.parametrize("name", ["squared", "mean", "absolute"])
def test_feature_matching_of_bfloat16_features_is_in_float32(name, rng):
    """Of means in bfloat16, most differences of one part in 300 would be 0."""
    features = rng.normal([[[1.0]], [[1.003]]], 0.01, (2, 100, 192))
    real, fake = tf.cast(features, tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        loss = losses.MATCHING[name](real, fake)
    assert loss.dtype == tf.float32
    gradient = tf.cast(tape.gradient(loss, fake), tf.float32).numpy()
    assert (gradient == 0).mean() < 0.02


def test_feature_matching_takes_means_before_norms(rng):
    real, fake = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    gap = real.mean(0) - fake.mean(0)
    for function, expected, slope in (
        (losses.feature_matching, (gap**2).sum(), 2 * gap),
        (losses.mean_feature_matching, (gap**2).mean(), 2 * gap / 4),
        (losses.absolute_feature_matching, np.abs(gap).mean(), np.sign(gap) / 4),
    ):
        samples = tf.Variable(fake)
        with tf.GradientTape() as tape:
            found = function(tf.constant(real), samples)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        gradient = tape.gradient(found, samples)
        np.testing.assert_allclose(gradient, np.tile(-slope / 9, (9, 1)), rtol=1e-9)


def test_one_sided_smoothing_moves_the_best_discriminator_for_data_only():
    """Sec. 3.4: the best D is alpha p_data / (p_data + p_model)."""
    loss = losses.one_sided(losses.LOSSES["non_saturating"], 0.9)
    p_data, p_model = np.array([0.1, 0.6, 0.3]), np.array([0.5, 0.1, 0.4])
    best = 0.9 * p_data / (p_data + p_model)
    scores = tf.Variable(np.log(best / (1 - best)))
    with tf.GradientTape() as tape:
        d_loss = tf.reduce_sum(p_data * loss.real(scores) + p_model * loss.fake(scores))
    np.testing.assert_allclose(tape.gradient(d_loss, scores), 0, atol=1e-12)
    assert loss.fake is losses.LOSSES["non_saturating"].fake
    assert loss.generator is losses.LOSSES["non_saturating"].generator


def toy_game(averaged, steps=5000, rate=0.02):
    """Sec. 3.3: min over x, max over y of (f(x) - 1)(y - 1), with
    f(x) = x below zero and x^2 above: the distance to its equilibrium (1, 1)."""
    players = [tf.Variable(0.8, dtype=tf.float64), tf.Variable(1.4, dtype=tf.float64)]
    histories = [averaging.HistoricalAveraging([v]) for v in players]
    for _ in range(steps):
        x, y = (float(v) for v in players)
        f, slope = (x, 1.0) if x < 0 else (x * x, 2 * x)
        gradients = [slope * (y - 1), -(f - 1)]
        for player, gradient, history in zip(players, gradients, histories, strict=True):
            found = [tf.constant(gradient, tf.float64)]
            if averaged:
                found = history.penalized_gradients(found, [player])
            player.assign_sub(rate * found[0])
    x, y = (float(v) for v in players)
    return np.hypot(x - 1, y - 1)


def test_historical_averaging_finds_the_equilibrium_that_gradient_descent_orbits():
    assert toy_game(False, 1500) > 0.3
    assert toy_game(True, 1500) < 0.1


def test_historical_averaging_is_an_online_mean(rng):
    thetas, gradient = rng.normal(size=(5, 3)), rng.normal(size=3)
    variable = tf.Variable(thetas[0])
    history = averaging.HistoricalAveraging([variable], weight=0.5)
    for t, theta in enumerate(thetas, 1):
        variable.assign(theta)
        (found,) = history.penalized_gradients([tf.constant(gradient)], [variable])
        expected = gradient + (theta - thetas[:t].mean(0))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


# Noise.


def test_gaussian_noise_in_a_stream_is_its_draw(rng):
    x = rng.normal(size=(6, 5)).astype("float32")
    base = tf.constant([5, 1 << 16], tf.int64)
    shares = []
    for replica in range(2):
        with noise.use(noise.Stream(base, replica)):
            part = x[3 * replica :][:3]
            shares.append(layers.GaussianNoise(0.3)(part, training=True))
    expected = x + np.float32(0.3) * noise.normal(base, (6, 5)).numpy()
    np.testing.assert_allclose(np.concatenate(shares), expected, rtol=1e-6, atol=1e-7)
    with noise.use(noise.Stream(base, 0)) as stream:
        np.testing.assert_array_equal(layers.GaussianNoise(0.3)(x, training=False), x)
    assert stream.drawn == 0
