"""GAN (2014): its networks and numbers against literal tables, its optimizer, layers and
steps against NumPy."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from tests import draws
from tfgan_papers import data, evaluation, export, layers, noise, training
from tfgan_papers.checkpoints import Checkpoints
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.losses import LOSSES
from tfgan_papers.papers import gan

# The networks, from the authors' yaml files. Parameters of G, of D, by image shape.

PARAMETERS = {
    ("mnist", (28, 28, 1)): (2_503_984, 1_231_441),
    ("tfd_pretrain", (48, 48, 1)): (83_250_304, 21_037_201),
    ("tfd", (48, 48, 1)): (84_858_404, 21_037_201),
    ("cifar10", (32, 32, 3)): (89_395_072, 37_393_601),
    ("cifar10_convolutional", (32, 32, 3)): (64_825_072, 12_454_073),
    ("points", (1,)): (4_353, 4_353),
    ("points", (2,)): (10_754, 4_417),
    ("images", (8, 8, 1)): (1_639_264, 367_441),
}
SHAPES = dict(PARAMETERS.keys())
PAPER_NETWORKS = [name for name in SHAPES if name != "points"]  # those are ours
# Learning rate, batch, law of z, range, training and validation examples.
NUMBERS = {
    "mnist": (0.1, 100, "uniform_sqrt3", "unit", "train[:50000]", "train[50000:]"),
    "tfd_pretrain": (0.05, 100, "normal", "unit", "unlabeled", "valid"),
    "tfd": (0.05, 100, "normal", "unit", "unlabeled", "valid"),
    "cifar10": (0.025, 100, "normal", "norm55", "train[:40000]", "train[40000:]"),
    "cifar10_convolutional": (
        *(0.004, 128, "normal", "norm55", "train[:40000]", "train[40000:]"),
    ),
    "points": (0.05, 512, "uniform", "raw", "train[:90%]", ""),
    "images": (0.1, 100, "uniform_sqrt3", "unit", "train", ""),
}
# U(-irange, irange) of each layer with weights; None is the sparse initializer.
MAXOUT_IRANGES = [0.005] * 3
IRANGES = {
    "mnist": ([0.05, 0.05, 0.05], MAXOUT_IRANGES),
    "tfd_pretrain": ([0.05, 0.05, None], MAXOUT_IRANGES),
    "tfd": ([0.05, 0.05, 0.05, 0.05, None], MAXOUT_IRANGES),
    "cifar10": ([0.05, 0.05, 0.5], MAXOUT_IRANGES),
    "cifar10_convolutional": ([0.05, 0.05, 0.05], [0.005] * 5),
    "images": ([0.05, 0.05, 0.05], MAXOUT_IRANGES),
}
ACTIVATIONS = {
    "mnist": ["relu", "relu", "sigmoid"],
    "tfd_pretrain": ["relu", "sigmoid", "sigmoid"],
    "tfd": ["relu", "sigmoid", "relu", "sigmoid", "sigmoid"],
    "cifar10": ["relu", "sigmoid", "linear"],
    "cifar10_convolutional": ["relu", "sigmoid", "linear"],
    "images": ["relu", "relu", "sigmoid"],
}


@contextlib.contextmanager
def shapes_alone():
    """Networks built within know the shapes of their weights and allocate none."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.utils.clear_session()  # else Keras allocates them at the next chance


def networks(name, shape=None, mean=0.3, seed=1):
    shape = shape or SHAPES[name]
    return gan.EXPERIMENTS[name].networks(shape, np.full(shape, mean), gan.Draw(seed))


