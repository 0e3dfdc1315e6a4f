"""Characters drawn from centre lines: where the ink is, what varies, what is refused."""

import json

import numpy as np
import pytest
import scipy.ndimage
from sklearn.neighbors import KNeighborsClassifier

from tests import launch
from tests.data.sets import load, message
from tfgan_papers.data import strokes
from tfgan_papers.data.gb2312 import LEVEL_1
from tfgan_papers.errors import UsageError, UserError

LINE, CORNER = [[100, 400], [900, 400]], [[100, 800], [900, 800], [900, 0]]
CHARACTERS = [[LINE], [LINE, CORNER], [[[512, 850], [512, 0]]], [CORNER], [CORNER, LINE]]


@pytest.fixture
def folder(tmp_path):
    """Files in the form of hanzi-writer-data, for five made characters."""
    for character, medians in zip(LEVEL_1, CHARACTERS, strict=False):
        content = {"strokes": ["M 0 0 Z"] * len(medians), "medians": medians}
        (tmp_path / f"{character}.json").write_text(json.dumps(content))
    return tmp_path


def options(folder, **values):
    data_dir = str(folder) if folder else None
    return {"dataset": "strokes", "data_dir": data_dir, "characters": 5, **values}


@pytest.fixture
def steady(monkeypatch):
    """A writer without slant, unsteadiness and joins, with a pen of 0.05 of the side."""
    writer = np.tile([0, 0, 0, 0.05, 0, 0], (2, 1))
    monkeypatch.setattr(strokes, "WRITER", writer)
    monkeypatch.setattr(strokes, "PRESSURE", 0)


@pytest.mark.parametrize("side", [28, 64])
def test_steady_line_has_the_length_and_width_of_its_pen(folder, steady, side):
    images, labels = load(
        "train", **options(folder, renderings=1, image_size=side)
    ).labelled("raw")
    assert images.shape == (5, side, side, 1) and list(labels) == list(range(5))
    ink = 1 - images[..., 0].astype(np.float64) / 255
    horizontal, _, vertical, *_ = ink
    length, width = strokes.INK * side, 2 * 0.05 * side
    for line, axis in ((horizontal, 0), (vertical, 1)):
        assert abs(line.max(1 - axis).sum() - width) < 0.8
        assert abs(line.max(axis).sum() - length) < 0.8
        assert (
            np.abs(np.array(scipy.ndimage.center_of_mass(line)) - (side - 1) / 2).max()
            < 0.3
        )


def test_up_is_up_and_right_is_right(folder, steady):
    image = load("train[3:4]", **options(folder, renderings=1)).all("raw")[0, ..., 0]
    top, right = image[:14].mean(), image[:, 14:].mean()
    assert top < image[14:].mean() - 30 and right < image[:, :14].mean() - 30


def test_strokes_are_joined_by_a_thinner_line(folder, steady, monkeypatch):
    monkeypatch.setattr(strokes, "LONGEST_JOIN", 9)
    apart = load("train[1:2]", **options(folder, renderings=1)).all("raw")
    monkeypatch.setattr(strokes, "WRITER", strokes.WRITER + [0, 0, 0, 0, 0, 1])
    joined = load("train[1:2]", **options(folder, renderings=1)).all("raw")
    assert (joined <= apart).all() and (joined < apart).sum() > 20


def test_image_is_a_function_of_writer_and_character(folder):
    few, many = (load("train", **options(folder, renderings=n)) for n in (4, 8))
    assert (few.size, many.size) == (20, 40)
    assert np.array_equal(few.all("raw"), many.all("raw")[:20])
    part = load("train[7:13]", **options(folder, renderings=4))
    assert np.array_equal(part.all("raw"), few.all("raw")[7:13])
    assert list(part.labelled("raw")[1]) == [2, 3, 4, 0, 1, 2]
    alone = strokes.draw(
        strokes._centre_lines(folder, LEVEL_1[:5])[2], 1, ord(LEVEL_1[2]), 28
    )
    assert np.array_equal(alone, few.all("raw")[7, ..., 0])


