"""The SavedModel of a trained run, in a process without this package and Keras."""

import importlib.metadata
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers.runs.run import open_run

ONE_LEVEL = 1  # of 255: an image alone and among others may round apart
ROUNDING = 1e-6

SERVE = """
import importlib.machinery, sys

class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("tfgan_papers", "keras", "tf_keras"):
            return importlib.machinery.ModuleSpec(name, Absent)

    def create_module(spec):
        raise ModuleNotFoundError(spec.name)

    exec_module = None

sys.meta_path.insert(0, Absent)
import numpy as np
import tensorflow as tf

for name in ("tfgan_papers", "keras"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} can be imported")

served, given = tf.saved_model.load(sys.argv[1]), np.load(sys.argv[2])
z, images = given["z"], given["images"]
np.savez(
    sys.argv[3],
    signatures=sorted(served.signatures),
    five=served.sample(n=5, seed=7),
    five_again=served.sample(5, 7),
    five_by_signature=served.signatures["sample"](
        n=tf.constant(5), seed=tf.constant(7, tf.int64)
    )["images"],
    five_otherwise=served.sample(5, 8),
    one=served.sample(1, 7),
    none=served.sample(0, 7),
    unlike=[served.sample(5), served.sample(n=5)],
    scores_of_pixels=served.score(np.uint8(np.rint(255 * images))),
    sheet=served.sample(64, 0),
    generated=served.generate(z),
    by_default=served.signatures["serving_default"](z=tf.constant(z))["images"],
    among_others=served.generate(np.concatenate([given["others"], z])),
    one_by_one=np.concatenate([served.generate(row[None]) for row in z]),
    generated_from_doubles=served.generate(np.float64(z)),
    scores_of_doubles=served.score(np.float64(images)),
    scores=served.score(images),
    scores_by_signature=served.signatures["score"](images=tf.constant(images))["scores"],
    scores_one_by_one=np.concatenate([served.score(image[None]) for image in images]),
)
"""


@pytest.fixture(scope="module")
def given():
    draw = np.random.default_rng(3)
    z, others = (draw.uniform(-1.7, 1.7, (n, 100)).astype("float32") for n in (7, 50))
    images = draw.random((6, 8, 8, 1), np.float32)
    return {"z": z, "others": others, "images": images}