def flat(network):
    """Its layers and those of networks within, from bottom to top."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from flat(layer)
        else:
            yield layer


def weighted(network):
    return [layer for layer in flat(network) if hasattr(layer, "kernel")]


@pytest.mark.parametrize(
    ("name", "shape", "counts"), [(*key, counts) for key, counts in PARAMETERS.items()]
)
def test_networks_have_the_parameters_of_the_authors(name, shape, counts):
    with shapes_alone():
        generator, discriminator = networks(name, shape)
        assert (generator.count_params(), discriminator.count_params()) == counts
        assert generator.output_shape == (None, *shape)
        assert discriminator.output_shape == (None, 1)


def test_every_experiment_is_in_these_tables():
    assert set(gan.EXPERIMENTS) == set(SHAPES) == set(NUMBERS)
    assert set(PAPER_NETWORKS) == set(IRANGES) == set(ACTIVATIONS)


def test_parameters_without_memory_are_those_of_networks_with_memory():
    shape = (8, 8, 1)
    for network, count in zip(networks("images", shape), (1_639_264, 367_441), strict=True):
        assert sum(weight.numpy().size for weight in network.weights) == count


@pytest.mark.parametrize("name", NUMBERS)
def test_experiment_has_the_numbers_of_its_yaml_file(name):
    chosen = gan.EXPERIMENTS[name]
    rates = (chosen.learning_rate, chosen.batch_size, chosen.prior, chosen.value_range)
    assert (*rates, chosen.train_split, chosen.validation_split) == NUMBERS[name]


def test_constants_of_all_four_yaml_files():
    assert gan.LATENT_DIM == 100
    assert gan.DECAY_PER_STEP == 1.000004
    assert gan.LEARNING_RATE_FLOOR == 1e-6
    assert (gan.MOMENTUM, gan.MOMENTUM_EPOCHS) == ((0.5, 0.7), (1, 250))
    assert gan.MAX_COLUMN_NORM == 1.9365


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_weights_start_within_their_irange_and_fill_it(name):
    with shapes_alone():
        pair = networks(name)
        for network, iranges in zip(pair, IRANGES[name], strict=True):
            for layer, irange in zip(weighted(network), iranges, strict=True):
                if irange is None:
                    assert isinstance(layer.kernel_initializer, gan.SparseNormal)
                    continue
                kernel = np.asarray(layer.kernel_initializer((200, 200), "float32"))
                assert 0.999 * irange < np.abs(kernel).max() <= np.float32(irange)
                assert kernel.mean() == pytest.approx(0, abs=0.02 * irange)
                assert kernel.std() == pytest.approx(irange / 3**0.5, rel=0.02)


@pytest.mark.parametrize("name", SHAPES)
def test_layers_start_unlike_each_other_and_as_the_seed_says(name):
    def first_weights(seed):
        with shapes_alone():
            return [
                tuple(np.asarray(layer.kernel_initializer((150, 3), "float32")).ravel())
                for network in networks(name, seed=seed)
                for layer in weighted(network)
            ]

    once = first_weights(1)
    assert len(set(once)) == len(once) > 3
    assert first_weights(1) == once
    assert not set(first_weights(2)) & set(once)


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_activations_are_those_of_the_yaml_file(name):
    with shapes_alone():
        generator, discriminator = networks(name)
        names = [layer.activation.__name__ for layer in weighted(generator)]
        assert names == ACTIVATIONS[name]
        for layer in weighted(discriminator):
            assert layer.activation is keras.activations.linear


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_dropout_precedes_each_layer_of_d_and_none_of_g(name):
    """The cost section of the yaml: .2 before the first layer, .5 before all others."""
    with shapes_alone():
        generator, discriminator = networks(name)
    chain = discriminator.layers
    before = [chain[chain.index(layer) - 1] for layer in weighted(discriminator)]
    assert {type(layer) for layer in before} == {layers.Dropout}
    assert [layer.rate for layer in before] == [0.2] + [0.5] * (len(before) - 1)
    assert not [layer for layer in flat(generator) if "Dropout" in type(layer).__name__]


@pytest.mark.parametrize("name", SHAPES)
def test_only_tfd_caps_its_column_norms(name):
    with shapes_alone():
        constraints = [
            layer.kernel_constraint for net in networks(name) for layer in weighted(net)
        ]
    if name.startswith("tfd"):
        caps = {(cap.max_value, cap.axis) for cap in constraints}
        assert caps == {(1.9365, 0)}
    else:
        assert set(constraints) == {None}


def test_sides_of_the_convolutional_d_are_those_of_pylearn2():
    with shapes_alone():
        _, discriminator = networks("cifar10_convolutional")
        planes = [
            layer.output.shape[1:]
            for layer in discriminator.layers
            if isinstance(layer, gan.MaxoutConv2D | gan.CeilMaxPool2D)
        ]
    assert [plane[0] for plane in planes] == [33, 16, 15, 7, 9, 5]
    assert [plane[1] for plane in planes] == [33, 16, 15, 7, 9, 5]
    assert [plane[2] for plane in planes] == [32, 32, 32, 32, 192, 192]


def test_convolutional_g_has_one_bias_a_pixel_and_no_other_at_its_end():
    with shapes_alone():
        generator, _ = networks("cifar10_convolutional")
        deconvolution, bias = generator.layers[-2:]
        assert (deconvolution.kernel_size, deconvolution.strides) == ((5, 5), (3, 3))
        assert not deconvolution.use_bias
        assert bias.bias.shape == (32, 32, 3)


def test_convolutional_networks_refuse_other_sizes():
    with pytest.raises(ValueError, match="32x32"):
        networks("cifar10_convolutional", (28, 28, 1))


def test_generator_of_zero_latents_is_the_mean_image(rng):
    """Its output bias is the logit of the mean; the hidden rectifiers give 0 there."""
    mean = rng.uniform(0.02, 0.98, (8, 8, 1))
    mean[0, 0], mean[7, 7] = 0.0, 1.0
    generator, _ = gan.mnist_networks((8, 8, 1), mean, gan.Draw(1))
    image = generator(np.zeros((1, 100), "float32")).numpy()[0]
    np.testing.assert_allclose(image, np.clip(mean, 1e-7, 1 - 1e-7), rtol=1e-5)
    bias = generator.weights[-1].numpy()
    assert bias[0] == pytest.approx(np.log(1e-7), rel=1e-5)  # clipped, so finite
    assert bias[-1] == pytest.approx(-np.log(1e-7), rel=1e-5)


@pytest.mark.parametrize("name", ["tfd_pretrain", "tfd"])
def test_tfd_biases_start_at_minus_2_and_at_the_logit_of_the_mean(name):
    with shapes_alone():
        generator, _ = networks(name, mean=0.2)
        starts = [
            np.unique(layer.bias_initializer(layer.bias.shape, "float32"))
            for layer in weighted(generator)
        ]
    expected = [[0.0], [-2.0]] * (len(starts) // 2) + [[np.log(0.2 / 0.8)]]
    np.testing.assert_allclose(starts, expected, rtol=1e-6)


def test_sparse_normal_gives_each_unit_exactly_100_weights():
    weights = np.asarray(gan.SparseNormal(100, seed=3)((2000, 60), "float32"))
    assert (np.count_nonzero(weights, axis=0) == 100).all()
    values = weights[weights != 0]
    assert values.mean() == pytest.approx(0, abs=5 / values.size**0.5)
    assert values.var() == pytest.approx(1, abs=5 * (2 / values.size) ** 0.5)
    inputs = np.nonzero(weights)[0]  # all inputs alike: U over 0..1999
    assert inputs.mean() == pytest.approx(999.5, abs=5 * 2000 / (12 * inputs.size) ** 0.5)
    assert len(np.unique(inputs)) > 1800  # 2000 (1 - e^-3) = 1900 expected


def test_sparse_normal_is_a_function_of_its_seed_and_returns_from_its_config():
    initializer = gan.SparseNormal(5, seed=3)
    twin = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    once = np.asarray(initializer((20, 4), "float32"))
    np.testing.assert_array_equal(twin((20, 4), "float32"), once)
    assert (np.asarray(gan.SparseNormal(5, seed=4)((20, 4), "float32")) != once).any()


# Layers.


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
    layer = some_weights(gan.Maxout(3, 5, dtype="float64"), x, rng)
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
    layer = some_weights(gan.MaxoutConv2D(4, 2, 3, pad, dtype="float64"), x, rng)
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
    np.testing.assert_array_equal(gan.CeilMaxPool2D(pool)(x), expected)


def test_pooling_sends_each_windows_gradient_to_its_largest_input(rng):
    x = rng.permutation(81).reshape(1, 9, 9, 1).astype("float32")
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(gan.CeilMaxPool2D(4)(variable))
    winners = numpy_pool(x, 4, 2).ravel()
    expected = [np.count_nonzero(winners == entry) for entry in x.ravel()]
    np.testing.assert_array_equal(tf.reshape(tape.gradient(value, variable), -1), expected)


def test_pixel_bias_is_untied(rng):
    layer = gan.PixelBias()
    layer.build((None, 4, 5, 2))
    bias = rng.normal(size=(4, 5, 2)).astype("float32")
    layer.set_weights([bias])
    x = rng.normal(size=(3, 4, 5, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), x + bias, rtol=1e-6)


@pytest.mark.parametrize(
    ("cls", "arguments", "shape"),
    [
        (gan.Maxout, {"maxout_units": 3, "pieces": 5}, (2, 5)),
        (
            gan.MaxoutConv2D,
            {"channels": 4, "pieces": 2, "kernel_size": 3, "pad": 1},
            (2, 6, 6, 3),
        ),
        (gan.CeilMaxPool2D, {"pool_size": 3, "strides": 2}, (2, 6, 6, 3)),
        (gan.PixelBias, {}, (2, 6, 6, 3)),
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
    discriminator = gan.maxout_discriminator(3, 2, gan.Draw(1), (2, 2, 1), irange=1.0)
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


# The optimizer.


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
    optimizer = gan.HeavyBall(0.1, 500)
    for step in (500 * epoch - 500, 500 * epoch - 1):  # the same all through the epoch
        at = float(optimizer.momentum_at(tf.constant(step, tf.int64)))
        assert at == pytest.approx(momentum, abs=1e-6)


@pytest.mark.parametrize("step", [0, 1, 1000, 173_287, 10**6, 2 * 10**6, 10**7])
def test_learning_rate_falls_by_minibatch_to_its_floor(step):
    """At 173,287 it has halved. 1.000004 needs more digits than float32 has."""
    rate = float(gan.HeavyBall(0.1, 500).learning_rate_at(tf.constant(step, tf.int64)))
    assert rate == pytest.approx(max(0.1 / 1.000004**step, 1e-6), rel=1e-4)


@pytest.mark.parametrize(("steps_per_epoch", "steps"), [(1, 300), (3, 30)])
def test_heavy_ball_walks_as_numpy_does(steps_per_epoch, steps, rng):
    """v <- m v - lr g; theta <- theta + v; 300 epochs are the whole rise of m."""
    shapes = (3, 2), (2,)
    theta = [rng.normal(size=shape) for shape in shapes]
    variables = [keras.Variable(value.astype("float32")) for value in theta]
    optimizer = gan.HeavyBall(0.1, steps_per_epoch)
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
    optimizer = gan.HeavyBall(0.1, 500)
    optimizer.build([variable])
    optimizer.iterations.assign(10**7)
    for moved in (-1e-6, -1e-6 * (1 + 1.7)):  # momentum .7
        optimizer.apply([tf.constant([1.0, -1.0])], [variable])
        np.testing.assert_allclose(variable, [moved, -moved], rtol=1e-5)


def test_heavy_ball_returns_from_its_config():
    optimizer = gan.HeavyBall(0.05, 7, name="of_d")
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(twin) is gan.HeavyBall and twin.name == "of_d"
    step = tf.constant(7 * 126, tf.int64)
    assert float(twin.learning_rate_at(step)) == float(optimizer.learning_rate_at(step))
    assert float(twin.momentum_at(step)) == float(optimizer.momentum_at(step)) > 0.5


# The step, on linear networks: G(z) = z A + a, the logit of D(x) = x w + c.

DATA_DIM, Z_DIM = 2, 3
START = {
    "A": np.array([[0.1, -0.8], [0.6, 0.4], [-0.5, 0.3]]),
    "a": np.array([0.2, -0.1]),
    "w": np.array([[0.7], [-1.1]]),
    "c": np.array([-0.3]),
}
IMAGES = np.random.default_rng(1).normal(1.0, 1.0, (16, DATA_DIM)).astype("float32")
D_RATE, G_RATE, SEED = 0.5, 0.3, 11


def linear_gan(d_rate=D_RATE, g_rate=G_RATE, dropout=None, start=START, **kwargs):
    """GAN of linear networks; `dropout` is a layer before D's."""
    z, x = keras.Input((Z_DIM,)), keras.Input((DATA_DIM,))
    generator = keras.Model(z, keras.layers.Dense(DATA_DIM)(z))
    hidden = dropout(x) if dropout else x
    discriminator = keras.Model(x, keras.layers.Dense(1)(hidden))
    generator.set_weights([start["A"], start["a"]])
    discriminator.set_weights([start["w"], start["c"]])
    model = gan.GAN(generator, discriminator, seed=SEED, **kwargs)
    rates = d_rate, g_rate
    model.compile(*(keras.optimizers.SGD(rate) for rate in rates), jit_compile=False)
    return model


