"""GAN (2014): its networks and numbers against literal tables, and which data get which."""

import contextlib

import keras
import numpy as np
import pytest

from tests import factories
from tfgan_papers import data, layers, optimizers
from tfgan_papers.errors import UsageError
from tfgan_papers.layers import initializers
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import contract, gan, gan_networks

# The networks, from the authors' yaml files. Parameters of G, of D, by image shape.

PARAMETERS = {
    ("mnist", (28, 28, 1)): (2_503_984, 1_231_441),
    ("tfd_pretrain", (48, 48, 1)): (83_250_304, 21_037_201),
    ("tfd", (48, 48, 1)): (84_858_404, 21_037_201),
    ("cifar10", (32, 32, 3)): (89_395_072, 37_393_601),
    ("cifar10_convolutional", (32, 32, 3)): (64_825_072, 12_454_073),
    ("points", (1,)): (4_353, 4_353),
    ("points", (2,)): (10_754, 4_417),
    ("conditional", (8, 8, 1)): (1_651_264, 379_441),  # with ten classes
    ("images", (8, 8, 1)): (1_639_264, 367_441),
}
SHAPES = dict(PARAMETERS.keys())
PAPER_NETWORKS = [name for name in SHAPES if name != "points"]  # those are ours
# Learning rate, batch, distribution of z, range, training and validation examples.
NUMBERS = {
    "mnist": (0.1, 100, "uniform_sqrt3", "unit", "train[:50000]", "train[50000:]"),
    "tfd_pretrain": (0.05, 100, "normal", "unit", "unlabeled", "valid"),
    "tfd": (0.05, 100, "normal", "unit", "unlabeled", "valid"),
    "cifar10": (0.025, 100, "normal", "norm55", "train[:40000]", "train[40000:]"),
    "cifar10_convolutional": (
        *(0.004, 128, "normal", "norm55", "train[:40000]", "train[40000:]"),
    ),
    "points": (0.05, 512, "uniform", "raw", "train[:90%]", ""),
    "conditional": (0.1, 100, "uniform_sqrt3", "unit", "train", ""),
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
    "conditional": ([0.05, 0.05, 0.05], MAXOUT_IRANGES),
    "images": ([0.05, 0.05, 0.05], MAXOUT_IRANGES),
}
ACTIVATIONS = {
    "mnist": ["relu", "relu", "sigmoid"],
    "tfd_pretrain": ["relu", "sigmoid", "sigmoid"],
    "tfd": ["relu", "sigmoid", "relu", "sigmoid", "sigmoid"],
    "cifar10": ["relu", "sigmoid", "linear"],
    "cifar10_convolutional": ["relu", "sigmoid", "linear"],
    "conditional": ["relu", "relu", "sigmoid"],
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
    classes = (10,) if name == "conditional" else ()
    make = gan.EXPERIMENTS[name].networks
    return make(shape, np.full(shape, mean), Draw(seed), *classes)


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
    run = factories.values("gan", dataset="any", network=name)
    data, training = run.data, run.training
    assert (
        training.learning_rate,
        training.batch_size,
        gan.EXPERIMENTS[name].prior,
        data.value_range,
        data.train_split,
        data.validation_split,
    ) == NUMBERS[name]


def test_constants_of_all_four_yaml_files():
    assert gan_networks.LATENT_DIM == 100
    assert optimizers.DECAY_PER_STEP == 1.000004
    assert optimizers.LEARNING_RATE_FLOOR == 1e-6
    assert (optimizers.MOMENTUM, optimizers.MOMENTUM_EPOCHS) == ((0.5, 0.7), (1, 250))
    assert gan_networks.MAX_COLUMN_NORM == 1.9365


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_weights_start_within_their_irange_and_fill_it(name):
    with shapes_alone():
        pair = networks(name)
        for network, iranges in zip(pair, IRANGES[name], strict=True):
            for layer, irange in zip(weighted(network), iranges, strict=True):
                if irange is None:
                    assert isinstance(layer.kernel_initializer, initializers.SparseNormal)
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
    beside = "InputLayer", "OneHot", "Concatenate"  # labels, which are not dropped
    chain = [x for x in discriminator.layers if type(x).__name__ not in beside]
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
            if isinstance(layer, layers.MaxoutConv2D | layers.CeilMaxPool2D)
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
    generator, _ = gan_networks.mnist_networks((8, 8, 1), mean, Draw(1))
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
    weights = np.asarray(initializers.SparseNormal(100, seed=3)((2000, 60), "float32"))
    assert (np.count_nonzero(weights, axis=0) == 100).all()
    values = weights[weights != 0]
    assert values.mean() == pytest.approx(0, abs=5 / values.size**0.5)
    assert values.var() == pytest.approx(1, abs=5 * (2 / values.size) ** 0.5)
    inputs = np.nonzero(weights)[0]  # all inputs alike: U over 0..1999
    assert inputs.mean() == pytest.approx(999.5, abs=5 * 2000 / (12 * inputs.size) ** 0.5)
    assert len(np.unique(inputs)) > 1800  # 2000 (1 - e^-3) = 1900 expected


def test_sparse_normal_is_a_function_of_its_seed_and_returns_from_its_config():
    initializer = initializers.SparseNormal(5, seed=3)
    twin = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    once = np.asarray(initializer((20, 4), "float32"))
    np.testing.assert_array_equal(twin((20, 4), "float32"), once)
    assert (
        np.asarray(initializers.SparseNormal(5, seed=4)((20, 4), "float32")) != once
    ).any()


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
    assert contract.experiment(gan.PAPER, dataset, network) is gan.EXPERIMENTS[expected]
    rate, batch, _, value_range, *_ = NUMBERS[expected]
    run = factories.values("gan", dataset=dataset, network=network)
    chosen = run.training.learning_rate, run.training.batch_size, run.data.value_range
    assert chosen == (rate, batch, value_range)
    assert run.training.loss == "non_saturating"
