"""Differentiable augmentation: what it changes, its gradients, and its place in a step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tests.tiny_models import BATCH, MODELS, SHAPE
from tfgan_papers import noise
from tfgan_papers.models import augmentation


def stream(replica=0):
    return noise.Stream.of_step(3, tf.constant(5, tf.int64), replica)


def test_color_is_brightness_saturation_and_contrast_of_each_image(rng):
    images = rng.uniform(-1, 1, (50, 6, 4, 3)).astype("float32")
    found = augmentation.color(tf.constant(images), stream()).numpy()
    own = stream()
    b, s, c = (own.uniform((50, 1, 1, 1)).numpy() for _ in range(3))
    expected = images + b - 0.5
    grey = expected.mean(3, keepdims=True)
    expected = (expected - grey) * 2 * s + grey
    mean = expected.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found, (expected - mean) * (c + 0.5) + mean, atol=1e-5)


def test_a_grey_image_keeps_its_differences_up_to_contrast(rng):
    images = rng.uniform(-1, 1, (9, 6, 4, 1)).astype("float32")
    found = augmentation.color(tf.constant(images), stream()).numpy()
    ratio = found.std((1, 2, 3)) / images.std((1, 2, 3))
    assert (ratio > 0.49).all() and (ratio < 1.51).all() and np.ptp(ratio) > 0.1


def test_translation_shifts_by_up_to_an_eighth_and_fills_with_zero():
    images = np.ones((300, 16, 8, 2), np.float32)
    images += np.arange(16)[:, None, None] + 100 * np.arange(8)[None, :, None]
    found = augmentation.translation(tf.constant(images), stream()).numpy()
    shifts = set()
    for before, after in zip(images, found, strict=True):
        padded = np.pad(before, ((2, 2), (1, 1), (0, 0)))
        (shift,) = (
            (i - 2, j - 1)
            for i in range(5)
            for j in range(3)
            if np.array_equal(padded[i : i + 16, j : j + 8], after)
        )
        shifts.add(shift)
    assert len(shifts) == 15  # all of -2 ... 2 by -1 ... 1


def test_cutout_sets_a_rectangle_of_half_the_side_to_zero():
    images = np.ones((500, 8, 6, 2), np.float32)
    found = augmentation.cutout(tf.constant(images), stream()).numpy()
    assert set(np.unique(found)) == {0.0, 1.0}
    areas = (found[..., 0] == 0).sum((1, 2))
    assert areas.max() == 4 * 3
    rows = (found[..., 0] == 0).any(2).sum(1)  # fewer where it is cut by the border
    assert rows.max() == 4 and rows.min() == 2
    covered = (found == 0).any((0, 3))
    assert covered.all()


@pytest.mark.parametrize("name", sorted(augmentation.AUGMENTATIONS))
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_reach_the_images_and_replicas_draw_what_one_device_would(
    name, compiled, rng
):
    images = tf.constant(rng.uniform(-1, 1, (8, 8, 8, 3)).astype("float32"))

    @tf.function(jit_compile=compiled)
    def both(images, replica):
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = augmentation.augment(images, [name], stream(replica))
        return found, tape.gradient(found, images)

    whole, gradient = both(images, tf.constant(0))
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    halves = [both(images[4 * r : 4 * r + 4], tf.constant(r))[0] for r in (0, 1)]
    np.testing.assert_allclose(np.concatenate(halves), whole, atol=1e-6)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("model", ["gan", "dcgan", "lsgan"])
def test_both_players_train_on_augmented_images(model, player):
    """After a step in which only this player moves, its weights differ from those without
    augmentation."""
    images = np.linspace(-1, 1, BATCH * np.prod(SHAPE), dtype=np.float32)

    def trained(names):
        made = MODELS[model]()
        made.augmentations = list(names)
        rates = [0.01 * (player == name) for name in ("discriminator", "generator")]
        made.compile(*map(keras.optimizers.SGD, rates), jit_compile=False)
        made.fit(images.reshape(BATCH, *SHAPE), batch_size=BATCH, verbose=0, shuffle=False)
        return [w.numpy() for w in getattr(made, player).trainable_weights]

    pairs = zip(trained(()), trained(("color",)), strict=True)
    assert any(not np.array_equal(plain, augmented) for plain, augmented in pairs)


def test_unknown_names_and_points_are_refused(tmp_path):
    short = (
        "--model=lsgan",
        "--steps=1",
        "--jit_compile=false",
        f"--logdir={tmp_path}/run",
    )
    ended = launch.within(*short, "--diff_augment=blur")
    assert ended.code == 2 and "'blur' is none of color, translation, cutout" in ended.err
    ended = launch.within(*short, "--diff_augment=color", "--dataset=ring")
    assert ended.code == 2 and "is for images in [-1, 1]" in ended.err
    ended = launch.within(*short, "--diff_augment=color", "--value_range=unit")
    assert ended.code == 2 and "set --value_range=symmetric" in ended.errors[0]
    ended = launch.within("--model=began", "--diff_augment=color", *short[1:])
    assert ended.errors == ["error: --model=began does not take --diff_augment"]


def test_a_run_with_augmentation_remembers_it(tmp_path):
    ended = launch.within(
        *("--model=dcgan", "--width=4", "--steps=2", "--report_steps=2", "--batch_size=8"),
        *("--jit_compile=false", "--diff_augment=color,translation,cutout"),
        f"--logdir={tmp_path / 'run'}",
    )
    assert ended.code == 0, ended.err
    written = (tmp_path / "run" / "flags.txt").read_text()
    assert "--diff_augment=color,translation,cutout" in written
