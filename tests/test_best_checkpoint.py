"""How the best checkpoint is selected, and what is said of it."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tests.tiny_models import compiled
from tfgan_papers.commands import evaluate
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import callbacks, tensorboard, train
from tfgan_papers.runs.checkpoints import Checkpoints

BY_DIVERSITY, BY_COVERAGE = {"metric": "diversity"}, {"metric": "coverage"}


@pytest.fixture(scope="module")
def continued():
    """The trained run, continued with one score and then with another."""
    with launch.copy_of_trained() as folder:
        logdir = f"--logdir={folder}"
        ended, manifests = [], []
        for steps, metric in ((1, "diversity"), (2, "coverage"), (3, None)):
            more = f"--steps={launch.STEPS + steps * launch.REPORT_STEPS}"
            scores = [f"--metrics={metric}"] if metric else []
            ended.append(launch.fork(*launch.BASE, more, *scores, logdir))
            manifest = folder / "export" / "manifest.json"
            manifests.append(json.loads(manifest.read_text()))
        best = ("--mode=evaluate", "--checkpoint=best", "--metrics=diversity", logdir)
        ended.append(launch.within(*best))
        scores = json.loads((folder / "scores.json").read_text())
        facts = json.loads((folder / "run.json").read_text())
        yield types.SimpleNamespace(
            ended=ended, manifests=manifests, scores=scores, facts=facts
        )


def test_another_score_begins_the_selection_anew(continued):
    assert [each.code for each in continued.ended] == [0] * 4, continued.ended
    since = launch.STEPS + launch.REPORT_STEPS
    said = f"by diversity: from step {since} on it is selected anew, by coverage"
    assert said in " ".join(continued.ended[1].err.split())
    by = continued.facts["selected_by"]
    assert (by["options"]["metric"], by["since"]) == ("coverage", since)
    assert continued.scores[-1]["step"] > since  # the best is one of the new ones
    assert continued.scores[-1]["selected_by"]["metric"] == "coverage"


def test_a_score_of_the_best_checkpoint_says_how_it_was_chosen(continued):
    (line,) = [line for line in continued.ended[-1].out.splitlines() if "at step" in line]
    assert ", the best by coverage: " in line


def test_the_manifest_of_an_export_has_the_scores_of_its_step_alone(continued):
    first, second, unscored = continued.manifests
    assert set(first["scores"]) == {"diversity"}
    assert set(second["scores"]) == {"coverage"}
    assert "scores" not in unscored


def test_a_step_names_a_checkpoint_of_any_kind():
    with launch.copy_of_trained() as folder:
        ask = ("--mode=evaluate", "--metrics=diversity", f"--logdir={folder}")
        ended = [launch.within(*ask, f"--checkpoint={n}") for n in ("5", "15", "7", "new")]
        entries = json.loads((folder / "scores.json").read_text())[-2:]
    assert [each.code for each in ended] == [0, 0, 1, 2], ended
    assert [(entry["step"], entry["checkpoint"]) for entry in entries] == [
        (5, "5"),  # in history/ alone
        (15, "15"),
    ]
    assert entries[0]["value"] != entries[1]["value"]
    assert "no checkpoint of step 7: there are those of the steps 5, 10, " in ended[2].err
    assert "--checkpoint=new: give last, best, or the step" in ended[3].err


@pytest.mark.parametrize(
    ("before", "done", "since", "kept"),
    [
        (None, 0, 0, True),
        (None, 20, 20, False),  # of an older version, which did not note the score
        ({"options": BY_COVERAGE, "since": 0}, 20, 0, True),
        ({"options": BY_DIVERSITY, "since": 0}, 20, 20, False),
        ({"options": BY_COVERAGE, "since": 20}, 20, 20, False),  # killed since then
        ({"options": BY_COVERAGE, "since": 20}, 30, 20, True),
    ],
)
def test_a_best_score_counts_only_if_it_was_of_this_selection(before, done, since, kept):
    facts = {"selected_by": before} if before else {}
    checkpoints = types.SimpleNamespace(best_score=tf.Variable(0.5))
    train._begin_selection(
        types.SimpleNamespace(facts=facts), checkpoints, BY_COVERAGE, done
    )
    by = facts["selected_by"]
    assert (by["options"], by["since"]) == (BY_COVERAGE, since)
    changed = bool(before) and before["options"] != BY_COVERAGE
    assert by.get("before") == (before if changed else None)
    assert np.isfinite(checkpoints.best_score.numpy()) == kept


@pytest.mark.parametrize(("step", "by"), [(10, BY_DIVERSITY), (30, BY_COVERAGE)])
def test_a_best_checkpoint_of_before_a_change_was_chosen_by_the_other_score(step, by):
    before = {"options": BY_DIVERSITY, "since": 0}
    facts = {"selected_by": {"options": BY_COVERAGE, "since": 20, "before": before}}
    assert evaluate._selected_by(types.SimpleNamespace(facts=facts), step) == by


def keeper_of(tmp_path, score):
    model = compiled("gan")
    checkpoints, writer = Checkpoints(tmp_path, model), tensorboard.Writer(None)
    keeper = callbacks.CheckpointCallback(checkpoints, 1, writer, score)
    model.step.assign(3)
    return keeper, model, checkpoints


def test_an_interrupted_run_keeps_its_checkpoint_without_a_score(tmp_path):
    """A score may take minutes, and a second signal would lose the steps."""
    keeper, model, checkpoints = keeper_of(tmp_path, lambda model: pytest.fail("scored"))
    keeper.keep(model, scored=False)
    assert [path.name for path in checkpoints.all()] == ["step-000000003"]
    assert not checkpoints.all("best")


def test_the_best_checkpoint_is_that_of_the_highest_score(tmp_path):
    scores = iter([1.0, 3.0, 2.0, 3.0])
    keeper, model, checkpoints = keeper_of(tmp_path, lambda model: next(scores))
    for step in (3, 4, 5, 6):
        model.step.assign(step)
        keeper.keep(model)
    assert [path.name for path in checkpoints.all("best")] == ["step-000000004"]
    assert float(checkpoints.best_score) == 3.0


def test_a_score_that_is_impossible_ends_the_run(tmp_path):
    def score(model):
        raise UsageError("use another score")

    keeper, model, _ = keeper_of(tmp_path, score)
    with pytest.raises(UsageError):
        keeper.keep(model)


def test_samples_that_cannot_be_scored_yet_do_not_end_the_run(tmp_path, caplog):
    def score(model):
        raise UserError("the samples are all alike")

    keeper, model, checkpoints = keeper_of(tmp_path, score)
    keeper.keep(model)
    assert checkpoints.all() and not checkpoints.all("best")
    assert "step 3 has no score: the samples are all alike" in caplog.text