def parameters(model):
    found = [*model.generator.get_weights(), *model.discriminator.get_weights()]
    return dict(zip("Aawc", found, strict=True))


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def softplus(score):
    return np.logaddexp(0, score)


class Walk:
    """Algorithm 1 in NumPy, and the authors' variation, for the linear networks.

    A step's draws are those of its branches 1, 2, ...: one for each call of D's or G's
    side. Within one, number 0 is z and the following are masks of D's dropout.
    """

    def __init__(self, loss="non_saturating", prior="uniform", dropout=False):
        self.p = {name: value.astype("float32") for name, value in START.items()}
        self.loss, self.prior, self.dropout = loss, prior, dropout
        self.step = 0

    def draws(self, branch):
        number = (self.step << 16) + (branch << 8)
        return tf.constant([SEED, number], tf.int64)

    def z(self, branch, n):
        return noise.latents(self.prior, self.draws(branch), (n, Z_DIM)).numpy()

    def masked(self, x, branch, number):
        """The mask that D's dropout takes, times 2, or 1 where there is no dropout."""
        if not self.dropout:
            return np.ones_like(x)
        draw = draws.halves(self.draws(branch) + [0, number], x.shape)
        return np.where(draw < 0.5, 2.0, 0.0)

    def fakes(self, z):
        return z @ self.p["A"] + self.p["a"]

    def scores(self, x):
        return x @ self.p["w"] + self.p["c"]

    def d_side(self, real, branch):
        """Loss (sum of both terms), gradients, verdicts."""
        fake = self.fakes(self.z(branch, len(real)))
        real = real * self.masked(real, branch, 1)
        fake = fake * self.masked(fake, branch, 2)
        s_real, s_fake = self.scores(real), self.scores(fake)
        loss = softplus(-s_real).mean() + softplus(s_fake).mean()
        on_real, on_fake = (sigmoid(s_real) - 1) / len(real), sigmoid(s_fake) / len(fake)
        gradients = {
            "w": real.T @ on_real + fake.T @ on_fake,
            "c": on_real.sum(0) + on_fake.sum(0),
        }
        return loss, gradients, (sigmoid(s_real).mean(), sigmoid(s_fake).mean())

    def g_side(self, n, branch, mask_number):
        z = self.z(branch, n)
        mask = self.masked(np.empty((n, DATA_DIM)), branch, mask_number)
        scores = self.scores(self.fakes(z) * mask)
        if self.loss == "minimax":
            loss, slopes = -softplus(scores), -sigmoid(scores)
        else:
            loss, slopes = softplus(-scores), sigmoid(scores) - 1
        at_fakes = mask * (slopes @ self.p["w"].T) / n
        return loss.mean(), {"A": z.T @ at_fakes, "a": at_fakes.sum(0)}

    def descend(self, gradients, rate):
        for name, gradient in gradients.items():
            self.p[name] = self.p[name] - rate * gradient

    def alternate(self, batch, k):
        """D moves k times, each on its part of the batch and fresh fakes, then G."""
        for i in range(k):
            d_loss, gradients, verdicts = self.d_side(batch[i::k], branch=1 + i)
            self.descend(gradients, D_RATE)
        g_loss, gradients = self.g_side(len(batch) // k, branch=1 + k, mask_number=1)
        self.descend(gradients, G_RATE)
        self.step += 1
        return d_loss, g_loss, *verdicts

    def move_at_once(self, batch):
        """Both gradients from the same fakes, under the same masks, before any move."""
        d_loss, d_gradients, verdicts = self.d_side(batch, branch=1)
        g_loss, g_gradients = self.g_side(len(batch), branch=1, mask_number=2)
        self.descend({name: g / 2 for name, g in d_gradients.items()}, D_RATE)
        self.descend(g_gradients, G_RATE)
        self.step += 1
        return d_loss / 2, g_loss, *verdicts


SCALARS = ("d_loss", "g_loss", "d_real", "d_fake")
MODES = pytest.mark.parametrize(
    "mode", [{"simultaneous": True}, {"k": 1}, {"k": 2}], ids=str
)


@MODES
@pytest.mark.parametrize(
    ("loss", "dropout"),
    [("non_saturating", False), ("minimax", False), ("non_saturating", True)],
)
def test_training_walks_as_numpy_does(mode, loss, dropout):
    """Two steps of 8 images through `fit`: weights, and logs as means over the steps."""
    walk = Walk(loss, dropout=dropout)
    batches = IMAGES.reshape(2, 8, DATA_DIM)
    if "k" in mode:
        expected = [walk.alternate(batch, mode["k"]) for batch in batches]
    else:
        expected = [walk.move_at_once(batch) for batch in batches]

    layer = layers.Dropout(0.5) if dropout else None
    model = linear_gan(loss=loss, dropout=layer, **mode)
    logs = model.fit(IMAGES, batch_size=8, shuffle=False, verbose=0).history
    for name, value in parameters(model).items():
        np.testing.assert_allclose(value, walk.p[name], rtol=0, atol=2e-6, err_msg=name)
        assert np.abs(value - START[name]).max() > 1e-3  # it did move
    for name, value in zip(SCALARS, np.mean(expected, axis=0), strict=True):
        assert logs[name] == pytest.approx([value], abs=2e-6)
    assert model.steps_done == 2


@pytest.mark.parametrize("prior", noise.PRIORS)
def test_latents_of_training_follow_the_given_prior(prior):
    walk = Walk(prior=prior)
    walk.alternate(IMAGES, 1)
    model = linear_gan(prior=prior)
    model.train_step(tf.constant(IMAGES))
    for name, value in parameters(model).items():
        np.testing.assert_allclose(value, walk.p[name], rtol=0, atol=2e-6, err_msg=name)


@MODES
def test_generator_step_leaves_discriminator_untouched(mode):
    model = linear_gan(d_rate=0.0, **mode)
    before = parameters(model)
    model.train_step(tf.constant(IMAGES))
    after = parameters(model)
    for name in "wc":
        np.testing.assert_array_equal(after[name], before[name])
    for name in "Aa":
        assert np.abs(after[name] - before[name]).max() > 1e-3


@MODES
def test_discriminator_step_leaves_generator_untouched(mode):
    model = linear_gan(g_rate=0.0, **mode)
    before = parameters(model)
    model.train_step(tf.constant(IMAGES))
    after = parameters(model)
    for name in "Aa":
        np.testing.assert_array_equal(after[name], before[name])
    for name in "wc":
        assert np.abs(after[name] - before[name]).max() > 1e-3


@MODES
def test_minimax_gradient_is_the_other_one_starved_by_the_odds_of_d(mode):
    """Same direction, by D / (1 - D) shorter; here D(G(z)) = sigmoid(-6) for every z."""
    start = {"A": 0 * START["A"], "a": 0 * START["a"], "w": START["w"], "c": np.array([-6])}
    moves = {}
    for loss in ("minimax", "non_saturating"):
        model = linear_gan(d_rate=0.0, g_rate=1.0, start=start, loss=loss, **mode)
        model.train_step(tf.constant(IMAGES))
        after = parameters(model)
        moves[loss] = np.append(after["A"], after["a"])
    odds = np.exp(-6.0)
    np.testing.assert_allclose(
        moves["minimax"], odds * moves["non_saturating"], rtol=1e-4, atol=1e-9
    )
    towards_data = np.sign(START["w"][:, 0])  # where D's score rises
    np.testing.assert_array_equal(np.sign(moves["minimax"][-2:]), towards_data)
    np.testing.assert_allclose(
        moves["non_saturating"][-2:], (1 - sigmoid(-6)) * START["w"][:, 0], rtol=1e-5
    )


@pytest.mark.parametrize("simultaneous", [False, True])
def test_column_norms_are_capped_after_each_update(simultaneous, rng):
    shape, cap = (3, 3, 1), 1.9365
    discriminator = gan.maxout_discriminator(4, 2, gan.Draw(1), shape, max_norm=cap)
    kernels = [layer.kernel for layer in weighted(discriminator)]
    for kernel in kernels:
        columns = rng.normal(size=kernel.shape)
        columns /= np.linalg.norm(columns, axis=0)
        kernel.assign(columns * np.linspace(4.0, 0.5, kernel.shape[1]))

    def norms():
        return np.concatenate([np.linalg.norm(kernel, axis=0) for kernel in kernels])

    z = keras.Input((Z_DIM,))
    image = keras.layers.Reshape(shape)(keras.layers.Dense(9)(z))
    model = gan.GAN(keras.Model(z, image), discriminator, simultaneous=simultaneous)
    model.compile(gan.HeavyBall(0.01, 10), gan.HeavyBall(0.01, 10))
    before = norms()
    model.train_step(tf.constant(rng.normal(size=(8, *shape)).astype("float32")))
    after = norms()
    assert after.max() <= cap * (1 + 1e-6)
    np.testing.assert_allclose(after[before > 1.2 * cap], cap, rtol=1e-5)
    free = before < 0.8 * cap
    np.testing.assert_allclose(after[free], before[free], rtol=0.1)
    assert np.count_nonzero(free) >= 4 and np.count_nonzero(before > 1.2 * cap) >= 8


@pytest.mark.parametrize("mode", [{"k": 0}, {"k": -1}, {"k": 2, "simultaneous": True}])
def test_impossible_numbers_of_d_steps_raise(mode):
    with pytest.raises(ValueError, match=f"k is {mode['k']}"):
        linear_gan(**mode)


def test_unknown_prior_raises():
    with pytest.raises(ValueError, match="cauchy.*uniform_sqrt3"):
        linear_gan(prior="cauchy")


# Plain Keras around the model, stock layers within.


def stock_networks():
    """Small networks without a layer of this package, with dropout in both."""
    z, x = keras.Input((4,)), keras.Input((1,))
    g = keras.layers.Dropout(0.1)(keras.layers.Dense(16, "relu")(z))
    d = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(x))
    d = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(d))
    generator = keras.Model(z, keras.layers.Dense(1)(g))
    return generator, keras.Model(x, keras.layers.Dense(1)(d))


