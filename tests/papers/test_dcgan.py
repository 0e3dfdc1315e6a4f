"""DCGAN: counts and starts of its networks, the order of its step, its schedule."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories
from tfgan_papers import noise
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import contract, dcgan
from tfgan_papers.runs import export

SMALL = dcgan.AUTHORS._replace(width=4)
# Width, L2, batch, range: faces/train_uncond_dcgan.py, the port's main.py and model.py,
# mnist/train_cond_dcgan.py.
NUMBERS = {
    "authors": (128, 1e-5, 128, "symmetric"),
    "port": (64, 0.0, 64, "symmetric"),
    "conditional": (64, 2.5e-5, 128, "unit"),
}


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


@pytest.mark.parametrize("name", NUMBERS)
def test_experiment_has_the_numbers_of_its_script(name):
    assert set(dcgan.EXPERIMENTS) == set(NUMBERS)
    chosen = dcgan.EXPERIMENTS[name]
    run = factories.values("dcgan", dataset="celeb_a", network=name)
    numbers = (chosen.style.width, chosen.weight_decay, run.training.batch_size)
    assert (*numbers, run.data.value_range) == NUMBERS[name]
    assert (run.training.loss, run.training.learning_rate) == ("non_saturating", 2e-4)


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
    hidden = keras.layers.BatchNormalization()(dense(8, 3)(x))  # of data, of samples
    score = dense(1, 4)(keras.layers.LeakyReLU(0.2)(hidden))
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
        return tf.reduce_mean(
            cross_entropy(1.0, d(real, training=True))
            + cross_entropy(0.0, d(fake, training=True))
        )

    def g_turn(z):
        descend(g, lambda: tf.reduce_mean(cross_entropy(1.0, d(g(z), training=True))), 0.05)

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


# From the command line.


def built(network, shape=(8, 8, 1), steps_per_epoch=390, classes=0, steps=1000):
    settings = factories.settings(
        "dcgan", shape, network=network, learning_rate=2e-4, classes=classes,
        steps_per_epoch=steps_per_epoch, steps=steps,
    )  # fmt: skip
    given = {"network": network, "value_range": NUMBERS[network][-1]}
    run = factories.run("nowhere", "dcgan", width=4, **given)
    return run.build(settings, jit_compile=False)


@pytest.mark.parametrize("network", ["authors", "port"])
def test_built_model_has_the_law_of_z_the_order_and_adam_of_its_script(network):
    model = built(network)
    assert (model.prior_name, model.latent_dim, model.classes) == ("uniform", 100, 0)
    assert (model.weight_decay, model.port) == (NUMBERS[network][1], network == "port")
    for adam in (model.d_optimizer, model.g_optimizer):
        assert float(adam.learning_rate) == pytest.approx(2e-4)
        assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.5, 0.999, 1e-8)


@pytest.fixture(scope="module")
def conditional():
    """After two steps on three classes, and its weights before them."""
    model = built("conditional", classes=3)
    before = model.get_weights()
    images = np.random.default_rng(1).uniform(0, 1, (12, 8, 8, 1)).astype("float32")
    labels = np.arange(12, dtype="int32") % 3
    model.fit(images, labels, batch_size=6, verbose=0)
    assert model.steps_done == 2
    return model, before


def test_conditional_networks_learn_from_labels(conditional, rng):
    model, before = conditional
    assert (model.weight_decay, model.classes) == (2.5e-5, 3)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    moved = [np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True)]
    assert np.mean(moved) > 0.9  # all but the seeds
    z = tf.constant(np.tile(rng.uniform(-1, 1, (1, 100)), (2, 1)), tf.float32)
    images = model.generate(z, tf.constant([0, 2])).numpy()
    assert np.abs(images[0] - images[1]).max() > 1e-6


def test_rate_of_the_conditional_networks_falls_to_zero_over_the_second_100_epochs():
    """An epoch of 390 minibatches gives each network 195."""
    adam = built("conditional", classes=3).d_optimizer
    for step, rate in ((0, 2e-4), (19_500, 2e-4), (29_250, 1e-4), (39_000, 0.0)):
        adam.iterations.assign(step)
        assert float(adam.learning_rate) == pytest.approx(rate, abs=1e-10)


@pytest.mark.parametrize("model", ["dcgan", "ebgan", "vae", "autoencoder", "gan", "lsgan"])
def test_a_model_with_one_source_warns_of_fidelity_to_the_code(model, caplog):
    contract.warn_of_no_effect.cache_clear()
    options = {"width": 4} if model in ("dcgan", "lsgan") else {}
    network = {"ebgan": "mnist"}.get(model, "")
    settings = factories.settings(model, fidelity="code", network=network)
    factories.build(model, settings, **options)
    said = f"--fidelity=code has no effect with --model={model}" in caplog.text
    assert said == (model not in ("gan", "lsgan"))


@pytest.mark.parametrize(("steps", "beyond"), [(39_000, 0), (40_000, 1000)])
def test_steps_after_the_decay_of_the_rate_are_warned_of(steps, beyond, caplog):
    contract.warn_of_zero_rate.cache_clear()
    built("conditional", classes=3, steps=steps)
    said = f"{beyond} of the 40000 steps have no effect"
    assert (said in caplog.text) == bool(beyond)
    assert ("learning rate is 0" in caplog.text) == bool(beyond)


def test_endpoints_take_integers_of_any_size_and_refuse_labels_of_no_class(
    conditional, tmp_path
):
    export.export(conditional[0], tmp_path / "export", "unit", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    z, images = tf.zeros((2, 100)), tf.zeros((2, 8, 8, 1))
    for label in (0, 2):
        assert served.generate(z, tf.fill((2,), label)).shape == (2, 8, 8, 1)
    seed = tf.constant(1, tf.int64)
    for label in (-1, 3):
        for refused in (
            lambda label=label: served.generate(z, tf.constant([0, label])),
            lambda label=label: served.score(images, tf.constant([label, 0])),
            lambda label=label: served.sample(tf.constant(2), seed, tf.constant(label)),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match="classes 0 to 2"):
                refused()
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["classes"] == 3
    ways = [(np.array([2, 0]), np.int64(2)), (np.int32([2, 0]), 2)]  # of NumPy, of Python
    for call in (
        lambda labels, two: served.generate(z, labels),
        lambda labels, two: served.score(images, labels),
        lambda labels, two: served.score(np.zeros((2, 8, 8, 1), np.uint8), labels),
        lambda labels, two: served.sample(two, seed, two),
    ):
        found, expected = (call(*way) for way in ways)
        np.testing.assert_array_equal(found, expected)


def test_conditional_networks_need_classes():
    with pytest.raises(UsageError, match="has none"):
        built("conditional")


@pytest.mark.parametrize("network", NUMBERS)
def test_points_are_refused(network):
    with pytest.raises(UsageError, match="for images, and the data are points"):
        built(network, shape=(2,), classes=3)


def test_a_value_range_that_tanh_or_sigmoid_cannot_give_is_refused(monkeypatch):
    monkeypatch.setitem(NUMBERS, "port", (64, 0.0, 64, "unit"))
    with pytest.raises(UsageError, match="tanh.*--value_range=symmetric or symmetric128"):
        built("port")
    monkeypatch.setitem(NUMBERS, "port", (64, 0.0, 64, "symmetric128"))
    built("port")
    monkeypatch.setitem(NUMBERS, "conditional", (64, 2.5e-5, 128, "symmetric"))
    with pytest.raises(UsageError, match="sigmoid.*--value_range=unit"):
        built("conditional", classes=3)
