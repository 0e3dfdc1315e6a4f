"""The watch detects collapse and nothing else. Interrupting its reaction changes nothing.

The runs are the digits of `launch.BASE` in collapsing.py: reports at 5, 10, ... 30, of
which those from 10 on are low, so that the third in a row is at 20; a checkpoint each.
"""

import json
import pathlib
import re
import signal
import types

import keras
import numpy as np
import pytest
import scipy.ndimage
import sklearn.datasets
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from tests import launch
from tfgan_papers import figures
from tfgan_papers.data import DataOptions, HeldExamples, load
from tfgan_papers.metrics import coverage, diversity
from tfgan_papers.papers.gan import GAN
from tfgan_papers.runs import collapse, tensorboard

STEPS = 30


def reports(*diversities, d_auc=0.7):
    return [
        {"step": 100 * (i + 1), "diversity": diversity, "d_auc": d_auc}
        for i, diversity in enumerate(diversities)
    ]


def covering(*coverages):
    """Reports of images that lie half as far apart as the data."""
    found = reports(*[0.5] * len(coverages))
    return [{**r, "coverage": c} for r, c in zip(found, coverages, strict=True)]


# What it measures.


def test_mean_distance_has_the_closed_forms_of_a_square_and_of_a_normal_law():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    expected = (4 + 2 * np.sqrt(2)) / 6
    assert diversity.mean_distance(corners.reshape(4, 1, 2)) == pytest.approx(expected)
    points = np.random.default_rng(0).normal(size=(2000, 2))  # a Rayleigh law, sigma sqrt 2
    assert diversity.mean_distance(points) == pytest.approx(np.sqrt(np.pi), rel=0.03)
    assert diversity.mean_distance(np.ones((5, 3))) == 0.0


def test_separation_is_scikit_learns_auc_in_the_larger_direction(rng):
    real, fake = rng.integers(0, 9, 80), rng.integers(3, 12, 70)  # with ties
    labels, scores = np.repeat([1, 0], [80, 70]), np.concatenate([real, fake])
    auc = roc_auc_score(labels, scores)
    assert auc < 0.5
    assert collapse.separation(real, fake) == pytest.approx(1 - auc, abs=1e-12)
    assert collapse.separation(-real, -fake) == pytest.approx(1 - auc, abs=1e-12)
    assert collapse.separation(np.zeros(4), np.zeros(6)) == 0.5
    assert collapse.separation(np.arange(3), np.arange(-5, 0)) == 1.0


@pytest.mark.parametrize(
    ("found", "verdict", "since"),
    [
        (reports(), "unknown", None),
        (reports(0.1, 0.1), "too early to tell", 100),
        (reports(0.9, 0.9), "too early to tell", None),
        (covering(0.19, 0.0, 0.1), "low_diversity", 100),
        (covering(0.9, 0.19, 0.0, 0.1), "collapsed", 200),
        (covering(0.1, 0.1, 0.2), "healthy", None),
        (reports(0.1, 0.1, 0.1), "low_diversity", 100),
        (reports(0.9, 0.19, 0.0, 0.1), "collapsed", 200),
        (reports(0.1, 0.1, 0.21, 0.1, 0.1), "low", 400),
        (reports(0.1, 0.1, 0.1, 0.2), "healthy", None),
        (reports(0.5, 0.6, 0.7, d_auc=1.0), "saturated", None),
        (reports(0.3, 0.1, 0.1, 0.1, d_auc=1.0), "collapsed", 200),
        (reports(0.5, 0.6, 0.7, d_auc=0.99), "healthy", None),
    ],
)
def test_three_reports_in_a_row_are_a_verdict(found, verdict, since):
    assert collapse.diagnose(found) == verdict
    assert collapse.first_low(found) == since


@pytest.mark.parametrize(
    ("found", "lack"),
    [
        (reports(), None),
        (reports(0.9, 0.1), "low_diversity"),  # a run of two reports, once no failure
        (reports(0.1, 0.9), None),
        (reports(0.1, 0.1, 0.1), "low_diversity"),
        (reports(0.9, 0.1, 0.1, 0.1), "collapsed"),
        (reports(0.9, 0.9, 0.9, 0.1), "low_diversity"),
        (reports(0.9, 0.9, 0.1, 0.1, d_auc=1.0), "low_diversity"),  # saturated as well
    ],
)
def test_the_last_report_decides_whether_a_run_ends_with_variety(found, lack):
    last = found[-1] if found else {}
    summary = {"verdict": collapse.diagnose(found), **last}
    assert collapse.lack_of_variety(summary) == lack


class Folder:
    """In place of a `RunFolder`."""

    stored = None

    def __init__(self, path="run"):
        self.path = pathlib.Path(path)

    def __truediv__(self, name):
        return self.path / name

    def read(self, name):
        return self.stored

    def write(self, name, content):
        self.stored = json.loads(json.dumps(content))


