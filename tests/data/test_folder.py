"""Folders of images: which are found, what their pixels become, and which are left out."""

import hashlib
import io
import os
import struct

import numpy as np
import pytest
from PIL import Image

from tests.data.sets import PREPARED, folder, load, message, pixels, resized, save, tiny
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.files import fixed_order
from tfgan_papers.errors import UsageError, UserError


def test_olivetti_faces_are_read_whole():
    root = PREPARED / "olivetti_png"
    if not root.is_dir():
        pytest.skip(f"the Olivetti faces are not in {root}")
    paths = [f"{at}/{file}" for at, _, files in os.walk(root) for file in files]
    expected = np.stack([np.asarray(Image.open(path)) for path in sorted(paths)])
    found = folder(root, data_order="sorted")
    assert (found.size, found.shape) == (400, (64, 64, 1))
    assert np.array_equal(pixels(found)[..., 0], expected)


@pytest.mark.parametrize("data_order", ["sorted", "hashed"])
def test_order_is_that_of_paths_or_of_their_hashes(data_order, tmp_path):
    names = ["b.png", "a/z.PNG", "a/b c/ü ñ 画.png", "c.d/e.jpeg.png", "a/a.png"]
    for i, name in enumerate(names):
        save(tmp_path / name, np.full((4, 4), i, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._b.png").write_text("what a file system leaves behind")
    (tmp_path / "empty.png").mkdir()
    keys = {
        "sorted": lambda name: name.split("/"),
        "hashed": lambda name: hashlib.sha256(name.encode()).hexdigest(),
    }
    order = [names.index(name) for name in sorted(names, key=keys[data_order])]
    found = folder(tmp_path, data_order=data_order)
    assert list(pixels(found)[:, 0, 0, 0]) == order


def test_fixed_order_is_of_names_and_not_of_how_a_file_system_writes_them():
    names = ["caf\u00e9.png", "b.png", "c.png"]
    assert fixed_order(names) == fixed_order(["cafe\u0301.png", "b.png", "c.png"])
    kept = [i for i in fixed_order([*names, "a further one.png"]) if i < 3]
    assert kept == fixed_order(names)


def test_first_and_last_tenth_hold_all_classes_of_data_that_lie_class_by_class(tmp_path):
    for label in range(5):
        for i in range(40):
            save(tmp_path / str(label) / f"{i}.png", np.full((2, 2), label, np.uint8))
    for split in ("train[:20]", "train[90%:]"):
        labels = folder(tmp_path, split).labelled("raw")[1]
        assert len(labels) == 20 and len(set(labels)) == 5
    assert set(folder(tmp_path, "train[90%:]", data_order="sorted").labels) == {4}


def one_of(path, **values):
    (image,) = pixels(folder(path, **values))
    return image


def test_grey_stays_grey_and_one_colour_image_makes_all_colour(tmp_path, rng):
    grey, colour = (np.uint8(rng.integers(0, 256, (5, 5, *c))) for c in [(), (3,)])
    for i in range(120):
        save(tmp_path / f"{i:03}.png", grey)
    assert np.array_equal(pixels(folder(tmp_path))[7, ..., 0], grey)
    save(tmp_path / "999.png", colour)
    found = pixels(folder(tmp_path))
    (last,) = np.flatnonzero((found == colour).all((1, 2, 3)))
    assert np.array_equal(found[last - 1], np.stack([grey] * 3, -1))
    luma = colour @ [0.299, 0.587, 0.114]
    assert np.abs(pixels(folder(tmp_path, channels="1"))[last, ..., 0] - luma).max() < 1


@pytest.mark.parametrize("bands", [2, 4])
def test_transparent_pixels_are_white(bands, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (6, 6, bands)))
    image[0, :, -1], image[1, :, -1] = 0, 255
    save(tmp_path / "a.png", image)
    alpha = image[..., -1:] / 255
    expected = image[..., :-1] * alpha + 255 * (1 - alpha)
    found = one_of(tmp_path)
    assert found.shape == (6, 6, bands - 1)
    assert np.abs(found - expected).max() < 1.01
    assert np.array_equal(found[1], image[1, :, :-1]) and (found[0] == 255).all()


def test_palette_gives_its_colours_and_its_transparent_one_white(tmp_path, rng):
    indices = np.uint8(rng.integers(0, 4, (8, 8)))
    palette = np.uint8([[10, 20, 30], [200, 100, 0], [0, 0, 255], [1, 2, 3]])
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "a.png")
    assert np.array_equal(one_of(tmp_path), palette[indices])
    picture.save(tmp_path / "a.png", transparency=1)
    palette[1] = 255
    assert np.array_equal(one_of(tmp_path), palette[indices])


