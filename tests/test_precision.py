"""Every precision trains, with and without XLA, and values that must be float32 are."""

import json

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

from tests import launch
from tests.tiny_models import FURTHER, LATENTS, MODELS, fit
from tfgan_papers import layers
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import began_networks, gan, gan_networks


@pytest.fixture
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"], indirect=True)
def test_discriminator_learns_and_scores_images_and_weights_are_float32(
    policy, jit_compile
):
    images = np.float32(sklearn.datasets.load_digits().images[..., None] / 16)
    networks = gan_networks.mnist_networks((8, 8, 1), images.mean(0), Draw(0))
    model = gan.GAN(*networks, simultaneous=True, prior="uniform_sqrt3")
    # D alone moves: against a generator that stands still its loss has to fall.
    optimizers = keras.optimizers.Adam(1e-3), keras.optimizers.SGD(0.0)
    model.compile(*optimizers, jit_compile=jit_compile)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(100, drop_remainder=True)
    history = model.fit(dataset.repeat(), steps_per_epoch=8, epochs=4, verbose=0).history
    assert history["d_loss"][0] == pytest.approx(np.log(2), abs=0.1)
    assert history["d_loss"][-1] < 0.85 * history["d_loss"][0]
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert model.discriminator(images[:2]).dtype == tf.float32
    assert model(tf.zeros((2, gan_networks.LATENT_DIM))).dtype == tf.float32
    maxout = next(layer for layer in networks[1].layers if isinstance(layer, layers.Maxout))
    assert maxout.compute_dtype == policy.removeprefix("mixed_")


def in_bfloat16(network):
    """The network with all layers in the policy, also those that are pinned to float32."""

    def unpinned(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})

    found = keras.models.clone_model(network, clone_function=unpinned)
    assert {x.dtype for x in found.outputs} == {"bfloat16"}
    return found


@pytest.mark.parametrize("name", [*MODELS, *FURTHER])
@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
def test_samples_and_scores_of_networks_in_bfloat16_are_float32(policy, name, tmp_path):
    model = (MODELS | FURTHER)[name]()
    parts = zip(("generator", model.partner_name), model.networks, strict=True)
    own = {part: in_bfloat16(network) for part, network in parts}
    model = type(model).from_config(model.get_config() | own)
    model.compile("adam", "adam")
    assert all(map(np.isfinite, fit(model, name, 1).values()))
    z = tf.fill((2, LATENTS), 0.3)
    samples = model.generate(z)
    scores = model.critic_output(samples)
    assert samples.dtype == scores.dtype == tf.float32
    for network in model.networks:
        assert {x.dtype for x in network.outputs} == {"float32"}
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(twin.generate(z), samples)


def relative_error(found, expected):
    found, expected = (np.float32(tf.cast(x, tf.float32)) for x in (found, expected))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("style", ["authors", "plain"])
def test_began_in_bfloat16_is_began_in_float32(style, tmp_path, rng):
    """Eagerly: in a graph, TensorFlow fuses its ELU into an exact kernel on some CPUs."""
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            narrow = began_networks.NETWORKS[style]._replace(width=8)
            found.append(began_networks.networks((16, 16, 1), narrow, Draw(0)))
        finally:
            keras.config.set_dtype_policy("float32")
    for exact, rounded in zip(*found, strict=True):
        rounded.set_weights(exact.get_weights())
        inputs = rng.uniform(-1, 1, (4, *exact.inputs[0].shape[1:])).astype("float32")
        expected = exact(inputs)
        assert 0 < relative_error(rounded(inputs), expected) < 0.03
        rounded.save(tmp_path / "network.keras")
        twin = keras.saving.load_model(tmp_path / "network.keras")
        np.testing.assert_array_equal(twin(inputs), rounded(inputs))
        activations = {getattr(x, "activation", None) for x in exact.layers}
        assert keras.activations.elu in activations  # so float32 is Keras' own


def test_elu_in_bfloat16_is_that_of_float32_near_zero():
    x = tf.constant([-3.0, -0.5, -0.004, -0.002, -0.001, -5e-4, 0.0, 1e-3], tf.bfloat16)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        found = began_networks.elu_in_float32(x)
        expected = tf.nn.elu(tf.cast(x, tf.float32))
    assert found.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=2**-8)
    slopes, of_float32 = (tape.gradient(y, x) for y in (found, expected))
    np.testing.assert_array_equal(slopes, of_float32)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_bias_of_a_transposed_convolution_has_its_gradient_in_bfloat16(symmetric, rng):
    """TensorFlow's sum of thousands of equal terms in bfloat16 stops growing."""
    x = rng.normal(size=(16, 8, 8, 4)).astype("float32")
    weights = rng.normal(size=(5, 5, 2, 4)), np.array([0.25, -0.5])
    found = []
    for policy in ("mixed_bfloat16", "float32"):
        layer = layers.UpConv2D(2, 5, symmetric, dtype=policy, activation="sigmoid")
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            images = layer(x)
            loss = tf.reduce_sum(tf.cast(images, tf.float32))
        found.append((images, tape.gradient(loss, layer.bias.value)))
    for rounded, exact in zip(*found, strict=True):
        assert relative_error(rounded, exact) < 0.02


def test_a_run_trains_is_watched_and_serves_in_bfloat16(tmp_path):
    """tests/test_contract.py has every model."""
    ended = launch.within(
        "--model=began", "--mixed_precision=mixed_bfloat16", "--steps=2",
        "--report_steps=1", "--jit_compile=false", f"--logdir={tmp_path}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    watched = json.loads((tmp_path / "collapse.json").read_text())
    assert np.isfinite(watched["reports"][-1]["diversity"])
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    served = tf.saved_model.load(str(tmp_path / "export"))
    images = served.generate(tf.zeros((2, manifest["endpoints"]["generate"]["z"][1])))
    assert images.dtype == tf.float32 and np.isfinite(images).all()
    assert served.score(images).dtype == tf.float32
