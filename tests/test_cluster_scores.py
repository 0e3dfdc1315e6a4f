"""Scores on a Dask cluster are those of one process, bit for bit."""

import json

import distributed
import pytest

from tests import launch

SPLITS = ("--validation_split=train[80%:90%]", "--test_split=train[90%:]")
SCORED = (
    *("--mode=evaluate", "--metrics=frechet_distance,parzen_window,diversity", *SPLITS),
    *("--score_samples=4500", "--score_batch_size=300"),  # neither divides a block
)


def scored(folder, *further):
    ended = launch.fork(*SCORED, f"--logdir={folder}", *further)
    assert ended.code == 0, ended.err
    entries = json.loads((folder / "scores.json").read_text())[-3:]
    return ended, sorted(entries, key=lambda entry: entry["metric"])


def test_two_workers_give_the_bits_of_one_process(tmp_path):
    cache = f"--score_cache={tmp_path}"
    with launch.copy_of_trained("export") as folder:
        _, alone = scored(folder, cache)
        workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with distributed.LocalCluster(**workers) as cluster:
            ended, spread = scored(folder, cache, f"--cluster={cluster.scheduler_address}")
    assert ended.out.startswith("2 Dask workers")
    assert [entry["samples"] for entry in spread[1:]] == [4500, 4500]
    assert spread == alone  # floats in full precision


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*SCORED, "--cluster=tcp://127.0.0.1:1"), "no Dask scheduler answers there"),
        (("--metrics=diversity", "--cluster=tcp://a:1"), "needs --mode=evaluate"),
        ((*SCORED, "--images=a", "--cluster=tcp://a:1"), "leave it out with --images"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused(flags, words, tmp_path):
    folder = () if "--images=a" in flags else (f"--logdir={launch.trained().folder}",)
    ended = launch.within(*flags, *folder, f"--score_cache={tmp_path}")
    assert ended.code == 2 and len(ended.errors) == 1
    assert words in ended.errors[0]
