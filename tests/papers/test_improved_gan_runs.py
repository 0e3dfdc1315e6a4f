"""Improved GAN from the command line: resume, test error, ensembles, refusals."""

import re
import signal
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import logsumexp, softmax

from tests import factories, launch
from tests.factories import build
from tests.papers.test_improved_gan import settings_of
from tfgan_papers import losses, noise
from tfgan_papers.commands import evaluate, scoring, subjects
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import classification_error
from tfgan_papers.papers import contract, improved_gan
from tfgan_papers.runs.run import ensemble_member, open_run
from tfgan_papers.runs.settings import lines

RUN = (
    *("--model=improved_gan", "--deterministic", "--labels=50", "--batch_size=20"),
    *("--report_steps=3", "--checkpoint_steps=3"),
)
STEPS = 9


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run, and of one that was killed on its way and went on."""
    folders = [tmp_path_factory.mktemp("improved") / name for name in ("whole", "parts")]
    straight = launch.POOL.submit(
        launch.fork, *RUN, "--metrics=test_error", f"--steps={STEPS}",
        f"--logdir={folders[0]}",
    )  # fmt: skip
    parts = (*RUN, f"--steps={STEPS}", f"--logdir={folders[1]}")
    process = launch.Launched(*parts, fresh=False, export=False)
    process.reported(6)  # so the checkpoint of step 3 is whole
    process.signal(signal.SIGKILL)
    assert process.ended().code == -signal.SIGKILL
    ended = launch.fork(*parts, export=False)
    assert ended.code == 0 and ended.restarted_from, ended
    assert straight.result().code == 0, straight.result().err
    return folders, straight.result()


def test_a_killed_run_that_went_on_is_the_uninterrupted_one(run):
    whole, parts = (launch.tensors(folder) for folder in run[0])
    assert whole.keys() == parts.keys()
    assert any(name.startswith("averaged/") for name in whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)


def held_out_digits():
    """Images and labels of the test split."""
    import sklearn.datasets

    stored = sklearn.datasets.load_digits()
    images = np.float32(np.uint8(np.rint(stored.images * 255 / 16)) / 255)[..., None]
    first = round(0.8 * len(images))
    return images[first:], stored.target[first:]


def probabilities(folder, images):
    served = tf.saved_model.load(str(folder / "export"))
    return served.classify(tf.constant(images)).numpy()


def wrong(p, labels):
    return (p.argmax(1) != labels).sum()


def test_test_error_is_taken_at_the_last_step_of_the_averaged_network(run):
    (folder, _), ended = run
    (line,) = [line for line in ended.out.splitlines() if "test error" in line]
    assert line.startswith(f"test error at step {STEPS}: ") and "images wrong" in line
    images, labels = held_out_digits()
    p = probabilities(folder, images)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert f": {wrong(p, labels):.2f} images wrong" in line


def test_classify_is_of_the_averaged_weights(run, rng):
    folder = run[0][0]
    images = tf.constant(rng.uniform(size=(5, 8, 8, 1)), tf.float32)
    served = tf.saved_model.load(str(folder / "export"))
    model, _ = open_run({"logdir": str(folder)}).restored()
    logits = model.discriminator(images).numpy()  # not averaged
    assert np.abs(softmax(logits, 1) - served.classify(images)).max() > 1e-4
    of_average = softmax(model.averaged(images).numpy(), 1)
    np.testing.assert_allclose(served.classify(images), of_average, rtol=1e-4)
    expected = logsumexp(logits, 1, keepdims=True)  # the logit of D(x), one per image
    np.testing.assert_allclose(served.score(images), expected, rtol=1e-4)
    assert "classify" in (folder / "export" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"labels": 0, "average_rate": 0.5, "average": "none"}, {"average_rate"}),
        ({"labels": 0, "label_seed": 3}, {"label_seed"}),
        ({"labels": 0}, set()),
        ({"labels": 10, "average": "none", "average_rate": 0.5}, {"average_rate"}),
        ({"labels": 10, "minibatch_kernel_size": 9}, {"minibatch_kernel_size"}),
        ({"labels": 10, "loss": "non_saturating"}, {"loss"}),
        ({"labels": 0, "loss": "non_saturating"}, set()),
        ({"labels": 10, "decay_epochs": 5}, set()),
    ],
)
def test_options_without_effect_are_warned_of(given, warned, caplog):
    contract.warn_of_no_effect.cache_clear()
    of, loss = settings_of((8, 8, 1)), given.get("loss")
    of = of._replace(loss=improved_gan.LOSSES[loss]) if loss else of
    build("improved_gan", of, **{k: v for k, v in given.items() if k != "loss"})
    assert set(re.findall(r"--(\w+) has no effect", caplog.text)) == warned


@pytest.fixture
def pictures(tmp_path, rng):
    """A folder of images without labels."""
    for i in range(20):
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def test_a_folder_of_images_without_labels_is_refused_unless_told_to_use_none(pictures):
    data, run = (f"--data_dir={pictures}", "--dataset=folder"), pictures / "run"
    of_run = ("--model=improved_gan", *data, "--batch_size=5", f"--logdir={run}")
    ended = launch.within(*of_run)
    assert ended.code == 2 and len(ended.errors) == 1
    assert "--dataset=folder has none: --labels=0 does without" in ended.errors[0]
    assert not run.exists()
    ended = launch.within(*of_run, "--labels=0", "--steps=2", "--jit_compile=false")
    assert ended.code == 0, ended.err
    assert launch.kept_steps(run) == [2]


ONE_SCORE = "one score: add --labels=0, and do not use --network=imagenet"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": 95}, "the same number of each of 10 classes"),
        ({"labels": 1500}, "fewer than the 150 of each class"),
        ({"dataset": "ring", "value_range": "raw"}, "--dataset=ring has none"),
        ({"network": "resnet"}, "has the networks mnist, cifar10"),
        ({"network": "cifar10"}, "sides must be divisible by 8 and 16 or more"),
        ({"minibatch_kernels": 9, "batch_size": 1}, "each device has 1"),
        ({"loss": "wasserstein"}, "takes minimax, non_saturating, least_squares"),
        ({"loss": "least_squares"}, ONE_SCORE),
        ({"loss": "least_squares", "network": "imagenet"}, ONE_SCORE),
        ({"labels": 100, "network": "imagenet"}, "takes all the labels: leave out"),
    ],
    ids=str,
)
def test_a_run_that_makes_no_sense_is_refused(given, words):
    assert words in factories.refusal("improved_gan", **given)


def test_without_labels_d_gives_one_score_which_least_squares_takes(rng):
    loss = losses.least_squares(-1.0, 1.0, 0.0)
    settings = settings_of(loss=loss, dataset="cifar10", network="mnist")
    model = build("improved_gan", settings, labels=0)
    real = tf.constant(rng.uniform(size=(4, 16, 16, 3)), tf.float32)
    base = noise.Stream.of_step(1, tf.constant(0, tf.int64), 0).branch()
    with noise.use(noise.Stream(base, 0)):
        fake = model.samples_for(real, None)
        of_real, of_fake = model.scores(real, None), model.scores(fake, None)
    expected = np.mean((of_real - 1) ** 2) / 2 + np.mean((of_fake + 1) ** 2) / 2
    logs = model.train_step(real)
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-4)
    assert np.isfinite(logs["g_loss"])


def test_predictions_of_an_ensemble_are_averaged(run, tmp_path, capsys):
    folders = run[0][0], tmp_path / "other"
    ended = launch.fork(*RUN, "--seed=2", f"--steps={STEPS}", f"--logdir={folders[1]}")
    assert ended.code == 0, ended.err
    scores = scoring.ScoreOptions(metrics=("test_error",), ensemble=(str(folders[1]),))
    evaluate.evaluate(open_run({"logdir": str(folders[0])}), scores)
    said = capsys.readouterr().out
    images, labels = held_out_digits()
    found = [probabilities(folder, images) for folder in folders]
    alone = [wrong(p, labels) for p in found]
    expected = wrong(np.mean(found, 0), labels)
    assert expected not in alone
    line = f"test error of 2 runs at step {STEPS}: {expected:.2f} images wrong"
    assert any(each.startswith(line) for each in said.splitlines()), said


def test_a_run_is_in_an_ensemble_once(run):
    whole, parts = run[0]
    for others, words in (
        (f"{whole}/../whole", "is the run of --logdir: name other runs"),
        (f"{parts},{parts}", "is there twice: name each run once"),
    ):
        ended = launch.within(
            *("--mode=evaluate", "--metrics=test_error", f"--logdir={whole}"),
            f"--ensemble={others}",
        )
        assert ended.code == 2 and words in ended.errors[0], ended.err


def test_an_ensemble_is_the_mean_of_probabilities(rng):
    found = [rng.normal(size=(6, 4)) * 3 for _ in range(3)]
    mean = subjects._averaged([lambda x, training, y=y: y for y in found])
    expected = np.mean([softmax(logits, 1) for logits in found], 0)
    np.testing.assert_allclose(mean(None), expected, rtol=1e-6)


def test_an_ensemble_that_is_sure_is_scored():
    """The logarithm of its 0 is infinite, and no score is of that."""
    logits = np.float32([[900, 0], [0, 900], [0, 900]])
    reference = classification_error.Reference(logits, np.int32([0, 1, 0]))
    mean = subjects._averaged([lambda x, training: tf.constant(x)] * 2)
    assert classification_error.score(mean, reference).value == 1


def test_runs_at_another_step_are_no_ensemble(monkeypatch):
    model = types.SimpleNamespace(classifier=None)
    other = types.SimpleNamespace(
        restored=lambda kind: (model, 6), facts={"run_id": "improved_gan-mnist-1-seed2"}
    )

    def ensemble_member(folder, run, except_for):
        assert set(except_for) == {"seed"}
        return other

    monkeypatch.setattr(evaluate, "ensemble_member", ensemble_member)
    scores = scoring.ScoreOptions(ensemble=("b",))
    found = evaluate._ensemble(None, scores, 6)
    assert found == [("improved_gan-mnist-1-seed2", None)]
    with pytest.raises(UsageError, match="b is at step 6 and --logdir at 9"):
        evaluate._ensemble(None, scores, 9)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"labels": 20, "seed": 9}, "--labels=50 (there: 20)"),
     ({"label_seed": 2}, "--label_seed=1 (there: 2)")],
)  # fmt: skip
def test_runs_of_another_kind_are_no_ensemble(given, words, tmp_path):
    run = factories.run(tmp_path / "run", "improved_gan", labels=50)
    other = factories.run(tmp_path / "other", "improved_gan", **{"labels": 50, **given})
    other.folder.write_text("flags.txt", lines(other.values, 9))
    with pytest.raises(UsageError) as caught:
        ensemble_member(str(other.folder), run, except_for=("seed",))
    assert str(caught.value).endswith(f"has other options than the run: {words}")
