"""Mirrored training images: which ones, how often, and independent of how the step runs."""

import numpy as np
import tensorflow as tf

from tests import launch
from tests.tiny_models import BATCH, MODELS, SHAPE
from tfgan_papers import noise
from tfgan_papers.models.generative import flipped


def stream(replica=0):
    return noise.Stream.of_step(3, tf.constant(5, tf.int64), replica)


def test_half_of_the_images_are_mirrored_and_the_others_stay(rng):
    images = rng.uniform(0, 1, (400, *SHAPE)).astype("float32")
    found = flipped(tf.constant(images), stream()).numpy()
    mirrored = (found == images[:, :, ::-1]).all((1, 2, 3))
    same = (found == images).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert 0.4 < mirrored.mean() < 0.6


def test_replicas_mirror_the_images_that_one_device_would(rng):
    images = rng.uniform(0, 1, (8, *SHAPE)).astype("float32")
    whole = flipped(tf.constant(images), stream()).numpy()
    halves = [flipped(tf.constant(images[4 * r : 4 * r + 4]), stream(r)) for r in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves), whole)


def moved(flip):
    """Weights of the autoencoder, which has no other noise, after a step on images whose
    left half is bright."""
    images = np.zeros((BATCH, *SHAPE), np.float32)
    images[:, :, :2] = 1.0
    model = MODELS["autoencoder"]()
    model.flip = flip
    model.compile("sgd", "sgd")
    model.fit(images, batch_size=BATCH, verbose=0, shuffle=False)
    return model.get_weights()


def test_training_sees_the_mirrored_images():
    plain, mirrored = moved(False), moved(True)
    assert any(not np.array_equal(a, b) for a, b in zip(plain, mirrored, strict=True))


def test_a_run_remembers_and_points_are_not_mirrored(tmp_path):
    short = ("--steps=1", "--jit_compile=false", f"--logdir={tmp_path / 'run'}")
    ended = launch.within("--model=gan", "--flip", *short)
    assert ended.code == 0, ended.err
    assert "--flip=true" in (tmp_path / "run" / "flags.txt").read_text()
    ended = launch.within(
        *("--model=gan", "--dataset=ring", "--flip", "--steps=1"),
        f"--logdir={tmp_path / 'points'}",
    )
    assert ended.code == 2 and "--flip needs images" in ended.errors[0]