def test_fit_on_an_array_with_stock_layers_moves_samples_onto_the_data(rng):
    model = gan.GAN(*stock_networks(), seed=3)
    adam = [keras.optimizers.Adam(rate, beta_1=0.5) for rate in (1e-2, 1e-2)]
    model.compile(*adam, jit_compile=False)
    ends = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append((epoch, model.steps_done, logs))
    )
    images = rng.normal(3.0, 0.5, (515, 1)).astype("float32")
    z = noise.latents("uniform", tf.constant([0, 0], tf.int64), (1000, 4))
    assert abs(model(z).numpy().mean()) < 1
    history = model.fit(images, batch_size=64, epochs=15, callbacks=[watch], verbose=0)

    for epoch, (number, steps, logs) in enumerate(ends):
        assert (number, steps) == (epoch, 9 * (epoch + 1))  # the last batch holds 3
        assert set(logs) == set(SCALARS)
    assert set(history.history) == set(SCALARS)
    assert np.isfinite(list(history.history.values())).all()
    assert model(z).numpy().mean() == pytest.approx(3.0, abs=0.7)
    np.testing.assert_array_equal(model(z), model(z))  # in use, dropout is off
    assert model.predict(z, verbose=0).shape == (1000, 1)


def test_stock_dropout_draws_as_seed_and_step_say():
    """Keras seeds these layers by chance, so twins differ unless the step reseeds them."""
    finals = []
    generator, discriminator = stock_networks()
    starts = generator.get_weights(), discriminator.get_weights()
    for _ in range(2):
        twin = gan.GAN(*stock_networks(), seed=3)
        twin.generator.set_weights(starts[0])
        twin.discriminator.set_weights(starts[1])
        sgd = (keras.optimizers.SGD(0.1) for _ in range(2))
        twin.compile(*sgd, jit_compile=False)
        for _ in range(2):
            twin.train_step(tf.constant(IMAGES[:, :1]))
        finals.append(twin.get_weights())
    for one, other in zip(*finals, strict=True):
        np.testing.assert_array_equal(one, other)


