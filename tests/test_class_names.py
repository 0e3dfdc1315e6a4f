"""What a model learned to call by a class's number is scored as that class, whatever the
number of the class in the data that it is scored on."""

import json

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from tests import launch
from tfgan_papers.commands import scoring
from tfgan_papers.data import DataOptions, HeldExamples, load
from tfgan_papers.errors import UsageError

NAMES = tuple("0123456789")
TEST_ERROR = scoring.ScoreOptions(metrics=("test_error",))


def scorer(test):
    of = DataOptions(train_split="a", test_split="b")
    return scoring.Scorer(TEST_ERROR, of, {"b": test}, class_names=NAMES)


def test_labels_of_a_split_without_a_class_mean_what_the_model_learned():
    digits = load("train[80%:]", DataOptions())
    kept = digits.labels != 3
    labels = digits.labels - (digits.labels > 3)  # 0 to 8
    names = [name for name in NAMES if name != "3"]
    test = HeldExamples("test", digits.stored[kept], labels[kept], names)
    reference = scorer(test).references["test_error"]
    right = {image.tobytes(): label for image, label in zip(
        digits.all("unit"), digits.labels, strict=True
    )}  # fmt: skip
    assert len(reference.images) == kept.sum()
    for image, label in zip(*reference, strict=True):
        assert right[image.tobytes()] == label


def test_a_class_that_the_model_has_not_learned_is_refused():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    test = HeldExamples("other", images, [0, 1, 0, 1], ("3", "ten"))
    with pytest.raises(UsageError, match="other has .*ten.*, which the training data lack"):
        scorer(test)


def written(folder, chosen):
    """Digits as images in folders of their classes."""
    digits = sklearn.datasets.load_digits()
    for i in np.flatnonzero(chosen):
        place = folder / str(digits.target[i])
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.uint8(digits.images[i] * 255 / 16)
        Image.fromarray(pixels).save(place / f"{i}.png")


def test_a_folder_without_a_class_has_the_errors_of_the_same_images_beside_it(tmp_path):
    """One image of the class that is lacking makes one error more, or none."""
    number, of = np.arange(1797), sklearn.datasets.load_digits().target
    written(tmp_path / "train", number < 400)
    written(tmp_path / "without", (number >= 1300) & (of != 3))
    written(
        tmp_path / "with_one",
        (number >= 1300) & (of != 3) | (number == 1300 + np.argmax(of[1300:] == 3)),
    )
    run = ("--model=improved_gan", f"--logdir={tmp_path}/run", "--batch_size=20")
    data = ("--dataset=folder", "--train_split=train", "--test_split=train")
    ended = launch.within(
        *(*run, *data, f"--data_dir={tmp_path}/train", "--labels=50", "--steps=12"),
        *("--report_steps=6", "--jit_compile=false"),
    )
    assert ended.code == 0, ended.err
    for folder in ("without", "with_one"):
        ended = launch.within(
            *(f"--logdir={tmp_path}/run", f"--data_dir={tmp_path}/{folder}"),
            *("--mode=evaluate", "--metrics=test_error", "--test_split=train"),
        )
        assert ended.code == 0, ended.err
    without, with_one = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert with_one["test_examples"] == without["test_examples"] + 1 > 400
    assert with_one["value"] - without["value"] in (0, 1)
