"""BEGAN: counts of its networks, its controls, its step against a second implementation."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories, launch
from tests.factories import build
from tfgan_papers import noise
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import began, began_networks, contract
from tfgan_papers.runs import export
from tfgan_papers.runs.checkpoints import Checkpoints

AUTHORS, PLAIN = began.NETWORKS["authors"], began.NETWORKS["plain"]


# Networks.


def built(side=16, width=4, style=AUTHORS, colours=1, **sizes):
    return began.networks(
        (side, side, colours), style._replace(width=width), Draw(3), **sizes
    )


@pytest.mark.parametrize(
    ("side", "width", "style", "of_g", "of_d"),
    [
        (128, 128, AUTHORS, 2_158_979, 15_109_059),  # Sec. 4.1: 17.3 million
        (64, 128, AUTHORS, 1_716_355, 8_832_579),
        (64, 64, AUTHORS, 563_267, 2_868_035),
        (32, 64, AUTHORS, 452_547, 1_720_579),
        (128, 128, PLAIN, 2_011_779, 23_221_443),
    ],
)
def test_networks_have_the_papers_number_of_weights(side, width, style, of_g, of_d):
    """G's are those of D's decoder, and not the same (Sec. 3.5)."""
    generator, discriminator = built(side, width, style, 3)
    of_each = [network.trainable_weights for network in (generator, discriminator)]
    shapes = [[tuple(weight.shape) for weight in weights] for weights in of_each]
    assert [sum(map(math.prod, each)) for each in shapes] == [of_g, of_d]
    assert shapes[1][-len(shapes[0]) :] == shapes[0]
    assert not set(map(id, of_each[0])) & set(map(id, of_each[1]))
    assert generator.output_shape == discriminator.output_shape == (None, side, side, 3)


@pytest.mark.parametrize("side", [16, 32, 64, 256])
def test_the_last_downsampled_map_is_8x8_and_h_is_linear(side):
    _, discriminator = built(side, 2)
    flat = next(x for x in discriminator.layers if isinstance(x, keras.layers.Flatten))
    assert flat.input.shape[1:3] == (8, 8)
    to_h = [x for x in discriminator.layers if isinstance(x, keras.layers.Dense)]
    assert [layer.activation for layer in to_h] == [keras.activations.linear] * 2


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (48, 48, 3), (16, 32, 1), (2,)])
def test_sizes_that_are_not_8_times_a_power_of_two_are_refused(shape):
    with pytest.raises(ValueError, match="8 times a power of two"):
        began.networks(shape, AUTHORS, Draw(0))


def residual_network():
    x = keras.Input((8, 8, 2))
    carry = began_networks.Carry()(x)
    return keras.Model(
        x, began_networks.residuals(x, carry, 2, keras.initializers.GlorotUniform)
    )


def test_a_residual_is_the_identity_at_carry_1_and_the_convolution_at_0(rng):
    network = residual_network()
    x = tf.constant(rng.normal(size=(3, 8, 8, 2)), tf.float32)
    carry, convolution = network.layers[1], network.layers[2]
    np.testing.assert_array_equal(network(x), x)
    carry.carry.assign(0.0)
    np.testing.assert_array_equal(network(x), convolution(x))
    carry.carry.assign(0.25)
    np.testing.assert_allclose(network(x), 0.25 * x + 0.75 * convolution(x), atol=1e-7)


def test_a_carry_in_a_nested_network_falls_too():
    x, z = keras.Input((8, 8, 2)), keras.Input((3,))
    inner = residual_network()
    made = keras.layers.Reshape((8, 8, 2))(keras.layers.Dense(128)(z))
    model = began.BEGAN(keras.Model(z, made), keras.Model(x, inner(x)), carry_steps=4)
    model.compile("adam", "adam")
    for step, carry in ((0, 1.0), (3, 0.25), (9, 0.0)):
        model.step.assign(step)
        model.set_carry()
        assert float(tf.convert_to_tensor(inner.layers[1].carry)) == carry


def test_noise_is_added_to_the_images_that_d_sees_and_reconstructs():
    """BEGAN-8. A D that gives its input has no loss, and one that gives 0 the mean of
    |noise|."""
    for scale, expected in ((1.0, 0.0), (0.0, 0.25 * math.sqrt(2 / math.pi))):
        z, x = keras.Input((3,)), keras.Input((8, 8, 1))
        made = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(z))
        generator = keras.Model(z, made)
        autoencoder = keras.Model(x, keras.layers.Rescaling(scale)(x))
        model = began.BEGAN(generator, autoencoder, image_noise=0.25)
        with noise.use(noise.Stream.of_step(1, tf.constant(0, tf.int64), 0)):
            (found, _), _, _ = model.joint_gradients(tf.zeros((200, 8, 8, 1)), 0.0)
        assert float(found) == pytest.approx(expected, abs=0.003)


def test_weights_start_as_in_each_code():
    for network in built(32, 32):
        for kernel in (w.numpy() for w in network.trainable_weights if len(w.shape) > 1):
            assert np.abs(kernel).max() <= 0.02  # truncated at two deviations
            np.testing.assert_allclose(kernel.std(), 0.01 * 0.88, rtol=0.15)
    kernel = built(16, 64, PLAIN)[1].layers[2].kernel.numpy()
    assert kernel.shape == (3, 3, 64, 64)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (2 * 9 * 64)), rtol=0.05)


# The step.


def compiled(model, optimizer=keras.optimizers.SGD, rate=0.1, **kwargs):
    model.compile(optimizer(rate), optimizer(rate), **kwargs)
    return model


def strong(network):
    """Weights a few times as large, so that images and gradients are not near zero."""
    for weight in network.trainable_weights:
        weight.assign(weight * 16.0)
    return network


def small(width=4, **options):
    return began.BEGAN(*map(strong, built(16, width, n_h=5, n_z=3)), seed=5, **options)


def images(rng, n=8):
    return tf.constant(rng.uniform(-1, 1, (n, 16, 16, 1)), tf.float32)


def latents_of_step(model, rows):
    base = noise.Stream.of_step(model.seed, model.step.value, 0).branch()
    return noise.latents(model.prior_name, base, (rows, model.latent_dim))


def test_step_is_the_papers_equations_with_two_passes(rng):
    """Three losses, each by a tape of its own and fakes made anew; k by NumPy."""
    model = compiled(small(gamma=0.7, lambda_k=0.3, carry_steps=4))
    g, d = built(16, 4, n_h=5, n_z=3)
    for mine, other in zip((g, d), (model.generator, model.discriminator), strict=True):
        mine.set_weights(other.get_weights())
    k, ks = 0.0, []
    for step in range(6):
        real, z = images(rng), latents_of_step(model, 8)
        for network in (g, d):
            for weight in network.non_trainable_weights:
                weight.assign(max(0.0, 1 - step / 4))

        def error(v):
            return tf.reduce_mean(tf.abs(v - d(v)))

        with tf.GradientTape() as d_tape:
            d_loss = error(real) - k * error(tf.stop_gradient(g(z)))
        with tf.GradientTape() as g_tape:
            g_loss = error(g(z))
        gradients = [
            tape.gradient(loss, network.trainable_variables)
            for tape, loss, network in ((d_tape, d_loss, d), (g_tape, g_loss, g))
        ]
        on_data = float(error(real))
        for network, of_network in zip((d, g), gradients, strict=True):
            for weight, gradient in zip(
                network.trainable_variables, of_network, strict=True
            ):
                weight.assign_sub(0.1 * gradient)
        logs = model.train_step(real)
        balance = 0.7 * on_data - float(g_loss)
        expected = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": on_data,
            "k": k,
            "m_global": on_data + abs(balance),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(logs[name], value, rtol=1e-4, atol=1e-6)
        model.reset_metrics()
        k = min(max(k + 0.3 * balance, 0.0), 1.0)
        ks.append(k)
        np.testing.assert_allclose(model.k.value, k, rtol=1e-4, atol=1e-6)
    assert 0 < max(ks) and len(set(ks)) > 3  # it did enter D's loss
    for mine, theirs in zip((g, d), (model.generator, model.discriminator), strict=True):
        for a, b in zip(mine.trainable_weights, theirs.trainable_weights, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("gamma", "end"), [(1.0, 1.0), (0.0, 0.0)])
def test_what_is_stored_of_k_stays_between_0_and_1(gamma, end, rng):
    model = compiled(small(gamma=gamma, lambda_k=1e3), rate=0.0)
    model.generator.layers[-1].bias.assign([0.3] if gamma == 0 else [0.0])
    if gamma:  # G draws what D returns: black is reproduced best
        for weight in model.generator.trainable_weights:
            weight.assign(weight * 0.0)
    for _ in range(3):
        model.train_step(images(rng))
        assert float(model.k.value) == end


def test_g_feels_both_paths(rng):
    """Its gradient is neither that through G(z) alone, nor that through D(G(z)) alone."""
    model = compiled(small(carry_steps=0))
    model.set_carry()
    real, z = images(rng), latents_of_step(model, 8)
    stream = noise.Stream.of_step(model.seed, model.step.value, 0)
    _, _, found = model.run_compiled(model.joint_gradients, stream, real, tf.constant(0.3))
    g, d = model.generator, model.discriminator

    def gradient(target, output):
        with tf.GradientTape() as tape:
            fake = g(z)
            loss = tf.reduce_mean(tf.abs(target(fake) - output(d(fake))))
        return tape.gradient(loss, g.trainable_variables)[-1].numpy()

    stop = tf.stop_gradient
    np.testing.assert_allclose(found[-1], gradient(tf.identity, tf.identity), rtol=1e-4)
    for partial in (gradient(stop, tf.identity), gradient(tf.identity, stop)):
        assert np.abs(partial - found[-1]).max() > 1e-5


# The learning rates.


def halved(values, stall_steps=20, floor=0.02, rate=0.1):
    """The learning rate after each step, for a sequence of M_global."""
    model = compiled(small(stall_steps=stall_steps, learning_rate_floor=floor), rate=rate)
    rates = []
    for value in values:
        model.halve_if_stalled(tf.constant(value, tf.float32))
        model.step.assign_add(1)
        rates.append(float(tf.convert_to_tensor(model.d_optimizer.learning_rate)))
        assert rates[-1] == float(tf.convert_to_tensor(model.g_optimizer.learning_rate))
    return model, np.array(rates)


def test_rates_halve_when_m_global_stalls_and_end_at_the_floor():
    model, rates = halved([1.0] * 100)
    # the first check, at step 2, is a best; ten more without one end at steps 22, 42, 62
    np.testing.assert_allclose(rates[:21], 0.1)
    np.testing.assert_allclose(rates[21:41], 0.05)
    np.testing.assert_allclose(rates[41:61], 0.025)
    np.testing.assert_allclose(rates[61:], 0.02)
    assert "stalled" in model.status_message() and "0.02" in model.status_message()


def test_rates_stay_while_m_global_falls():
    model, rates = halved(np.linspace(1, 0.5, 100))
    np.testing.assert_allclose(rates, 0.1)
    assert model.status_message() == "G's learning rate is 0.1"


def test_a_new_best_puts_the_halving_off():
    _, rates = halved([1.0] * 18 + [0.5] * 2 + [1.0] * 30)
    np.testing.assert_allclose(rates[:39], 0.1)
    np.testing.assert_allclose(rates[39:], 0.05)


def test_d_s_rate_is_its_own_until_the_rates_are_halved():
    model = small(stall_steps=20, d_rate=0.5)
    model.compile(keras.optimizers.SGD(0.3), keras.optimizers.SGD(0.1))
    of_d = []
    for _ in range(22):
        model.halve_if_stalled(tf.constant(1.0))
        model.step.assign_add(1)
        of_d.append(float(tf.convert_to_tensor(model.d_optimizer.learning_rate)))
    np.testing.assert_allclose(of_d, [0.3] * 21 + [0.5 * 0.05], rtol=1e-6)


def test_d_s_own_rate_is_halved_if_d_rate_is_not_given():
    model = small(stall_steps=20, learning_rate_floor=4e-4)
    model.compile(keras.optimizers.SGD(1e-4), keras.optimizers.SGD(1e-3))
    rates = []
    for _ in range(42):
        model.halve_if_stalled(tf.constant(1.0))
        model.step.assign_add(1)
        both = model.d_optimizer, model.g_optimizer
        rates.append([float(tf.convert_to_tensor(each.learning_rate)) for each in both])
    np.testing.assert_allclose(rates[20], [1e-4, 1e-3], rtol=1e-6)
    np.testing.assert_allclose(rates[21], [5e-5, 5e-4], rtol=1e-6)
    np.testing.assert_allclose(rates[41], [4e-5, 4e-4], rtol=1e-6)  # the floor


@pytest.mark.parametrize("dataset", ["printed_digits", "digits", "mnist"])
def test_a_run_with_fidelity_to_the_code_has_the_ports_rate_and_schedule(dataset):
    """On digits both values of --fidelity once had our schedule."""
    values = factories.values("began", dataset=dataset, fidelity="code")
    assert values.training.learning_rate == 8e-5
    assert (values.paper.halving_steps, values.paper.learning_rate_floor) == (0, 2e-5)
    assert values.paper.d_rate == 1.0
    ours = factories.values("began", dataset=dataset)
    assert ours.training.learning_rate != 8e-5


def test_fidelity_to_the_code_halves_every_100000_steps():
    model = build("began", settings(fidelity="code", learning_rate=8e-5), width=2)
    schedule = model.g_optimizer._learning_rate
    steps = (0, 99_999, 100_000, 200_000, 300_000, 900_000)
    found = [float(schedule(tf.constant(step))) for step in steps]
    np.testing.assert_allclose(found, [8e-5, 8e-5, 4e-5, 2e-5, 2e-5, 2e-5])
    assert not model.check_steps


# Precision.


def test_controls_and_images_stay_float32_under_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = compiled(small(lambda_k=1e-7, gamma=1.0))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.k.dtype == model.generator.output.dtype == "float32"
    assert model.discriminator.output.dtype == "float32"
    logs = model.train_step(images(rng))
    assert all(value.dtype == tf.float32 for value in logs.values())
    expected = 1e-7 * (float(logs["d_real"]) - float(logs["g_loss"]))
    np.testing.assert_allclose(model.k.value, max(0, expected), rtol=1e-5)


# Verdict and export.


def test_the_verdict_and_the_export_are_the_error_of_reconstruction(tmp_path, rng):
    model = compiled(small(carry_steps=2))
    for _ in range(2):
        model.train_step(images(rng))
    x = images(rng)
    copies = model.discriminator(x).numpy()
    error = np.abs(x - copies).mean((1, 2, 3))[:, None]
    assert np.ptp(error) > 1e-4
    np.testing.assert_allclose(model.critic_output(x), error, rtol=1e-5)
    export.export(model, tmp_path / "export", "symmetric", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    z = 40 * rng.normal(size=(4, model.latent_dim)).astype("float32")
    drawn = model.generate(z).numpy()
    assert abs(drawn).max() > 1.2  # the generator of BEGAN has no bounds
    np.testing.assert_allclose(served.generate(z), np.clip(drawn, -1, 1), atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(x), copies, atol=1e-6)
    np.testing.assert_allclose(served.score(x), error, atol=1e-6)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert set(manifest["endpoints"]) == set(served.signatures)
    assert manifest["endpoints"]["reconstruct"]["returns"] == {"copies": ["n", 16, 16, 1]}


# From the command line.


def settings(shape=(16, 16, 1), **changes):
    return factories.settings("began", shape, **{"learning_rate": 1e-4, **changes})


def test_adam_has_its_defaults_and_both_networks_the_papers_rate():
    model = build("began", settings(), width=2, n_h=6, n_z=7)
    for optimizer in (model.d_optimizer, model.g_optimizer):
        assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)
        np.testing.assert_allclose(optimizer.learning_rate, 1e-4)
    assert model.latent_dim == 7 and model.prior_name == "uniform"


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ({"halving_steps": 600}, "--halving_steps=600"),
        ({"fidelity": "code"}, "--fidelity="),
    ],
)
def test_a_stall_beside_fixed_halvings_is_warned_of(given, beside, caplog):
    contract.warn_of_no_effect.cache_clear()
    of = settings(**{k: v for k, v in given.items() if k == "fidelity"})
    more = {k: v for k, v in given.items() if k != "fidelity"}
    for _ in range(2):  # warned of once
        build("began", of, width=2, stall_steps=50, **more)
    assert caplog.text.count(f"--stall_steps has no effect with {beside}") == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gamma": 1.5}, "--gamma=1.5: give a number from 0.0 to 1.0"),
        ({"gamma": float("nan")}, "--gamma=nan: give a number from"),
        ({"lambda_k": -1.0}, "--lambda_k=-1.0: give a number of 0.0 or more"),
        ({"stall_steps": 15}, "stall_steps is 15"),
        ({"learning_rate_floor": 1.0}, "--learning_rate_floor=1.0 is above"),
    ],
)
def test_controls_that_make_no_sense_are_refused(given, words):
    with pytest.raises(UsageError, match=words):
        build("began", settings(), width=2, **given)


@pytest.mark.parametrize(
    "given", [{"gamma": -0.1}, {"gamma": float("nan")}, {"lambda_k": -1.0}], ids=str
)
def test_the_model_refuses_them_too(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} is "):
        small(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image_size": 28}, "8 times a power of two"),
        ({"dataset": "ring", "value_range": "raw"}, "8 times a power of two"),
        ({"network": "unet"}, "authors, plain"),
        ({"loss": "minimax"}, "l1, l2"),
        ({"learning_rate": 1e-7}, "--learning_rate_floor=1e-06 is above"),
    ],
    ids=str,
)
def test_a_run_that_makes_no_sense_is_refused(given, words):
    assert words in factories.refusal("began", **given)


def test_a_model_stopped_in_the_carry_ramp_and_in_a_stall_has_the_weights_of_the_whole(
    tmp_path, rng
):
    def begun():
        return compiled(small(carry_steps=6, stall_steps=10), rate=0.05)

    whole, batches = begun(), [images(rng, 2) for _ in range(24)]
    rates, stalls = [], []
    for step, batch in enumerate(batches, 1):
        whole.train_step(batch)
        rates.append(float(whole.g_optimizer.learning_rate))
        stalls.append(float(tf.convert_to_tensor(whole.stalled.value)))
        if step in (3, 18):  # the first in the ramp
            Checkpoints(tmp_path, whole).save(step)
    assert 0 < stalls[17] < 10 and rates[-1] < rates[17]  # the second in a stall
    for first in (3, 18):
        resumed = begun()
        assert Checkpoints(tmp_path, resumed).restore(before=first + 1) == first
        for batch in batches[first:]:
            resumed.train_step(batch)
        for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_run_says_its_learning_rate_and_that_it_stalls_at_the_floor(tmp_path):
    ended = launch.within(
        *("--model=began", "--width=2", "--batch_size=8", "--jit_compile=false"),
        *("--halving_steps=0", "--stall_steps=10", "--carry_steps=0"),
        *("--learning_rate=0.05", "--learning_rate_floor=0.05"),  # M_global soon stalls
        *("--report_steps=5", "--steps=40", f"--logdir={tmp_path / 'run'}"),
    )
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    assert "step 1: G's learning rate is 0.05" in lines
    assert [line for line in lines if "stalled with G's learning rate at its floor" in line]