def test_sixteen_bits_become_eight(tmp_path, rng):
    image = np.uint16(rng.integers(0, 65536, (6, 6)))
    image[0, :2] = 0, 65535
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path)
    assert found.shape == (6, 6, 1)
    assert np.abs(found[..., 0] - image / 257).max() <= 0.5


@pytest.mark.parametrize(
    ("suffix", "white"), [("png", 65535), ("pgm", 65535), ("tif", 255)]
)
def test_a_dark_image_of_sixteen_bits_stays_dark(suffix, white, tmp_path, rng):
    """PNG and PGM state their white. In other files the levels decide."""
    image = np.uint16(rng.integers(0, 256, (6, 6)))
    image[0, :2] = 0, 255
    save(tmp_path / f"a.{suffix}", image)
    assert np.array_equal(one_of(tmp_path)[..., 0], np.rint(image * (255 / white)))


def test_bilevel_becomes_black_and_white(tmp_path, rng):
    image = rng.integers(0, 2, (6, 6)).astype(bool)
    save(tmp_path / "a.png", image)
    assert np.array_equal(one_of(tmp_path)[..., 0], image * 255)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_photo_taken_upright_is_shown_upright(suffix, tmp_path):
    image = np.zeros((16, 24, 3), np.uint8)
    image[:8, :12] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
    save(tmp_path / f"a.{suffix}", image, exif=exif)
    found = one_of(tmp_path, crop="none")
    assert found.shape == (24, 16, 3)
    assert np.abs(found.astype(int) - np.rot90(image, -1)).max() < 40  # JPEG is lossy


def test_cmyk_photo_comes_in_its_colours(tmp_path):
    ink = (200, 30, 90, 60)
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=95)
    expected = [(255 - c) * (255 - ink[3]) / 255 for c in ink[:3]]
    assert np.abs(one_of(tmp_path) - expected).max() < 6


@pytest.mark.parametrize(
    "suffix", ["bmp", "gif", "webp", "tif", "ppm", "png", "jpg", "JPEG"]
)
def test_format_is_read(suffix, tmp_path):
    save(tmp_path / f"a.{suffix}", np.full((16, 16, 3), (200, 40, 90), np.uint8))
    assert np.abs(one_of(tmp_path) - (200.0, 40.0, 90.0)).max() < 6


@pytest.mark.parametrize("size", [5, 16, 33, 60])
def test_resizing_is_antialiased_bilinear(size, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (33, 33)))
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path, image_size=size)
    assert found.shape == (size, size, 1)
    assert np.abs(found[..., 0] - resized(image, size)).max() < 1.6  # rounded twice


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        ("square", np.s_[:, 2:8]),
        ("none", np.s_[:, :]),
        ("4", np.s_[1:5, 3:7]),
        ("3", np.s_[1:4, 3:6]),
        ("99", np.s_[:, 2:8]),
    ],
)
def test_crop_is_centred(crop, box, tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (6, 10)))
    save(tmp_path / "a.png", image)
    assert np.array_equal(one_of(tmp_path, crop=crop)[..., 0], image[box])


def test_uncropped_image_is_stretched(tmp_path, rng):
    image = np.uint8(rng.integers(0, 256, (20, 12)))
    save(tmp_path / "a.png", image)
    found = one_of(tmp_path, crop="none", image_size=8)
    assert np.abs(found[..., 0] - resized(image, 8)).max() < 1.6


@pytest.mark.parametrize("crop", ["0", "-3", "3.5", "round", ""])
def test_crop_that_is_none_is_a_usage_error(crop, tmp_path):
    save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    assert "--crop" in message(
        UsageError, dataset="folder", data_dir=str(tmp_path), crop=crop
    )


# To be turned, with a resolution, 0x011A, that is text
DAMAGED_EXIF = b"".join(
    [
        b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2),
        struct.pack("<HHII", 0x0112, 3, 1, 6),
        struct.pack("<HHI4sI", 0x011A, 2, 4, b"72", 0),
    ]
)


def spoil(path, rng):
    """Files of the names of images that are none; their names."""
    image = np.uint8(rng.integers(0, 256, (64, 64, 3)))
    for name in ("cut.png", "cut.jpg", "cut.webp", "cut.tif", "cut.gif", "cut.bmp"):
        content = io.BytesIO()
        Image.fromarray(image).save(
            content, {"jpg": "jpeg", "tif": "tiff"}.get(name[4:], name[4:])
        )
        (path / name).write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
    Image.fromarray(image).save(path / "unknown.dds")
    with (path / "unknown.dds").open("r+b") as file:
        file.seek(80)
        file.write(struct.pack("<I", 0x200))  # flags of a kind that Pillow does not read
    if ".avif" in Image.registered_extensions():
        Image.fromarray(image).save(path / "damaged.avif")
        content = (path / "damaged.avif").read_bytes()
        header = content[: content.index(b"mdat") + 4]
        (path / "damaged.avif").write_bytes(header.ljust(len(content), b"\0"))
    (path / "empty.png").write_bytes(b"")
    Image.fromarray(image).save(path / "exif.jpg", exif=DAMAGED_EXIF)
    (path / "text of its own.png").write_text("This is no image.")
    save(path / "float.tif", np.full((6, 6), np.nan, np.float32))
    save(path / "wide.tif", np.full((6, 6), 1 << 20, np.int32))
    return {file.name for file in path.iterdir()}


