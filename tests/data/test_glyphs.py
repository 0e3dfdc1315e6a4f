"""Rendered characters: what is drawn, how it is changed, and what is said of fonts."""

import numpy as np
import pytest
import scipy.ndimage
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont
from sklearn.neighbors import KNeighborsClassifier

from tfgan_papers import data
from tfgan_papers.data import fonts, glyphs
from tfgan_papers.data.gb2312 import LEVEL_1
from tfgan_papers.errors import UsageError, UserError

FIVE = LEVEL_1[:5]  # 啊阿埃挨哎


def font(path, characters=FIVE, family="Made", side=900, blank=""):
    """A font in which character i is a box of width side / (i + 1) and height side, in
    thousandths of the em square."""
    names = [".notdef", *(f"box{i}" for i in range(len(characters)))]
    boxes = {}
    for i, name in enumerate(names):
        pen, width = TTGlyphPen(None), side // max(i, 1)
        if not (i and characters[i - 1] in blank):
            pen.moveTo((50, 0))
            for corner in [(50, side), (50 + width, side), (50 + width, 0)]:
                pen.lineTo(corner)
            pen.closePath()
        boxes[name] = pen.glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    builder.setupGlyf(boxes)
    builder.setupHorizontalMetrics({name: (1000, 50) for name in names})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def made(tmp_path):
    return font(tmp_path / "made.ttf")


def load(*files, split="train", characters=5, **values):
    named = ",".join(map(str, files)) or None
    options = dict(dataset="glyphs", font=named, characters=characters, **values)
    return data.load(split, data.DataOptions(**options))


def message(error, *files, **values):
    with pytest.raises(UserError) as caught:
        load(*files, **values)
    said = str(caught.value)
    assert caught.type is error and said == " ".join(said.split())
    return said


@pytest.fixture
def unchanged(monkeypatch):
    monkeypatch.setattr(glyphs, "_changes", lambda seed, size: np.zeros((size, 6)))


def test_level_1_is_the_3755_of_the_standard_in_the_order_of_their_codes():
    assert len(set(LEVEL_1)) == 3755 and LEVEL_1[0] == "啊" and LEVEL_1[-1] == "座"
    codes = [character.encode("gb2312") for character in LEVEL_1]
    assert codes == sorted(codes) and codes[-1] == b"\xd7\xf9"


def test_unchanged_character_is_that_of_the_font_centred_black_on_white(made, unchanged):
    images, labels = load(made, renderings=1).labelled("raw")
    assert images.shape == (5, 28, 28, 1) and list(labels) == list(range(5))
    em = glyphs.EM * 28
    for i, image in enumerate(images[..., 0]):
        ink = 1 - image.astype(np.float64) / 255
        assert ink.max() == 1 and abs(ink[0]).max() == 0
        assert abs(ink.sum() / (0.9 * em) - 0.9 * em / (i + 1)) < 0.6  # width, pixels
        centre = np.array(scipy.ndimage.center_of_mass(ink))
        assert np.abs(centre - 13.5).max() < 0.6


def test_rendering_is_the_drawn_character_under_its_affine_map(made, rng, monkeypatch):
    changes = rng.uniform(-1, 1, (5, 6))
    monkeypatch.setattr(glyphs, "_changes", lambda seed, size: changes[:size])
    found = load(made, renderings=1).all("raw")[..., 0]
    drawn = glyphs._drawn(tuple([fonts.Face(str(made), 0)]), FIVE, 56)[..., 0]
    for image, large, u in zip(found, drawn, changes, strict=True):
        turn = np.deg2rad(glyphs.ROTATION) * u[0]
        rotation = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        shear = [[1, glyphs.SHEAR * u[3]], [0, 1]]
        stretch = np.diag(glyphs.STRETCH ** -u[1:3])
        matrix = np.array(rotation) @ shear @ stretch  # of (x, y)
        offset = 27.5 + glyphs.SHIFT * 56 * u[4:] - matrix @ [27.5, 27.5]
        expected = scipy.ndimage.affine_transform(
            np.float64(large), matrix[::-1, ::-1], offset[::-1], order=1,
            mode="grid-constant", cval=255,
        )  # fmt: skip
        expected = expected.reshape(28, 2, 28, 2).mean((1, 3))
        assert np.abs(image - expected).max() < 1


def test_rendering_is_a_function_of_its_number(made):
    few, many = (load(made, renderings=n) for n in (4, 16))
    assert (few.size, many.size) == (20, 80)
    assert np.array_equal(few.all("raw"), many.all("raw")[:20])
    assert np.array_equal(few.all("raw"), load(made, renderings=4).all("raw"))
    part = load(made, split="train[7:13]", renderings=4)
    assert np.array_equal(part.all("raw"), few.all("raw")[7:13])
    stored = many.all("raw").reshape(80, -1)
    for images, labels in many.stream(16, 1, "raw", labels=True).take(5):
        shown = images.numpy().reshape(16, 1, -1)
        gaps = np.abs(shown - stored).max(-1)
        assert (gaps.min(1) == 0).all() and np.array_equal(gaps.argmin(1) % 5, labels)


