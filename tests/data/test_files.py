"""Which files of a folder are read, what its folders mean, and what is said of it."""

import os
import pathlib
import random

import numpy as np
import pytest
from PIL import Image

from tests.data.sets import folder, message, save
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data import files
from tfgan_papers.errors import UsageError, UserError

DOT = np.zeros((2, 2), np.uint8)


def found(root):
    paths, left_out = files.find(root, {".png"})
    return [str(path.relative_to(root)) for path in paths], left_out


def test_hidden_and_system_folders_are_no_classes(tmp_path):
    for name in ("cat/1.png", "dog/2.png", "dog/deeper/3.png"):
        save(tmp_path / name, DOT)
    left = (
        ".ipynb_checkpoints", "@eaDir", "__MACOSX", "lost+found", "#recycle", ".git",
    )  # fmt: skip
    for name in left:
        save(tmp_path / name / "x.png", DOT)
    save(tmp_path / "cat" / "@eaDir" / "1.png", DOT)
    for name in ("cat/._1.png", "dog/Thumbs.db", ".DS_Store", "dog/@x.png"):
        (tmp_path / name).write_text("")
    for name in ("labels.txt", "cat/more.TXT", "README"):
        (tmp_path / name).write_text("")
    examples = folder(tmp_path)
    assert examples.class_names == ("cat", "dog") and examples.size == 3
    assert examples.left_out == {
        "hidden or system folders": len(left) + 1,
        "hidden or system files": 4,
        ".txt": 2,
        "without a suffix": 1,
    }


