"""Records state what was run, and their verdicts follow from their numbers."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from reproduction.claims import CLAIMS
from reproduction.protocol import measured_by
from tests import factories, launch
from tfgan_papers.commands import evaluate, scoring
from tfgan_papers.metrics import classification_error
from tfgan_papers.runs import records

RESULTS = pathlib.Path(__file__).parents[1] / "results"
FIELDS = {
    "claim", "paper", "quantity", "dataset", "unit", "paper_value", "paper_spread",
    "value", "spread", "seeds", "steps", "budget_share", "verdict", "command", "commit",
    "machine", "date",
}  # fmt: skip

STUDY_FIELDS = {
    "study", "grid", "flags", "seeds", "failure_is", "interval_is", "settings", "runs",
    "budget", "commits_of_runs", "command", "commit", "machine", "date",
}  # fmt: skip


@pytest.mark.parametrize(
    "value, verdict",
    [(225.1, "reproduced"), (225.0, "reproduced"), (223.1, "within noise")]
    + [(222.9, "not reached"), (0.0, "not reached")],
)
def test_verdict_at_the_paper_s_225_plus_minus_2(value, verdict):
    assert records.compare_with_paper(value, 225, 2) == verdict


def test_without_a_spread_of_the_paper_short_is_short_and_without_a_value_nothing():
    assert records.compare_with_paper(7.9, 8, None) == "not reached"
    assert records.compare_with_paper(7.9, None, None) == "not judged"


@pytest.mark.parametrize(
    "value, better, verdict",
    [
        (92, "lower", "reproduced"),
        (99, "lower", "within noise"),
        (100, "lower", "not reached"),
    ]
    + [
        (93, "same", "reproduced"),
        (87, "same", "within noise"),
        (86, "same", "not reached"),
    ],
)
def test_verdict_where_less_is_better_or_neither(value, better, verdict):
    assert records.compare_with_paper(value, 93, 6.5, better) == verdict


def test_a_written_record_has_every_field_and_names_this_machine(tmp_path):
    given = {name: None for name in FIELDS - {"machine", "commit", "date"}}
    records.write(tmp_path / "new" / "claim.json", **given)
    written = json.loads((tmp_path / "new" / "claim.json").read_text())
    assert set(written) == FIELDS | {"versions"}  # which the oldest records lack
    assert written["versions"]["tensorflow"] == tf.__version__
    assert "cores" in written["machine"] and len(written["date"]) == 10


def test_the_command_of_a_module_has_its_name_and_not_its_path(tmp_path):
    code = "from tfgan_papers.runs import records; print(records.command())"
    for name, text in {
        "apart": code,
        "package/__main__": code,
        "package/__init__": "",
    }.items():
        (tmp_path / "package").mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    commands = {
        "-m apart --k=1": "python -m apart --k=1",
        "-m package --k=1": "python -m package --k=1",
        "apart.py --k=1": "python apart.py --k=1",
    }
    for given, expected in commands.items():
        ended = subprocess.run(
            [sys.executable, *given.split()],
            cwd=tmp_path,
            env=launch.ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_record_of_the_project_is_whole_and_its_verdict_follows(path):
    record = json.loads(path.read_text())
    assert record["command"].startswith("python ")
    if "study" in record:
        assert STUDY_FIELDS <= set(record)
        return
    assert FIELDS <= set(record)
    if record["claim"] is None:
        assert record["verdict"] is None
        return
    claim = CLAIMS[record["claim"]]
    assert record["paper_value"] == claim.paper_value
    assert record["paper_spread"] == claim.paper_spread
    numbers = (record[name] for name in ("value", "paper_value", "paper_spread"))
    assert record["verdict"] == records.compare_with_paper(*numbers, claim.better)


def recorded(path, ids=("improved_gan-mnist-1-seed3",), **flags):
    """The record of a run, or of several together, with 300 of 10,000 wrong."""
    name = f"test_error_of_{len(ids)}" if ids[1:] else "test_error"
    found = {"value": 300.0, "percent": 3.0, "test_examples": 10_000}
    flags |= {"model": "improved_gan", "dataset": "mnist", "labels": 50, "seed": 3}
    flags = {name: value for name, value in flags.items() if name != "model"}
    checkpoint = flags.pop("checkpoint", "last")
    scores = scoring.ScoreOptions(record=str(path), checkpoint=checkpoint)
    run = factories.run(path.parents[1], "improved_gan", **flags)
    summary = {"ms_per_step": 40.0, "command": "python main.py", "steps": 90_000}
    run.folder.write("summary.json", summary)
    entry = {"step": 90_000, "checkpoint": checkpoint, "generator": "raw"}
    evaluate._record(run, scores, name, classification_error, entry, found, ids)
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    "otherwise",
    [{}, {"image_size": 14}, {"checkpoint": "best"}, {"test_split": "test[:1000]"}],
)
def test_a_score_is_of_the_claim_that_its_flags_meet_or_of_none(otherwise, tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step-000090000.png").write_bytes(b"picture")
    record = tmp_path / "results" / "mnist_50.json"
    written = recorded(record, label_seed=7, **otherwise)
    assert FIELDS <= set(written)
    assert (written["seeds"], written["label_seed"]) == ([3], 7)
    assert written["flags"]["labels"] == 50 and "seed" not in written["flags"]
    assert written["checkpoint"] == otherwise.get("checkpoint", "last")
    assert (written["value"], written["ms_per_step"]) == (300.0, 40.0)
    assert record.with_suffix(".png").read_bytes() == b"picture"
    if not otherwise:
        assert (written["claim"], written["paper_value"]) == ("improved-mnist-50", 221)
        assert (written["budget_share"], written["verdict"]) == (0.5, "within noise")
    else:
        assert written["claim"] is written["verdict"] is written["budget_share"] is None


@pytest.mark.parametrize("members", [9, 10])
def test_ten_together_are_ten(members, tmp_path):
    seeds = list(range(3, 3 + members))
    ids = [f"improved_gan-mnist-1-seed{seed}" for seed in seeds]
    written = recorded(tmp_path / "results" / "ten.json", ids)
    assert written["seeds"] == seeds
    assert (written["run_id"], written["ensemble"]) == (ids[0], ids[1:])
    assert written["claim"] == ("improved-ensemble-mnist-50" if members == 10 else None)


IS_OF_LSGAN = {"model": "lsgan", "dataset": "cifar10", "network": "stability",
               "loss": "least_squares"}  # fmt: skip
OF_2015 = {**IS_OF_LSGAN, "features": "inception_2015"}


@pytest.mark.parametrize(
    "flags, claims",
    [
        (OF_2015, ["lsgan-is-cifar10"]),
        (IS_OF_LSGAN, []),
        ({**OF_2015, "features": "tfgan"}, []),
        ({**OF_2015, "score_samples": "100"}, []),
        ({**OF_2015, "width": "16"}, []),
    ],
)
def test_an_inception_score_of_another_network_or_number_of_samples_is_no_paper_s(
    flags, claims
):
    assert [claim.claim for claim in measured_by("inception_score", flags)] == claims


def test_a_spread_over_parts_of_the_samples_is_recorded_as_that():
    found = {"value": 6.4, "standard_deviation": 0.072, "samples": 50_000}
    assert evaluate._spread(found) == (
        0.072,
        "standard deviation over parts of the samples",
    )
    assert evaluate._written(found, "") == "6.40 +- 0.072, samples 50000"
    assert evaluate._spread({"value": 1.0}) == (None, None)


def test_a_run_names_each_machine_on_which_it_was_trained():
    here = records.described(records.machine(), records.versions())
    with launch.copy_of_trained("export", "history") as folder:
        path = folder / "run.json"
        facts = json.loads(path.read_text())
        assert facts["machines"] == [here]
        path.write_text(json.dumps(facts | {"machines": ["another"]}))
        for steps, machines in ((0, ["another"]), (1, ["another", here])):
            total = f"--steps={launch.STEPS + steps}"
            ended = launch.fork(f"--logdir={folder}", *launch.BASE, total)
            assert ended.code == 0, ended.err
            assert json.loads(path.read_text())["machines"] == machines
