"""Labels that are matched by name, and the fingerprint that tells data from others."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.sets import NUMBERED, Tiny, folder, load, prepare, save
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.errors import UsageError


def made(root, names, count=6, value=0):
    """`count` images in each of these folders, of levels that tell them apart."""
    for name in names:
        for i in range(count):
            levels = np.full((2, 2), value + 7 * int(name) + i, np.uint8)
            save(root / name / f"{i}.png", levels)
    return root


@pytest.mark.parametrize("in_memory", [True, False])
def test_labels_are_matched_by_name(in_memory, tmp_path, monkeypatch):
    """A folder without the class 3 among ten."""
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    ten = [str(i) for i in range(10)]
    found = folder(made(tmp_path, [name for name in ten if name != "3"]))
    wrong = found.labelled("raw")[1]
    images, labels = found.with_classes(ten).labelled("raw")
    right = images[:, 0, 0, 0] // 7
    assert np.array_equal(labels, right) and not np.array_equal(wrong, right)
    assert found.with_classes(ten).class_names == tuple(ten)
    streamed = found.with_classes(ten).stream(18, 1, "raw", labels=True)
    for images, labels in streamed.take(3):
        assert np.array_equal(labels, images[:, 0, 0, 0] // 7)
    assert np.array_equal(found.labelled("raw")[1], wrong)  # as it was


def test_labels_of_records_are_matched_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(Tiny, "label", tfds.features.ClassLabel(names=["dog", "ant"]))
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    prepare(Tiny(data_dir=tmp_path), 2, lambda x: int(x[0, 0, 0]) % 2, train=NUMBERED)
    found = load(dataset="tiny", data_dir=str(tmp_path))
    again = found.with_classes(["ant", "cat", "dog"]).with_classes(["dog", "ant", "cat"])
    for examples, of_even, of_odd in ((found.with_classes(["ant", "dog"]), 1, 0),
                                      (again, 0, 1)):  # fmt: skip
        images, labels = examples.labelled("raw")
        expected = np.where(images[:, 0, 0, 0] % 2, of_odd, of_even)
        assert np.array_equal(labels, expected)


def test_withheld_labels_stay_none():
    found = HeldExamples("made", np.zeros((3, 2, 2, 1), "u1"), [1, -1, 0], ["a", "b"])
    assert list(found.with_classes(["c", "b", "a"]).labels) == [1, -1, 2]


def test_class_that_the_training_data_lack_is_named(tmp_path):
    found = folder(made(tmp_path, ["1", "2", "10"]))
    with pytest.raises(UsageError, match="the class '10'.* the classes '1', '2'$"):
        found.with_classes(["1", "2"])
    with pytest.raises(UsageError, match="has no labels"):
        load(dataset="ring").with_classes(["1", "2"])


@pytest.fixture(params=[True, False], ids=["in memory", "from disk"])
def root(request, tmp_path, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", request.param << 30)
    return made(tmp_path / "root", ["1", "2"])


def test_fingerprint_is_the_same_wherever_the_data_lie(root, tmp_path):
    before = folder(root).fingerprint()
    assert folder(root.rename(tmp_path / "moved")).fingerprint() == before


def rename(root):
    (root / "1").rename(root / "3")


def swap(root):
    (root / "1").rename(root / "x")
    (root / "2").rename(root / "1")
    (root / "x").rename(root / "2")


def fill(root):
    made(root, ["1", "2"], value=100)


def change(root):
    save(root / "2" / "3.png", np.full((2, 2), 255, np.uint8))


def remove(root):
    (root / "2" / "3.png").unlink()


def move(root):
    (root / "2" / "3.png").rename(root / "1" / "7.png")


@pytest.mark.parametrize("action", [rename, swap, fill, change, remove, move])
def test_fingerprint_of_other_data_is_another(action, root):
    before = folder(root).fingerprint()
    action(root)
    assert folder(root).fingerprint() != before


def test_fingerprint_looks_all_over_the_data(monkeypatch):
    monkeypatch.setattr(examples_module, "FINGERPRINTED", 10)
    images, found = np.zeros((100, 2, 2, 1), np.uint8), set()
    for start in range(0, 100, 10):
        images[:] = 0
        images[start : start + 10] = 1
        found.add(HeldExamples("made", images.copy()).fingerprint())
    assert len(found) == 10


@pytest.mark.parametrize("in_memory", [True, False])
def test_fingerprint_of_records_is_of_images_and_labels(in_memory, tmp_path, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    monkeypatch.setattr(Tiny, "label", tfds.features.ClassLabel(names=["a", "b"]))
    found = []
    for i, (images, label) in enumerate(
        [(NUMBERED, 0), (NUMBERED, 0), (NUMBERED, 1), (NUMBERED + 1, 0)]
    ):
        path = tmp_path / str(i)
        prepare(Tiny(data_dir=path), 3, lambda _, label=label: label, train=images)
        found.append(load(dataset="tiny", data_dir=str(path)).fingerprint())
    assert found[0] == found[1] and len(set(found)) == 3
