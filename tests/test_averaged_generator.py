"""The average of the generator's weights: its values, and that samples come from it."""

import json
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tests.strategies import two_replicas
from tfgan_papers.models import averaging
from tfgan_papers.papers.dcgan import DCGAN
from tfgan_papers.papers.lsgan import LSGAN
from tfgan_papers.runs import distribution
from tfgan_papers.runs.run import open_run

RATE, STEPS, BATCH = 0.1, 4, 8


def model_of(strategy, rate=RATE, normalized=True, accumulated=None, **options):
    with distribution.scope(strategy):
        keras.utils.set_random_seed(3)
        z, x = keras.Input((5,)), keras.Input((4,))
        hidden = keras.layers.Dense(6)(z)
        if normalized:
            hidden = keras.layers.BatchNormalization()(hidden)
        generator = keras.Model(z, keras.layers.Dense(4)(hidden))
        model = LSGAN(generator, keras.Model(x, keras.layers.Dense(1)(x)), seed=7)
        optimizers = (
            keras.optimizers.SGD(0.1, gradient_accumulation_steps=accumulated)
            for _ in range(2)
        )
        model.compile(*optimizers, **options)
        if rate:
            model.average_generator(rate)
    return model


def trained(strategy, rate=RATE, epochs=1, **options):
    """The model, and G's weights after each step."""
    model, past = model_of(strategy, rate, **options), []
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: past.append(model.generator.get_weights())
    )
    rng = np.random.default_rng(0)
    images = rng.normal(size=(STEPS * BATCH, 4)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices(images).batch(BATCH, drop_remainder=True)
    batches = distribution.distribute(strategy, batches)
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[keep])
    return model, past


@pytest.mark.parametrize("jit_compile", [False, True])
def test_average_is_the_weighted_mean_of_what_there_was(jit_compile):
    """By weights that do not know the start: the first step's is (1 - rate)^3 of the
    last's."""
    model, past = trained(tf.distribute.get_strategy(), jit_compile=jit_compile)
    shares = (1 - RATE) ** np.arange(STEPS)[::-1]
    for i, weight in enumerate(model.averaged_generator.weights):
        values = np.stack([weights[i] for weights in past])
        expected = np.average(values, 0, shares) if weight.trainable else values[-1]
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_with_gradient_accumulation_the_average_is_of_the_weights_after_each_move():
    model, past = trained(tf.distribute.get_strategy(), accumulated=2, epochs=2)
    assert model.g_optimizer.iterations == STEPS
    moved, shares = past[1::2], (1 - RATE) ** np.arange(STEPS)[::-1]
    for i, weight in enumerate(model.averaged_generator.weights):
        values = np.stack([weights[i] for weights in moved])
        expected = np.average(values, 0, shares) if weight.trainable else values[-1]
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("accumulated", [None, 2])
def test_the_average_counts_each_move_of_g_also_of_several_in_a_step(accumulated, rng):
    z, x = keras.Input((5,)), keras.Input((4,))
    networks = (
        keras.Model(z, keras.layers.Dense(4)(z)),
        keras.Model(x, keras.layers.Dense(1)(x)),
    )
    model = DCGAN(*networks, port=True, generator_average=RATE)
    sgds = (
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=accumulated) for _ in range(2)
    )
    model.compile(*sgds)
    past, apply = [], model.apply_gradients

    def noted(network, gradients):
        moved = apply(network, gradients)
        if network == "generator" and bool(moved):
            past.append(model.generator.get_weights())
        return moved

    model.apply_gradients = noted
    for _ in range(3):
        model.train_step((tf.constant(rng.normal(size=(8, 4)), tf.float32),))
    assert len(past) == 6 // (accumulated or 1)
    shares = (1 - RATE) ** np.arange(len(past))[::-1]
    for i, weight in enumerate(model.averaged_generator.weights):
        expected = np.average(np.stack([weights[i] for weights in past]), 0, shares)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_average_survives_another_compile():
    model, past = trained(tf.distribute.get_strategy())
    sgds = (keras.optimizers.SGD(0.0) for _ in range(2))  # G stays where it is
    model.compile(*sgds)
    images = np.ones((BATCH, 4), "float32")
    model.fit(images, batch_size=BATCH, verbose=0)
    shares = (1 - RATE) ** np.arange(STEPS + 1)[::-1]
    for i, weight in enumerate(model.averaged_generator.weights):
        if weight.trainable:
            values = np.stack([weights[i] for weights in [*past, past[-1]]])
            expected = np.average(values, 0, shares)
            np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_average_survives_saving_without_the_optimizers(tmp_path):
    model, past = trained(tf.distribute.get_strategy())
    before = [weight.numpy() for weight in model.averaged_generator.trainable_weights]
    model.save(tmp_path / "model.keras")
    for compiled in (True, False):
        twin = keras.saving.load_model(tmp_path / "model.keras", compile=compiled)
        if not compiled:
            twin.compile(*(keras.optimizers.SGD(0.0) for _ in range(2)))
        for each in twin.named_optimizers.values():
            each.learning_rate = 0.0
        twin.fit(np.ones((BATCH, 4), "float32"), batch_size=BATCH, verbose=0)
        weights = twin.generator.trainable_weights
        rate = float(averaging.debiased_rate(RATE, tf.constant(STEPS + 1)))
        for mean, old, weight in zip(
            twin.averaged_generator.trainable_weights, before, weights, strict=True
        ):
            expected = old + rate * (weight.numpy() - old)
            np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_average_at_rate_1_is_the_generator():
    model, past = trained(tf.distribute.get_strategy(), rate=1.0)
    for weight, last in zip(model.averaged_generator.weights, past[-1], strict=True):
        np.testing.assert_allclose(weight.numpy(), last, rtol=1e-6, atol=1e-7)