def frozen_probe(seed=3):
    """A GAN that never moves and whose losses depend on the masks of D alone: data and
    fakes are ones, and D adds up what is kept with another weight for each place."""
    places = 24
    z, x = keras.Input((4,)), keras.Input((places,))
    ones = keras.layers.Dense(places, kernel_initializer="zeros", bias_initializer="ones")
    generator = keras.Model(z, ones(z))
    kept = [keras.layers.Dropout(0.5)(x) for _ in range(2)]
    total = keras.layers.Dense(1)(keras.layers.Concatenate()(kept))
    discriminator = keras.Model(x, total)
    weights = np.linspace(-0.1, 0.1, 2 * places).reshape(-1, 1) ** 3 * 1e3
    discriminator.set_weights([weights, np.zeros(1)])
    model = gan.GAN(generator, discriminator, seed=seed)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0), jit_compile=False)
    return model, tf.ones((1, places))


def test_stock_dropout_masks_differ_from_step_to_step_and_return_with_the_step():
    model, ones = frozen_probe()

    def losses_at(step):
        model.step.assign(step)
        model.reset_metrics()
        return tuple(float(value) for value in model.train_step(ones).values())

    by_step = [losses_at(step) for step in range(6)]
    assert len(set(by_step)) == 6
    assert [losses_at(step) for step in (5, 0, 3)] == [by_step[i] for i in (5, 0, 3)]
    other, _ = frozen_probe(seed=4)
    assert tuple(float(v) for v in other.train_step(ones).values()) != by_step[0]


