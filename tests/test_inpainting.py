"""The generator of a part of an image: what it may change, and that it uses the rest."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers import noise
from tfgan_papers.commands import inpainting
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan_inpainting

SHAPE = (8, 6, 1)


@pytest.mark.parametrize(
    ("part", "rows", "columns"),
    [
        ("right", (0, 8), (3, 6)),
        ("left", (0, 8), (0, 3)),
        ("top", (0, 4), (0, 6)),
        ("bottom", (4, 8), (0, 6)),
        ("centre", (2, 6), (1, 4)),
    ],
)
def test_a_part_is_a_half_or_the_centre(part, rows, columns):
    expected = np.zeros((8, 6, 1))
    expected[slice(*rows), slice(*columns)] = 1
    np.testing.assert_array_equal(gan_inpainting.mask(SHAPE, part), expected)


def model(part="right", seed=1):
    pair = gan_inpainting.networks(SHAPE, (0.0, 1.0), Draw(seed))
    return gan_inpainting.InpaintingGAN(*pair, part=part, seed=seed)


def test_g_sees_noise_in_the_part_and_changes_only_it(rng):
    made = model()
    images, values = rng.uniform(0, 1, (2, 5, *SHAPE)).astype("float32")
    found = made.completed(images, values).numpy()
    given = images.copy()
    given[:, :, 3:] = values[:, :, 3:]
    np.testing.assert_array_equal(found[:, :, :3], images[:, :, :3])
    np.testing.assert_allclose(found[:, :, 3:], made.generator(given)[:, :, 3:], rtol=1e-6)
    other = images.copy()
    other[:, :, 3:] = 0  # what the part was has no effect
    np.testing.assert_allclose(
        made.completed(other, values)[:, :, 3:], found[:, :, 3:], atol=1e-6
    )


def test_d_sees_the_completed_images_in_both_steps(rng):
    made = model()
    images = tf.constant(rng.uniform(0, 1, (5, *SHAPE)), tf.float32)
    with noise.use(noise.Stream.of_step(1, tf.constant(3, tf.int64), 0)):
        found = made.samples_for(images, None)
    with noise.use(noise.Stream.of_step(1, tf.constant(3, tf.int64), 0)) as stream:
        values = stream.normal((5, *SHAPE))
    np.testing.assert_allclose(found, made.completed(images, values, training=True))


def test_the_part_follows_from_the_rest(monkeypatch):
    """The right half is as bright as the left: the mean image would be wrong by .25."""
    monkeypatch.setattr(gan_inpainting, "UNITS", (64, 64))
    monkeypatch.setattr(gan_inpainting, "D_UNITS", 32)
    draw = np.random.default_rng(3)
    images = np.ones((400, *SHAPE), np.float32)
    images *= draw.uniform(0, 1, (400, 1, 1, 1)).astype("float32")
    made = model()
    made.compile(*(keras.optimizers.Adam(2e-3, 0.5) for _ in range(2)))
    made.fit(images, batch_size=50, epochs=60, verbose=0)
    values = draw.normal(size=images.shape).astype("float32")
    errors = np.abs(made.completed(images, values) - images)[:, :, 3:]
    assert errors.mean() < 0.15


def test_a_model_is_restored_from_its_config(tmp_path):
    made = model("centre")
    made.compile("adam", "adam")
    made.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.part == "centre"
    np.testing.assert_array_equal(again.inside, made.inside)


def test_the_mode_writes_sheet_generator_and_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(inpainting, "PERIOD", 2)  # does not divide the number of steps
    arguments = [a for a in launch.BASE if a != "--deterministic"]
    folder = tmp_path / "run"
    inpaint = ("--mode=inpaint", "--part=bottom", "--inpainting_steps=3")
    inpaint = (*inpaint, f"--record={tmp_path}/found.json")
    for further in (arguments, inpaint):
        ended = launch.within(*further, f"--logdir={folder}")
        assert ended.code == 0, ended.err[-2000:]
    assert "between two samples" in ended.out
    facts = json.loads((folder / "inpainting.json").read_text())
    assert (facts["part"], facts["steps"], facts["images"]) == ("bottom", 3, 10)
    assert facts["error"] > 0 and facts["difference_of_samples"] > 0
    record = json.loads((tmp_path / "found.json").read_text())
    assert record["value"] == facts["error"] and record["steps"] == 3
    assert (tmp_path / "found.png").is_file()
    with Image.open(folder / "samples" / "inpainting.png") as page:
        assert page.width > page.height  # ten columns, four rows
    network = keras.saving.load_model(folder / "inpainting.keras")
    assert network.output_shape == (None, 8, 8, 1)


def test_points_are_refused(tmp_path):
    short = ("--model=lsgan", "--dataset=ring", "--steps=1", "--jit_compile=false")
    folder = f"--logdir={tmp_path / 'run'}"
    assert launch.within(*short, folder).code == 0
    ended = launch.within("--mode=inpaint", folder)
    assert ended.code == 2 and "needs a run on images" in ended.errors[0]