@pytest.mark.skipif(os.name == "nt", reason="links need privileges there")
def test_links_are_followed_and_each_folder_is_read_once(tmp_path):
    """By an independent walk: each real folder's files, at its own place or the link's."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for path in (root / "z" / "1.png", outside / "2.png", outside / "in" / "3.png"):
        save(path, DOT)
    (root / "a").symlink_to(root / "z")  # which sorts before it
    (root / "b").symlink_to(outside)
    (root / "c").symlink_to(outside / "in")
    (root / "z" / "loop").symlink_to(root)
    (outside / "loop").symlink_to(outside)
    (root / "file.png").symlink_to(outside / "2.png")
    (root / "nowhere").symlink_to(tmp_path / "missing")
    paths, left_out = found(root)
    assert paths == ["b/2.png", "b/in/3.png", "file.png", "z/1.png"]
    assert left_out["links to folders that are read already"] == 4
    seen = {(pathlib.Path(root, path)).resolve().parent for path in paths}
    assert seen == {outside, outside / "in", root / "z"}


def test_folder_that_is_a_link_is_read(tmp_path):
    save(tmp_path / "real" / "1.png", DOT)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert found(tmp_path / "link")[0] == ["1.png"]


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "ico", "tga", "jp2", "pcx", "sgi"])
def test_what_pillow_reads_is_read(suffix, tmp_path):
    format = Image.registered_extensions()[f".{suffix.lower()}"]
    Image.new("RGB", (16, 16), (200, 40, 90)).save(tmp_path / f"a.{suffix}", format)
    (image,) = folder(tmp_path).all("raw")
    assert image.shape == (16, 16, 3) and np.abs(image - (200.0, 40.0, 90.0)).max() < 6


def test_suffixes_are_those_of_decoders():
    suffixes = files.image_suffixes()
    assert suffixes > set(".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm".split())
    assert not suffixes & {".pdf", ".h5", ".grib", ".txt", ".npy"}


def test_numbered_classes_are_in_natural_order(tmp_path):
    names = ["1", "2", "10", "02", "a9", "a10", "b"]
    shuffled = random.Random(1).sample(names, len(names))
    assert sorted(shuffled, key=files.natural) == ["1", "02", "2", "10", "a9", "a10", "b"]
    for i in (10, 2, 1):
        save(tmp_path / str(i) / "x.png", np.full((2, 2), i, np.uint8))
    images, labels = folder(tmp_path).labelled("raw")
    assert folder(tmp_path).class_names == ("1", "2", "10")
    of = dict(zip(images[:, 0, 0, 0], labels, strict=True))
    assert of == {1: 0, 2: 1, 10: 2}
    assert folder(tmp_path, data_order="sorted").class_names == ("1", "10", "2")


def test_one_folder_is_no_class(tmp_path):
    for i in range(3):
        save(tmp_path / "only" / f"{i}.png", DOT)
    examples = folder(tmp_path)
    assert (examples.size, examples.classes, examples.class_names) == (3, 0, None)
    with pytest.raises(UsageError, match="has no labels"):
        examples.labelled("raw")


@pytest.mark.parametrize("second", ["test", "val", "Valid", "validation", "Testing"])
def test_train_and_test_are_splits_and_not_classes(second, tmp_path):
    first = "Training" if second == "Testing" else "train"
    for split, names in ((first, "aab"), (second, "bbb")):
        for i, name in enumerate(names):
            save(tmp_path / split / name / f"{i}.png", np.full((2, 2), i, np.uint8))
    name = second.lower().removesuffix("ing")
    train, other = folder(tmp_path), folder(tmp_path, name)
    assert (train.size, other.size) == (3, 3)
    assert train.class_names == other.class_names == ("a", "b")
    assert sorted(train.labels) == [0, 0, 1] and list(other.labels) == [1, 1, 1]
    assert folder(tmp_path, f"train+{name}").size == 6
    said = message(UsageError, "nope", dataset="folder", data_dir=str(tmp_path))
    assert f"train (3 examples), {name} (3 examples)" in said


@pytest.mark.parametrize("beside", ["x.png", "cat/x.png", None])
def test_train_and_test_beside_other_images_are_classes(beside, tmp_path):
    for name in ("train/1.png", "test/2.png"):
        save(tmp_path / name, DOT)
    if beside is None:
        (tmp_path / "train" / "1.png").rename(tmp_path / "test" / "1.png")
        assert folder(tmp_path).size == 2  # without train, test is one folder
        return
    save(tmp_path / beside, DOT)
    classes = ("cat", "test", "train") if "cat" in beside else None
    assert folder(tmp_path).class_names == classes and folder(tmp_path).size == 3


def test_class_of_the_test_images_that_train_lacks_is_named(tmp_path):
    for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/c/4.png"):
        save(tmp_path / name, DOT)
    assert folder(tmp_path).class_names == ("a", "b")
    said = message(UsageError, "test", dataset="folder", data_dir=str(tmp_path))
    assert "the class 'c'" in said and "the classes 'a', 'b'" in said


def test_test_images_without_folders_have_no_labels(tmp_path):
    for name in ("train/a/1.png", "train/b/2.png", "test/3.png"):
        save(tmp_path / name, DOT)
    assert folder(tmp_path).classes == 2 and folder(tmp_path, "test").classes == 0


def test_one_line_says_what_a_folder_holds(tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    for label in range(14):
        for i in range(label + 1):
            save(tmp_path / str(label) / f"{i}.png", np.zeros((6, 4, 3), np.uint8))
    (tmp_path / "0" / "notes.txt").write_text("")
    (tmp_path / "0" / "bad.png").write_text("")
    folder(tmp_path, crop="none")
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "INFO"]
    assert line.startswith(f"{tmp_path}, split train: 105 colour images of 4x6 pixels; ")
    assert "14 classes: 0 (1), 1 (2), 2 (3)," in line and "11 (12), ...;" in line
    assert line.endswith("left out: 1 .txt, 1 images that cannot be read")


def test_progress_is_said_every_ten_seconds_and_not_before(monkeypatch, caplog):
    caplog.set_level("INFO", logger="absl")
    now = iter([0, 1, 10.5, 10.5, 11, 20, 21, 21])
    monkeypatch.setattr(examples_module.time, "monotonic", lambda: next(now))
    progress = examples_module.Progress()
    for i in range(5):
        progress("%d read", i)
    assert [r.getMessage() for r in caplog.records] == ["1 read", "4 read"]


def test_folder_without_images_says_what_it_holds(tmp_path):
    (tmp_path / "a.csv").write_text("")
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert ".png" in said and "1 .csv" in said