def test_stock_dropout_layers_of_one_network_mask_differently():
    model, ones = frozen_probe()
    model.start_step(ones)
    first, second = (
        layer(tf.ones((1, 200)), training=True).numpy()
        for layer in model.discriminator.layers
        if isinstance(layer, keras.layers.Dropout)
    )
    share = np.mean(first == second)
    assert 0.3 < share < 0.7  # half of the places by chance


# From the command line.


def settings(dataset="gaussian", shape=(1,), **changes):
    numbers = {"loss": LOSSES["non_saturating"], "seed": 1, "learning_rate": 0.1}
    kept = {"network": "", "fidelity": "paper", "steps_per_epoch": 50}
    numbers |= {"batch_size": 100, "classes": 0}
    mean = np.zeros(shape)
    return training.Settings(
        dataset=dataset, shape=shape, mean=mean, **{**numbers, **kept, **changes}
    )


@flagsaver.flagsaver(k=3)
def test_built_model_counts_epochs_of_each_network_in_its_own_steps():
    """50 minibatches are 16 steps of a GAN with k = 3: 48 of D and 16 of G."""
    model = gan.build(settings(), jit_compile=False)
    assert (model.k, model.simultaneous) == (3, False)
    assert gan.minibatches_per_step() == 3
    model.train_step(tf.zeros((6, 1)))
    optimizers = model.d_optimizer, model.g_optimizer
    assert [int(optimizer.iterations.numpy()) for optimizer in optimizers] == [3, 1]
    assert [optimizer.steps_per_epoch for optimizer in optimizers] == [48, 16]