def test_training_does_not_know_of_the_average():
    averaged, _ = trained(tf.distribute.get_strategy())
    plain, _ = trained(tf.distribute.get_strategy(), rate=0.0)
    for network in ("generator", "discriminator"):
        pairs = zip(
            getattr(averaged, network).weights, getattr(plain, network).weights, strict=True
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_two_replicas_average_as_one_device_does():
    """Without batch normalization, whose statistics are of a replica's share."""
    one, past = trained(tf.distribute.get_strategy(), normalized=False)
    both, _ = trained(two_replicas(), normalized=False)
    means = (model.averaged_generator.weights for model in (one, both))
    for mean, mirrored, last in zip(*means, past[-1], strict=True):
        np.testing.assert_allclose(mean.numpy(), mirrored.numpy(), atol=1e-6)
        assert np.abs(mean.numpy() - last).max() > 1e-4


def test_on_two_replicas_the_average_has_the_statistics_that_the_generator_has():
    model, _ = trained(two_replicas())
    pairs = zip(model.averaged_generator.weights, model.generator.weights, strict=True)
    statistics = [(a.numpy(), b.numpy()) for a, b in pairs if not b.trainable]
    assert len(statistics) == 2
    for mean, weight in statistics:
        np.testing.assert_array_equal(mean, weight)


def test_samples_are_of_the_average_unless_the_raw_generator_is_asked_for():
    model, _ = trained(tf.distribute.get_strategy())
    z = tf.random.stateless_normal((3, 5), [1, 2])
    averaged, raw = (
        network(z, training=False).numpy()
        for network in (model.averaged_generator, model.generator)
    )
    assert np.abs(averaged - raw).max() > 1e-3
    np.testing.assert_array_equal(model.generate(z), averaged)
    np.testing.assert_array_equal(model(z), averaged)
    assert model.sampling_generator_name == "averaged"
    model.sampling_generator = model.generator
    np.testing.assert_array_equal(model.generate(z), raw)
    assert model.sampling_generator_name == "raw"


def test_rate_without_bias_gives_a_constant_back_from_the_first_move_on():
    mean = 5.0
    for t in range(1, 20):
        mean += averaging.debiased_rate(0.01, tf.constant(t)).numpy() * (2.0 - mean)
        assert mean == pytest.approx(2.0, abs=1e-5)


RUN = (
    *(
        "--model=dcgan",
        "--dataset=digits",
        "--image_size=16",
        "--width=4",
        "--deterministic",
    ),
    *("--generator_average=0.05", "--report_steps=3", "--checkpoint_steps=3", "--steps=9"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of a run, and of one that was killed on its way and went on."""
    folders = [tmp_path_factory.mktemp("averaged") / name for name in ("whole", "parts")]
    whole = launch.POOL.submit(launch.fork, *RUN, f"--logdir={folders[0]}", export=False)
    process = launch.Launched(*RUN, f"--logdir={folders[1]}", fresh=False)
    process.reported(6)  # so the checkpoint of step 3 is whole
    process.signal(signal.SIGKILL)
    process.ended()
    ended = launch.fork(*RUN, f"--logdir={folders[1]}", export=False)
    assert ended.code == 0 and ended.restarted_from, ended
    assert whole.result().code == 0, whole.result().err
    return folders


def test_a_killed_run_that_went_on_has_the_average_of_the_uninterrupted_one(runs):
    whole, parts = (launch.tensors(folder) for folder in runs)
    assert whole.keys() == parts.keys()
    assert any(name.startswith("averaged_generator/") for name in whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)


@pytest.mark.parametrize("which", ["averaged", "raw"])
def test_export_and_scores_say_which_generator_they_are_of(which, runs):
    folder = runs[0]
    asked = () if which == "averaged" else ("--generator=raw",)
    for mode in ("--mode=export", "--mode=evaluate"):
        score = (
            ("--metrics=diversity", "--test_split=train[80%:]")
            if mode == "--mode=evaluate"
            else ()
        )
        ended = launch.within(mode, f"--logdir={folder}", *score, *asked)
        assert ended.code == 0, ended.err
    manifest = json.loads((folder / "export" / "manifest.json").read_text())
    assert manifest["generator"] == which
    (*_, entry) = json.loads((folder / "scores.json").read_text())
    assert entry["generator"] == which
    served = tf.saved_model.load(str(folder / "export"))
    z = tf.random.stateless_normal((4, manifest["endpoints"]["generate"]["z"][1]), [1, 2])
    model, _ = open_run({"logdir": str(folder)}).restored()
    both = {"averaged": model.averaged_generator, "raw": model.generator}
    exported = [v.numpy() for v in served.signatures["generate"].variables]
    for name, network in both.items():
        same = [
            any(np.array_equal(weight, each) for each in exported)
            for weight in network.trainable_weights
        ]
        assert all(same) if name == which else not any(same)
    assert np.isfinite(served.generate(z).numpy()).all()


def test_run_remembers_which_generator_it_samples(tmp_path):
    folder = tmp_path / "run"
    steps = (*RUN[:-1], "--steps=3", f"--logdir={folder}", "--generator=raw")
    assert launch.fork(*steps, export=False).code == 0
    assert launch.fork("--steps=6", f"--logdir={folder}").code == 0
    manifest = json.loads((folder / "export" / "manifest.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    assert manifest["generator"] == summary["generator"] == "raw"


def test_a_run_without_an_average_goes_on_without_one(tmp_path):
    """So does one from before there was the flag."""
    folder = tmp_path / "run"
    base = ("--model=gan", "--steps=2", "--report_steps=1", "--jit_compile=false")
    assert launch.within(*base, f"--logdir={folder}").code == 0
    for steps in (3, 4):
        ended = launch.within(*base, f"--logdir={folder}", "--generator_average=0.01")
        assert ended.code == 2
        assert "--generator_average=0.01 (there: 0.0)" in ended.errors[0]
        assert launch.within(*base, f"--logdir={folder}", f"--steps={steps}").code == 0
        lines = (folder / "flags.txt").read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("--generator")]
        assert len(kept) == len(lines) - 1
        (folder / "flags.txt").write_text("".join(kept))  # as an old run has it


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--model=gan", "--generator=raw"), "--generator=raw needs a run with an"),
        (("--model=vae", "--generator_average=0.1"), "--generator_average needs an adv"),
    ],
)
def test_what_cannot_be_averaged_is_refused(flags, says, tmp_path):
    ended = launch.within(*flags, f"--logdir={tmp_path / 'run'}")
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert ended.errors[0].startswith(f"error: {says}")
    assert not (tmp_path / "run" / "flags.txt").exists()