@pytest.mark.parametrize("points", [False, True])
def test_a_generator_made_constant_is_seen_and_one_that_copies_the_data_is_not(
    rng, points, caplog
):
    shape = (2,) if points else (4, 4, 1)
    real = rng.normal(size=(128, *shape)).astype("float32")
    z = keras.Input((16,))
    outputs = keras.layers.Dense(int(np.prod(shape)))
    generator = keras.Model(z, keras.layers.Reshape(shape)(outputs(z)))
    discriminator = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model = GAN(generator, discriminator, prior="normal")
    orthonormal = np.linalg.qr(rng.normal(size=(16, 16)))[0][:, : np.prod(shape)]
    outputs.set_weights([orthonormal, np.zeros(np.prod(shape))])  # N(0, I), as the data
    writer = tensorboard.Writer(None)
    watch = collapse.Watch(Folder(), model, None, writer, real, period=10)
    watch.set_model(model)

    def report(*steps):
        for step in steps:
            model.step.assign(step)
            watch.on_epoch_end(0)

    report(1, 10, 11, 20, 30)
    with caplog.at_level("INFO", logger="absl"):
        watch.conclude()
    assert caplog.messages[-1].startswith("no collapse, no saturation: samples at step 30")
    caplog.clear()
    assert [r["step"] for r in watch.reports] == [10, 20, 30]
    assert all(0.9 < r["diversity"] < 1.1 for r in watch.reports)
    assert watch.summary()["verdict"] == "healthy"
    outputs.set_weights([0 * orthonormal, np.ones(np.prod(shape))])
    report(40, 50)
    assert watch.summary()["verdict"] == "low" and not caplog.messages
    report(60, 70)
    assert watch.summary() == {**watch.reports[-1], "verdict": "collapsed", "rollbacks": 0}
    assert watch.reports[-1]["diversity"] < 1e-6
    outputs.set_weights([orthonormal, np.zeros(np.prod(shape))])
    report(80)
    with caplog.at_level("INFO", logger="absl"):
        watch.conclude()  # it is said already
    said = [message for message in caplog.messages if "collapse" in message]
    assert said[0] == (
        "collapse: samples at step 60 vary 0.00 times as much as the data "
        "(threshold 0.2 for 3 reports); see run/samples/step-000000060.png"
    )
    assert len(said) == 2 and said[1].startswith("no collapse") and "step 80" in said[1]


class Shows(keras.layers.Layer):
    """One of `images`, by the latent."""

    def build(self, shape):
        self.images = self.add_weight((400, 8, 8, 1), "zeros", trainable=False)

    def call(self, z):
        return tf.gather(self.images, tf.cast(400 * z[:, 0], tf.int32))


def digits(rng, kind):
    """(400, 8, 8, 1) of them."""
    stored = sklearn.datasets.load_digits()
    images = np.float32(stored.images[..., None] / 16)
    if kind == "one, slightly moved":
        one = images[stored.target == 3][0]
        moves = rng.uniform(-0.5, 0.5, (400, 2))
        return np.stack([scipy.ndimage.shift(one, (*move, 0), order=1) for move in moves])
    classes = {"all": range(10), "half of the classes": (0, 2, 4, 6, 8), "ones": [1]}
    return rng.choice(images[np.isin(stored.target, classes[kind])], 400)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("all", "healthy"),
        ("half of the classes", "healthy"),
        ("ones", "collapsed"),
        ("one, slightly moved", "collapsed"),
    ],
)
def test_known_collapses_and_known_good_samples_of_digits(
    rng, kind, verdict, labelled, tmp_path, caplog
):
    """A sheet of each stands where the verdict says."""
    shows = Shows()
    z, image = keras.Input((1,)), keras.Input((8, 8, 1))
    judge = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    model = GAN(keras.Model(z, shows(z)), keras.Model(image, judge), prior="uniform_01")
    examples = load("train", DataOptions())
    if not labelled:
        examples = HeldExamples("plain", examples.stored)
    watch = collapse.Watch(
        Folder(tmp_path), model, None, tensorboard.Writer(None),
        examples.all("unit", 128), 10, kinds=coverage.of_examples(examples, "unit"),
    )  # fmt: skip
    watch.set_model(model)
    shows.images.assign(digits(rng, "all"))
    for step in (10, 20, 30, 40, 50, 60):
        if step == 40:
            shows.images.assign(digits(rng, kind))
        model.step.assign(step)
        watch.on_epoch_end(0)
        sheet = figures.sheet(np.uint8(255 * shows.images[:64].numpy().clip(0, 1)), 8)
        figures.save(sheet, tmp_path / "samples" / f"step-{step:09d}.png")
    with caplog.at_level("INFO", logger="absl"):
        watch.conclude()
    assert collapse.diagnose(watch.reports) == verdict
    if kind != "one, slightly moved":
        assert watch.reports[-1]["diversity"] > 0.5  # which does not tell
    said = re.search("show (.*) of its kinds.*; see (.*)$", caplog.messages[-1])
    assert (float(said[1]) < 0.2) == (verdict == "collapsed")
    assert pathlib.Path(said[2]).is_file() and "step-000000060" in said[2]


