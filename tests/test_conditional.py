"""A class-conditional run from the command line: labels from the data to the endpoint."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers import noise
from tfgan_papers.commands import sample
from tfgan_papers.models.generative import GenerativeModel

RUN = (
    "--model=lsgan",
    "--network=characters",  # on the embedded digits: ten classes of 8x8
    "--width=4",
    "--batch_size=20",
    "--learning_rate=0.1",  # so that six steps make images that differ by z and label
    "--deterministic",
    "--report_steps=3",
    "--checkpoint_steps=3",
)
STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run of six steps, and of one that stopped after three and went on."""
    folders = [tmp_path_factory.mktemp("conditional") / name for name in ("whole", "parts")]
    straight = launch.POOL.submit(
        launch.fork, *RUN, f"--steps={STEPS}", f"--logdir={folders[0]}"
    )
    for steps in (3, STEPS):
        logdir = f"--logdir={folders[1]}"
        ended = launch.fork(*RUN, f"--steps={steps}", logdir, export=False)
        assert ended.code == 0, ended.err
    assert straight.result().code == 0, straight.result().err
    return folders


def test_a_run_that_went_on_read_the_labels_of_the_uninterrupted(run):
    whole, parts = (launch.tensors(folder) for folder in run)
    assert whole.keys() == parts.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)


def test_endpoints_take_labels(run, rng):
    served = tf.saved_model.load(str(run[0] / "export"))
    z = tf.constant(rng.uniform(-1, 1, (3, 1024)), tf.float32)
    images = served.generate(z, tf.constant([0, 1, 2]))
    assert images.shape == (3, 8, 8, 1)
    alone = served.generate(z[2:], tf.constant([2]))
    np.testing.assert_allclose(images[2:], alone, atol=1e-6)
    other = served.generate(z[2:], tf.constant([7]))
    assert np.abs(other - alone).max() > 1e-2
    assert served.score(images, tf.constant([0, 1, 2])).shape == (3, 1)
    sample = served.signatures["sample"]
    drawn = [
        sample(n=tf.constant(4), seed=tf.constant(1, tf.int64), label=tf.constant(label))
        for label in (3, 3, 4)
    ]
    first, again, other = (each["images"].numpy() for each in drawn)
    assert first.shape == (4, 8, 8, 1) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def drawn(folder, *arguments):
    ended = launch.within("--mode=sample", *arguments, f"--logdir={folder}")
    assert ended.code == 0, ended.err
    return [pathlib.Path(line) for line in ended.out.splitlines()]


def test_a_picture_of_many_images_is_drawn_in_batches(run, monkeypatch):
    one, label = drawn(run[0], "--num_samples=7"), ("--num_samples=7", "--label=3")
    before = [one[0].read_bytes(), drawn(run[0], *label)[0].read_bytes()]
    sizes, generate = [], GenerativeModel.generate

    def watched(self, z, labels=None):
        sizes.append(len(z))
        return generate(self, z, labels)

    monkeypatch.setattr(sample, "BATCH_SIZE", 3)
    monkeypatch.setattr(GenerativeModel, "generate", watched)
    assert drawn(run[0], "--num_samples=7")[0].read_bytes() == before[0]
    assert drawn(run[0], *label)[0].read_bytes() == before[1]
    assert sizes == 2 * [1, 3, 3, 1]  # the first finds out the shape


def test_a_sheet_for_each_class_or_one(run):
    paths = drawn(run[0], "--sample=classes", "--num_samples=4")
    assert len(paths) == 10 and all(path.is_file() for path in paths)
    (path,) = drawn(run[0], "--sample=classes", "--num_samples=4", "--label=7")
    assert path == paths[7]


def on_sheet(path, columns):
    """Its 8x8 images, which it shows as 64x64, by rows."""
    page = np.asarray(Image.open(path))[2:, 2:, 0]
    assert page.shape[1] == columns * (64 + 2)
    tiles = page.reshape(-1, 66, columns, 66).swapaxes(1, 2)[:, :, 1:64:8, 1:64:8]
    return tiles.reshape(-1, 8, 8)


def latents(n):
    return noise.latents("uniform", tf.constant([0, 0], tf.int64), (n, 1024)).numpy()


def assert_drawn_from(run, found, z):
    served = tf.saved_model.load(str(run[0] / "export"))
    images = served.generate(tf.constant(z, tf.float32), tf.fill(len(z), 2))[..., 0]
    assert np.std(images, 0).mean() > 0.03  # they tell one z from another
    np.testing.assert_allclose(found, 255 * images, atol=1.01)  # rounded


@pytest.mark.parametrize(("kind", "rows"), [("walk", 9), ("line", 4)])
def test_pictures_of_straight_lines_between_latents(run, kind, rows):
    (path,) = drawn(run[0], f"--sample={kind}", "--label=2")
    z = latents(10 if kind == "walk" else 8)
    starts, ends = (z[:-1], z[1:]) if kind == "walk" else (z[:4], z[4:])
    share = np.arange(10)[:, None] / 9
    z = starts[:, None] * (1 - share) + ends[:, None] * share
    assert_drawn_from(run, on_sheet(path, 10), z.reshape(10 * rows, 1024))


def test_arithmetic_is_of_the_mean_latents_of_its_terms_with_their_signs(run):
    vectors = "--vectors=1,0-2,5,3+4"
    (path,) = drawn(run[0], "--sample=arithmetic", "--label=2", vectors)
    z = latents(6)
    plus, minus, last = z[[1, 0]].mean(0), z[[2, 5, 3]].mean(0), z[4]
    terms = [z[1], z[0], plus, plus, z[2], z[5], z[3], minus, z[4], last, last, last]
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, (12, 1024))
    jitter[0] = 0
    results = plus - minus + last + jitter
    assert_drawn_from(run, on_sheet(path, 4), np.concatenate([terms, results]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sample=sheet", "--label=10"), "the classes of this run are 0 to 9"),
        (("--sample=arithmetic", "--vectors=1,2*3"), "write it as"),
        (("--sample=arithmetic", "--vectors=,-1"), "a term without an image"),
    ],
)
def test_pictures_that_make_no_sense_are_refused(run, arguments, words):
    ended = launch.within("--mode=sample", *arguments, f"--logdir={run[0]}")
    assert ended.code == 2 and words in ended.errors[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model=lsgan", "--a=1", "--b=1"), "nothing to tell apart"),
        (("--model=gan", "--a=-1"), "--a, --b and --c go with --loss=least_squares"),
        (("--model=dcgan", "--network=resnet"), "authors, port, conditional"),
        (("--model=dcgan", "--image_size=30"), "do not halve"),
    ],
)
def test_runs_that_make_no_sense_are_refused(arguments, words, tmp_path):
    ended = launch.within(*arguments, f"--logdir={tmp_path / 'run'}")
    assert ended.code == 2, ended.err
    assert words in ended.errors[0]
    assert not (tmp_path / "run").exists()


def test_loss_curves_need_no_run(tmp_path):
    (path,) = drawn(tmp_path / "none", "--sample=losses")
    assert path.is_file() and np.asarray(Image.open(path)).std() > 0
