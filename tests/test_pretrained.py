"""Generators of the package, of run folders and of exports; the server of examples/."""

import importlib.util
import io
import json
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgan_papers
from benchmarks import default_runs
from tests import launch
from tfgan_papers import figures, pretrained
from tfgan_papers.errors import UserError

BUDGET = 25e6  # bytes of all generators of the package


def test_a_sheet_without_data_or_training(tmp_path):
    ended = launch.within(
        "--mode=sample", "--pretrained=gan_digits", f"--logdir={tmp_path}/here"
    )
    assert ended.code == 0, ended.err
    (path,) = ended.out.splitlines()
    assert path == f"{tmp_path}/here/samples/sheet-step-000005000-seed0.png"
    drawn = tfgan_papers.load("gan_digits").sample(64, seed=0).numpy()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), figures.sheet(drawn, 8))


@pytest.mark.parametrize(
    ("method", "dataset", "side"), [("gan", "digits", 8), ("began", "printed_digits", 16)]
)
def test_the_digits_are_digits(method, dataset, side):
    images = tfgan_papers.load(f"{method}_{dataset}").sample(500, seed=1).numpy()
    assert images.shape == (500, side, side, 1) and images.dtype == np.uint8
    counts = np.bincount(default_runs.names(images, dataset), minlength=10)
    assert (counts >= 10).sum() >= 9


def test_each_generator_states_its_run_and_the_licence_of_its_data():
    folders = [pretrained.HERE / name for name in pretrained.names()]
    assert folders
    assert sum(f.stat().st_size for each in folders for f in each.iterdir()) < BUDGET
    page = (pretrained.HERE / "README.md").read_text()
    for folder in folders:
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["command"].startswith(("python main.py", "python -m tfgan_papers"))
        assert len(manifest["commit"]) == 40 and manifest["step"] > 0
        assert manifest["data_licence"] != "not recorded"
        assert f"| `{folder.name}` |" in page


def test_a_run_and_its_export_are_one_generator():
    folder = launch.trained().folder
    of_run, of_export = (tfgan_papers.load(f) for f in (folder, folder / "export"))
    served = tf.saved_model.load(str(folder / "export"))
    z = np.random.default_rng(1).uniform(-1.7, 1.7, (5, 100)).astype("float32")
    for generator in (of_run, of_export):
        np.testing.assert_allclose(generator.generate(z), served.generate(z), atol=1e-6)
        found = generator.sample(5, seed=7).numpy().astype(int)
        assert abs(found - served.sample(n=5, seed=7).numpy()).max() <= 1
        assert generator.manifest["latents"] == "z ~ U(-1.732, 1.732), shape (100,)"
    some, others = (of_run.sample(5).numpy() for _ in range(2))
    assert (some != others).mean() > 0.2


def test_what_is_no_generator_is_said(tmp_path):
    with pytest.raises(UserError, match=r"not a pretrained generator \(.*gan_digits"):
        tfgan_papers.load(tmp_path)
    for flags, words in (
        (("--model=began",), "leave out --model"),
        (("--sample=history",), "needs a run"),
        (("--label=3",), "the classes of this run are none"),
    ):
        ended = launch.within("--mode=sample", "--pretrained=gan_digits", *flags)
        assert ended.code == 2 and words in ended.errors[0]


@pytest.fixture(scope="module")
def address():
    """Of examples/serve_fastapi.py, which a real server serves on this machine."""
    uvicorn = pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")
    pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
    place = importlib.util.spec_from_file_location(
        "serve_fastapi", launch.ROOT / "examples" / "serve_fastapi.py"
    )
    example = importlib.util.module_from_spec(place)
    place.loader.exec_module(example)
    server = uvicorn.Server(uvicorn.Config(example.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.headers["content-type"], answer.read()


def test_the_server_refuses_a_label_that_the_generator_does_not_take(address):
    with pytest.raises(urllib.error.HTTPError, match="422"):
        get(f"{address}/sample?n=4&seed=7&label=3")


def test_the_server_gives_a_sheet_and_json(address):
    expected = tfgan_papers.load("gan_digits").sample(4, seed=7).numpy()
    kind, png = get(f"{address}/sample?n=4&seed=7")
    assert kind == "image/png"
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(sheet, figures.sheet(expected, 2))
    kind, text = get(f"{address}/sample?n=4&seed=7&form=json")
    assert kind == "application/json"
    np.testing.assert_array_equal(json.loads(text)["images"], expected)


def test_the_server_refuses_a_number_that_makes_no_sense(address):
    with pytest.raises(urllib.error.HTTPError, match="422"):
        get(f"{address}/sample?n=0")