@pytest.fixture(scope="module")
def served(given, tmp_path_factory):
    """What the endpoints give, in a process with TensorFlow alone."""
    folder = tmp_path_factory.mktemp("served")
    np.savez(folder / "given.npz", **given)
    export = launch.trained().folder / "export"
    paths = [str(export), str(folder / "given.npz"), str(folder / "found.npz")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", SERVE, *paths],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=launch.PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(folder / "found.npz"))


@pytest.fixture(scope="module")
def model():
    """The trained model as the package itself restores it."""
    model, step = open_run({"logdir": str(launch.trained().folder)}).restored()
    assert step == launch.STEPS
    return model


@pytest.fixture(scope="module")
def weights():
    """The trainable weights in the newest checkpoint, (generator's, discriminator's)."""
    found = launch.tensors(launch.trained().folder)
    return [
        [
            found[
                f"{network}_optimizer/_trainable_variables/{i}/.ATTRIBUTES/VARIABLE_VALUE"
            ]
            for i in range(6)
        ]
        for network in "gd"
    ]


def test_endpoints_are_those_that_are_promised(served):
    assert list(served["signatures"]) == ["generate", "sample", "score", "serving_default"]


def test_without_a_seed_samples_are_others_each_time(served):
    some, others = served["unlike"]
    assert some.shape == (5, 8, 8, 1) and some.dtype == np.uint8
    assert (some != others).mean() > 0.2


def test_pixels_of_8_bits_are_scored_as_the_images_that_they_are(served, model, given):
    images = np.float32(np.rint(255 * given["images"])) / 255
    expected = model.discriminator(images, training=False)
    np.testing.assert_allclose(served["scores_of_pixels"], expected, rtol=1e-4, atol=1e-5)


def test_numbers_of_64_bits_as_numpy_has_them_are_taken(served):
    np.testing.assert_array_equal(served["generated_from_doubles"], served["generated"])
    np.testing.assert_array_equal(served["scores_of_doubles"], served["scores"])


def test_samples_are_uint8_images_that_the_seed_decides(served):
    assert served["five"].dtype == np.uint8
    assert served["five"].shape == (5, 8, 8, 1)
    assert served["one"].shape == (1, 8, 8, 1)
    assert served["none"].shape == (0, 8, 8, 1)
    np.testing.assert_array_equal(served["five"], served["five_again"])
    np.testing.assert_array_equal(served["five"], served["five_by_signature"])
    assert (served["five"] != served["five_otherwise"]).mean() > 0.2
    assert (served["five"][0] != served["five"][1]).mean() > 0.2
    one, first = (served[name][0].astype(int) for name in ("one", "five"))
    assert abs(one - first).max() <= ONE_LEVEL  # a smaller n is a part of the larger


def test_generate_is_the_restored_models_generator(served, given, model):
    expected = model(given["z"]).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(served["generated"], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(
        served["by_default"], served["generated"], rtol=0, atol=ROUNDING
    )


def test_generate_is_the_checkpoints_perceptron_in_numpy(served, given, weights):
    w1, b1, w2, b2, w3, b3 = (np.float64(w) for w in weights[0])
    hidden = np.maximum(np.maximum(given["z"] @ w1 + b1, 0) @ w2 + b2, 0)
    pixels = 1 / (1 + np.exp(-(hidden @ w3 + b3)))
    found = served["generated"].reshape(7, 64)
    np.testing.assert_allclose(found, pixels, rtol=0, atol=ROUNDING)


def test_score_is_the_restored_models_discriminator(served, given, model):
    expected = model.discriminator(given["images"], training=False).numpy()
    assert served["scores"].shape == (6, 1)
    np.testing.assert_allclose(served["scores"], expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(served["scores_by_signature"], served["scores"])


def test_score_is_the_checkpoints_maxout_network_in_numpy(served, given, weights):
    w1, b1, w2, b2, w3, b3 = (np.float64(w) for w in weights[1])
    x = given["images"].reshape(6, 64)
    x = (x @ w1 + b1).reshape(6, 5, 240).max(1)
    x = (x @ w2 + b2).reshape(6, 5, 240).max(1)
    expected = x @ w3 + b3
    assert np.ptp(expected) > 100 * ROUNDING
    np.testing.assert_allclose(served["scores"], expected, rtol=0, atol=ROUNDING)


def test_an_image_does_not_depend_on_its_batch_mates(served):
    for batched in (served["among_others"][50:], served["one_by_one"]):
        np.testing.assert_allclose(batched, served["generated"], rtol=0, atol=ROUNDING)
    alone = served["scores_one_by_one"]
    np.testing.assert_allclose(alone, served["scores"], rtol=0, atol=ROUNDING)


def test_the_last_sheet_shows_the_images_of_seed_0(served):
    path = launch.trained().folder / "samples" / f"step-{launch.STEPS:09d}.png"
    sheet = np.asarray(Image.open(path), int)
    rows = [slice(2 + 66 * i, 66 + 66 * i) for i in range(8)]
    tiles = np.stack([sheet[row, column] for row in rows for column in rows])
    images = served["sheet"].astype(int).repeat(8, 1).repeat(8, 2)
    assert abs(tiles - images).max() <= ONE_LEVEL


def test_manifest_tells_the_truth(served):
    folder = launch.trained().folder
    manifest = json.loads((folder / "export" / "manifest.json").read_text())
    endpoints = manifest["endpoints"]
    assert sorted(endpoints) == list(served["signatures"])
    assert endpoints["serving_default"] == "generate"
    images = ["n", 8, 8, 1]
    assert endpoints["generate"] == {"z": ["n", 100], "returns": {"images": images}}
    assert endpoints["score"] == {"images": images, "returns": {"scores": ["n", 1]}}
    assert endpoints["sample"]["returns"] == {"images": "uint8 (n, 8, 8, 1)"}
    signatures = tf.saved_model.load(str(folder / "export")).signatures
    for name, signature in signatures.items():
        of = endpoints["generate" if name == "serving_default" else name]
        assert list(signature.structured_outputs) == list(of["returns"])
    _, specs = signatures["sample"].structured_input_signature
    expected = {name: spec.dtype.name for name, spec in specs.items()}
    assert endpoints["sample"] | expected == endpoints["sample"]
    assert manifest["value_range"] == "unit"
    assert 0 <= served["generated"].min() < served["generated"].max() <= 1
    assert manifest["latent_law"] == "uniform_sqrt3"
    assert manifest["latents"] == "z ~ U(-1.732, 1.732), shape (100,)"
    assert manifest["pixels"].startswith("float32, 0 (black) to 1 (white)")
    assert manifest["pixel_limits"] == [0, 1]
    assert manifest["formats"] == {"saved_model": ["generate", "sample", "score"]}
    assert manifest["data"]["dataset"] == "digits"
    assert manifest["data_licence"].startswith("CC BY 4.0")
    assert manifest["depend_on_batch_mates"] == []
    assert (manifest["model"], manifest["step"]) == ("gan", launch.STEPS)
    run = json.loads((folder / "run.json").read_text())
    assert manifest["run_id"] == run["run_id"]
    versions = manifest["versions"]
    assert versions.pop("python") == ".".join(map(str, sys.version_info[:3]))
    assert {"tfgan-papers", "tensorflow", "keras"} <= set(versions)
    assert versions == {name: importlib.metadata.version(name) for name in versions}


def test_latents_of_sample_follow_the_manifests_law(served, weights):
    """G's first layer, inverted in NumPy, is not needed: the extremes of the law show in
    the mean image, so compare means over the sheet with those of a draw of our own."""
    draw = np.random.default_rng(4).uniform(-(3**0.5), 3**0.5, (4000, 100))
    w1, b1, w2, b2, w3, b3 = (np.float64(w) for w in weights[0])
    hidden = np.maximum(np.maximum(draw @ w1 + b1, 0) @ w2 + b2, 0)
    pixels = 255 / (1 + np.exp(-(hidden @ w3 + b3)))
    found = served["sheet"].reshape(64, 64).astype(float)
    error = pixels.std(0) / 64**0.5
    assert (abs(found.mean(0) - pixels.mean(0)) < 5 * error + 0.5).all()
    assert found.std() == pytest.approx(pixels.std(), rel=0.05)


def test_mode_export_writes_it_anew_from_the_checkpoint(served):
    with launch.copy_of_trained("history", "tensorboard") as folder:
        export = folder / "export"
        before = launch.contents(export)
        (export / "saved_model.pb").write_bytes(b"not a model")
        (export / "stale").write_text("of an older export")
        ended = launch.within("--mode=export", f"--logdir={folder}")
        assert ended.code == 0, ended.err
        assert ended.out.splitlines() == [str(export)]
        assert set(launch.contents(export)) == set(before)
        assert sorted(path.name for path in folder.glob("export*")) == ["export"]
        manifest = (export / "manifest.json").read_bytes()
        assert manifest == before["manifest.json"]
        again = tf.saved_model.load(str(export))
        np.testing.assert_array_equal(again.sample(n=5, seed=7), served["five"])
