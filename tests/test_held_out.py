"""A new run holds out a tenth of the data if they have no test split, and scores warn of
test images that are not held out. A resumed run verifies that its data are the same."""

import json

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from tests import factories, launch
from tfgan_papers.commands import scoring
from tfgan_papers.data import DataOptions, HeldExamples
from tfgan_papers.metrics import features
from tfgan_papers.runs import settings

SHORT = ("--batch_size=8", "--steps=2", "--report_steps=2", "--jit_compile=false")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 digits in the folders 2 and 10."""
    root = tmp_path_factory.mktemp("data") / "pictures"
    digits = sklearn.datasets.load_digits(n_class=2)
    for i, (image, label) in enumerate(
        zip(digits.images[:40], digits.target[:40], strict=True)
    ):
        folder = root / ("2", "10")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(image * 255 / 16)).save(folder / f"{i}.png")
    return root


def of_folder(pictures):
    return ("--model=gan", "--dataset=folder", f"--data_dir={pictures}", *SHORT)


def test_the_run_that_a_newcomer_has_can_be_scored(tmp_path):
    folder = f"--logdir={tmp_path / 'run'}"
    ended = launch.within("--model=gan", *SHORT, folder)
    assert ended.code == 0, ended.err
    assert "digits has no test split: the last tenth" in ended.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["examples"] == 1617
    flags = (tmp_path / "run" / "flags.txt").read_text().splitlines()
    assert "--train_split=train[:90%]" in flags
    ended = launch.within(
        "--mode=evaluate", "--metrics=diversity", "--score_samples=50", folder
    )
    assert ended.code == 0, ended.err
    (score,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert score["reference_examples"] == 180


def test_a_run_keeps_the_validation_split_of_its_training(tmp_path):
    """A score that is chosen on it is then chosen on the same images."""
    run = factories.run(tmp_path, "gan", validation_split="train[80%:90%]")
    assert "--validation_split=train[80%:90%]\n" in settings.lines(run.values, steps=1)


def test_splits_that_the_user_names_are_kept(tmp_path):
    ended = launch.within(
        *("--model=gan", *SHORT, "--train_split=train[:50%]"),
        f"--logdir={tmp_path / 'run'}",
    )
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["examples"] == 898


def messages(metric, train, test, caplog, tmp_path):
    """The warnings of a score of made images, by their pixels in place of features."""
    caplog.clear()
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), np.uint8)
    loaded = {train: HeldExamples("made", images), test: HeldExamples("made", images[:50])}
    scores = scoring.ScoreOptions(metrics=(metric,), score_cache=str(tmp_path))
    scoring.Scorer(scores, DataOptions(train_split=train, test_split=test), loaded)
    return caplog.messages


@pytest.mark.parametrize(
    ("train", "test", "warned"),
    [("train", "train[90%:]", True), ("train[:90%]", "train[90%:]", False),
     ("train", "test", False), ("train", "train", False)],
)  # fmt: skip
def test_test_images_that_are_training_images_are_warned_of(
    train, test, warned, caplog, tmp_path
):
    """One split for both is meant: published scores are often against training images."""
    said = messages("diversity", train, test, caplog, tmp_path)
    assert len(said) == warned
    if warned:
        assert "--test_split=train[90%:] has examples of --train_split=train" in said[0]
    assert not messages("coverage", train, test, caplog, tmp_path)  # of the train split


@pytest.mark.parametrize("limit", [40, 60])
def test_copies_that_are_not_looked_for_are_warned_of(limit, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(scoring, "REFERENCE_EXAMPLES", limit)
    network = features.Network(
        "made", "0", "none", lambda x: (x.reshape(len(x), 16), np.ones((len(x), 1))), {}
    )
    monkeypatch.setattr(scoring, "_feature_network", lambda *_: network)
    assert not messages("frechet_distance", "train", "test", caplog, tmp_path)
    said = messages("data_copying", "train", "test", caplog, tmp_path)
    assert len(said) == (limit < 60)
    if said:
        assert "among 40 of the 60 images of --train_split=train" in said[0]


def test_a_run_refuses_other_data_and_names_its_classes(pictures, tmp_path):
    folder = tmp_path / "run"
    ended = launch.within(*of_folder(pictures), f"--logdir={folder}")
    assert ended.code == 0, ended.err
    facts = json.loads((folder / "run.json").read_text())
    assert facts["class_names"] == ["2", "10"] and facts["examples"] == 36
    manifest = json.loads((folder / "export" / "manifest.json").read_text())
    assert manifest["class_names"] == ["2", "10"]
    try:
        (pictures / "2").rename(pictures / "3")
        ended = launch.within("--steps=4", f"--logdir={folder}")
        assert ended.code == 2
        assert "class_names ['3', '10'] (there: ['2', '10'])" in ended.errors[0]
    finally:
        (pictures / "3").rename(pictures / "2")
    picture = next((pictures / "2").glob("*.png"))
    stored = picture.read_bytes()
    try:
        Image.fromarray(np.full((8, 8), 99, np.uint8)).save(picture)
        ended = launch.within("--steps=4", f"--logdir={folder}")
        assert ended.code == 2 and "fingerprint" in ended.errors[0]
        for mode in (
            ("--mode=evaluate", "--metrics=frechet_distance"),
            ("--mode=sample", "--sample=nearest"),
            ("--mode=infer", "--test_split=train[:90%]"),
        ):
            ended = launch.within(*mode, f"--logdir={folder}")
            assert ended.code == 2 and "fingerprint" in ended.errors[0]
    finally:
        picture.write_bytes(stored)
    ended = launch.within("--steps=4", f"--logdir={folder}")
    assert ended.code == 0, ended.err
