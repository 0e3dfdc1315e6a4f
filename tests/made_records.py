"""Records that tests make, and the rows that they give."""

from reproduction import ledger
from reproduction.claims import CLAIMS


def a_record(claim, value, spread=None, **fields):
    record = {"claim": claim, "value": value, "spread": spread, "steps": 90_000}
    record |= {"dataset": "mnist"}
    record |= {"seeds": [1], "command": "python main.py", "run_id": "gan-x-1-seed1"}
    return record | {"quantity": "q", "unit": "u"} | fields


def a_study(**fields):
    """Of Improved GAN's Table 3: scores of 8, 8, 5 with minibatch discrimination, where the
    third run fails at the end, and 1, 1 without, where the third has no score."""
    found = {"100": (8.0, 8.0, 5.0), "0": (1.0, 1.0, None)}
    runs = [
        {"setting": {"minibatch_kernels": kernels}, "seed": seed, "steps": 20_000,
         "failure": "collapsed" if value == 5.0 else None if value else "d_loss is nan",
         "scores": {} if value is None else {"inception_score": value}}
        for kernels, values in found.items() for seed, value in enumerate(values, 1)
    ]  # fmt: skip
    flags = {k: [f"--{k}={v}"] for k, v in table_3().items()}
    budget = {"steps": 120_000, "hours": 0.5}
    record = {"study": "table3", "flags": flags, "runs": runs, "budget": budget}
    return record | {"command": "python main.py --mode=study", "settings": []} | fields


def table_3(**otherwise):
    """What a study says of runs of Improved GAN's Table 3."""
    return {"model": "improved_gan", "dataset": "cifar10", "network": "minibatch",
            "labels": "4000", "label_smoothing": "0.1", "reference_batch": "100",
            "features": "inception_2015", **otherwise}  # fmt: skip


def row_of(claim, tmp_path, **found):
    return ledger.row(tmp_path, CLAIMS[claim], found)
