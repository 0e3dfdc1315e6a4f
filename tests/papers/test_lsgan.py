"""LSGAN: counts of its networks, its theory, its step against a second implementation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories
from tests.factories import build
from tfgan_papers import data, figures, losses, noise
from tfgan_papers.commands import sample
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import contract, convolutional, lsgan, lsgan_networks
from tfgan_papers.papers.lsgan_networks import STYLE

# fidelity: shape, classes -> trainable weights of G and of D
COUNTS = {
    lsgan_networks.lsun_networks: ((112, 112, 3), (), 15_591_427, 4_333_441),
    lsgan_networks.character_networks: ((28, 28, 1), (3740,), 9_417_857, 21_392_155),
    lsgan_networks.stability_networks: ((64, 64, 3), (), 12_704_771, 4_316_545),
    lsgan_networks.mixture_networks: ((2,), (), 49_666, 17_025),
}
# Learning rate, batch, range, law and size of z, D's rate as a multiple of G's:
# train_lsun.py, train_chn.py, stability_comparison/*/train.py, mixture_gaussian/ls.py.
NUMBERS = {
    "lsun": (1e-3, 64, "symmetric", "uniform", 1024, 1.0),
    "characters": (2e-4, 64, "unit", "uniform", 1024, 1.0),
    "stability": (2e-4, 64, "symmetric", "uniform", 1024, 1.0),
    "mixture": (1e-3, 512, "raw", "normal", 256, 0.1),
}


@pytest.mark.parametrize("networks", COUNTS, ids=lambda networks: networks.__name__)
def test_networks_have_the_authors_number_of_weights(networks):
    shape, classes, *expected = COUNTS[networks]
    built = networks(shape, STYLE, Draw(0), *classes)
    assert [count(network) for network in built] == expected


def count(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize(
    ("batch_norm", "in_g", "in_d"),
    [("both", 4, 3), ("discriminator", 0, 3), ("none", 0, 0)],
)
def test_batch_norm_leaves_the_networks_that_the_paper_takes_it_from(
    batch_norm, in_g, in_d
):
    networks = lsgan_networks.stability_networks((64, 64, 3), STYLE, Draw(0), batch_norm)
    found = [
        sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
        for network in networks
    ]
    assert found == [in_g, in_d]


def test_weights_start_as_in_the_authors_code():
    generator, discriminator = lsgan_networks.lsun_networks((112, 112, 3), STYLE, Draw(0))
    kernels = [w.numpy() for w in discriminator.weights if "kernel" in w.path]
    for kernel in kernels[:-1]:  # convolutions: truncated at two deviations
        assert 0.03 < np.abs(kernel).max() <= 0.04
        np.testing.assert_allclose(kernel.std(), 0.02 * 0.88, rtol=0.05)
    for kernel in [w.numpy() for w in generator.weights if "kernel" in w.path]:
        np.testing.assert_allclose(kernel.std(), 0.02, rtol=0.05)
    matrix = lsgan_networks.mixture_networks((2,), STYLE, Draw(0))[0].weights[2].numpy()
    np.testing.assert_allclose(matrix @ matrix.T, 1.4**2 * np.eye(128), atol=1e-4)


def test_gains_of_the_stability_networks_start_spread_about_1():
    """stability_comparison/*/ops.py: N(1, .02), and those of its other networks are 1."""
    networks = lsgan_networks.stability_networks((64, 64, 3), STYLE, Draw(0))
    for network, sizes in zip(
        networks, ([512, 256, 128, 64], [128, 256, 512]), strict=True
    ):
        gains = [w.numpy() for w in network.trainable_weights if "gamma" in w.path]
        assert [len(each) for each in gains] == sizes
        for each in gains:
            np.testing.assert_allclose(each.mean(), 1, atol=4 * 0.02 / len(each) ** 0.5)
            np.testing.assert_allclose(each.std(), 0.02, rtol=0.25)
    for network in lsgan_networks.lsun_networks((112, 112, 3), STYLE, Draw(0)):
        gains = [w.numpy() for w in network.trainable_weights if "gamma" in w.path]
        assert gains and all((each == 1).all() for each in gains)


# Theory, Sec. 3.2, on distributions over five points.

P_DATA = np.array([0.1, 0.4, 0.2, 0.05, 0.25])
P_G = np.array([0.3, 0.1, 0.2, 0.35, 0.05])


@pytest.mark.parametrize("targets", [(0, 1, 1), (-1, 1, 0), (0.3, -2, 5)])
def test_the_best_discriminator_is_eq_5(targets):
    a, b, _ = targets
    loss = losses.least_squares(*map(float, targets))
    best = (b * P_DATA + a * P_G) / (P_DATA + P_G)

    def d_loss(scores):
        scores = tf.constant(scores)
        return float(tf.reduce_sum(P_DATA * loss.real(scores) + P_G * loss.fake(scores)))

    for point in range(5):
        for step in (-0.01, 0.01):
            other = best.copy()
            other[point] += step
            assert d_loss(other) > d_loss(best)


def test_g_descends_the_pearson_divergence_of_eq_7():
    """With b - c = 1 and b - a = 2: 2 C(G) = chi^2(p_d + p_g || 2 p_g)."""
    loss = losses.least_squares(-1.0, 1.0, 0.0)
    best = tf.constant((P_DATA - P_G) / (P_DATA + P_G))
    cost = float(tf.reduce_sum((P_DATA + P_G) * loss.generator(best)))
    both = P_DATA + P_G
    np.testing.assert_allclose(2 * cost, ((2 * P_G - both) ** 2 / both).sum(), rtol=1e-12)
    assert cost > 0


def test_equal_targets_are_refused():
    with pytest.raises(ValueError, match="nothing to tell apart"):
        losses.least_squares(1.0, 1.0, 0.0)


# The step against one written without the kernel, in which G runs twice.


def small_networks(normalized=False):
    def dense(units, seed):
        return keras.layers.Dense(
            units, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed)
        )

    z, x = keras.Input((3,)), keras.Input((4,))
    of_z, of_x = dense(8, 1)(z), dense(8, 3)(x)
    if normalized:
        of_z, of_x = (
            keras.layers.BatchNormalization(momentum=0.9)(each) for each in (of_z, of_x)
        )
    fake = dense(4, 2)(keras.layers.ReLU()(of_z))
    score = dense(1, 4)(keras.layers.LeakyReLU(0.2)(of_x))
    return keras.Model(z, fake), keras.Model(x, score)


def compiled(model, rate=0.1, **kwargs):
    model.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate), **kwargs)
    return model


def latents_of_step(model, branch, rows):
    stream = noise.Stream.of_step(model.seed, model.step.value, 0)
    for _ in range(branch):
        base = stream.branch()
    return noise.latents(model.prior_name, base, (rows, model.latent_dim))


def by_hand(generator, discriminator, real, z, simultaneous, rate=0.1):
    """Eq. 9 with SGD: what both networks' weights become."""
    with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
        fake = generator(z, training=True)
        d_loss = tf.reduce_mean((discriminator(real, training=True) - 1) ** 2) / 2
        fake_scores = discriminator(fake, training=True)
        d_loss += tf.reduce_mean(fake_scores**2) / 2
        g_loss = tf.reduce_mean((fake_scores - 1) ** 2) / 2
    d_gradients = d_tape.gradient(d_loss, discriminator.trainable_variables)
    g_gradients = g_tape.gradient(g_loss, generator.trainable_variables)
    for weight, gradient in zip(
        discriminator.trainable_variables, d_gradients, strict=True
    ):
        weight.assign_sub(rate * gradient)
    if not simultaneous:
        with tf.GradientTape() as g_tape:
            scores = discriminator(generator(z, training=True), training=True)
            g_loss = tf.reduce_mean((scores - 1) ** 2) / 2
        g_gradients = g_tape.gradient(g_loss, generator.trainable_variables)
    for weight, gradient in zip(generator.trainable_variables, g_gradients, strict=True):
        weight.assign_sub(rate * gradient)
    return float(d_loss), float(g_loss)


@pytest.mark.parametrize(
    ("simultaneous", "normalized"),
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["in turn", "in turn, normalized", "at once", "at once, normalized"],
)
def test_step_is_eq_9_on_one_batch_of_latents(simultaneous, normalized, rng):
    networks = small_networks(normalized)
    model = compiled(lsgan.LSGAN(*networks, simultaneous=simultaneous, seed=5))
    twin = small_networks(normalized)
    real = tf.constant(rng.normal(size=(16, 4)), tf.float32)
    for _ in range(3):
        z = latents_of_step(model, 1, 16)
        logs = model.train_step(real)
        expected = by_hand(*twin, real, z, simultaneous)
        np.testing.assert_allclose(
            [logs["d_loss"], logs["g_loss"]], expected, rtol=1e-5, atol=1e-6
        )
        model.reset_metrics()
    for network, other in zip(networks, twin, strict=True):
        for mine, theirs in zip(
            network.trainable_weights, other.trainable_weights, strict=True
        ):
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


def test_g_runs_once_a_step(rng):
    """Moving averages of its batch normalization move once, by a tenth."""
    model = compiled(lsgan.LSGAN(*small_networks(normalized=True), seed=5))
    z = latents_of_step(model, 1, 16)
    hidden = model.generator.layers[1](z)
    model.train_step(tf.constant(rng.normal(size=(16, 4)), tf.float32))
    moved = model.generator.layers[2].moving_mean.numpy()
    np.testing.assert_allclose(moved, 0.1 * tf.reduce_mean(hidden, 0), rtol=1e-5)


# From the command line.


def settings(dataset="fashion_mnist", shape=(28, 28, 1), **changes):
    changes = {"dataset": dataset, "batch_size": 64, **changes}
    return factories.settings("lsgan", shape, **changes)


@pytest.mark.parametrize("network", NUMBERS)
def test_built_model_has_the_numbers_of_its_script(network):
    assert set(lsgan.EXPERIMENTS) == set(NUMBERS)
    rate, batch_size, value_range, law, latent_dim, d_rate = NUMBERS[network]
    run = factories.values("lsgan", dataset="cifar10", network=network)
    found = run.training.learning_rate, run.training.batch_size, run.data.value_range
    assert found == (rate, batch_size, value_range)
    assert run.training.loss == "least_squares"
    shape = (2,) if network == "mixture" else (16, 16, 1)
    wanted = settings("any", shape, network=network, learning_rate=rate, classes=3)
    model = build("lsgan", wanted, width=4)
    assert (model.prior_name, model.latent_dim) == (law, latent_dim)
    assert model.simultaneous == (network == "mixture")
    adams = model.d_optimizer, model.g_optimizer
    rates = [float(adam.learning_rate) for adam in adams]
    np.testing.assert_allclose(rates, [d_rate * rate, rate], rtol=1e-6)
    assert {(adam.beta_1, adam.beta_2, adam.epsilon) for adam in adams} == {
        (0.5, 0.999, 1e-8)
    }


@pytest.mark.parametrize(("network", "factor"), [("stability", 64), ("mixture", 32)])
def test_fidelity_to_the_code_sums_over_the_batch(network, factor):
    shape = (2,) if network == "mixture" else (28, 28, 1)
    wanted = settings("any", shape, network=network, fidelity="code")
    model = build("lsgan", wanted, width=8)
    score = tf.constant(3.0)
    np.testing.assert_allclose(model.loss_terms.real(score), factor * 0.5 * (3 - 1) ** 2)
    assert float(model.loss_terms.to_probability(score)) == 3.0


def test_fidelity_to_the_code_leaves_cross_entropy_a_mean():
    """stability_comparison/BN_G_sigmoid_adam/dcgan64.py: loss; l2_loss alone sums."""
    regular = losses.LOSSES["non_saturating"]
    model = build("lsgan", settings(loss=regular, fidelity="code"), width=8)
    score = tf.constant(3.0)
    for player in ("real", "fake", "generator"):
        mine, theirs = (getattr(x, player)(score) for x in (model.loss_terms, regular))
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_fidelity_to_the_code_sums_gs_cross_entropy_on_the_mixture():
    """mixture_gaussian/sig.py: D_loss is a mean, and G_loss is not reduced."""
    regular = losses.LOSSES["non_saturating"]
    wanted = settings("any", (2,), loss=regular, network="mixture", fidelity="code")
    model = build("lsgan", wanted)
    score = tf.constant(3.0)
    for player, factor in (("real", 1), ("fake", 1), ("generator", wanted.batch_size)):
        mine, theirs = (getattr(x, player)(score) for x in (model.loss_terms, regular))
        np.testing.assert_allclose(mine, factor * theirs, rtol=1e-6)
    again = losses.get(model.loss_terms.config)
    assert float(again.generator(score)) == float(model.loss_terms.generator(score))


def test_fidelity_to_the_code_begins_with_output_weights_of_one_sign():
    wanted = settings("any", (2,), network="mixture", fidelity="code")
    model = build("lsgan", wanted)
    first, _, second, _, last, _ = (w.numpy() for w in model.discriminator.weights)
    assert len(set(np.sign(last).ravel())) == 1
    np.testing.assert_allclose(first @ first.T, 1.4**2 * np.eye(2), atol=1e-5)
    np.testing.assert_allclose(second.T @ second, 1.4**2 * np.eye(128), atol=1e-4)
    assert len(set(np.sign(first[0]))) == 1 and len(set(np.sign(first[1]))) == 2


def test_a_run_with_fidelity_to_the_code_draws_new_points_each_step(tmp_path):
    """A centre of nine comes twice, and a step's points do not depend on the first."""
    run = factories.run(tmp_path, "lsgan", dataset="ring", fidelity="code")
    examples = data.load("train", run.values.data)
    of = run.settings(examples.shape, examples.mean("raw"), examples.size, examples.classes)
    model = run.build(of, jit_compile=False)

    def drawn(first_step, steps):
        stream = run.batches(examples, model, of, 3, first_step)
        return np.stack([batch.numpy() for batch in stream.take(steps)])

    points = drawn(0, 200)
    assert 200 * 512 > examples.size  # more than an epoch
    np.testing.assert_array_equal(points[30:40], drawn(30, 10))
    assert len(np.unique(points.reshape(-1, 2), axis=0)) == 200 * 512
    distance = np.linalg.norm(points.reshape(-1, 1, 2) - examples.modes.centres, axis=2)
    assert (distance.min(1) < 0.06).all()
    shares = np.bincount(distance.argmin(1), minlength=8) / (200 * 512)
    np.testing.assert_allclose(shares, [2 / 9, *[1 / 9] * 7], atol=0.01)
    deviation = distance.min(1) ** 2 / 2  # of each coordinate, squared, on average
    np.testing.assert_allclose(deviation.mean() ** 0.5, 0.01, rtol=0.05)


def test_the_narrowest_networks_of_a_mixture_are_not_linear():
    """With two units, as many as coordinates."""
    model = build("lsgan", settings("any", (2,), network="mixture"), width=1)
    for network in model.networks:
        activations = [layer.activation for layer in network.layers[1:]]
        tanh, linear = keras.activations.tanh, keras.activations.linear
        assert activations == [tanh, tanh, linear]


def test_fidelity_to_the_code_has_the_scripts_ring_and_steps():
    defaults = lsgan.dataset_defaults("ring", "", "code")
    assert defaults == {"ring": "authors", "steps": 35_000}
    assert lsgan.dataset_defaults("ring", "", "paper") == {"steps": 40_000}  # Fig. 7


def test_characters_need_classes():
    with pytest.raises(UsageError, match="has none"):
        build("lsgan", settings(network="characters"))


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        ("stability", (30, 30, 1), "do not halve"),
        ("lsun", (40, 40, 3), "by 16"),
        ("mixture", (28, 28, 1), "for points, and the data are images"),
        *(
            (name, (2,), "for images, and the data are points")
            for name in ("lsun", "characters", "stability")
        ),
    ],
)
def test_sizes_that_networks_cannot_make_are_refused(network, shape, words):
    with pytest.raises(UsageError, match=words):
        build("lsgan", settings(shape=shape, network=network, classes=3))


@pytest.mark.parametrize(
    ("network", "value_range", "words"),
    [
        ("stability", "unit", "tanh.*--value_range=symmetric or symmetric128"),
        ("lsun", "raw", "tanh.*--value_range=symmetric or symmetric128"),
        ("characters", "symmetric", "sigmoid.*--value_range=unit"),
    ],
)
def test_value_ranges_that_networks_cannot_give_are_refused(network, value_range, words):
    wanted = settings(shape=(16, 16, 1), network=network, classes=3)
    run = factories.run("nowhere", "lsgan", width=4, value_range=value_range)
    with pytest.raises(UsageError, match=words):
        run.build(wanted, jit_compile=False)


def test_each_data_set_has_its_network():
    expected = {
        "lsun/bedroom": "lsun", "ring": "mixture", "hwdb": "characters",
        "cifar10": "stability",
    }  # fmt: skip
    for dataset, network in expected.items():
        found = contract.experiment(lsgan.PAPER, dataset, "")
        assert found is lsgan.EXPERIMENTS[network]
    with pytest.raises(UsageError, match="lsun, characters"):
        contract.experiment(lsgan.PAPER, "ring", "resnet")


def test_rmsprop_is_tensorflow_1s():
    model = build("lsgan", settings(), optimizer="rmsprop", width=8)
    assert model.g_optimizer.mean_squares[0].numpy().min() == 1.0


def test_labels_reach_both_networks(rng):
    generator, discriminator = lsgan_networks.character_networks(
        (8, 8, 1), convolutional.PORT._replace(width=4), Draw(0), 3
    )
    z = tf.constant(rng.normal(size=(2, lsgan_networks.LATENT_DIM)), tf.float32)
    labels = tf.constant([0, 2])  # of the same z
    z = tf.tile(z[:1], (2, 1))
    images = generator([z, labels], training=True).numpy()
    assert np.abs(images[0] - images[1]).max() > 1e-4
    scores = discriminator([tf.constant(images), labels[::-1]], training=True).numpy()
    others = discriminator([tf.constant(images), labels], training=True).numpy()
    assert np.abs(scores - others).max() > 1e-4


def test_loss_curves_are_of_the_given_targets(tmp_path, monkeypatch):
    drawn = {}

    def curves(by_name):
        drawn.update(by_name)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(figures, "curves", curves)
    options = sample.SampleOptions(sample="losses")
    sample.sample(factories.run(tmp_path, "lsgan", a=-1.0, b=1.0, c=0.0), options)
    assert set(drawn) == set(losses.LOSSES)
    least_squares = drawn["least_squares"]
    for player, target in (("fake", -1.0), ("real", 1.0), ("generator", 0.0)):
        assert float(getattr(least_squares, player)(tf.constant(3.0))) == pytest.approx(
            (3.0 - target) ** 2 / 2
        )
    with pytest.raises(UsageError, match="--a and --b are both 1.0: D has nothing to tell"):
        factories.run(tmp_path, "lsgan", a=1.0, b=1.0)