def test_writers_to_test_on_are_a_quarter_as_many_and_others(folder):
    train, test = (
        load(split, **options(folder, renderings=8)) for split in ("train", "test")
    )
    assert (train.size, test.size) == (40, 10)
    assert train.class_names == test.class_names == tuple(LEVEL_1[:5])
    train, fewer = (
        load(split, **options(folder, renderings=n))
        for split, n in (("train", 8), ("test", 4))
    )
    assert np.array_equal(fewer.all("raw"), test.all("raw")[:5])
    train, test = (e.all("raw").reshape(len(e.labels), -1) for e in (train, test))
    assert np.abs(train[:, None] - test).max(-1).min() > 20


def test_strokes_vary_on_their_own_and_not_only_as_a_whole(folder):
    """No affine map takes one writer's parallel strokes to another's."""
    lines = np.float64([[[0, y], [600, y]] for y in (0, 300, 600)])
    lines = np.stack([strokes._resampled(line) for line in lines])
    moved = strokes._unsteady(
        lines / strokes.EM, np.random.default_rng(1).normal(size=(3, 5))
    )
    source = np.concatenate([lines.reshape(-1, 2), np.ones((lines[..., 0].size, 1))], 1)
    residual = np.linalg.lstsq(source, moved.reshape(-1, 2))[1]
    assert residual.min() > 1e-3


def test_size_and_colour_are_as_asked(folder):
    images = load("train", **options(folder, renderings=1, image_size=40, channels="3"))
    images = images.all("raw")
    assert images.shape == (5, 40, 40, 3)
    assert np.array_equal(images[..., 0], images[..., 2])


def test_log_says_that_nobody_has_written_them(folder, caplog):
    caplog.set_level("INFO", logger="absl")
    load("train", **options(folder, renderings=1))
    assert "made-up writers, not handwritten" in caplog.text


def test_missing_folder_and_files_are_told_with_the_source(folder):
    said = message(UsageError, "train", **options(None))
    assert "--dataset=strokes needs" in said and "npm pack hanzi-writer-data" in said
    said = message(UserError, "train", **options(folder, characters=7))
    assert f"no file for 2 of the 7 characters, such as {LEVEL_1[5]}.json" in said


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"medians": []}', b'{"medians": [[]]}', b'{"medians": 3}',
     b"\xff", b'{"medians": [[["a", 1], [2, 3]]]}', b'{"medians": [[[1,2,3],[4,5,6]]]}',
     b'{"medians": [[[NaN, 2], [3, 4]]]}'],
)  # fmt: skip
def test_damaged_file_is_told_on_one_line(folder, content):
    path = folder / f"{LEVEL_1[1]}.json"
    path.write_bytes(content)
    assert str(path) in message(UserError, "train", **options(folder))


def test_writers_to_test_on_are_recognised_by_those_to_train_on(folder):
    """By the nearest of them, after some blur; by chance 1 in 5."""
    flat = []
    for split in ("train", "test"):
        images, labels = load(split, **options(folder, renderings=32)).labelled("unit")
        blurred = scipy.ndimage.gaussian_filter(images, (0, 1, 1, 0))
        flat.append((blurred.reshape(len(images), -1), labels))
    assert KNeighborsClassifier(1).fit(*flat[0]).score(*flat[1]) > 0.7


def test_conditional_lsgan_trains_on_them_by_its_command(folder, tmp_path):
    logdir = tmp_path / "run"
    ended = launch.within(
        *("--model=lsgan", "--dataset=strokes", f"--data_dir={folder}", "--characters=5"),
        *("--renderings=16", "--width=2", "--batch_size=4", "--steps=2"),
        *("--jit_compile=false", f"--logdir={logdir}"),
    )
    assert ended.code == 0, ended.err
    manifest = json.loads((logdir / "export" / "manifest.json").read_text())
    assert manifest["class_names"] == list(LEVEL_1[:5])
