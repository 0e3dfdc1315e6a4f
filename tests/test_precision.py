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
from tfgan_papers.papers import gan, gan_networks


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
