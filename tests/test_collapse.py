"""The watch sees a collapse that is there and none that is not, and what it then does can
be interrupted at any moment.

The runs are the digits of `launch.BASE` in collapsing.py: reports at 5, 10, ... 30, of
which those from 10 on are low, so that the third in a row is at 20; a checkpoint each.
"""

import json
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from tests import launch
from tfgan_papers.metrics import diversity
from tfgan_papers.papers.gan import GAN
from tfgan_papers.runs import collapse

STEPS = 30


def reports(*diversities, d_auc=0.7):
    return [
        {"step": 100 * (i + 1), "diversity": diversity, "d_auc": d_auc}
        for i, diversity in enumerate(diversities)
    ]


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
        (reports(0.1, 0.1), "healthy", 100),
        (reports(0.1, 0.1, 0.1), "low_diversity", 100),
        (reports(0.9, 0.19, 0.0, 0.1), "collapsed", 200),
        (reports(0.1, 0.1, 0.21, 0.1, 0.1), "healthy", 400),
        (reports(0.1, 0.1, 0.1, 0.2), "healthy", None),
        (reports(0.5, 0.6, 0.7, d_auc=1.0), "saturated", None),
        (reports(0.3, 0.1, 0.1, 0.1, d_auc=1.0), "collapsed", 200),
        (reports(0.5, 0.6, 0.7, d_auc=0.99), "healthy", None),
    ],
)
def test_three_reports_in_a_row_are_a_verdict(found, verdict, since):
    assert collapse.diagnose(found) == verdict
    assert collapse.first_low(found) == since


class Folder:
    """In place of a `training.Run`."""

    stored = None

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
    writer = tf.summary.create_noop_writer()
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
    assert watch.summary()["verdict"] == "healthy" and not caplog.messages
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
        "(threshold 0.2 for 3 reports)"
    )
    assert len(said) == 2 and said[1].startswith("no collapse") and "step 80" in said[1]


# What it does.


def collapsing(folder, action, noises=1, **options):
    """A run in which the first `noises` noises collapse."""
    return launch.Launched(
        *(f"--logdir={folder}", *launch.BASE, f"--steps={STEPS}"),
        *(["--on_collapse=" + action] if action else []),
        fresh=False,
        script="tests/collapsing.py",
        environment={"COLLAPSING": str(noises)},
        **options,
    )


def interrupted(folder):
    """A run that is killed between the low reports, at the first report after the
    rollback, and later, and taken to its end."""
    codes = []
    for step in (15, 6, 20):
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
    assert "collapse: samples at step 20 vary 0.00 times as much as the data" in line
    verdict = json.loads((folder / "summary.json").read_text())["collapse"]
    assert (verdict["verdict"], verdict["step"]) == ("collapsed", STEPS)
    assert launch.kept_steps(folder) == [20, 25, 30]


def test_stop_ends_the_run_in_one_line_at_the_checkpoint_from_before(runs):
    folder, future = runs["stop"]
    ended = future.result()
    assert ended.code == 1 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "samples at step 20 vary" in line and "stands at step 5, from before" in line
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
    assert "after 3 rollbacks" in line and "stands at step 5" in line
    stored = json.loads((folder / "collapse.json").read_text())["rollbacks"]
    assert [rollback["noise"] for rollback in stored] == [1, 2, 3]
