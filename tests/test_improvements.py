"""The techniques of Improved GAN as options, in networks and steps of other papers."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories, launch
from tfgan_papers import losses, noise
from tfgan_papers.data import HeldExamples
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.models import surgery
from tfgan_papers.papers import PAPERS, borrowed, contract, dcgan, gan, lsgan
from tfgan_papers.runs import export

NON_SATURATING = losses.LOSSES["non_saturating"]
ALL = {
    "feature_matching": "squared",
    "minibatch_kernels": 3,
    "historical_averaging": 0.5,
    "label_smoothing": 0.1,
    "reference_batch": 5,
}


def settings_of(model="gan", **given):
    """Settings of 8x8 grey images."""
    own = {"batch_size": 6, "steps_per_epoch": 10, "classes": 10, "learning_rate": 0.01}
    own |= {"dataset": "digits", "mean": np.full((8, 8, 1), 0.5), "loss": NON_SATURATING}
    return factories.settings(model, **{**own, **given})


def layer_kinds(network):
    return {type(layer).__name__ for layer in network._flatten_layers()}


def tiny():
    """G and D of points."""

    def dense(units, seed, **kwargs):
        kernel = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
        return keras.layers.Dense(units, kernel_initializer=kernel, **kwargs)

    z, x = keras.Input((3,)), keras.Input((4,))
    fake = dense(4, 2)(keras.layers.ReLU()(dense(8, 1)(z)))
    features = keras.layers.LeakyReLU(0.2, name="features")(dense(8, 3)(x))
    return keras.Model(z, fake), keras.Model(x, dense(1, 4)(features))


def compiled(model):
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), jit_compile=False)
    return model


# Networks.


def test_minibatch_features_go_before_the_last_layer(rng):
    _, discriminator = tiny()
    wider = surgery.with_minibatch_discrimination(discriminator, 5, 2)
    x = rng.normal(size=(7, 4)).astype("float32")
    before = keras.Model(discriminator.input, discriminator.get_layer("features").output)
    similar, last = wider.layers[-2:]
    expected = last(similar(before(x)))
    np.testing.assert_allclose(wider(x), expected, rtol=1e-6)
    assert last.kernel.shape == (8 + 5, 1)
    assert type(last) is type(discriminator.layers[-1])
    assert not np.allclose(wider(x)[:3], wider(x[:3]))


def test_an_export_with_minibatch_features_says_what_depends_on_batch_mates(tmp_path, rng):
    generator, discriminator = tiny()
    compared = surgery.with_minibatch_discrimination(discriminator, 5, 2)
    export.export(
        compiled(lsgan.LSGAN(generator, compared)), tmp_path / "export", "raw", {}
    )
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["depend_on_batch_mates"] == ["score"]
    served = tf.saved_model.load(str(tmp_path / "export"))
    x = rng.normal(size=(7, 4)).astype("float32")
    assert not np.allclose(served.score(x)[:3], served.score(x[:3]))
    z = rng.normal(size=(7, 3)).astype("float32")
    np.testing.assert_allclose(served.generate(z)[:3], served.generate(z[:3]), rtol=1e-5)


def small_generator():
    x = z = keras.Input((3,))
    x = keras.layers.Reshape((2, 2, 2))(keras.layers.Dense(8)(x))
    x = keras.layers.BatchNormalization(epsilon=1e-5)(x)
    return keras.Model(z, keras.layers.Conv2D(1, 2)(keras.layers.ReLU()(x)))


def test_samples_under_virtual_batch_normalization_stand_alone(rng):
    plain = small_generator()
    reference = rng.normal(size=(5, 3)).astype("float32")
    virtual = surgery.with_virtual_batch_normalization(plain, reference, "ones")
    body = next(x for x in virtual.layers if isinstance(x, keras.Model))
    body.set_weights([w.numpy() for w in plain.weights if "moving" not in w.path])
    z = rng.normal(size=(6, 3)).astype("float32")
    alone = np.concatenate([virtual(each[None]) for each in z])
    np.testing.assert_allclose(virtual(z), alone, rtol=1e-4, atol=1e-6)
    # the reference goes through as through batch normalization in training
    of_reference = body(np.concatenate([reference, z]))[:5]
    expected = plain(reference, training=True)
    np.testing.assert_allclose(of_reference, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        surgery.clone_with_weights(virtual)(z), virtual(z), rtol=1e-5
    )
    trained = {w.path for w in virtual.trainable_weights}
    assert len(trained) == len(plain.trainable_weights)


@pytest.mark.parametrize(
    ("generator", "shape", "words"),
    [
        (small_generator, (5, 4), r"has shape \(5, 4\), and the latents of G"),
        (lambda: tiny()[0], (5, 3), "no batch normalization"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(generator, shape, words):
    with pytest.raises(ValueError, match=words):
        surgery.with_virtual_batch_normalization(generator(), np.zeros(shape, "f4"))


# Steps.


def by_hand(networks, turns, z, real, weight):
    """SGD in the order of `turns`, G by feature matching, both with historical averaging
    of `weight`: the first mean is theta itself, so the penalty tells from the second."""
    generator, discriminator = networks
    kept = {"d": [], "g": []}
    features = discriminator.get_layer("features")
    hidden = keras.Model(discriminator.input, features.output)

    def d_loss(z):
        real_terms = tf.math.softplus(-discriminator(real))
        return tf.reduce_mean(real_terms + tf.math.softplus(discriminator(generator(z))))

    def g_loss(z):
        gap = tf.reduce_mean(hidden(real), 0) - tf.reduce_mean(hidden(generator(z)), 0)
        return tf.reduce_sum(gap**2)

    for turn, z_of_turn in zip(turns, z, strict=True):
        network, loss = {"d": (discriminator, d_loss), "g": (generator, g_loss)}[turn]
        variables = network.trainable_variables
        kept[turn].append([v.numpy() for v in variables])
        with tf.GradientTape() as tape:
            value = loss(z_of_turn)
        for i, (v, g) in enumerate(
            zip(variables, tape.gradient(value, variables), strict=True)
        ):
            mean = np.mean([theta[i] for theta in kept[turn]], 0)
            v.assign_sub(0.1 * (g + 2 * weight * (v - mean)))


def latents(step, branch, rows):
    stream = noise.Stream.of_step(2, tf.constant(step, tf.int64), 0)
    for _ in range(branch):
        base = stream.branch()
    return noise.latents("uniform", base, (rows, 3))


@pytest.mark.parametrize(
    ("kind", "turns", "branches"),
    [(dcgan.DCGAN, "gd", (1, 2)), (lsgan.LSGAN, "dg", (1, 1)), (gan.GAN, "dg", (1, 2))],
    ids=["dcgan", "lsgan", "gan"],
)
def test_steps_match_features_and_average_history(kind, turns, branches, rng):
    networks, twin = tiny(), tiny()
    model = compiled(
        kind(
            *networks,
            loss=NON_SATURATING,
            matching=losses.feature_matching,
            history=0.3,
            prior="uniform",
            seed=2,
        )
    )
    real = tf.constant(rng.normal(size=(6, 4)), tf.float32)
    for _ in range(3):
        model.train_step(real)
    z = [latents(step, branch, 6) for step in range(3) for branch in branches]
    by_hand(twin, turns * 3, z, real, 0.3)
    for mine, theirs in zip(networks, twin, strict=True):
        for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_both_at_once_match_features_too(rng):
    """GAN's code and LSGAN's mixture: G's gradient is that of the matched features."""
    generator, discriminator = tiny()
    model = compiled(
        gan.GAN(
            generator,
            discriminator,
            simultaneous=True,
            matching=losses.feature_matching,
            prior="uniform",
            seed=2,
        )
    )
    real = tf.constant(rng.normal(size=(6, 4)), tf.float32)
    z = latents(0, 1, 6)
    hidden = keras.Model(discriminator.input, discriminator.get_layer("features").output)
    with tf.GradientTape() as tape:
        gap = tf.reduce_mean(hidden(real), 0) - tf.reduce_mean(hidden(generator(z)), 0)
        expected = tf.reduce_sum(gap**2)
    wanted = tape.gradient(expected, generator.trainable_variables)
    before = generator.get_weights()
    logs = model.train_step(real)
    np.testing.assert_allclose(logs["g_loss"], expected, rtol=1e-5)
    for old, new, gradient in zip(before, generator.get_weights(), wanted, strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient, rtol=1e-4, atol=1e-6)


