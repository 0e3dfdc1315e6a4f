"""EBGAN: its losses in NumPy, counts of its networks, its step against a second
implementation, resume, export and command line."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories
from tests.factories import build
from tfgan_papers import noise
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import ebgan
from tfgan_papers.runs import export

# The losses.


def pull_away_in_loops(codes):
    """Sec. 2.4, pair by pair, in float64."""
    n, total = len(codes), 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                lengths = np.linalg.norm(codes[i]) * np.linalg.norm(codes[j])
                total += (codes[i] @ codes[j] / lengths) ** 2
    return total / (n * (n - 1))


def test_energy_is_the_norm_and_not_its_square(rng):
    x, copies = rng.uniform(-1, 1, (2, 5, 4, 4, 3))
    expected = [np.linalg.norm(a - b) for a, b in zip(x, copies, strict=True)]
    np.testing.assert_allclose(ebgan.norm(x, copies), expected, rtol=1e-6)


def test_energy_of_a_perfect_copy_has_a_finite_gradient():
    x = tf.zeros((2, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        energies = ebgan.norm(x, tf.zeros_like(x))
    np.testing.assert_allclose(energies, 0, atol=1e-5)
    np.testing.assert_array_equal(tape.gradient(energies, x), np.zeros(x.shape))


def test_hinge_is_what_is_missing_to_the_margin():
    np.testing.assert_array_equal(
        ebgan.hinge(tf.constant([0.0, 1.5, 2.0, 7.0]), 2.0), [2.0, 0.5, 0.0, 0.0]
    )


def test_pull_away_is_the_mean_squared_cosine_of_pairs(rng):
    codes = rng.normal(size=(6, 3, 3, 2))
    expected = pull_away_in_loops(codes.reshape(6, -1))
    np.testing.assert_allclose(ebgan.pull_away(np.float32(codes)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (np.eye(4), 0.0),
        (np.tile([[1.0, 2.0, -3.0]], (5, 1)), 1.0),
        ([[1.0, 0.0], [-2.0, 0.0]], 1.0),  # squared: opposites are alike
        ([[1.0, 0.0], [1.0, 1.0]], 0.5),
        ([[1.0, 0.0], [0.0, 0.0]], 0.0),  # a dead code
        ([[3.0, 4.0]], 0.0),  # there is no pair
    ],
)
def test_pull_away_of_codes_in_known_directions(codes, expected):
    found = ebgan.pull_away(tf.constant(codes, tf.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gradient_of_pull_away_is_that_of_finite_differences(rng):
    codes, h = rng.normal(size=(4, 5)), 1e-6
    expected = np.zeros_like(codes)
    for place in np.ndindex(codes.shape):
        moved = np.zeros_like(codes)
        moved[place] = h
        expected[place] = (
            pull_away_in_loops(codes + moved) - pull_away_in_loops(codes - moved)
        ) / (2 * h)
    x = tf.constant(codes, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = ebgan.pull_away(x)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(tape.gradient(loss, x), expected, atol=1e-5)


# Networks.


def count(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


def test_mnist_networks_have_the_layers_of_the_best_ebgan():
    g, d = ebgan.mnist_networks((28, 28, 1), ebgan.STYLE, Draw(0))
    hidden = [(100, 800)] + [(800, 800)] * 3
    expected = sum(a * b + 3 * b for a, b in hidden) + 800 * 784 + 784
    assert count(g.trainable_weights) == expected == 2_637_584
    expected = 784 * 1024 + 1024 + 1024 * 784 + 784
    assert count(d.trainable_weights) == expected == 1_607_440
    std = d.get_layer("code").kernel.numpy().std()
    np.testing.assert_allclose(std, 0.002, rtol=0.01)
    assert g.output_shape == d.output_shape == (None, 28, 28, 1)


def test_convolutional_networks_have_the_kernels_of_appendix_c():
    g, d = ebgan.convolutional_networks((64, 64, 3), ebgan.STYLE, Draw(0))
    kernels = [w for w in d.trainable_weights if len(w.shape) == 4]
    assert count(kernels) == 1_316_864  # 16 (3 64 + 64 128 + 128 256) twice
    assert sorted({w.shape[0] for w in kernels}) == [4]
    code = d.get_layer("code").output
    assert code.shape == (None, 8, 8, 256)
    kernels = [w for w in g.trainable_weights if len(w.shape) == 4]
    ends = [(100, 1024), (1024, 512), (512, 256), (256, 128), (128, 3)]
    assert count(kernels) == 16 * sum(a * b for a, b in ends)
    assert g.output_shape == d.output_shape == (None, 64, 64, 3)
    assert d.output.dtype == g.output.dtype == "float32"


def test_other_sizes_are_refused_by_the_convolutional_networks():
    with pytest.raises(ValueError, match="--image_size=64"):
        ebgan.convolutional_networks((32, 32, 3), ebgan.STYLE, Draw(0))


# The step.

SHAPE, LATENTS = (4, 4, 1), 3


def tiny(margin=3.0, pull_away=0.5):
    """Dense networks without batch normalization, whose gradients are easy to redo."""
    draw = Draw(3)
    z = keras.Input((LATENTS,))
    x = keras.layers.Dense(8, "tanh", kernel_initializer=draw.normal(0.5))(z)
    x = keras.layers.Dense(16, "tanh", kernel_initializer=draw.normal(0.5))(x)
    generator = keras.Model(z, keras.layers.Reshape(SHAPE)(x))
    images = keras.Input(SHAPE)
    code = keras.layers.Dense(6, "relu", kernel_initializer=draw.normal(0.5), name="code")(
        keras.layers.Flatten()(images)
    )
    x = keras.layers.Dense(16, kernel_initializer=draw.normal(0.5))(code)
    discriminator = keras.Model(images, keras.layers.Reshape(SHAPE)(x))
    return generator, discriminator, {"margin": margin, "pull_away": pull_away, "seed": 5}


def compiled(optimizer=keras.optimizers.SGD, jit_compile=False, **options):
    *networks, options = tiny(**options)
    model = ebgan.EBGAN(*networks, **options)
    model.compile(optimizer(0.1), optimizer(0.1), jit_compile=jit_compile)
    return model


def batch(step, n=8):
    draw = np.random.default_rng(step)
    return tf.constant(draw.uniform(-1, 1, (n, *SHAPE)), tf.float32)


def test_step_is_the_papers_equations_with_passes_and_tapes_of_their_own():
    model, (g, d, _) = compiled(), tiny()
    code = keras.Model(d.inputs, d.get_layer("code").output)
    missing = []
    for step in range(4):
        real = batch(step)
        base = noise.Stream.of_step(model.seed, model.step.value, 0).branch()
        z = noise.latents("uniform", base, (8, LATENTS))

        def energy(v):
            return tf.norm(tf.reshape(d(v) - v, (8, -1)), axis=1)

        with tf.GradientTape() as d_tape:
            of_fake = energy(tf.stop_gradient(g(z)))
            d_loss = tf.reduce_mean(energy(real) + tf.maximum(3.0 - of_fake, 0.0))
        with tf.GradientTape() as g_tape:
            s = tf.math.l2_normalize(code(g(z)), 1)
            squares = tf.linalg.set_diag((s @ tf.transpose(s)) ** 2, tf.zeros(8))
            alike = tf.reduce_sum(squares) / 56.0
            g_loss = tf.reduce_mean(energy(g(z))) + 0.5 * alike
        missing += [*(of_fake.numpy() < 3.0)]
        gradients = [
            tape.gradient(loss, network.trainable_variables)
            for tape, loss, network in ((d_tape, d_loss, d), (g_tape, g_loss, g))
        ]
        for network, of_network in zip((d, g), gradients, strict=True):
            for weight, gradient in zip(
                network.trainable_variables, of_network, strict=True
            ):
                weight.assign_sub(0.1 * gradient)
        logs = model.train_step(real)
        for name, value in (("d_loss", d_loss), ("g_loss", g_loss), ("pull_away", alike)):
            np.testing.assert_allclose(logs[name], value, rtol=1e-5)
        model.reset_metrics()
    assert 0.1 < np.mean(missing) < 0.9  # some on either side of the margin
    for mine, theirs in zip((g, d), (model.generator, model.discriminator), strict=True):
        for a, b in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_samples_beyond_the_margin_do_not_concern_d():
    model = compiled(margin=1e-3, pull_away=0.0)
    stream = noise.Stream.of_step(model.seed, model.step.value, 0)
    real, d = batch(0), model.discriminator
    scalars, found, _ = model.run_compiled(model.joint_gradients, stream, real)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(ebgan.norm(real, d(real)))
    np.testing.assert_allclose(scalars["d_loss"], loss, rtol=1e-6)
    expected = tape.gradient(loss, d.trainable_variables)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# Verdict and export.


def test_the_verdict_and_the_export_are_the_energy(tmp_path):
    model, x = compiled(), batch(9)
    copies = model.discriminator(x).numpy()
    energies = np.linalg.norm((x - copies).numpy().reshape(8, -1), axis=1)[:, None]
    np.testing.assert_allclose(model.critic_output(x), energies, rtol=1e-5)
    export.export(model, tmp_path / "export", "symmetric", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(served.reconstruct(x), copies, atol=1e-6)
    np.testing.assert_allclose(served.score(x), energies, rtol=1e-5)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert set(manifest["endpoints"]) == set(served.signatures)
    assert manifest["latent_law"] == "uniform"


# From the command line.


@pytest.mark.parametrize(
    ("dataset", "margin", "beta_1", "shape"),
    [
        ("digits", 2.5, 0.9, (8, 8, 1)),
        ("mnist", 10.0, 0.9, (28, 28, 1)),
        ("celeb_a", 20.0, 0.5, (64, 64, 3)),
        ("lsun/bedroom", 80.0, 0.5, (64, 64, 3)),
    ],
)
def test_each_data_set_has_its_margin_and_its_adam(dataset, margin, beta_1, shape):
    run = factories.values("ebgan", dataset=dataset, width=0 if shape[-1] == 1 else 2)
    settings = factories.settings("ebgan", shape, dataset=dataset)
    model = build("ebgan", settings, **vars(run.paper))
    assert (model.margin, model.weight) == (margin, 0.1)
    assert (model.d_optimizer.beta_1, model.g_optimizer.beta_1) == (beta_1, beta_1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"margin": 0.0}, "--margin=0.0: give a number above 0.0"),
        ({"margin": float("nan")}, "--margin=nan: give a number above"),
        ({"pull_away": -0.1}, "--pull_away=-0.1: give a number of 0.0 or more"),
    ],
)
def test_weights_that_make_no_sense_are_refused(given, words):
    with pytest.raises(UsageError, match=words):
        factories.options_of("ebgan", **given)
    with pytest.raises(ValueError, match=f"{next(iter(given))} is "):
        compiled(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"network": "unet"}, "mnist, convolutional"),
        ({"loss": "minimax"}, "takes norm"),
        ({"network": "convolutional"}, "--image_size=64"),
        ({"dataset": "ring", "value_range": "raw"}, "is for images"),
        ({"width": 8}, "--width is of --network=convolutional"),
    ],
    ids=str,
)
def test_a_run_that_makes_no_sense_is_refused(given, words):
    assert words in factories.refusal("ebgan", **given)
