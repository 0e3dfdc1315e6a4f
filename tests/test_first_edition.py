"""Run folders of version 0.1 can be resumed.

The one in tests/first_edition is at step 4 of a GAN on the line. The points of step 8 are
those that version 0.1 computed from there.
"""

import json
import shutil
import types

import numpy as np
import pytest
from PIL import Image

from tests import launch
from tfgan_papers import data
from tfgan_papers.runs import settings
from tfgan_papers.runs.folder import RunFolder
from tfgan_papers.runs.run import Run

FOLDER = launch.ROOT / "tests" / "first_edition"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "run")


def test_it_goes_on_as_version_0_1_did(folder):
    ended = launch.fork("--steps=8", "--report_steps=2", f"--logdir={folder}")
    assert ended.code == 0, ended.err
    points = np.load(folder / "samples" / "step-000000008.npy")
    expected = np.load(FOLDER / "points-of-step-8.npy")
    np.testing.assert_allclose(points[: len(expected)], expected, rtol=1e-4, atol=1e-5)
    assert json.loads((folder / "summary.json").read_text())["steps"] == 8


def test_options_that_it_does_not_know_have_the_values_of_its_time(folder):
    values = settings.resolve({"logdir": str(folder)}, RunFolder(folder).stored_options())
    assert (
        values.training.learning_rate == 0.05 and values.data.train_split == "train[:90%]"
    )
    assert values.data.data_order == "sorted"
    ended = launch.within("--k=2", f"--logdir={folder}")
    assert ended.code == 2 and "--k=2 (there: 1)" in ended.errors[0]


def test_one_folder_of_images_which_it_took_for_a_class_is_none(tmp_path):
    (tmp_path / "only").mkdir()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "only" / "x.png")
    options = data.DataOptions(dataset="folder", data_dir=str(tmp_path))
    facts = {"shape": [2, 2, 1], "examples": 1, "classes": 1}
    run = types.SimpleNamespace(facts=facts)
    Run.check_data(run, data.load("train", options))
    assert run.facts["classes"] == 0
