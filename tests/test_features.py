"""Features: the classifier on digits, and the command that scores images with it."""

import contextlib
import itertools
import json
import re
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch
from tfgan_papers import data, noise
from tfgan_papers.commands import evaluate, scoring, subjects
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import features, frechet_distance, subsets


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits():
    splits, options = {"train": "train[:80%]", "test": "train[80%:]"}, data.DataOptions()
    return {name: data.load(split, options) for name, split in splits.items()}


@pytest.fixture(scope="module")
def network(cache, digits):
    """The classifier, trained less than usual, and how many steps that took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "STEPS", 150)
        yield features.classifier(**digits, cache=cache)


# The classifier.


def test_the_classifier_learns_and_says_how_well(network, digits):
    assert network.name == "classifier" and "nception" not in str(network)
    images, labels = digits["test"].stored, digits["test"].labels
    seen, probabilities = map(np.asarray, network.apply(images))
    assert seen.shape == (len(images), features.FEATURES)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    accuracy = (probabilities.argmax(1) == labels).mean()
    assert accuracy > 0.85
    assert network.facts["classifier_accuracy"] == pytest.approx(accuracy)
    assert network.facts["chance_accuracy"] == np.bincount(labels).max() / len(labels)


def test_it_is_trained_once_and_again_where_the_file_is_damaged(
    network, digits, cache, monkeypatch
):
    def trained(model, train):
        raise InterruptedError

    monkeypatch.setattr(features, "_train", trained)
    assert features.classifier(**digits, cache=cache).sha256 == network.sha256
    (path,) = cache.glob("classifier-*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(InterruptedError):
        features.classifier(**digits, cache=cache)
    path.write_bytes(whole)
    other = {**digits, "train": digits["test"]}
    with pytest.raises(InterruptedError):
        features.classifier(**other, cache=cache)


def test_training_it_is_repeatable_and_leaves_keras_chance_alone(
    digits, tmp_path, monkeypatch
):
    monkeypatch.setattr(features, "STEPS", 3)
    found = []
    for folder, policy in (("a", "float32"), ("b", "mixed_bfloat16")):
        keras.config.set_dtype_policy(policy)
        try:
            keras.utils.set_random_seed(5)
            found.append(features.classifier(**digits, cache=tmp_path / folder).sha256)
            found.append(float(keras.random.normal(())))
        finally:
            keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(5)
    assert found == [found[0], float(keras.random.normal(())), *found[:2]]


def test_without_labels_there_is_no_classifier(tmp_path):
    images = np.zeros((20, 8, 8, 1), np.uint8)
    one_class = np.zeros(20, int), ["all"]
    for labels in ((), one_class):
        plain = data.HeldExamples("plain", images, *labels)
        with pytest.raises(UsageError, match="plain does not have labels of two classes"):
            features.classifier(plain, plain, tmp_path)


def test_a_classifier_no_better_than_chance_is_refused(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 30)
    without_meaning = {}
    for name, split in digits.items():
        labels = np.random.default_rng(0).permutation(np.arange(split.size) % 10)
        without_meaning[name] = data.HeldExamples(
            "folder", split.stored, labels, split.class_names
        )
    said = r"folder has an accuracy of \d+\.\d% on 359 .* largest class 10\.0%, .*"
    with pytest.raises(UsageError, match=said + "--features=inception_v3"):
        features.classifier(**without_meaning, cache=tmp_path)


@pytest.mark.parametrize(
    ("accuracy", "chance", "n", "refused"),
    [
        (0.1899, 0.1, 10_000, True),  # a tenth of the way to no error is .19
        (0.1901, 0.1, 10_000, False),
        (0.9, 0.9, 500, True),  # always the larger class
        (0.95, 0.9, 500, False),
        (0.95, 0.9, 300, True),  # three standard errors of .9 among 300 are .052
        (1.0, 0.5, 4, True),
        (1.0, 0.5, 20, False),
    ],
)
def test_clearly_better_than_chance_is_a_tenth_of_the_way_and_no_luck(
    accuracy, chance, n, refused
):
    test = types.SimpleNamespace(name="made", size=n)
    with pytest.raises(UsageError) if refused else contextlib.nullcontext():
        features._check_skill(test, test, accuracy, chance)


def test_of_one_split_the_classifier_is_judged_on_what_it_has_not_seen(
    digits, tmp_path, monkeypatch
):
    seen, train = [], features._train
    monkeypatch.setattr(features, "STEPS", 150)
    monkeypatch.setattr(features, "_train", lambda m, t: (seen.append(t), train(m, t)))
    network = features.classifier(digits["train"], digits["train"], tmp_path)
    assert [split.size for split in seen] == [int(0.9 * digits["train"].size)]
    unseen = subsets.Subset(digits["train"], seen[0].size, digits["train"].size)
    images, labels = unseen.labelled("raw")
    found = np.argmax(network.apply(np.uint8(images))[1], 1)
    assert network.facts["classifier_accuracy"] == pytest.approx((found == labels).mean())
    assert network.facts["chance_accuracy"] == np.bincount(labels).max() / len(labels)


def test_what_it_sees_is_kept_by_the_datas_hash(network, digits, cache, monkeypatch):
    first, digest = features.of_examples(network, digits["test"], 100, 30, cache)
    some = digits["test"].stored.numpy()[subsets.spread(digits["test"].size, 100)]
    direct = np.asarray(network.apply(some)[0])
    np.testing.assert_allclose(first.features, direct, rtol=1e-5, atol=1e-5)
    blind = network._replace(apply=None)
    again, same = features.of_examples(blind, digits["test"], 100, 30, cache)
    np.testing.assert_array_equal(again.features, first.features)
    assert isinstance(again.features, np.memmap) and same == digest
    _, other = features.of_examples(network, digits["train"], 100, 30, cache)
    assert other != digest


def test_features_that_are_not_finite_are_refused(network):
    def apply(images):
        return np.full((len(images), 3), np.nan), np.ones((len(images), 1))

    spoilt = network._replace(apply=apply)
    with pytest.raises(UserError, match="classifier gives values that are not finite"):
        features.activations(spoilt, [np.zeros((2, 8, 8, 1), np.uint8)])


# Images given on the command line.


SPLITS = data.DataOptions(train_split="train[:80%]", test_split="train[80%:]")
METRICS = ("frechet_distance", "classifier_score", "diversity")


@pytest.fixture
def given(cache, network):
    """Score images against the last fifth of the digits."""

    def score(path, metrics=METRICS, **options):
        scores = scoring.ScoreOptions(
            metrics=metrics, score_cache=str(cache), images=str(path), **options
        )
        evaluate.evaluate_images(SPLITS, scores)

    return score


def distance(out):
    return float(re.search(r"^Frechet distance of .*: (\S+) \(lower", out, re.M)[1])


def test_images_in_a_folder_and_in_an_array_are_scored_alike(
    given, digits, tmp_path, capsys, rng
):
    images = digits["train"].stored.numpy()[:300]
    (tmp_path / "pictures").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "pictures" / f"{i:03d}.png")
    np.save(tmp_path / "real.npy", images)
    np.save(tmp_path / "noise.npy", rng.integers(0, 256, images.shape, dtype=np.uint8))
    found = []
    for name in ("pictures", "real.npy", "noise.npy"):
        given(tmp_path / name)
        found.append(capsys.readouterr().out)
    assert distance(found[0]) == pytest.approx(distance(found[1]), rel=1e-4)
    assert distance(found[2]) > 5 * distance(found[1])
    assert "classifier score" in found[0] and "nception" not in "".join(found)
    for fact in ("samples 300", "splits 10", "features_sha256", "resize none"):
        assert fact in found[0]


def test_a_folder_of_classes_scores_as_the_same_images_in_random_order(
    digits, network, cache, tmp_path
):
    """Of its first 500 images, class by class, all would be of three digits."""
    train = digits["train"]
    for i, (image, label) in enumerate(
        zip(train.stored.numpy(), train.labels, strict=True)
    ):
        for place in (f"classes/{label}", "mixed"):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(tmp_path / place / f"{i * 7919 % 1437}.png")
    found = []
    for name in ("classes", "mixed"):
        ended = launch.within(
            *("--mode=evaluate", "--metrics=classifier_score,frechet_distance"),
            *("--train_split=train[:80%]", "--test_split=train[80%:]"),
            *("--score_samples=500", f"--score_cache={cache}"),
            f"--images={tmp_path / name}",
        )
        assert ended.code == 0, ended.err
        score = float(re.search(r"^classifier score of \S+: (\S+) ", ended.out, re.M)[1])
        found.append((score, distance(ended.out)))
    assert found[0] == pytest.approx(found[1], rel=0.3)
    assert found[0][0] > 6


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((20, 8, 8, 1), 7e4), "run from 7e.04 to 7e.04, not from 0 to 1, 255 or"),
        (np.full((20, 8, 8), -1), "run from -1 to -1, not from 0 to"),
        (np.full((20, 8, 8, 1), 1), "integers up to 1"),
        (np.full((20, 8, 8, 1), np.nan), "run from nan to nan"),
        (np.zeros((20, 8)), r"float64 \(20, 8\): images are numbers"),
        (np.full((20, 16, 16, 1), 9), "16x16x1 and the images of digits 8x8x1: set"),
        (np.full((20, 8, 8, 3), 9), "8x8x3 and the images of digits 8x8x1"),
        (np.full((40, 8, 8, 1), 9), "40 images are too few for a covariance of 64"),
    ],
)
def test_images_that_cannot_be_scored_are_refused(given, array, said, tmp_path):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(UserError, match=said):
        given(tmp_path / "images.npy")


def test_a_score_of_another_kind_of_network_is_refused():
    scores = scoring.ScoreOptions(metrics=("inception_score",))
    with pytest.raises(UsageError, match="inception_score is not computed from"):
        scoring.check(scores, SPLITS)
    scores = scoring.ScoreOptions(metrics=("classifier_score",), features="tfgan")
    with pytest.raises(UsageError, match="needs --features=classifier"):
        scoring.check(scores, SPLITS)


# Samples.


@pytest.mark.parametrize("prior", noise.PRIORS)
def test_samples_in_parts_are_those_of_one_draw(prior):
    model = types.SimpleNamespace(
        prior_name=prior,
        latent_dim=5,
        classes=3,
        generate_in_graph=lambda z, labels: z + 10 * tf.cast(labels, tf.float32)[:, None],
    )
    scores = scoring.ScoreOptions(score_batch_size=4, score_seed=6)
    shares = np.full(3, 1 / 3)
    images, labels = subjects.GeneratorSamples(model, scores, "raw", shares).labelled(10)
    z = noise.latents(prior, tf.constant([6, 0], tf.int64), (10, 5))
    np.testing.assert_array_equal(labels, np.arange(10) % 3)
    np.testing.assert_array_equal(images, z + 10 * np.float32(labels)[:, None])


def test_a_perfect_generator_of_uneven_classes_has_no_distance(digits, cache, monkeypatch):
    """Of 90% zeros and 10% ones; labels in equal parts would make it half and half."""
    monkeypatch.setattr(features, "STEPS", 60)
    images, labels = digits["train"].stored.numpy(), digits["train"].labels
    zeros, ones = (images[labels == label] for label in (0, 1))
    stored = np.concatenate([zeros[:135], ones[:15]] * 8)  # a tenth judges the classifier
    labels = np.repeat([0, 1] * 8, [135, 15] * 8)
    uneven = data.HeldExamples("uneven", stored, labels, "01")
    of = data.DataOptions(train_split="a", test_split="a")
    scores = scoring.ScoreOptions(
        metrics=("frechet_distance",), score_cache=str(cache), score_samples=1200
    )
    turns = [itertools.cycle(zeros[:135] / 255), itertools.cycle(ones[:15] / 255)]
    model = types.SimpleNamespace(
        prior_name="uniform",
        latent_dim=2,
        classes=2,
        generate_in_graph=lambda z, labels: np.float32([next(turns[i]) for i in labels]),
    )
    scorer = scoring.Scorer(scores, of, {"a": uneven})
    ((_, _, found),) = scorer.score(scorer.subject(model))
    assert found["labels"] == "as in the data"
    halves = subjects.GeneratorSamples(model, scores, "unit", np.array([0.5, 0.5]))
    ((_, _, of_halves),) = scorer.score(halves)
    assert found["value"] < 1e-3 * of_halves["value"]


# While training.


def generator(images):
    """A model that draws these images, whatever the latents."""
    return types.SimpleNamespace(
        prior_name="uniform",
        latent_dim=2,
        classes=0,
        classifier=None,
        generate_in_graph=lambda z, labels: images[: len(z)],
    )


def test_data_are_loaded_and_seen_once_and_the_lower_distance_is_chosen(
    network, digits, cache, monkeypatch, rng
):
    loads, load = [], data.load
    monkeypatch.setattr(
        data, "load", lambda split, of: loads.append(split) or load(split, of)
    )
    scores = scoring.ScoreOptions(
        metrics=("frechet_distance", "two_sample", "diversity"),
        score_cache=str(cache),
        score_samples=150,
        score_batch_size=150,
    )
    scorer = scoring.Scorer(scores, SPLITS, {"train[:80%]": digits["train"]})
    real = digits["train"].all("unit", 150)
    noise = rng.random(real.shape, dtype=np.float32)
    assert scorer.select(generator(real)) > scorer.select(generator(noise))
    subject = scorer.subject(generator(real))
    found = {name: score for name, _, score in scorer.score(subject)}
    with pytest.raises(UserError, match="samples are not finite"):
        scorer.select(generator(np.full_like(real, np.nan)))
    selected = scorer.select(generator(real))
    assert loads == ["train[80%:]"]
    assert found["frechet_distance"]["value"] == -selected
    assert found["frechet_distance"]["features_sha256"] == network.sha256
    assert "features" not in found["diversity"]


def test_a_run_is_scored_as_it_trains_and_keeps_its_best(network, cache, tmp_path):
    flags_of_scores = (
        *("--metrics=frechet_distance,classifier_score", "--score_samples=200"),
        *("--train_split=train[:80%]", "--test_split=train[80%:]"),
        f"--score_cache={cache}",
    )
    run = ("--model=gan", "--steps=4", "--report_steps=2", "--checkpoint_steps=2")
    ended = launch.within(*run, *flags_of_scores, f"--logdir={tmp_path}/run")
    assert ended.code == 0, ended.err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert [s["metric"] for s in scores] == ["frechet_distance", "classifier_score"]
    assert {s["features_sha256"] for s in scores} == {network.sha256}
    assert 1 <= scores[1]["value"] <= 10 and scores[0]["value"] > 0
    assert list((tmp_path / "run" / "checkpoints" / "best").glob("*.index"))


# Speed.


def test_a_frechet_distance_of_cached_features_takes_no_longer_than_its_bound():
    """The bound is for 10,000 images and the features of the classifier."""
    draw = np.random.default_rng(0)
    x, y = np.float32(draw.normal(size=(2, 10_000, features.FEATURES)))
    begin = time.perf_counter()
    against = frechet_distance.reference(features.Activations(x, x))
    frechet_distance.score(features.Activations(y, y), against)
    assert time.perf_counter() - begin < 3