def test_renderings_to_test_on_are_a_quarter_as_many_and_others(made):
    train, test = (load(made, split=split, renderings=8) for split in ("train", "test"))
    assert (train.size, test.size) == (40, 10)
    assert test.class_names == train.class_names == tuple(FIVE)
    train, test = (e.all("raw").reshape(len(e.labels), -1) for e in (train, test))
    assert np.abs(train[:, None] - test).max(-1).min() > 20
    assert load(made, split="test", renderings=1).size == 5


def test_every_font_is_used_for_every_character(made, tmp_path, unchanged):
    small = font(tmp_path / "small.ttf", side=300)
    images, labels = load(made, small, renderings=2).labelled("raw")
    ink = (255 - images).sum((1, 2, 3))
    for label in range(5):
        assert np.ptp(np.log(ink[labels == label])) > 1
    assert len(load(made, small, renderings=1).all("raw")) == 5


def test_size_and_colour_are_as_asked(made):
    found = load(made, renderings=1, image_size=40, channels="3")
    images = found.all("raw")
    assert images.shape == (5, 40, 40, 3)
    assert np.array_equal(images[..., 0], images[..., 2])


def test_collection_gives_its_face_for_simplified_characters(tmp_path, unchanged):
    collection = TTCollection()
    for family, side in [("Made JP", 300), ("Made SC", 900)]:
        path = font(tmp_path / f"{family}.ttf", family=family, side=side)
        collection.fonts.append(TTFont(path))
    collection.save(tmp_path / "both.ttc")
    both, simplified = (
        load(tmp_path / name, renderings=1).all("raw")
        for name in ("both.ttc", "Made SC.ttf")
    )
    assert np.array_equal(both, simplified)


def test_log_says_that_they_are_rendered_and_in_which_fonts(made, caplog):
    caplog.set_level("INFO", logger="absl")
    load(made, renderings=1)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "rendered, not handwritten" in said and str(made) in said


def test_font_without_a_glyph_is_told_with_the_characters(made, tmp_path):
    said = message(UserError, made, characters=7)
    assert str(made) in said and "no glyph for 2 of the 7 characters: 唉哀." in said
    assert len(message(UserError, made, characters=3755)) < 400
    second = font(tmp_path / "second.ttf", characters="啊埃挨哎")
    assert "阿" in message(UserError, made, second)


def test_installed_font_without_a_glyph_is_left_out(made, tmp_path, monkeypatch, caplog):
    lacking = font(tmp_path / "lacking.ttf", characters="啊埃挨哎")
    other = tmp_path / "other.pfb"
    other.write_text("another kind of font")
    monkeypatch.setattr(fonts, "installed", lambda: list(map(str, (lacking, made, other))))
    caplog.set_level("INFO", logger="absl")
    found = load(renderings=1).all("raw")
    assert np.array_equal(found, load(made, renderings=1).all("raw"))
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert f"left out: {lacking} has no glyph for 1 of the 5 characters: 阿" in said


def test_character_that_a_font_draws_nothing_for_is_told(tmp_path):
    path = font(tmp_path / "blank.ttf", blank="埃")
    assert f"{path} draws nothing for 埃" in message(UserError, path)


def test_no_font_is_told_with_the_package_to_install(monkeypatch):
    monkeypatch.setattr(fonts, "installed", list)
    said = message(UserError)
    assert "no installed font" in said and "fonts-noto-cjk" in said and "--font" in said


@pytest.mark.parametrize("content", [None, b"", b"no font at all", b"ttcf" + bytes(40)])
@pytest.mark.parametrize("suffix", ["ttf", "ttc"])
def test_file_that_is_no_font_is_told(content, suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in message(UserError, path)


def test_cut_font_is_told(made):
    content = made.read_bytes()
    for size in (20, 200, len(content) // 2, len(content) - 20):
        made.write_bytes(content[:size])
        assert str(made) in message(UserError, made)


def test_more_than_fits_into_memory_is_told(made):
    said = message(UsageError, made, image_size=20_000)
    assert "--characters" in said and "--image_size" in said


INSTALLED = fonts.installed()


@pytest.mark.skipif(not INSTALLED, reason="needs a font with Chinese characters")
def test_renderings_to_test_on_are_recognised_by_those_to_train_on():
    """By the nearest of them, after some blur; by chance 1 in 60."""
    flat = []
    for split in ("train", "test"):
        images, labels = load(split=split, characters=60).labelled("unit")
        blurred = scipy.ndimage.gaussian_filter(images, (0, 1, 1, 0))
        flat.append((blurred.reshape(len(images), -1), labels))
    assert KNeighborsClassifier(1).fit(*flat[0]).score(*flat[1]) > 0.7


@pytest.mark.skipif(not INSTALLED, reason="needs a font with Chinese characters")
def test_fonts_are_found_without_fontconfig(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load(characters=20, renderings=1).size == 20