@flagsaver.flagsaver(k=5)
def test_momentum_of_both_networks_rises_with_the_epochs_of_the_data():
    """Ten epochs of ten minibatches, read as training reads them."""
    model = gan.build(settings(steps_per_epoch=10), jit_compile=False)
    images = data.HeldExamples("made", np.zeros((40, 1), "float32"))
    batches = iter(images.stream(4 * gan.minibatches_per_step(), 0, "raw"))
    for epoch in range(1, 11):
        for optimizer in (model.d_optimizer, model.g_optimizer):
            momentum = float(optimizer.momentum_at(optimizer.iterations))
            assert momentum == pytest.approx(0.5 + 0.2 * (epoch - 1) / 249, abs=1e-6)
        for _ in range(2):
            model.train_step(next(batches))


def test_fidelity_to_the_code_moves_both_networks_at_once():
    assert gan.build(settings(fidelity="code"), jit_compile=False).simultaneous
    assert not gan.build(settings(fidelity="paper"), jit_compile=False).simultaneous


@flagsaver.flagsaver(k=2)
def test_fidelity_to_the_code_refuses_k_above_1():
    with pytest.raises(UsageError, match="--k"):
        gan.build(settings(fidelity="code"), jit_compile=False)


def test_build_refuses_networks_that_do_not_exist_or_fit():
    with pytest.raises(UsageError, match="mnist, tfd_pretrain"):
        gan.build(settings(network="resnet"), jit_compile=False)
    unfit = settings("mnist", (28, 28, 1), network="cifar10_convolutional")
    with pytest.raises(UsageError, match="32x32"):
        gan.build(unfit, jit_compile=False)
    unfit = settings("digits", (8, 8, 1), network="points")
    with pytest.raises(UsageError, match="of points, and the data are images"):
        gan.build(unfit, jit_compile=False)


def test_build_refuses_a_value_range_that_the_generators_sigmoid_cannot_give():
    with flagsaver.flagsaver(value_range="symmetric"):
        gan.build(settings(), jit_compile=False)  # points, and no activation
        with pytest.raises(UsageError, match="sigmoid, which needs --value_range=unit"):
            gan.build(settings("digits", (8, 8, 1)), jit_compile=False)


