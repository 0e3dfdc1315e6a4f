"""Pictures contain the right pixels in the right places."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.neighbors import KernelDensity

from tests import factories
from tfgan_papers import data, figures
from tfgan_papers.commands import sample
from tfgan_papers.metrics import kde_modes


def test_a_sheet_lays_images_row_by_row_with_gaps():
    images = np.random.default_rng(0).integers(0, 255, (5, 70, 66, 3)).astype(np.uint8)
    page = figures.sheet(images, columns=3)
    gap = figures.GAP
    assert page.shape == (2 * (70 + gap) + gap, 3 * (66 + gap) + gap, 3)
    for i, image in enumerate(images):
        top, left = gap + i // 3 * (70 + gap), gap + i % 3 * (66 + gap)
        np.testing.assert_array_equal(page[top : top + 70, left : left + 66], image)
    assert (page[gap + 72 :, -66 - gap :] == 255).all()  # the place of a sixth


def test_small_grey_images_are_enlarged_pixel_by_pixel():
    images = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    page = figures.sheet(images, columns=1)[
        figures.GAP : -figures.GAP, figures.GAP : -figures.GAP
    ]
    assert page.shape == (64, 64, 3)  # a multiple of 8 that is SMALLEST or more
    np.testing.assert_array_equal(page[::8, ::8, 0], images[0, ..., 0])
    np.testing.assert_array_equal(page[7::8, 7::8, 2], images[0, ..., 0])


def test_nearest_finds_the_example_of_least_squared_distance():
    draw = np.random.default_rng(1)
    examples, samples = draw.random((50, 3, 3, 1)), draw.random((7, 3, 3, 1))
    found = figures.nearest(samples, np.split(examples, [20, 40]))
    for one, example in zip(samples, found, strict=True):
        distances = ((examples - one) ** 2).sum((1, 2, 3))
        np.testing.assert_array_equal(example, examples[distances.argmin()])


def test_saving_leaves_a_whole_png_and_nothing_else(tmp_path):
    page = np.random.default_rng(2).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    figures.save(page, tmp_path / "new" / "sheet.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "new" / "sheet.png")), page
    )


def test_density_of_many_normal_points_is_the_normal_density():
    points = np.random.default_rng(3).normal(size=20_000)
    x = np.linspace(-2, 2, 9)
    expected = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(figures._density(points, x), expected, atol=0.02)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_points_give_a_picture_with_something_on_it(dimensions):
    real = np.random.default_rng(4).normal(size=(500, dimensions)).astype(np.float32)
    if dimensions == 1:
        z = np.linspace(-1, 1, 500, dtype=np.float32)[:, None]
        picture = figures.line(z, 2 * z, real, lambda x: np.full_like(x, 0.5))
    else:
        picture = figures.plane(real + 1, real)
    assert picture.dtype == np.uint8 and picture.shape[-1] == 3
    assert 0.01 < (picture < 200).any(-1).mean() < 0.9


def test_density_in_the_plane_is_scikit_learns_on_whitened_axes():
    points = np.random.default_rng(5).normal([1.0, -0.5], [0.5, 1.0], (3000, 2))
    x = np.linspace(-4, 4, 101)  # in steps narrower than the kernel
    found, deviations = kde_modes.density(points, x), points.std(0)
    density = KernelDensity(bandwidth=3000 ** (-1 / 6), rtol=0).fit(points / deviations)
    grid = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)  # rows: the second coordinate
    expected = np.exp(density.score_samples(grid / deviations)) / deviations.prod()
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-9, atol=1e-12)
    assert found.sum() * 0.08**2 == pytest.approx(1, abs=0.01)


def test_density_of_points_that_coincide_is_finite():
    found = kde_modes.density(np.ones((50, 2)), np.linspace(-4, 4, 81))
    assert np.isfinite(found).all()
    assert np.unravel_index(found.argmax(), found.shape) == (50, 50)


def test_a_strip_has_a_column_for_each_step_and_one_for_the_target():
    draw = np.random.default_rng(6)
    spread, spot = draw.normal(size=(500, 2)), np.full((500, 2), 3.0)
    widths = [
        figures.strip(dict.fromkeys(titles, spot), spread).shape[1]
        for titles in (["step 0"], ["step 0", "step 5", "step 9"])
    ]
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.1)
    picture = figures.strip({"step 0": spot}, spread)
    left, right = np.array_split(picture.min(-1) < 200, 2, axis=1)
    assert 0 < left.sum() and 0 < right.sum()


def test_the_figure_of_a_study_has_a_panel_for_the_rate_and_each_score():
    def row(name, **scores):
        rates = {"interval": [0.1, 0.6], "failure_rate": 0.3}
        return {"setting": {"loss": name}, **rates, "scores": scores}

    score = {"mean": 5.0, "deviation": None, "runs": 1}
    plain = figures.study([row("a"), row("b")])
    scored = figures.study([row("a", modes=score), row("b")])
    assert plain.dtype == np.uint8 and scored.shape[1] > 1.5 * plain.shape[1]


@pytest.mark.parametrize("last, scale", [(4000, "linear"), (40_000, "log")])
def test_training_curves_do_not_flatten_the_scores_that_select(last, scale, monkeypatch):
    monkeypatch.setattr(figures, "_picture", lambda figure: figure.axes)
    scores = {2000: -150.0, 3000: float("-inf"), last: -100.0}
    curves = {"n=3": [{"selection": scores, "training": {0: -540.0, last: -99.0}}]}
    (axes,) = figures.selection(curves, "bound")
    assert axes.get_ylim() == pytest.approx((-152.5, -97.5))
    low, high = axes.get_xlim()
    assert axes.get_xscale() == scale and low <= 2000 < last <= high


def test_a_history_has_its_pages_in_order_below_its_curves():
    red, green = (np.full((20, 20, 3), c, np.uint8) for c in ([255, 0, 0], [0, 255, 0]))
    curves = {"rising": {1: 0.0, 9: 1.0}, "falling": {1: 1.0, 5: 0.5, 9: 0.0}}
    picture = figures.history(curves, {1: red, 9: green}).astype(int)
    (top, left), (same, right) = (
        np.argwhere((picture == page[0, 0]).all(-1)).mean(0) for page in (red, green)
    )
    assert left < right and abs(top - same) < 1 and top > picture.shape[0] / 2
    line = np.abs(picture - [0x1F, 0x77, 0xB4]).max(-1) < 8  # matplotlib's first colour
    rows, columns = np.nonzero(line)
    assert rows.max() < top
    for inside, sign in ((columns > picture.shape[1] / 2, -1), (columns < left * 2, 1)):
        slope = np.polyfit(columns[inside], rows[inside], 1)[0]
        assert sign * slope > 0.3  # panels by name: falling, then rising; rows count down


def test_samples_are_sorted_by_the_class_that_the_classifier_gives_them():
    """Dark to class 2, bright to class 0, the three darkest to class 3, none to class 1."""
    seen, drawn = [], []

    def generate(z):
        drawn.append(z[:, 0])
        return tf.convert_to_tensor(np.tile(z[:, :1, None, None], (1, 32, 32, 1)))

    def classifier(images, training):
        assert not training
        seen.append(len(images))
        values = np.asarray(images)[:, 0, 0, 0]
        return np.stack([values > 0, values < -9, values < 0, 2.0 * (values < -0.99)], 1)

    model = types.SimpleNamespace(
        classes=0,
        latent_dim=2,
        prior_name="uniform",
        generate=generate,
        classifier=classifier,
    )
    run = types.SimpleNamespace(values=factories.values("lsgan", dataset="mnist"))
    pictures = sample.Pictures(run.values.data, model, sample.SampleOptions())
    ((suffix, page),) = pictures.classes()
    columns, batches, batch_size = sample.SORTED
    assert (suffix, seen) == ("", batches * [batch_size])
    z = np.concatenate(drawn)
    step = 64 + figures.GAP
    shown = page[figures.GAP + 16 :: step, figures.GAP + 16 :: step, 0].astype(int)
    rows = z[z > 0], z[:0], z[(z < 0) & (z >= -0.99)], z[z < -0.99]
    assert 0 < len(rows[3]) < columns
    for row, values in zip(shown, rows, strict=True):
        expected = np.full(columns, 255)
        first = np.rint((values[:columns] + 1) * 127.5)
        expected[: len(first)] = first
        np.testing.assert_allclose(row, expected, atol=1)


def test_lines_between_spherical_latents_are_arcs_on_the_sphere():
    seen = []

    def generate(z):
        seen.append(np.asarray(z))
        return tf.zeros((len(z), 8, 8, 1))

    model = types.SimpleNamespace(
        prior_name="spherical", latent_dim=3, classes=0, generate=generate
    )
    options = sample.SampleOptions()
    pictures = sample.Pictures(data.DataOptions(value_range="unit"), model, options)
    starts, ends = np.eye(3, dtype=np.float32)[:2], np.eye(3, dtype=np.float32)[1:]
    assert pictures.on_lines(starts, ends, 5).shape == (2, 5, 8, 8, 1)
    (z,) = seen
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(z[[0, 4, 5, 9]], [*starts[:1], ends[0], starts[1], ends[1]])
    np.testing.assert_allclose(z[2], np.array([1, 1, 0]) / 2**0.5, rtol=1e-6)
