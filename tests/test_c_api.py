"""A program in C that knows nothing of Python generates the images of an export."""

import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.tools import saved_model_utils

from tests import launch

N = 3
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    folder, path = tf.sysconfig.get_lib(), tmp_path_factory.mktemp("c") / "generate"
    libraries = [f"{folder}/libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    command = [COMPILER, launch.ROOT / "examples" / "generate.c", f"-I{folder}/include"]
    command += ["-Wall", "-Werror", "-o", path, *libraries, f"-Wl,-rpath,{folder}"]
    subprocess.run(command, check=True)
    return path


def generate(program, export, names, shape, latents):
    sizes = map(str, shape)
    command = [program, export, *names, *sizes]
    return subprocess.run(command, input=latents, capture_output=True, check=False)


def test_c_generates_the_images_of_the_saved_model(program, rng):
    export = launch.trained().folder / "export"
    graph = saved_model_utils.get_meta_graph_def(str(export), "serve")
    signature = graph.signature_def["serving_default"]
    names = [signature.inputs["z"].name, signature.outputs["images"].name]
    head = (launch.ROOT / "examples" / "generate.c").read_text().split("*/")[0]
    assert all(name.removesuffix(":0") in head for name in names)  # a run of --model=gan
    served = tf.saved_model.load(str(export))
    z = rng.uniform(-1, 1, (N, served.signatures["serving_default"].inputs[0].shape[1]))
    z = z.astype("float32")
    ended = generate(program, export, names, z.shape, z.tobytes())
    assert ended.returncode == 0, ended.stderr
    expected = served.generate(z).numpy()
    found = np.frombuffer(ended.stdout, "float32").reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("n", "latents", "words"),
    [
        ("1", bytes(400), b"no operation nosuch"),
        ("1", b"", b"fewer than 100 numbers"),
        ("one", bytes(400), b"N and LATENT_DIM are whole numbers"),
    ],
)
def test_a_mistake_ends_with_one_line(program, n, latents, words):
    export = launch.trained().folder / "export"
    ended = generate(program, export, ("nosuch", "nosuch"), (n, 100), latents)
    assert ended.returncode > 0 and words in ended.stderr.splitlines()[-1]
