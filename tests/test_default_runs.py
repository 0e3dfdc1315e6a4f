"""The records of the default runs: how many digits the bare commands show."""

import json

import pytest

from tests import launch
from tfgan_papers.papers import PAPERS

RECORDS = sorted((launch.ROOT / "results").glob("default_*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_default_run_shows_the_digits(path):
    record = json.loads(path.read_text())
    model = path.stem.removeprefix("default_")
    assert record["dataset"] == PAPERS[model].dataset
    assert record["run_id"] == f"{model}-{record['dataset']}-default"
    for run in record["runs"]:
        counts = run["samples_of_each_digit"]
        assert sum(counts) == 500
        shown = sum(count >= 10 for count in counts)
        assert run["digits"] == shown == 10
    assert record["value"] == min(run["digits"] for run in record["runs"])
