"""The inference network: against a linear generator, and from the command line."""

import json

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers import noise
from tfgan_papers.commands import inference
from tfgan_papers.models.generative import GenerativeModel
from tfgan_papers.runs.run import open_run


class Linear:
    """A generator whose samples are a mixing of z with orthonormal columns."""

    prior_name, latent_dim, seed, classes = "uniform", 3, 5, 0

    def __init__(self, rng):
        mixing, _ = np.linalg.qr(rng.normal(size=(16, 3)))
        self.mixing = tf.constant(mixing, tf.float32)
        inputs = keras.Input((3,))
        layer = keras.layers.Dense(16, use_bias=False)
        self.generator = keras.Model(inputs, keras.layers.Reshape((4, 4, 1))(layer(inputs)))
        layer.set_weights([mixing.T])

    def generate(self, z, labels=None):
        return self.generator(z)


def test_z_of_a_linear_generator_is_learnt_within_its_bounds(rng):
    model = Linear(rng)
    network = inference.inference_network(model)
    before = [w.numpy() for w in model.generator.weights]
    error = inference.train(network, model, 400, seed=1)
    z = rng.uniform(-1, 1, (200, 3)).astype("float32")
    found = network(model.generate(z)).numpy()
    assert error < 0.01 and np.square(found - z).mean() < 0.01  # var U(-1, 1) is 1/3
    assert np.abs(found).max() <= 1.0
    for weight, value in zip(model.generator.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_the_network_is_float32_whatever_the_policy_of_the_run(rng):
    model = Linear(rng)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for model.prior_name in ("uniform", "normal", "spherical"):
            network = inference.inference_network(model)
            assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
            assert np.isfinite(inference.train(network, model, 1, seed=1))
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_network_of_a_normal_prior_is_not_bounded(rng):
    model = Linear(rng)
    model.prior_name = "normal"
    assert np.isinf(noise.PRIORS["normal"]).all()
    network = inference.inference_network(model)
    network.get_layer("z").bias.assign([5.0, -5.0, 9.0])
    found = network(tf.zeros((1, 4, 4, 1))).numpy()
    np.testing.assert_allclose(found, [[5.0, -5.0, 9.0]])


def test_the_network_of_a_spherical_prior_gives_points_on_the_sphere(rng):
    model = Linear(rng)
    model.prior_name = "spherical"
    network = inference.inference_network(model)
    found = network(rng.normal(size=(7, 4, 4, 1)).astype("float32")).numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inference") / "run"
    arguments = [a for a in launch.BASE if a != "--deterministic"]
    infer = ("--mode=infer", "--inference_steps=3", f"--record={folder.parent}/found.json")
    for further in ((*arguments,), infer):
        ended = launch.within(*further, f"--logdir={folder}")
        assert ended.code == 0, ended.err[-2000:]
    return folder


def test_the_sheet_has_held_out_images_and_both_reconstructions(folder):
    with Image.open(folder / "samples" / "inference.png") as image:
        width, height = image.size
    assert width > height  # ten columns, three rows
    facts = json.loads((folder / "inference.json").read_text())
    assert facts["images"] == inference.IMAGES and facts["steps"] == 3
    assert facts["optimization_error"] < facts["network_error"]


def test_the_record_has_the_errors_and_the_run_and_its_sheet_is_beside_it(folder):
    record = json.loads((folder.parent / "found.json").read_text())
    facts = json.loads((folder / "inference.json").read_text())
    assert record["details"] == facts and record["value"] == facts["network_error"]
    assert (record["steps"], record["claim"], record["dataset"]) == (20, None, "digits")
    run = json.loads((folder / "run.json").read_text())
    assert record["run_id"] == run["run_id"] and record["trained_by"] == run["command"]
    sheet = (folder / "samples" / "inference.png").read_bytes()
    assert (folder.parent / "found.png").read_bytes() == sheet


def test_the_network_is_saved(folder):
    network = keras.saving.load_model(folder / "inference.keras")
    assert network.output_shape == (None, 100)


def test_with_classes_images_are_found_under_their_labels(tmp_path, monkeypatch):
    run = ("--model=gan", "--network=conditional", "--dataset=digits")
    short = ("--steps=1", "--report_steps=1", "--batch_size=4", "--jit_compile=false")
    ended = launch.within(*run, *short, f"--logdir={tmp_path}")
    assert ended.code == 0, ended.err
    given, generate = [], GenerativeModel.generate

    def watched(self, z, labels=None):
        given.append(labels)
        return generate(self, z, labels)

    monkeypatch.setattr(GenerativeModel, "generate", watched)
    ended = launch.within("--mode=infer", "--inference_steps=2", f"--logdir={tmp_path}")
    assert ended.code == 0, ended.err
    images, labels = inference.held_out(open_run({"logdir": str(tmp_path)}), labels=True)
    digits = sklearn.datasets.load_digits()
    for image, label in zip(images, labels, strict=True):
        sixteenths = np.rint(16 * image[..., 0])
        (same,) = np.nonzero((digits.images == sixteenths).all((1, 2)))
        assert digits.target[same[0]] == label
    arrays = [each for each in given if isinstance(each, np.ndarray)]
    assert len(arrays) == 2  # of the network's z and of the embedded ones
    for array in arrays:
        np.testing.assert_array_equal(array, labels)


def test_the_network_of_a_generator_with_classes_sees_all_of_them(rng):
    model, classes = Linear(rng), 2 * inference.BATCH_SIZE + 1
    model.classes, counts = classes, tf.Variable(tf.zeros(classes))

    def generate(z, labels):
        counts.scatter_add(tf.IndexedSlices(tf.ones(len(z)), labels))
        return model.generator(z)

    model.generate = generate
    inference.train(inference.inference_network(model), model, 3, seed=1)
    assert set(counts.numpy()) == {1.0, 2.0}