@pytest.mark.parametrize("name", SHAPES)
def test_every_generator_can_give_the_value_range_of_its_data(name):
    with shapes_alone():
        generator, _ = networks(name)
    data.ranges.check(generator, NUMBERS[name][3])
    sigmoid = ACTIVATIONS.get(name, ["linear"])[-1] == "sigmoid"
    with pytest.raises(UsageError) if sigmoid else contextlib.nullcontext():
        data.ranges.check(generator, "symmetric")


@pytest.mark.parametrize(
    ("dataset", "network", "expected"),
    [
        ("mnist", "", "mnist"),
        ("fashion_mnist", "", "mnist"),
        ("tfd", "", "tfd_pretrain"),
        ("tfd", "tfd", "tfd"),
        ("cifar10", "", "cifar10"),
        ("cifar10", "cifar10_convolutional", "cifar10_convolutional"),
        ("gaussian", "", "points"),
        ("ring", "", "points"),
        ("digits", "", "images"),
    ],
)
def test_data_set_chooses_the_experiment_unless_the_network_is_named(
    dataset, network, expected
):
    assert gan.experiment(dataset, network) is gan.EXPERIMENTS[expected]
    rate, batch, _, value_range, *_ = NUMBERS[expected]
    under = gan.defaults(dataset, network)
    chosen = under["learning_rate"], under["batch_size"], under["value_range"]
    assert chosen == (rate, batch, value_range)
    assert under["loss"] == "non_saturating"


# CIFAR-10 in norm 55: pixels depend on the batch.


def test_scores_of_features_are_refused_where_pixels_depend_on_the_batch():
    given = {"value_range": "norm55", "metrics": ["diversity", "frechet_distance"]}
    with flagsaver.flagsaver(**given):
        with pytest.raises(UsageError, match="--metrics=frechet_distance.*norm55 depend"):
            evaluation.check()
        with flagsaver.flagsaver(images="folder"):
            evaluation.check()  # those are pixels already
    with flagsaver.flagsaver(**given | {"value_range": "unit"}):
        evaluation.check()


@pytest.mark.parametrize(
    ("value_range", "returns"),
    [
        ("norm55", "uint8 images, scaled by the largest magnitude among the n"),
        ("unit", "uint8 images, or points"),
    ],
)
def test_manifest_says_what_the_pixels_of_samples_depend_on(value_range, returns, tmp_path):
    export.export(first_stage(), tmp_path / "export", value_range, {})
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["endpoints"]["sample"]["returns"] == returns


# The second stage on TFD, GAN-5, in a smaller size.


def body(shape=(2, 2, 1)):
    return [
        keras.layers.Dense(6, "relu"),
        keras.layers.Dense(int(np.prod(shape)), "sigmoid"),
    ]


def stage_of(generator):
    shape = generator.output_shape[1:]
    discriminator = gan.maxout_discriminator(3, 2, gan.Draw(1), shape)
    model = gan.GAN(generator, discriminator)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), jit_compile=False)
    return model


def first_stage(shape=(2, 2, 1)):
    return stage_of(gan.generator_from(body(shape), shape))


def second_stage(shape=(2, 2, 1)):
    pretrained = gan.generator_from(body(shape), shape, name="pretrained")
    front = [keras.layers.Dense(5, "relu"), keras.layers.Dense(100, "sigmoid")]
    return stage_of(gan.generator_from([*front, pretrained], shape))


def kept(model, folder):
    Checkpoints(folder / "checkpoints", model).save(7)
    return flagsaver.flagsaver(init_from=str(folder))


def test_second_stage_begins_with_the_generator_of_the_first(tmp_path, rng):
    first, second = first_stage(), second_stage()
    first.train_step(tf.constant(rng.uniform(0, 1, (4, 2, 2, 1)), tf.float32))
    front = second.generator.get_weights()[:4]
    d = second.discriminator.get_weights()
    with kept(first, tmp_path):
        gan.start(second, None, "unit")
    z = tf.constant(rng.normal(size=(3, 100)), tf.float32)
    pretrained = second.generator.get_layer("pretrained")
    np.testing.assert_array_equal(pretrained(z), first.generator(z))
    for mine, before in (
        (second.generator.get_weights()[:4], front),
        (second.discriminator.get_weights(), d),
    ):
        for weight, other in zip(mine, before, strict=True):
            np.testing.assert_array_equal(weight, other)


def test_a_run_that_is_no_first_stage_is_refused(tmp_path):
    with flagsaver.flagsaver(init_from=str(tmp_path)):
        with pytest.raises(UserError, match="there is no checkpoint in"):
            gan.start(second_stage(), None, "unit")
    with kept(first_stage((3, 3, 1)), tmp_path):
        with pytest.raises(UserError, match="does not hold a generator of tfd_pretrain"):
            gan.start(second_stage(), None, "unit")


def test_init_from_and_the_second_stage_go_together(tmp_path):
    with pytest.raises(UsageError, match="--network=tfd needs --init_from"):
        gan.start(second_stage(), None, "unit")
    with kept(first_stage(), tmp_path):
        with pytest.raises(UsageError, match="no other network takes it"):
            gan.start(first_stage(), None, "unit")
    gan.start(first_stage(), None, "unit")
