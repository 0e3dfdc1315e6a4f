"""Records that tests make, and the rows that they give."""

from reproduction import ledger
from reproduction.claims import CLAIMS


def a_record(claim, value, spread=None, **fields):
    record = {"claim": claim, "value": value, "spread": spread, "steps": 90_000}
    record |= {"dataset": "mnist"}
    record |= {"seeds": [1], "command": "python main.py", "run_id": "gan-x-1-seed1"}
    return record | {"quantity": "q", "unit": "u"} | fields


def a_study(**fields):
    """Of the ring: least squares covers 8, 8, 5 modes, the other loss 1, 1 and fails."""
    found = {"least_squares": (8.0, 8.0, 5.0), "non_saturating": (1.0, 1.0, None)}
    runs = [
        {"setting": {"loss": loss}, "seed": seed, "steps": 20_000,
         "failure": "5 of 8 modes" if value == 5.0 else None if value else "d_loss is nan",
         "scores": {} if value is None else {"mode_coverage": value}}
        for loss, values in found.items() for seed, value in enumerate(values, 1)
    ]  # fmt: skip
    flags = {"model": ["--model=lsgan"], "dataset": ["--dataset=ring"]}
    budget = {"steps": 120_000, "hours": 0.5}
    record = {"study": "fig7", "flags": flags, "runs": runs, "budget": budget}
    return record | {"command": "python main.py --mode=study", "settings": []} | fields


def row_of(claim, tmp_path, **found):
    return ledger.row(tmp_path, CLAIMS[claim], found)