@pytest.mark.parametrize("in_memory", [True, False])
def test_bad_files_are_named_counted_and_left_out(
    in_memory, tmp_path, rng, monkeypatch, caplog
):
    bad = spoil(tmp_path, rng)
    good = [np.uint8(rng.integers(0, 256, (6, 6, 3))) for _ in range(3)]
    for name, image in zip(["a.png", "d.png", "z.png"], good, strict=True):
        save(tmp_path / name, image)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", in_memory << 30)
    found = folder(tmp_path, data_order="sorted")
    assert found.size == 3 and np.array_equal(pixels(found), np.stack(good))
    assert found.left_out == {"images that cannot be read": len(bad)}
    said = [
        record.getMessage() for record in caplog.records if record.levelname == "WARNING"
    ]
    named = {
        line.removeprefix(f"left out {tmp_path}/").partition(":")[0] for line in said[:-1]
    }
    assert named == bad and len(said) == len(bad) + 1
    assert said[-1] == f"{tmp_path}: {len(bad)} of {len(bad) + 3} images left out"
    assert not any("\n" in line for line in said)


def test_split_of_a_folder_is_of_its_files(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.png", np.full((4, 4), i, np.uint8))
    (tmp_path / "3.png").write_bytes(b"")
    train, test = (
        pixels(folder(tmp_path, s, data_order="sorted"))[:, 0, 0, 0]
        for s in ("train[:70%]", "train[70%:]")
    )
    assert list(train) == [0, 1, 2, 4, 5, 6] and list(test) == [7, 8, 9]
    said = message(UsageError, "test", dataset="folder", data_dir=str(tmp_path))
    assert "train (10 examples)" in said


@pytest.mark.parametrize("beside", ["unlabeled/c.png", "preview.png"])
def test_images_beside_training_and_test_folders_are_warned_of(beside, tmp_path, caplog):
    """The test images are then trained on."""
    for name in ("train/a.png", "test/b.png"):
        save(tmp_path / name, np.zeros((4, 4), np.uint8))
    assert folder(tmp_path).size == 1
    assert "beside them" not in caplog.text
    save(tmp_path / beside, np.zeros((4, 4), np.uint8))
    assert folder(tmp_path).size == 3
    assert f"to have splits, move {beside.split('/')[0]} elsewhere" in caplog.text


def test_folder_of_bad_files_only_is_told(tmp_path, rng):
    bad = spoil(tmp_path, rng)
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert str(tmp_path) in said and f"none of the {len(bad)} images" in said


def test_images_that_differ_in_size_need_an_image_size(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 6), np.uint8))
    save(tmp_path / "b.png", np.zeros((9, 8), np.uint8))
    values = dict(dataset="folder", data_dir=str(tmp_path))
    said = message(UsageError, **values)
    assert "--image_size" in said and "8x8" in said and "6x6" in said and "b.png" in said
    assert load(**values, image_size=4).shape == (4, 4, 1)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_folder_that_is_none_is_told(kind, tmp_path):
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    assert str(path) in message(UserError, dataset="folder", data_dir=str(path))


def test_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    closed, scandir = str(tmp_path / "closed"), os.scandir
    os.mkdir(closed)

    def refuse(path):
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    said = message(UserError, dataset="folder", data_dir=str(tmp_path))
    assert closed in said and "Permission denied" in said


def test_folder_needs_a_data_dir():
    assert "--data_dir" in message(UsageError, dataset="folder", data_dir=None)


def test_home_is_understood_in_data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "faces" / "a.png", np.zeros((4, 4), np.uint8))
    assert folder("~/faces").size == 1
    tiny(tmp_path / "sets")
    assert load("test", dataset="tiny", data_dir="~/sets").size == 5


def test_an_image_beside_the_folders_of_classes_is_told_once(tmp_path, caplog):
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name, np.zeros((4, 4), np.uint8))
    assert folder(tmp_path).class_names == ("a", "b") and not caplog.records
    save(tmp_path / "c.png", np.zeros((4, 4), np.uint8))
    assert not folder(tmp_path).classes and not folder(tmp_path).classes
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{tmp_path}: its folders are not classes")
