"""CASIA HWDB: what was written with its character, and what is said of damaged files."""

import os

import numpy as np
import pytest

from tests.data.sets import load, message, pixels, resized
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.errors import UsageError, UserError


def gnt(path, *records):
    """Write a GNT file; a record is a character, or two bytes of code, and its pixels."""
    content = b""
    for code, image in records:
        code = code if isinstance(code, bytes) else code.encode("gbk")
        head = np.array([10 + image.size], "<u4").tobytes() + code
        content += head + np.array(image.shape[::-1], "<u2").tobytes() + image.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def hwdb(tmp_path, rng):
    """The options for three writers' made files, and what they wrote, file by file."""

    def written(*codes):
        sizes = rng.integers(5, 90, (len(codes), 2))
        return [
            (c, np.uint8(rng.integers(0, 256, s)))
            for c, s in zip(codes, sizes, strict=True)
        ]

    train = [written("国", b"A\0", "啊", "亍"), written("座", "国", "，", "啊")]
    test = [written("啊", "中")]
    gnt(tmp_path / "HWDB1.0trn_gnt" / "001-f.gnt", *train[0])
    gnt(tmp_path / "HWDB1.0trn_gnt" / "002-f.gnt", *train[1])
    gnt(tmp_path / "HWDB1.0tst_gnt" / "301-f.gnt", *test[0])
    return dict(dataset="hwdb", data_dir=str(tmp_path)), sum(train, []), sum(test, [])


LEVEL_1_WRITTEN = "啊国中座"  # in the order of their codes, b0a1 b9fa d6d0 d7f9


@pytest.mark.parametrize("in_memory", [True, False])
def test_hwdb_is_what_was_written_with_its_character(in_memory, hwdb, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    values, *written = hwdb
    for split, records in zip(["train", "test"], written, strict=True):
        found = load(split, **values)
        assert isinstance(found, HeldExamples) == in_memory
        images, labels = found.labelled("raw")
        known = [(c, image) for c, image in records if c in list(LEVEL_1_WRITTEN)]
        assert found.class_names == tuple(LEVEL_1_WRITTEN)
        assert [LEVEL_1_WRITTEN[label] for label in labels] == [c for c, _ in known]
        assert images.shape == (len(known), 28, 28, 1)
        expected = np.stack([resized(image, 28) for _, image in known])
        assert np.abs(images[..., 0] - expected).max() < 1.6  # rounded twice


def test_hwdb_takes_another_size_and_stays_white_around(tmp_path):
    image = np.full((64, 48), 255, np.uint8)
    image[20:40, 10:30] = 30
    gnt(tmp_path / "1.gnt", ("啊", image))
    found = pixels(load(dataset="hwdb", data_dir=str(tmp_path), image_size=32))
    assert found.shape == (1, 32, 32, 1)
    assert (found[0, :5] == 255).all() and found.min() == 30


def test_hwdb_tells_how_many_symbols_it_leaves_out(hwdb, caplog):
    caplog.set_level("INFO", logger="absl")
    load(**hwdb[0])
    assert any("3 of 10 records left out" in r.getMessage() for r in caplog.records)


def test_missing_hwdb_is_told_with_the_way_to_get_it(tmp_path):
    for said in (
        message(UserError, dataset="hwdb", data_dir=str(tmp_path / "none")),
        message(UserError, dataset="hwdb", data_dir=str(tmp_path)),
        message(UsageError, dataset="hwdb", data_dir=None),
    ):
        assert "registration" in said and "HWDB1.0trn_gnt.zip" in said


@pytest.mark.parametrize("left", [1, 9, 10, 11, 39])
def test_truncated_gnt_file_is_told_with_the_byte(left, hwdb, tmp_path):
    path = gnt(tmp_path / "x.gnt", *[("啊", np.zeros((5, 6), np.uint8))] * 3)
    os.truncate(path, 80 + left)  # a record is of 40 bytes
    said = message(UserError, **hwdb[0])
    assert str(path) in said and f"ends at byte {80 + left}" in said
    assert "record that begins at byte 80" in said


@pytest.mark.parametrize("size", [7, 39, 41, 0])
def test_file_that_is_no_gnt_file_is_told_with_the_byte(size, hwdb, tmp_path):
    path = gnt(tmp_path / "x.gnt", *[("啊", np.zeros((5, 6), np.uint8))] * 3)
    content = bytearray(path.read_bytes())
    content[40:44] = np.array([size], "<u4").tobytes()
    path.write_bytes(content)
    said = message(UserError, **hwdb[0])
    assert str(path) in said and "record at byte 40" in said


def test_hwdb_without_test_files_has_no_test_split(tmp_path):
    gnt(tmp_path / "1.gnt", ("啊", np.zeros((5, 6), np.uint8)))
    said = message(UsageError, "test", dataset="hwdb", data_dir=str(tmp_path))
    assert "train (1 examples)" in said