# By flag.


def test_without_flags_nothing_changes():
    networks = tiny()
    plain = factories.options_of("gan")
    *found, options = borrowed.apply_techniques(*networks, settings_of(), plain, Draw(0))
    assert found == [*networks]
    assert options == {"loss": NON_SATURATING, "history": 0.0, "matching": None}
    model = compiled(dcgan.DCGAN(*networks, **options))
    assert not model.histories and "generator_history" not in model.checkpointed()


@pytest.mark.parametrize("paper", ["dcgan", "lsgan"])
def test_all_of_them_at_once(paper, rng):
    model = factories.build(paper, settings_of(paper), width=4, **ALL)
    assert "MinibatchDiscrimination" in layer_kinds(model.discriminator)
    kinds = layer_kinds(model.generator)
    assert "VirtualBatchNormalization" in kinds and "BatchNormalization" not in kinds
    real = tf.constant(rng.uniform(-1, 1, (6, 8, 8, 1)), tf.float32)
    for _ in range(2):
        logs = model.train_step(real)
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert {"generator_history", "discriminator_history"} <= set(model.checkpointed())
    scores = np.linspace(-3, 3, 7)
    smoothed = 0.9 * NON_SATURATING.real(scores) + 0.1 * NON_SATURATING.fake(scores)
    np.testing.assert_allclose(model.loss_terms.real(scores), smoothed, rtol=1e-6)
    assert model.loss_terms.fake is NON_SATURATING.fake


