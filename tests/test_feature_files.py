"""Feature networks from files: the same scores as NumPy from the same outputs."""

import hashlib
import json
import sys
import types

import keras
import numpy as np
import pytest
import scipy.linalg
from PIL import Image

from tests import launch
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import feature_files

SIDE, UNITS = 6, 5


@pytest.fixture(scope="module")
def kernel():
    return np.random.default_rng(4).normal(size=(3 * SIDE * SIDE, UNITS)).astype("float32")


def flat_features(images, kernel, scale, channels_first=False):
    """Features of uint8 colour images of the network's size, by NumPy."""
    x = images / 255.0
    if scale == "imagenet":
        x = (x - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    elif scale == "symmetric":
        x = 2 * x - 1
    x = x.transpose(0, 3, 1, 2) if channels_first else x
    return np.tanh(x.reshape(len(x), -1) @ kernel)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory, kernel):
    x = images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(UNITS, "tanh", use_bias=False, name="features")(x)
    model = keras.Model(images, keras.layers.Dense(2, name="logits")(x))
    model.get_layer("features").set_weights([kernel])
    path = tmp_path_factory.mktemp("keras") / "network.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory, kernel):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["product"]),
            helper.make_node("Tanh", ["product"], ["features"]),
            helper.make_node("Neg", ["features"], ["last"]),
        ],
        "features",
        [helper.make_tensor_value_info("images", kind, ["n", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("features", kind, ["n", UNITS]),
            helper.make_tensor_value_info("last", kind, ["n", UNITS]),
        ],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(8)
    return rng.integers(0, 256, (12, SIDE, SIDE, 3)).astype("uint8")


@pytest.mark.parametrize("scale", ["unit", "symmetric", "imagenet"])
def test_a_keras_layer_sees_scaled_pixels(keras_file, kernel, images, scale):
    network = feature_files.load("keras", str(keras_file), "features", scale, None)
    features, _ = network.apply(images)
    np.testing.assert_allclose(features, flat_features(images, kernel, scale), atol=1e-5)
    assert network.sha256 == hashlib.sha256(keras_file.read_bytes()).hexdigest()
    assert network.facts == {"feature_layer": "features", "feature_range": scale}


@pytest.mark.parametrize("layer, sign", [("features", 1), ("", -1)])
def test_an_onnx_output_sees_channels_first(onnx_file, kernel, images, layer, sign):
    network = feature_files.load("onnx", str(onnx_file), layer, "imagenet", None)
    features, _ = network.apply(images)
    expected = sign * flat_features(images, kernel, "imagenet", channels_first=True)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert network.resize == "bilinear to 6x6, not antialiased"


def test_grey_images_of_another_size_become_the_networks(keras_file, kernel):
    network = feature_files.load("keras", str(keras_file), "features", "unit", None)
    grey = np.full((2, 28, 28, 1), 100, np.uint8)
    features, _ = network.apply(grey)
    expected = flat_features(np.full((2, SIDE, SIDE, 3), 100.0), kernel, "unit")
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"file": None}, UsageError, "needs --feature_file"),
        ({"file": "absent.keras"}, UserError, "cannot be read: No such file"),
        ({"layer": "pool"}, UsageError, "it has .*flat, features, logits"),
        ({"sha256": "0" * 64}, UsageError, "has the sha256 .*, not 000"),
    ],
)
def test_what_is_not_there_is_refused(keras_file, change, error, message):
    given = {"file": str(keras_file), "layer": "", "scale": "unit", "sha256": None}
    with pytest.raises(error, match=message):
        feature_files.load("keras", **given | change)


def grey_file(folder, batch=None):
    images = keras.Input((SIDE, SIDE, 1), batch_size=batch)
    path = folder / "grey.keras"
    keras.Model(images, keras.layers.Flatten()(images)).save(path)
    return str(path)


def test_colour_images_are_refused_by_a_grey_network(tmp_path, images):
    network = feature_files.load("keras", grey_file(tmp_path), "", "unit", None)
    features, _ = network.apply(images[..., :1])
    np.testing.assert_allclose(features, images[..., 0].reshape(12, -1) / 255, rtol=1e-5)
    with pytest.raises(UsageError, match="images of 1 channel, and these have 3"):
        network.apply(images)


def test_the_range_of_colours_is_refused_for_a_grey_network(tmp_path):
    with pytest.raises(UsageError, match="imagenet is for 3 channels, and .* takes 1"):
        feature_files.load("keras", grey_file(tmp_path), "", "imagenet", None)


def onnxruntime_of(*shape):
    """An onnxruntime that reads every file as a network with an input of this shape."""
    session = types.SimpleNamespace(
        get_inputs=lambda: [types.SimpleNamespace(name="images", shape=list(shape))],
        get_outputs=lambda: [types.SimpleNamespace(name="features")],
    )
    return types.SimpleNamespace(InferenceSession=lambda *_, **__: session)


@pytest.mark.parametrize("kind", ["keras", "onnx"])
def test_a_fixed_batch_size_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime_of(4, 3, SIDE, SIDE))
    with pytest.raises(UsageError, match="takes exactly 4 images .* a dynamic batch size"):
        feature_files.load(kind, grey_file(tmp_path, batch=4), "", "unit", None)


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "network.keras"
    path.write_bytes(b"text")
    with pytest.raises(UserError, match="is not a Keras model"):
        feature_files.load("keras", str(path), "", "unit", None)


def test_frechet_distance_by_main_is_that_of_numpy(keras_file, kernel, tmp_path):
    """Of two folders' worth of images, features by NumPy and the square root by SciPy."""
    rng = np.random.default_rng(9)
    sets = {}
    for name, low in (("real", 0), ("scored", 90)):
        sets[name] = rng.integers(low, 256, (40, SIDE, SIDE, 3)).astype("uint8")
        (tmp_path / name).mkdir()
        for i, image in enumerate(sets[name]):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    ended = launch.within(
        *("--mode=evaluate", "--metrics=frechet_distance", "--dataset=folder"),
        *(f"--data_dir={tmp_path / 'real'}", f"--images={tmp_path / 'scored'}"),
        *("--train_split=train", "--test_split=train", f"--score_cache={tmp_path / 'c'}"),
        *("--features=keras", f"--feature_file={keras_file}", "--feature_layer=features"),
        f"--record={tmp_path / 'record.json'}",
    )
    assert ended.code == 0, ended.err[-2000:]
    a, b = (flat_features(sets[n], kernel, "unit") for n in ("real", "scored"))
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(a.mean(0) - b.mean(0)).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root)
    written = float(ended.out.split(": ")[1].split()[0])
    assert written == pytest.approx(expected, rel=0.02)
    assert "feature_layer features, feature_range unit" in ended.out
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["value"] == pytest.approx(expected, rel=0.02)
    assert record["claim"] is record["verdict"] is None and record["steps"] == 0
    assert (
        record["details"]["features_sha256"]
        == hashlib.sha256(keras_file.read_bytes()).hexdigest()
    )
