"""Records say what was run, and no verdict is kinder than its numbers."""

import json
import pathlib

import pytest
from absl.testing import flagsaver

from tfgan_papers import __main__, evaluation, records  # the first defines --model  # noqa
from tfgan_papers.metrics import test_error
from tfgan_papers.papers.claims import CLAIMS

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
    [(225.1, "reproduced"), (225.0, "reproduced"), (222.6, "within noise")]
    + [(222.4, "not reached"), (0.0, "not reached")],
)
def test_verdict_at_the_paper_s_225_plus_minus_2_with_half_a_nat_of_our_own(value, verdict):
    assert records.verdict(value, 225, 2, 0.5) == verdict


@pytest.mark.parametrize(
    "value, better, verdict",
    [
        (92, "lower", "reproduced"),
        (100, "lower", "within noise"),
        (101, "lower", "not reached"),
    ]
    + [
        (93, "same", "reproduced"),
        (86, "same", "within noise"),
        (85, "same", "not reached"),
    ],
)
def test_verdict_where_less_is_better_or_neither(value, better, verdict):
    assert records.verdict(value, 93, 6.5, 0.5, better) == verdict


def test_a_written_record_has_every_field_and_names_this_machine(tmp_path):
    given = {name: None for name in FIELDS - {"machine", "commit", "date"}}
    records.write(tmp_path / "new" / "claim.json", **given)
    written = json.loads((tmp_path / "new" / "claim.json").read_text())
    assert set(written) == FIELDS
    assert "cores" in written["machine"] and len(written["date"]) == 10


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_record_of_the_project_is_whole_and_its_verdict_follows(path):
    record = json.loads(path.read_text())
    assert record["command"].startswith("python main.py")
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
    numbers = (record[name] for name in ("value", "paper_value", "paper_spread", "spread"))
    assert record["verdict"] == records.verdict(*numbers, claim.better)


class FakeRun:
    """What `evaluation` needs to know of a trained run."""

    def __init__(self, folder):
        self.folder, self.facts = folder, {"run_id": "improved_gan-mnist-1-seed1"}

    def read(self, name):
        return {"summary.json": {"ms_per_step": 40.0, "command": "python main.py"}}.get(
            name
        )


@pytest.mark.parametrize("size, claimed", [(0, True), (14, False)])
def test_a_score_is_of_the_claim_that_its_flags_meet_or_of_none(size, claimed, tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step-000090000.png").write_bytes(b"picture")
    record = tmp_path / "results" / "mnist_50.json"
    flags = {"model": "improved_gan", "dataset": "mnist", "labels": 50, "seed": 3}
    with flagsaver.flagsaver(record=str(record), image_size=size, **flags):
        evaluation._record(
            *(FakeRun(tmp_path), "test_error", test_error, 90_000),
            {"value": 300.0, "percent": 3.0, "test_examples": 10_000},
        )
    written = json.loads(record.read_text())
    assert FIELDS <= set(written) and written["seeds"] == [3]
    assert (written["value"], written["ms_per_step"]) == (300.0, 40.0)
    assert record.with_suffix(".png").read_bytes() == b"picture"
    if claimed:
        assert (written["claim"], written["paper_value"]) == ("improved-mnist-50", 221)
        assert (written["budget_share"], written["verdict"]) == (0.5, "within noise")
    else:
        assert written["claim"] is written["verdict"] is written["budget_share"] is None