@pytest.mark.parametrize(
    ("given", "settings", "words"),
    [
        ({"minibatch_kernels": 3}, {"batch_size": 1}, "each device has 1: raise"),
        ({"reference_batch": 1}, {}, "--reference_batch=1 has no variance"),
        ({"reference_batch": 4}, {}, "no batch normalization"),
    ],
)
def test_what_cannot_be_had_is_refused(given, settings, words):
    with pytest.raises(UsageError, match=words):
        factories.build("gan", settings_of(**settings), **given)


@pytest.mark.parametrize("network", ["", "mixture"])
def test_a_network_without_the_named_layer_is_refused(network, tmp_path):
    run = ("--model=lsgan", "--dataset=ring", "--feature_matching=mean")
    ended = launch.within(*run, f"--network={network}", f"--logdir={tmp_path}/run")
    named = f" --network={network}" if network else ""
    assert ended.code == 2
    assert ended.errors == [
        f"error: --feature_matching=mean: D{named} on --dataset=ring has no layer named "
        "features"
    ]
    assert not (tmp_path / "run").exists()


def test_what_is_matched_by_default_is_named_where_it_cannot_be(rng):
    networks = tiny()
    bare = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(UsageError, match="^--feature_matching=squared: D on --dataset="):
        borrowed.apply_techniques(
            *(networks[0], bare, settings_of(), factories.options_of("gan"), Draw(0)),
            matching="squared",
        )


@pytest.mark.parametrize("kernels", [0, 100])
@pytest.mark.parametrize(
    ("paper", "network"),
    [
        ("gan", ""),
        ("gan", "conditional"),
        ("dcgan", ""),
        ("dcgan", "conditional"),
        ("lsgan", ""),
    ],
)
def test_minibatch_features_begin_at_zero_and_nothing_else_moves(
    paper, network, kernels, rng
):
    images = rng.integers(0, 256, (40, 8, 8, 1)).astype("uint8")
    examples = HeldExamples("set", images, np.arange(40) % 10, [f"{i}" for i in range(10)])
    own = {} if paper == "gan" else {"width": 4}
    options = factories.options_of(paper, minibatch_kernels=kernels, **own)
    settings = settings_of(paper, batch_size=20, network=network)
    experiment = contract.experiment(PAPERS[paper], settings.dataset, network)
    value_range = experiment.defaults["value_range"]
    model = contract.build(PAPERS[paper], settings, options, jit_compile=False)
    first = [w.numpy() for w in model.weights]
    PAPERS[paper].initialize(model, examples, settings, options, value_range)
    conditional = model.classes > 0
    batch = next(iter(examples.stream(20, 5, value_range, labels=conditional)))
    batch, labels = batch if conditional else (batch, None)
    moved = {
        w.path.rpartition("/")[2]
        for w, old in zip(model.weights, first, strict=True)
        if not np.array_equal(w, old)
    }
    assert moved == ({"log_scale", "bias"} if kernels else set())
    with noise.use(noise.Stream.of_step(1, tf.constant(-1), 0)):
        logits = model.scores(batch, labels)
    assert abs(np.mean(logits)) < 0.5  # without the first pass .57 to 5.7


def test_models_that_take_none_say_so(tmp_path):
    ended = launch.within(
        "--model=began", "--minibatch_kernels=3", f"--logdir={tmp_path}/run"
    )
    assert ended.code == 2
    assert ended.errors == ["error: --model=began does not take --minibatch_kernels"]
    assert not (tmp_path / "run").exists()


def test_a_run_with_history_and_a_reference_goes_on_as_if_it_had_not_stopped(tmp_path):
    run = (
        *("--model=dcgan", "--width=4", "--batch_size=8", "--report_steps=2"),
        *("--deterministic", "--jit_compile=false", "--metrics="),
        *(f"--{name}={value}" for name, value in ALL.items()),
    )
    orders = (("pieces", 3), ("pieces", 6), ("straight", 6))
    for folder, steps in orders:
        logdir = f"--logdir={tmp_path / folder}"
        ended = launch.fork(*run, f"--steps={steps}", logdir, export=False)
        assert ended.code == 0, ended.err
    found, expected = (launch.tensors(tmp_path / f) for f in ("pieces", "straight"))
    (scale,) = (
        array
        for name, array in expected.items()
        if name.startswith("d_optimizer/_trainable") and array.shape == (3, 5)
    )
    assert np.abs(scale).max() > 0.1  # the first pass: Adam moves 2e-4 a step
    of_history = [name for name in expected if "generator_history/means" in name]
    assert of_history and any(expected[name].any() for name in of_history)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)
