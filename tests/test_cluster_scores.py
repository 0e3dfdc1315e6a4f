"""Scores on a Dask cluster are those of one process, bit for bit."""

import dataclasses
import json
import pickle
import re

import distributed
import pytest

from tests import launch
from tfgan_papers.commands import worker
from tfgan_papers.commands.scoring import ScoreOptions, Scorer
from tfgan_papers.errors import UserError
from tfgan_papers.runs import execution
from tfgan_papers.runs.run import open_run

SPLITS = ("--validation_split=train[80%:90%]", "--test_split=train[90%:]")
SCORED = (
    *("--mode=evaluate", *SPLITS),
    *("--score_samples=4500", "--score_batch_size=300"),  # neither divides a block
)
DIVIDED = "frechet_distance,kernel_distance,classifier_score,parzen_window"
OF_IMAGES = f"--metrics={DIVIDED},diversity"
PARZEN = "--metrics=parzen_window"


class Computed(distributed.SchedulerPlugin):
    """The blocks that workers have computed."""

    def __init__(self):
        self.blocks = set()

    def transition(self, key, start, finish, *arguments, **options):
        if finish == "memory" and key.startswith("state_of_block"):
            self.blocks.add(key)


@pytest.fixture(scope="module")
def workers():
    """Two workers, and what they have computed."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as workers:
        workers.scheduler.add_plugin(computed := Computed())
        yield workers, computed


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return f"--score_cache={tmp_path_factory.mktemp('cache')}"


@pytest.fixture(scope="module")
def with_classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes") / "run"
    ended = launch.fork(
        *("--model=dcgan", "--network=conditional", "--width=4", "--batch_size=20"),
        *("--steps=2", "--report_steps=2", "--jit_compile=false", f"--logdir={folder}"),
        export=False,
    )
    assert ended.code == 0, ended.err
    return folder


def scored(folder, *further):
    ended = launch.fork(*SCORED, f"--logdir={folder}", *further)
    assert ended.code == 0, ended.err
    count = further[0].count(",") + 1
    entries = json.loads((folder / "scores.json").read_text())[-count:]
    return ended, sorted(entries, key=lambda entry: entry["metric"])


@pytest.mark.parametrize("metrics", [OF_IMAGES, "--metrics=nearest_class"])
def test_two_workers_give_the_bits_of_one_process(metrics, workers, cache, with_classes):
    workers, computed = workers
    computed.blocks.clear()
    with launch.copy_of_trained("export") as folder:
        folder = with_classes if metrics == "--metrics=nearest_class" else folder
        _, alone = scored(folder, metrics, cache)
        assert not computed.blocks
        address = f"--cluster={workers.scheduler_address}"
        ended, spread = scored(folder, metrics, cache, address)
    assert ended.out.startswith("2 Dask workers")
    divided = 4 if metrics == OF_IMAGES else 1
    assert len(computed.blocks) == 3 * divided
    assert [e["samples"] for e in spread if e["metric"] != "diversity"] == [4500] * divided
    assert spread == alone  # floats in full precision


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run_id": "other"}, "does not see the run in"),
        ({"step": 15}, "sees step 20 in .* instead of 15"),
        ({"features": "other"}, r"other data or features \(features\)"),
        ({"train[90%:]": "other"}, r"other data or features \(train\[90%:\]\)"),
    ],
)
def test_a_worker_that_sees_other_things_says_so(change, words):
    run = open_run({"logdir": str(launch.trained().folder)})
    splits = {"validation_split": "train[80%:90%]", "test_split": "train[90%:]"}
    of = dataclasses.replace(run.values.data, **splits)
    scores = ScoreOptions(metrics=("parzen_window",))
    known = {"run_id": run.facts["run_id"], "step": launch.STEPS}
    known |= Scorer(scores, of).fingerprint() | change
    order = pickle.dumps(
        (
            run.values._replace(data=of),
            scores,
            (known.pop("run_id"), known.pop("step"), known),
        )
    )
    error = worker.state_of_block(order, "parzen_window", 10, 0)
    assert isinstance(error, UserError) and re.search(words, str(error)), error


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*SCORED, PARZEN, "--cluster=tcp://127.0.0.1:1"), "no Dask scheduler answers"),
        ((*SCORED, "--metrics=diversity", "--cluster=tcp://a:1"), "has none of them"),
        (("--metrics=diversity", "--cluster=tcp://a:1"), "needs --mode=evaluate"),
        ((*SCORED, PARZEN, "--images=a", "--cluster=tcp://a:1"), "leave it out with"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused(flags, words, cache, monkeypatch):
    monkeypatch.setattr(execution, "CONNECT_SECONDS", 1)
    folder = () if "--images=a" in flags else (f"--logdir={launch.trained().folder}",)
    ended = launch.within(*flags, *folder, cache)
    assert ended.code == 2 and len(ended.errors) == 1
    assert words in ended.errors[0]
