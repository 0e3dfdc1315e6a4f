"""Embedding images: against closed-form minimisers, and from the command line."""

import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers.commands import embedding

FREE, CUBE = "normal", "uniform"  # priors without bounds, and with [-1, 1]


def columns(z):
    """A linear generator: column j of the 5x4 image is z_j. The z with the least
    mean |x - G(z)| is the median of each column."""
    return tf.repeat(z[:, None, :, None], 5, axis=1)


def embedded(images, starts, prior=FREE, generate=columns, **options):
    return embedding.embed(generate, images, np.float32(starts), prior, **options)


@pytest.fixture(scope="module")
def draw():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def images(draw):
    return np.float32(draw.uniform(-1, 1, (3, 5, 4, 1)))


def test_of_a_linear_generator_z_is_the_median_of_each_column(images, draw):
    found = embedded(images, draw.uniform(-1, 1, (2, 4)), CUBE)
    median = np.median(images[..., 0], axis=1)
    np.testing.assert_allclose(found.z, median, atol=2e-3)
    least = np.abs(images[..., 0] - median[:, None]).mean((1, 2))
    np.testing.assert_allclose(found.error, least, atol=1e-3)


def test_many_images_are_embedded_in_parts_with_their_labels(draw):
    """A class adds its number to the image, so its z is lower by it."""
    images = np.float32(draw.uniform(-1, 1, (37, 5, 4, 1)))
    labels = np.arange(37) % 3

    def generate(z, of):
        return columns(z) + tf.cast(of, tf.float32)[:, None, None, None]

    shifted = images + labels[:, None, None, None]
    found = embedded(shifted, draw.uniform(-1, 1, (2, 4)), generate=generate, labels=labels)
    median = np.median(images[..., 0], axis=1)
    np.testing.assert_allclose(found.z, median, atol=2e-3)
    assert found.error.shape == found.error_of_starts.shape == (37,)


def test_z_of_a_sample_is_recovered_through_a_mixing_of_its_elements(draw):
    mixing = tf.constant(draw.normal(size=(3, 24)), tf.float32)

    def generate(z):
        return tf.reshape(z @ mixing, (-1, 6, 4, 1))

    z = np.float32(draw.uniform(-1, 1, (2, 3)))
    found = embedded(generate(z), draw.uniform(-1, 1, (4, 3)), CUBE, generate)
    np.testing.assert_allclose(found.z, z, atol=2e-3)
    assert (found.error < 2e-3).all() and (found.error_of_starts > 0.1).all()


def test_the_best_of_the_starts_counts():
    """|1 - x(z)| has a minimum of .5 at z = -1, and of 0 at z = 1."""

    def generate(z):
        well = tf.where(z < 0, 0.5 - (z + 1) ** 2, 1.0 - (z - 1) ** 2)
        return tf.reshape(well, (-1, 1, 1, 1))

    image = np.ones((1, 1, 1, 1), np.float32)
    for starts, z, error in (([[-0.5]], -1, 0.5), ([[-0.5], [0.5], [-1.5]], 1, 0)):
        found = embedded(image, starts, generate=generate)
        np.testing.assert_allclose(found.z, [[z]], atol=0.02)
        np.testing.assert_allclose(found.error, [error], atol=1e-3)
    np.testing.assert_allclose(found.error_of_starts, [0.25])


def test_z_stays_where_the_prior_is(draw):
    image = np.full((1, 5, 4, 1), 1.5, np.float32)
    found = embedded(image, draw.uniform(-1, 1, (2, 4)), CUBE)
    np.testing.assert_array_equal(found.z, np.ones((1, 4)))
    np.testing.assert_allclose(found.error, [0.5])


def test_z_of_a_spherical_prior_stays_on_the_sphere(draw):
    image = np.full((1, 5, 4, 1), 1.5, np.float32)
    found = embedded(image, draw.uniform(0, 1, (2, 4)), "spherical")
    np.testing.assert_allclose(np.linalg.norm(found.z), 1, rtol=1e-6)


def test_an_image_is_embedded_as_if_alone_and_under_xla_as_without(images, draw):
    starts = draw.uniform(-1, 1, (2, 4))
    together = embedded(images, starts)
    alone = embedded(images[1:2], starts)
    np.testing.assert_allclose(together.z[1:2], alone.z, atol=1e-5)
    compiled = embedded(images, starts, jit_compile=True)
    np.testing.assert_allclose(together.z, compiled.z, atol=1e-3)


# From the command line, of digits of 8x8 pixels, on a sheet four times as large.


@pytest.fixture(scope="module")
def files(tmp_path_factory, draw):
    folder = tmp_path_factory.mktemp("files")
    pixels = draw.integers(0, 255, (2, 8, 8), np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "wide.png")
    return folder, pixels


@pytest.fixture(scope="module")
def run():
    launch.trained()
    with launch.copy_of_trained("export", "history", "tensorboard") as folder:
        yield folder


def sampled(run, *arguments):
    return launch.within("--mode=sample", *arguments, f"--logdir={run}")


def row(path):
    """The images of a sheet of one row, (n, 8, 8)."""
    page = np.asarray(Image.open(path))[2:-2:8, :, 0]
    return np.stack([page[:, left : left + 64 : 8] for left in range(2, page.shape[1], 66)])


@pytest.mark.parametrize("names", ["ab", "a"])
def test_a_row_leads_from_an_image_to_another_or_to_its_mirror_image(names, run, files):
    folder, (a, b) = files
    given = ",".join(f"{folder}/{name}.png" for name in names)
    ended = sampled(run, f"--interpolate={given}")
    assert ended.code == 0, ended.err
    *said, path = ended.out.splitlines()
    form = r".*/a\.png(, mirrored)?|.*/b\.png"
    numbers = r": mean \|x - G\(z\)\| ([\d.]+) at the best z, ([\d.]+) at the best of .*"
    errors = [re.fullmatch(f"(?:{form}){numbers}", line).groups()[-2:] for line in said]
    assert len(errors) == 2
    assert all(float(error) < float(before) for error, before in errors)
    images = row(path).astype(float)
    assert len(images) == 12
    last = b if names == "ab" else a[:, ::-1]
    np.testing.assert_array_equal(images[[0, -1]], [a, last])
    for original, copy, (error, _) in zip((a, last), images[[1, -2]], errors, strict=True):
        found = np.abs(original - copy).mean() / 255
        np.testing.assert_allclose(found, float(error), atol=0.5 / 255 + 1e-4)
    assert np.abs(np.diff(images[1:-1], axis=0)).max() > 0


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        ("a,wide", (), "wide.png has 9x9 pixels, but the images of this run have"),
        ("a,b,a", (), "3 files: give one file, or pairs"),
        ("a,b", ("--sample=line",), "exclude each other"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_one_line(names, more, words, run, files):
    before = launch.contents(run)
    given = ",".join(f"{files[0]}/{name}.png" for name in names.split(","))
    ended = sampled(run, f"--interpolate={given}", *more)
    assert ended.code == 2 and words in ended.errors[0] and len(ended.errors) == 1
    assert "Traceback" not in ended.err
    assert launch.contents(run) == before