def test_a_resumed_watch_says_what_the_uninterrupted_one_said(rng):
    model = types.SimpleNamespace(
        steps_done=20, classes=0, prior_name="normal", latent_dim=2, seed=1
    )
    folder = Folder()
    folder.write("collapse.json", {"reports": covering(0.9, 0.1), "rollbacks": []})
    folder.stored["reports"] = [
        {**r, "step": r["step"] // 10} for r in folder.stored["reports"]
    ]
    watch = collapse.Watch(folder, model, None, None, rng.random((9, 4, 4, 1)), 10)
    assert watch.summary()["verdict"] == "too early to tell"


# What it does.


def collapsing(folder, action, noises=1, **options):
    """A run in which the first `noises` noises collapse."""
    return launch.Launched(
        *(f"--logdir={folder}", *launch.BASE, f"--steps={STEPS}"),
        *(["--on_collapse=" + action] if action else []),
        fresh=False,
        export=False,
        script="tests/collapsing.py",
        environment={"COLLAPSING": str(noises)},
        **options,
    )


def interrupted(folder):
    """A run that is killed between the low reports, at the first report after the
    rollback, and later, and taken to its end."""
    codes = []
    for step in (15, 10, 20):
        process = collapsing(folder, "rollback")
        process.wait(lambda p=process, s=step: f"step {s:>2}/" in p.out.read_text())
        process.signal(signal.SIGKILL)
        codes.append(process.ended().code)
    return [*codes, collapsing(folder, "rollback").ended().code]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """name -> (folder, its processes to be)."""
    commands = {
        "warn": lambda folder: collapsing(folder, "").ended(),
        "stop": lambda folder: collapsing(folder, "stop").ended(),
        "rollback": lambda folder: collapsing(folder, "rollback").ended(),
        "interrupted": interrupted,
        "again and again": lambda folder: collapsing(folder, "rollback", 9).ended(),
    }
    folders = {name: tmp_path_factory.mktemp("collapse") / "run" for name in commands}
    return {
        name: (folders[name], launch.POOL.submit(command, folders[name]))
        for name, command in commands.items()
    }


def said(ended):
    return [line for line in ended.err.splitlines() if "collapse: " in line]


def test_warn_says_it_once_and_goes_on(runs):
    folder, future = runs["warn"]
    ended = future.result()
    assert ended.code == 0, ended.err
    (line,) = said(ended)
    assert "vary 0.50 times as much as the data and show 0.00 of its kinds" in line
    assert line.endswith(f"; see {folder}/samples/step-000000020.png")
    assert (folder / "samples" / "step-000000020.png").is_file()
    verdict = json.loads((folder / "summary.json").read_text())["collapse"]
    assert (verdict["verdict"], verdict["step"]) == ("collapsed", STEPS)
    assert launch.kept_steps(folder) == [20, 25, 30]


def test_stop_ends_the_run_in_one_line_at_the_checkpoint_from_before(runs):
    folder, future = runs["stop"]
    ended = future.result()
    assert ended.code == 1 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "samples at step 20 vary" in line and "back at step 5, from before" in line
    assert launch.kept_steps(folder) == [5]
    assert not (folder / "summary.json").exists()
    reason = json.loads((folder / "failure.json").read_text())["reason"]
    assert line.startswith(f"error: {reason}: stopped")


def test_rollback_goes_on_from_before_with_other_noise_and_ends(runs):
    folder, future = runs["rollback"]
    ended = future.result()
    assert ended.code == 0, ended.err
    assert "rollback 1 of at most 3: from step 20 back to 5" in ended.err
    stored = json.loads((folder / "collapse.json").read_text())
    assert stored["rollbacks"] == [{"seen": 20, "to": 5, "noise": 1}]
    assert [report["step"] for report in stored["reports"]] == [5, 10, 15, 20, 25, 30]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == STEPS and summary["collapse"]["rollbacks"] == 1
    runs["warn"][1].result()
    rolled, straight = launch.tensors(folder, 30), launch.tensors(runs["warn"][0], 30)
    weights = [name for name in rolled if "_trainable_variables" in name]
    assert any((rolled[name] != straight[name]).any() for name in weights)


def test_a_rolled_back_run_that_is_killed_ends_with_the_weights_of_the_uninterrupted(runs):
    folder, future = runs["interrupted"]
    assert future.result() == [-signal.SIGKILL] * 3 + [0]
    runs["rollback"][1].result()
    assert len(json.loads((folder / "collapse.json").read_text())["rollbacks"]) == 1
    found, expected = launch.tensors(folder), launch.tensors(runs["rollback"][0])
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)


def test_a_run_that_collapses_again_and_again_stops_after_three_rollbacks(runs):
    folder, future = runs["again and again"]
    ended = future.result()
    assert ended.code == 1
    (line,) = ended.errors
    assert "after 3 rollbacks" in line and "back at step 5" in line
    stored = json.loads((folder / "collapse.json").read_text())["rollbacks"]
    assert [rollback["noise"] for rollback in stored] == [1, 2, 3]
