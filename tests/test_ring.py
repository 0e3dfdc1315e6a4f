"""A run on the ring from start to end: its points are saved at every report and before the
first step, its modes are counted and its strip is drawn."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests import launch
from tfgan_papers import data
from tfgan_papers.metrics import mode_coverage
from tfgan_papers.runs import tensorboard

ARGUMENTS = (
    *("--model=gan", "--dataset=ring", "--batch_size=64", "--deterministic"),
    *("--report_steps=4", "--checkpoint_steps=4", "--metrics=mode_coverage"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, its process): trained to step 4, then to 8."""
    folder = tmp_path_factory.mktemp("ring") / "run"
    launch.fork(*ARGUMENTS, "--steps=4", f"--logdir={folder}", export=False)
    further = ("--steps=8", "--sample=strip", f"--logdir={folder}")
    record = f"--record={folder.parent / 'ring.json'}"
    return folder, launch.fork(*ARGUMENTS, *further, record)


def points(folder, step):
    return np.load(folder / "samples" / f"step-{step:09d}.npy")


def test_points_are_kept_at_every_report_and_before_the_first_step(run):
    folder, ended = run
    assert ended.code == 0, ended.err
    kept = sorted(path.stem for path in (folder / "samples").glob("*.npy"))
    assert kept == [f"step-{step:09d}" for step in (0, 1, 4, 8)]
    arrays = [points(folder, step) for step in (0, 1, 8)]
    assert all(array.shape == (5120, 2) for array in arrays)
    leaps = [np.abs(a - arrays[0]).mean() for a in arrays[1:]]
    assert 0 < leaps[0] < leaps[1]


def test_its_modes_are_counted_and_choose_the_best_checkpoint(run):
    folder, ended = run
    found = json.loads((folder / "scores.json").read_text())
    assert [(score["metric"], score["step"]) for score in found] == [
        *(("mode_coverage", 4), ("mode_coverage", 8))
    ]
    score = found[-1]
    assert (score["modes"], score["samples"]) == (8, mode_coverage.SAMPLES)
    assert 0 <= score["value"] <= 8 and 0 <= score["high_quality"] <= 1
    assert f"mode coverage at step 8: {score['value']:.2f} modes, modes 8" in ended.out
    assert list((folder / "checkpoints" / "best").glob("*.index"))


def test_tensorboard_has_the_curve_of_the_score_that_chooses_the_best(run):
    """Modes and the share of samples near one, as `mode_coverage.selection`."""
    folder, _ = run
    entries = json.loads((folder / "scores.json").read_text())
    curve = tensorboard.read_scalars(folder / "tensorboard")["selection"]
    assert curve == pytest.approx(
        {score["step"]: score["value"] + score["high_quality"] for score in entries}
    )


def test_training_ends_with_the_picture_that_it_is_given(run):
    folder, ended = run
    *others, last = ended.out.splitlines()
    assert last == str(folder / "samples" / "strip.png") and pathlib.Path(last).is_file()
    assert sum(line.startswith("step 8: ") for line in others) == 1  # drawn once
    beside_the_record = folder.parent / "ring.png"
    assert beside_the_record.read_bytes() == pathlib.Path(last).read_bytes()


@pytest.mark.parametrize(
    ("flags", "steps"),
    [([], (0, 1, 4, 8)), (["--strip_steps=0,8"], (0, 8))],
    ids=["default", "two"],
)
def test_the_strip_has_a_column_a_step_with_its_modes_and_the_target(run, flags, steps):
    folder, _ = run
    command = ("--mode=sample", "--sample=strip", *flags, f"--logdir={folder}")
    ended = launch.within(*command)
    assert ended.code == 0, ended.err
    *lines, path = ended.out.splitlines()
    picture = Image.open(pathlib.Path(path))
    assert picture.width > 150 * (len(steps) + 1)
    modes = data.load("train", data.DataOptions(dataset="ring", value_range="raw")).modes
    for step, line in zip(steps, lines, strict=True):
        score = mode_coverage.score(points(folder, step), modes)
        share = f"{100 * score.high_quality:.2f}% good"
        assert line == f"step {step}: {score.value:.0f} of 8 modes, {share}"


def test_a_step_without_points_is_refused_with_those_that_are_there(run):
    folder, _ = run
    command = ("--mode=sample", "--sample=strip", "--strip_steps=0,7")
    ended = launch.within(*command, f"--logdir={folder}")
    assert ended.code == 2
    (line,) = ended.errors
    assert line.endswith("--strip_steps=7: no points are stored; choose from 0, 1, 4, 8")


def test_mode_coverage_of_what_has_no_modes_is_refused_before_training(tmp_path):
    ended = launch.within("--metrics=mode_coverage", f"--logdir={tmp_path}/run")
    assert ended.code == 2
    (line,) = ended.errors
    assert "digits has no known modes" in line
    assert not (tmp_path / "run").exists()
