"""Random windows of the training images: which ones, and that all else sees the centre."""

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image

from tests import factories
from tests.strategies import two_replicas
from tfgan_papers import data
from tfgan_papers.data import crops
from tfgan_papers.errors import UsageError
from tfgan_papers.runs import distribution, settings

SIZE, READ = 16, 18  # 9/8 of it


def options(**given):
    return data.DataOptions(**{"image_size": SIZE, "crop": "random", **given})


def first_batches(examples, count, first_step=0, seed=7):
    stream = examples.stream(50, seed, "unit", first_step)
    return [batch.numpy() for batch in stream.take(count)]


def test_windows_are_cut_at_every_place_about_equally_often(rng):
    images = rng.integers(0, 256, (900, 6, 6, 1), np.uint8)
    found = crops.windows(tf.constant(images), 4, 3, tf.constant(5, tf.int64)).numpy()
    counts = np.zeros((3, 3), int)
    for image, window in zip(images, found, strict=True):
        (place,) = (
            (top, left)
            for top in range(3)
            for left in range(3)
            if (image[top : top + 4, left : left + 4] == window).all()
        )
        counts[place] += 1
    assert counts.sum() == 900
    assert (counts > 65).all() and (counts < 135).all()  # 100 +- 3.7 deviations


def test_windows_differ_by_step_and_by_seed_and_are_the_same_again(rng):
    images = tf.constant(rng.integers(0, 256, (20, 9, 9, 1), np.uint8))
    steps = [tf.constant(step, tf.int64) for step in (5, 6, 5)]
    one, other, again = (crops.windows(images, 4, 3, step).numpy() for step in steps)
    assert (one != other).any() and (one == again).all()
    assert (one != crops.windows(images, 4, 2**40, steps[0]).numpy()).any()


def test_scores_see_the_central_window_of_the_larger_image():
    stored = np.uint8(np.rint(sklearn.datasets.load_digits().images[:3] * 255 / 16))
    larger = [
        np.asarray(Image.fromarray(image).resize((READ, READ), Image.Resampling.BILINEAR))
        for image in stored
    ]
    found = data.load("train", options()).all("unit", 3)[..., 0]
    np.testing.assert_allclose(found, np.stack(larger)[:, 1:17, 1:17] / 255, atol=1e-6)


def test_a_stream_that_goes_on_gives_the_windows_of_the_uninterrupted_one():
    examples = data.load("train", options())
    whole, rest = first_batches(examples, 4), first_batches(examples, 2, first_step=2)
    np.testing.assert_array_equal(whole[2:], rest)
    assert whole[0].shape == (50, SIZE, SIZE, 1)
    central = examples.all("unit").reshape(examples.size, -1)
    same = [(central == image.ravel()).all(1).any() for image in whole[0]]
    assert np.mean(same) < 0.5  # one in nine by chance


def test_labelled_images_of_improved_gan_have_random_windows_too():
    examples = data.load("train", options()).balanced(1, 1)
    batches = [examples.repeated(10, 7, "unit", step) for step in (0, 0, 3)]
    first, again, later = (next(iter(batch))[0].numpy() for batch in batches)
    np.testing.assert_array_equal(first, again)
    central = examples.all("unit").reshape(10, -1)
    for images in (first, later):
        assert images.shape == (10, SIZE, SIZE, 1)
        same = [(central == image.ravel()).all(1).any() for image in images]
        assert np.mean(same) < 0.7  # one in nine by chance


def test_replicas_see_the_windows_that_one_device_would():
    examples, strategy = data.load("train", options()), two_replicas()
    shared = distribution.distribute(strategy, examples.stream(50, 7, "unit"))
    parts = strategy.experimental_local_results(next(iter(shared)))
    whole = np.concatenate([part.numpy() for part in parts])
    np.testing.assert_array_equal(whole, first_batches(examples, 1)[0])


def test_a_run_is_of_the_size_of_the_windows_and_remembers(tmp_path):
    run = factories.run(tmp_path, "vae", crop="random", image_size=SIZE, batch_size=8)
    model = factories.begin(run)
    assert model.generator.output_shape == (None, SIZE, SIZE, 1)
    assert "--crop=random\n" in settings.lines(run.values, steps=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image_size": 0}, "--crop=random cuts windows of --image_size: set it"),
        ({"dataset": "ring"}, "--crop=random is of images, and these data are points"),
        ({"crop": "randm"}, "--crop=randm: square, random, none or a number of pixels"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        data.load("train", options(**given))


def test_a_given_image_is_cut_as_the_data_are(tmp_path):
    stored = np.uint8(sklearn.datasets.load_digits().images[0] * 255 / 16)
    Image.fromarray(stored).save(tmp_path / "digit.png")
    fitted = data.fit_image(str(tmp_path / "digit.png"), options(), (SIZE, SIZE, 1))
    given = data.images(str(tmp_path), options()).all("raw")[0]
    np.testing.assert_array_equal(fitted, given)
