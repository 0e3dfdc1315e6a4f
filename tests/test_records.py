"""Records say what was run, and no verdict is kinder than its numbers."""

import json
import pathlib

import pytest

from tfgan_papers import records

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
    "value, verdict",
    [(92, "reproduced"), (93, "reproduced"), (99, "within noise"), (100, "not reached")],
)
def test_fewer_errors_are_better_than_the_paper_s_93_plus_minus_6_5(value, verdict):
    assert records.verdict(value, 93, 6.5, None, less_is_better=True) == verdict


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
    numbers = (record[name] for name in ("value", "paper_value", "paper_spread", "spread"))
    less = record.get("less_is_better", False)
    assert record["verdict"] == records.verdict(*numbers, less)
