"""Exports as ONNX, LiteRT and weights, each against the SavedModel of the same run."""

import functools
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgan_papers
from tests import factories, launch
from tests.tiny_models import LATENTS, compiled, generator
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.models import surgery
from tfgan_papers.models.generator import Generator
from tfgan_papers.runs import export, formats

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run in all formats, from the command line, first in a folder with brackets, which
    TensorFlow takes for a pattern."""
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    root = tmp_path_factory.mktemp("formats")
    folder = root / "models[1]" / "gan" / "1"
    ended = launch.within(
        *("--mode=export", f"--logdir={launch.trained().folder}"),
        *("--formats=saved_model,onnx,litert,weights", f"--export_dir={folder}"),
    )
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [str(folder)]
    return folder.rename(root / "export")


def by_onnx(folder, endpoint, **inputs):
    """What an endpoint gives in ONNX Runtime, output name -> array."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    session = runtime.InferenceSession(str(folder / f"{endpoint}.onnx"))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def by_litert(folder, endpoint, **inputs):
    """What an endpoint gives in the LiteRT interpreter, output name -> array."""
    interpreter = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="the extra [litert] is not installed"
    ).Interpreter(str(folder / "model.tflite"))
    return interpreter.get_signature_runner(endpoint)(**inputs)


RUNTIMES = pytest.mark.parametrize("run", [by_onnx, by_litert])


saved_model = functools.cache(tf.saved_model.load)


def assert_same(run, folder, endpoint, **inputs):
    signature = saved_model(str(folder)).signatures[endpoint]
    expected = signature(**{name: tf.constant(value) for name, value in inputs.items()})
    found = run(folder, endpoint, **inputs)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.ptp(values) > 10 * TOLERANCE
        np.testing.assert_allclose(found[name], values, rtol=TOLERANCE, atol=TOLERANCE)


@RUNTIMES
@pytest.mark.parametrize("n", [1, 7])
def test_a_run_gives_what_its_saved_model_gives(run, n, exported, rng):
    z = rng.uniform(-1.7, 1.7, (n, 100)).astype("float32")
    assert_same(run, exported, "generate", z=z)
    images = rng.random((n + 5, 8, 8, 1), np.float32)
    assert_same(run, exported, "score", images=images)


def characters():
    """A conditional generator with transposed convolutions and batch normalization."""
    of = factories.settings("lsgan", (8, 8, 1), network="characters", classes=3)
    return factories.build("lsgan", of, width=4)


CASES = {  # name -> its model, and the endpoints that are compared
    "an autoencoder as critic": (
        lambda: compiled("began"),
        ("generate", "score", "reconstruct"),
    ),
    "classes and convolutions": (characters, ("generate", "score")),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """Model, folder with all formats, and endpoints."""
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    make, endpoints = CASES[request.param]
    model, folder = make(), tmp_path_factory.mktemp("case") / "export"
    export.export(model, folder, "symmetric", {}, ("saved_model", "onnx", "litert"))
    return model, folder, endpoints


@RUNTIMES
def test_a_model_gives_what_its_saved_model_gives(run, case, rng):
    model, folder, endpoints = case
    shape, n = model.critic.inputs[0].shape[1:], 5
    given = {
        "z": rng.uniform(-1, 1, (n, model.latent_dim)).astype("float32"),
        "images": rng.uniform(-1, 1, (n, *shape)).astype("float32"),
        "label": rng.integers(0, 3, n).astype("int32"),
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    for endpoint in endpoints:
        takes = [name for name in manifest["endpoints"][endpoint] if name != "returns"]
        assert_same(run, folder, endpoint, **{name: given[name] for name in takes})


def test_a_loaded_export_takes_labels(case, rng):
    model, folder, _ = case
    if not model.classes:
        return
    generator = tfgan_papers.load(folder)
    z = tf.constant(rng.uniform(-1, 1, (3, model.latent_dim)), tf.float32)
    label = tf.constant([0, 1, 2])
    expected = model.generate(z, label)
    np.testing.assert_allclose(generator.generate(z, label), expected, atol=TOLERANCE)
    assert generator.sample(3, seed=1, label=2).shape == (3, 8, 8, 1)


def test_the_manifest_says_which_endpoints_each_format_has(exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    both, generator = ["generate", "score"], ["generate", "sample"]
    assert manifest["formats"] == {
        "saved_model": ["generate", "sample", "score"],
        "onnx": both,
        "litert": both,
        "weights": generator,
    }
    assert {path.name for path in exported.glob("*.onnx")} == {f"{e}.onnx" for e in both}


def with_virtual_batch_normalization(rng):
    reference = rng.normal(size=(5, LATENTS)).astype("float32")
    return surgery.with_virtual_batch_normalization(convolutional(), reference, "ones")


def convolutional():
    z = keras.Input((LATENTS,))
    x = keras.layers.Reshape((2, 2, 2))(keras.layers.Dense(8)(z))
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(z, keras.layers.Conv2DTranspose(1, 3, strides=2)(x))


NETWORKS = {
    "dense": lambda rng: generator(),
    "convolutional": lambda rng: convolutional(),
    "layers of this package": with_virtual_batch_normalization,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_the_generator_to_half_precision(name, tmp_path, rng):
    network = NETWORKS[name](rng)
    formats.weights(Generator(network, LATENTS, "uniform", "raw"), tmp_path)
    twin = formats.read_weights(tmp_path)
    weights = network.get_weights()
    for found, weight in zip(twin.get_weights(), weights, strict=True):
        np.testing.assert_allclose(found, weight, rtol=2**-11, atol=2**-25)
    z = rng.uniform(-1, 1, (6, LATENTS)).astype("float32")
    np.testing.assert_allclose(twin(z), network(z), atol=5e-3)


def test_a_weight_beyond_half_precision_is_kept_as_it_is():
    large = np.float32([1e5, 1.0])
    np.testing.assert_array_equal(formats.half(large), large)
    assert formats.half(np.float32([6e4])).dtype == np.float16


def test_damaged_weights_are_said(tmp_path):
    formats.weights(Generator(generator(), LATENTS, "uniform", "raw"), tmp_path)
    path = tmp_path / "generator.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="is damaged"):
        formats.read_weights(tmp_path)


def refused(folder, *arguments):
    ended = launch.within("--mode=export", f"--logdir={folder}", *arguments)
    assert ended.code == 2
    (line,) = ended.errors
    return line


def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch):
    folder = launch.trained().folder
    assert "there is saved_model, onnx, litert" in refused(folder, "--formats=caffe")
    (tmp_path / "photo.png").touch()
    assert "is not an export" in refused(folder, f"--export_dir={tmp_path}")
    assert (tmp_path / "photo.png").is_file()
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    to = f"--export_dir={tmp_path}/new"
    assert "pip install -e '.[onnx]'" in refused(folder, "--formats=onnx", to)


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_networks_in_16_bits_are_refused(name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = compiled("gan")
    finally:
        keras.config.set_dtype_policy("float32")
    endpoints = export.Endpoints(model, "unit")
    with pytest.raises(UsageError, match="--mixed_precision"):
        formats.FORMATS[name](endpoints, tmp_path)
