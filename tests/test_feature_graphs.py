"""Frozen graphs as feature networks, built here with the nodes of the real ones."""

import hashlib
import http.client
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import inception

V1 = tf.compat.v1


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """name -> (path, weights (12, 5), bias): the nodes of the real graphs around means over
    the four quarters of an image."""
    folder, draw = tmp_path_factory.mktemp("graphs"), np.random.default_rng(0)
    weights, bias = np.float32(draw.normal(size=(12, 5))), np.float32(draw.normal(size=5))
    made = {}
    for name in ("inception_2015", "tfgan"):
        with tf.Graph().as_default() as graph:
            if name == "tfgan":
                x = V1.placeholder(tf.float32, (None, 299, 299, 3), name="Mul")
            else:
                x = V1.placeholder(tf.float32, (1, None, None, 3), name="ExpandDims")
                x = V1.image.resize_bilinear(x, [299, 299])
                x = (x - 128.0) / 128.0
            x = tf.image.resize(x, [2, 2], method="area")
            pool = tf.reshape(x, [-1, 1, 1, 12], name="pool_3")
            kernel = tf.constant(weights, name="softmax/weights")
            # that of 2015 is for one image from here on, as what it decodes is one
            flat = tf.reshape(pool, [-1 if name == "tfgan" else 1, 12])
            product = tf.matmul(flat, kernel, name="softmax/logits/MatMul")
            tf.add(product, bias, name="logits")
        path = folder / f"{name}.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
        made[name] = path, weights, bias
    return made


@pytest.mark.parametrize("name", ["inception_2015", "tfgan"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_frozen_graph_gives_features_and_probabilities(
    graphs, name, channels, tmp_path, rng
):
    path, weights, bias = graphs[name]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    network = inception.frozen(name, str(path), sha256, tmp_path)
    images = rng.integers(0, 256, (5, 32, 32, channels), dtype=np.uint8)
    seen, probabilities = network.apply(images)
    colour = np.repeat(images, 4 - channels, 3) if channels == 1 else images
    old = V1.image.resize_bilinear  # corners, not centres, of pixels: as in 2015
    resized = (old(np.float32(colour), [299, 299]) - 128) / 128
    expected = tf.image.resize(resized, [2, 2], method="area").numpy().reshape(5, 12)
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)
    logits = expected @ weights + (bias if name == "tfgan" else 0)
    np.testing.assert_allclose(probabilities, softmax(logits, axis=1), rtol=1e-4)
    assert network.sha256 == sha256 and "bilinear" in network.resize


@pytest.mark.parametrize("name", ["inception_2015", "tfgan"])
def test_a_frozen_graph_sees_a_batch_as_it_sees_each_image(graphs, name, tmp_path, rng):
    network = inception.frozen(name, str(graphs[name][0]), None, tmp_path)
    images = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    alone = [network.apply(image[None]) for image in images]
    for batched, parts in zip(network.apply(images), zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(batched, np.concatenate(parts), rtol=1e-5, atol=1e-6)


def test_a_network_file_that_is_wrong_is_refused(graphs, tmp_path):
    path, *_ = graphs["tfgan"]
    with pytest.raises(UsageError, match=r"has the sha256 [0-9a-f]{64}, not 0123"):
        inception.frozen("tfgan", str(path), "0123", tmp_path)
    with pytest.raises(UsageError, match="not the graph that --features=inception_2015"):
        inception.frozen("inception_2015", str(path), None, tmp_path)
    (tmp_path / "text.pb").write_text("no graph")
    with pytest.raises(UsageError, match="not the graph"):
        inception.frozen("tfgan", str(tmp_path / "text.pb"), None, tmp_path)
    with pytest.raises(UserError, match="none.pb cannot be read"):
        inception.frozen("tfgan", str(tmp_path / "none.pb"), None, tmp_path)
    with pytest.raises(UsageError, match="needs --feature_file"):
        inception.frozen("tfgan", None, None, tmp_path)


def test_a_url_is_fetched_once(graphs, tmp_path):
    path, *_ = graphs["tfgan"]
    copy = tmp_path / "copy.pb"
    copy.write_bytes(path.read_bytes())
    first = inception.frozen("tfgan", copy.as_uri(), None, tmp_path / "cache")
    copy.unlink()
    assert inception.frozen("tfgan", copy.as_uri(), None, tmp_path / "cache").sha256 == (
        first.sha256
    )


def test_a_download_is_kept_once_it_is_known_to_be_whole(graphs, tmp_path):
    path, *_ = graphs["tfgan"]
    whole, sha256 = path.read_bytes(), hashlib.sha256(path.read_bytes()).hexdigest()
    copy, cache = tmp_path / "copy.pb", tmp_path / "cache"
    copy.write_bytes(whole[:-100])
    for given, said in ((sha256, "has the sha256"), (None, "is not the graph")):
        with pytest.raises(UsageError, match=said):
            inception.frozen("tfgan", copy.as_uri(), given, cache)
        assert not cache.exists()
    copy.write_bytes(whole)
    inception.frozen("tfgan", copy.as_uri(), sha256, cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(whole[:-100])  # damaged since
    for given, said in ((sha256, "has the sha256"), (None, "is not the graph")):
        with pytest.raises(UsageError, match=f"which is cached in {kept}, {said}"):
            inception.frozen("tfgan", copy.as_uri(), given, cache)


def test_a_download_that_breaks_off_is_one_line(tmp_path, monkeypatch):
    class Answer(io.BytesIO):
        def read(self):
            raise http.client.IncompleteRead(b"half", 4)

    monkeypatch.setattr(inception.urllib.request, "urlopen", lambda url, timeout: Answer())
    with pytest.raises(UserError, match="cannot be read: IncompleteRead"):
        inception.frozen("tfgan", "https://example.org/x.pb", None, tmp_path)


def test_keras_weights_that_cannot_be_had_take_one_line(monkeypatch):
    def offline(*arguments, **options):
        raise Exception("URL fetch failure on https://example.org/x.h5: None -- no route")

    monkeypatch.setattr(keras.applications, "InceptionV3", offline)
    with pytest.raises(UserError, match="URL fetch failure .* --features=classifier") as e:
        inception.inception_v3()
    assert "\n" not in str(e.value)
