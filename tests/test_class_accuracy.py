"""Accuracy of labelled samples: the arithmetic with a given classifier, and which data the
classifier is trained on."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tfgan_papers import data
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import class_accuracy, features

FACTS = {"classifier_accuracy": 0.9, "chance_accuracy": 0.3}


def by_brightness(images):
    """The class is the brightest pixel of the first row; what it gets is 8-bit."""
    assert images.dtype == np.uint8
    row = tf.cast(images[:, 0, :3, 0], tf.float32)
    return row, tf.nn.softmax(row)


@pytest.fixture
def real():
    network = features.Network("classifier", "abc", "none", by_brightness, FACTS)
    return class_accuracy.Reference(network, data.RANGES["symmetric"].to_pixels)


def samples(n):
    labels = np.arange(n) % 3
    images = -np.ones((n, 3, 3, 1), np.float32)
    images[np.arange(n), 0, labels] = 1.0
    return images, labels


def test_a_sample_counts_if_its_own_class_is_the_likeliest(real, monkeypatch):
    monkeypatch.setattr(class_accuracy, "ROWS", 7)  # more than one pass
    images, labels = samples(40)
    found = class_accuracy.score((images, labels), real)
    assert (found.value, found.binomial_error, found.samples) == (100.0, 0.0, 40)
    assert found[3:] == ("abc", 0.9, 0.3)
    asked = np.where(np.arange(40) < 10, (labels + 1) % 3, labels)
    worse = class_accuracy.score((images, asked), real)
    assert worse.value == 75.0
    assert worse.binomial_error == pytest.approx(100 * (0.75 * 0.25 / 40) ** 0.5)
    order = [class_accuracy.selection((images, wanted), real) for wanted in (labels, asked)]
    assert order == [100.0, 75.0]


def test_samples_that_are_not_finite_are_refused(real):
    images, labels = samples(5)
    images[3] = np.nan
    with pytest.raises(UserError, match="not finite"):
        class_accuracy.score((images, labels), real)


def test_the_classifier_learns_from_what_the_generator_has_not_seen(monkeypatch):
    seen = []
    train = features._train
    monkeypatch.setattr(features, "STEPS", 150)
    monkeypatch.setattr(features, "_train", lambda m, t: (seen.append(t), train(m, t)))
    splits, options = {"train": "train[:60%]", "test": "train[60%:]"}, data.DataOptions()
    splits = {name: data.load(split, options) for name, split in splits.items()}
    real = class_accuracy.reference("unit", **splits)
    assert seen == [splits["test"]]
    found = class_accuracy.score(splits["train"].labelled("unit"), real)
    assert 80 < found.value < 100
    assert found.value == pytest.approx(100 * found.classifier_accuracy)
    shuffled = splits["train"].all("unit"), np.roll(splits["train"].labels, 1)
    assert class_accuracy.score(shuffled, real).value < 20


def test_points_are_refused():
    points = data.HeldExamples("ring", np.zeros((4, 2), np.float32))
    with pytest.raises(UsageError, match="ring contains points"):
        class_accuracy.reference("raw", points, points)


def test_a_conditional_run_is_scored_by_it(tmp_path):
    ended = launch.within(
        *("--model=lsgan", "--network=characters", "--width=4", "--batch_size=20"),
        *("--train_split=train[:80%]", "--test_split=train[80%:]", "--jit_compile=false"),
        *("--steps=2", "--metrics=class_accuracy", "--score_samples=40"),
        f"--logdir={tmp_path}/run",
    )
    assert ended.code == 0, ended.err
    (score,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (score["metric"], score["step"], score["samples"]) == ("class_accuracy", 2, 40)
    assert 0 <= score["value"] < 100 and score["classifier_accuracy"] > 0.3
    assert score["labels"] == "as in the data"
    assert "class accuracy at step 2: " in ended.out
