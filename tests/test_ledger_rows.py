"""What records do to a row of RESULTS.md, on records made here."""

import json
import re

import pytest

from reproduction import ledger
from reproduction.protocol import measured_by
from tests.made_records import a_record, a_study, row_of, table_3


@pytest.mark.parametrize(
    "value, spread, verdict",
    [(92.0, None, "reproduced"), (99.0, 2.0, "within noise"), (120.0, 40.0, "not reached")],
)
def test_of_errors_fewer_are_better(value, spread, verdict, tmp_path):
    row = row_of("improved-mnist-100", tmp_path, a=a_record(
        "improved-mnist-100", value, spread, spread_is="a guess"))  # fmt: skip
    of_ten = "" if verdict == "not reached" else ", 1 of the paper's 10 runs"
    assert (row.verdict, row.budget) == (verdict + of_ten, "50% of 180,000 steps")
    assert "one run" in row.ours and "results/a.json" in row.command


def test_several_records_of_a_claim_are_a_mean_and_a_deviation(tmp_path):
    records = runs_of_100(90.0, 100.0, 104.0)
    row = row_of("improved-mnist-100", tmp_path, **records)
    assert row.ours == "98 +- 7.2 of 10,000 wrong (3 runs)"  # deviation 7.211
    assert row.verdict == "within noise, 3 of the paper's 10 runs"
    assert all(f"results/{name}.json" in row.command for name in records)


def runs_of_100(*values, **fields):
    """Records of improved-mnist-100, of one label subset each."""
    return {
        f"r{i}": a_record("improved-mnist-100", v, label_seed=i, **fields)
        for i, v in enumerate(values)
    }


def test_runs_that_scatter_are_no_nearer_to_the_paper(tmp_path):
    row = row_of("improved-mnist-100", tmp_path, **runs_of_100(90.0, 400.0))
    assert row.ours.startswith("245 +- 220") and row.verdict == "not reached"


def test_unlike_runs_have_no_mean_and_a_seed_counts_once(tmp_path):
    found = runs_of_100(90.0, 100.0)
    found |= {"again": {**found["r1"], "value": 102.0}}
    found |= {"short": a_record("improved-mnist-100", 500.0, label_seed=9, steps=100)}
    found |= {"other": a_record("improved-mnist-100", 700.0, flags={"g_steps": 3})}
    row = row_of("improved-mnist-100", tmp_path, **found)
    assert row.ours == "96 +- 8.5 of 10,000 wrong (2 runs)"
    assert "results/again.json" in row.command
    assert not {"short", "other"} & set(re.findall(r"results/(\w+)", row.command))


def test_runs_of_a_study_bear_on_the_claims_of_their_own_setting(tmp_path):
    row = row_of("improved-is-cifar10", tmp_path, table3=a_study())
    assert row.ours == "7 +- 1.7 IS (3 runs, of which 1 failed)"
    budget = "20,000 steps; the paper's are not stated"
    assert (row.verdict, row.budget) == ("not reached", budget)
    row = row_of("improved-is-no-minibatch", tmp_path, table3=a_study())
    assert row.ours == "1 +- 0 IS (3 runs, of which 1 failed)"  # which has no score
    assert row.verdict == "not reached"
    smaller = a_study(flags={**a_study()["flags"], "width": ["--width=16"]})
    assert row_of("improved-is-cifar10", tmp_path, table3=smaller).ours == "no run"


def mnist_100(**otherwise):
    """What a study says of runs with 100 labels."""
    return {"model": "improved_gan", "dataset": "mnist", "labels": "100", **otherwise}


def lsgan(**otherwise):
    return {"model": "lsgan", "dataset": "cifar10", "network": "stability",
            "features": "inception_2015", **otherwise}  # fmt: skip


def parzen(**otherwise):
    return {"model": "gan", "dataset": "mnist", **otherwise}


@pytest.mark.parametrize(
    "metric, flags, claims",
    [
        ("test_error", mnist_100(), ["improved-mnist-100"]),
        ("test_error", mnist_100(network="mnist"), ["improved-mnist-100"]),
        ("test_error", mnist_100(feature_matching="None"), ["improved-mnist-100"]),
        ("test_error", mnist_100(feature_matching="squared"), ["improved-mnist-100"]),
        ("test_error", mnist_100(feature_matching="mean"), ["improved-mnist-100"]),
        ("test_error", mnist_100(label_smoothing="0"), ["improved-mnist-100"]),
        ("test_error", mnist_100(feature_matching="absolute"), []),
        ("test_error", mnist_100(feature_matching="none"), []),
        ("test_error", mnist_100(network="svhn"), []),
        ("test_error", mnist_100(minibatch_kernels="9"), []),
        ("test_error", mnist_100(historical_averaging="1"), []),
        ("test_error", mnist_100(label_smoothing="0.1"), []),
        ("test_error", mnist_100(reference_batch="100"), []),
        ("test_error", mnist_100(generator_average="0.001"), []),
        ("parzen_window", parzen(), ["gan-parzen-mnist"]),
        ("parzen_window", parzen(feature_matching="none"), ["gan-parzen-mnist"]),
        ("parzen_window", parzen(feature_matching="squared"), []),
        ("parzen_window", parzen(generator_average="0.001"), []),
        ("parzen_window", parzen(checkpoint="best"), ["gan-parzen-mnist"]),
        ("parzen_window", parzen(network="mnist"), ["gan-parzen-mnist"]),
        ("parzen_window", parzen(network="conditional"), []),
        ("nearest_class", parzen(network="conditional"), ["gan-1nn-50k"]),
        ("test_error", mnist_100(checkpoint="best"), []),
        ("inception_score", lsgan(), ["lsgan-is-cifar10"]),  # --loss has this default
        ("inception_score", lsgan(a="0", b="1", c="1.0"), ["lsgan-is-cifar10"]),
        ("inception_score", lsgan(a="-1", c="0"), []),
        ("inception_score", lsgan(loss="non_saturating"), ["dcgan-is-cifar10"]),
        ("inception_score", lsgan(historical_averaging="0.5"), []),
        ("inception_score", table_3(), ["improved-is-cifar10"]),
        ("inception_score", table_3(minibatch_kernels="0"), ["improved-is-no-minibatch"]),
        ("inception_score", table_3(labels="0", historical_averaging="1"),
         ["improved-is-no-labels-ha"]),
        ("inception_score", table_3(feature_matching="squared"), []),
        ("inception_score", table_3(historical_averaging="1"), []),
    ],
)  # fmt: skip
def test_a_run_with_what_a_claim_has_not_does_not_bear_on_it(metric, flags, claims):
    assert [claim.claim for claim in measured_by(metric, flags)] == claims


def test_a_run_s_raw_and_averaged_generators_are_no_two_seeds_of_one_mean(tmp_path):
    found = {kind: a_record("gan-parzen-mnist", value, generator=kind)
             for kind, value in (("raw", 200.0), ("averaged", 220.0))}  # fmt: skip
    found |= {"old": a_record("gan-parzen-mnist", 190.0, seeds=[2])}  # raw, all were
    row = row_of("gan-parzen-mnist", tmp_path, **found)
    assert row.ours == "195 +- 7.1 nats (2 runs)"


def a_study_of_labels(grid, values, **flags):
    """Of Improved GAN on MNIST with few labels, one run each value of `grid`."""
    written = {"model": "improved_gan", "dataset": "mnist", "fidelity": "code", **flags}
    runs = [
        {"setting": {grid: str(key)}, "seed": 1, "steps": 0 if value is None else 27_000,
         "failure": "d_loss is nan" if value is None else None,
         "scores": {} if value is None else
         {"diversity": 0.9, "test_error": value, "test_error percent": value / 100}}
        for key, value in values.items()
    ]  # fmt: skip
    flags = {name: [f"--{name}={value}"] for name, value in written.items()}
    return a_study(flags=flags, runs=runs, budget={"steps": 81_000, "hours": 1.0})


def test_label_subsets_of_a_study_are_one_mean_and_numbers_of_labels_are_not(tmp_path):
    found = {"subsets": a_study_of_labels("label_seed", {1: 90.0, 2: 96.0, 3: 105.0},
                                          labels=100)}  # fmt: skip
    values = {20: 1700.0, 50: 221.0, 200: 90.0}
    found |= {"labels": a_study_of_labels("labels", values, label_seed=1)}
    row = row_of("improved-mnist-100", tmp_path, **found)
    assert row.ours == "97 +- 7.5 of 10,000 wrong (3 runs)"
    assert row.verdict == "within noise, 3 of the paper's 10 runs"
    assert row.budget == "15% of 180,000 steps"
    for labels, value in values.items():
        row = row_of(f"improved-mnist-{labels}", tmp_path, **found)
        assert row.ours == f"{ledger.number(value)} of 10,000 wrong (one run)"
        assert row.budget == "15% of 180,000 steps" and "results/labels.json" in row.command
    assert row_of("improved-feature-matching", tmp_path, **found).verdict == "not judged"


def test_a_run_that_diverged_counts_and_none_is_left_out(tmp_path):
    found = {1: 90.0, 2: None, 3: 92.0}
    subsets = a_study_of_labels("label_seed", found, labels=100)
    row = row_of("improved-mnist-100", tmp_path, subsets=subsets)
    assert row.ours == "91 +- 1.4 of 10,000 wrong (3 runs, of which 1 failed)"
    assert (row.verdict, row.budget) == ("not reached", "15% of 180,000 steps")
    subsets = a_study_of_labels("label_seed", {1: None}, labels=100)
    row = row_of("improved-mnist-100", tmp_path, subsets=subsets)
    assert (row.ours, row.verdict) == (
        "no score (one run, of which 1 failed)", "not reached")  # fmt: skip


def test_a_study_of_the_best_checkpoint_bears_on_no_claim(tmp_path):
    study = a_study_of_labels("label_seed", {1: 90.0}, labels=100, checkpoint="best")
    assert row_of("improved-mnist-100", tmp_path, study=study).ours == "no run"


def test_a_number_of_the_paper_s_curve_is_shown_and_not_judged(tmp_path):
    row = row_of("vae-mnist", tmp_path, a=a_record("vae-mnist", -101.5))
    assert (row.ours, row.verdict) == ("-101.5 nats (one run)", "not judged")


def test_runs_of_a_recipe_on_other_data_are_shown_as_that(tmp_path):
    command = "python main.py --flagfile=flags/began_gamma.flags"
    row = row_of("began-gamma", tmp_path, gamma=a_study(command=command))
    assert row.verdict == "not judged, other data" and "results/gamma.json" in row.command
    assert row_of("began-faces", tmp_path, gamma=a_study(command=command)).ours == "no run"


def test_a_recipe_whose_name_goes_on_is_the_same_at_another_size(tmp_path):
    for recipe, seen in (("began_faces_32", True), ("began_facets", False)):
        command = f"python main.py --flagfile=flags/{recipe}.flags"
        row = row_of("began-faces", tmp_path, a=a_record(None, 0.6, command=command))
        assert (row.verdict == "not judged, other data") == seen
        assert ("results/a.json" in row.command) == seen


def test_a_picture_without_a_record_is_shown(tmp_path):
    assert row_of("began-continuity", tmp_path).verdict.startswith("cannot")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "began_fig4.png").write_bytes(b"")
    row = row_of("began-continuity", tmp_path)
    assert row.verdict == "not judged, other data" and "began_fig4.png" in row.command


def test_a_run_that_was_scored_in_training_has_one_command(tmp_path):
    command = "python main.py --mode=evaluate --logdir=runs/a"
    for trained_by, written in (
        ("python main.py", "`python main.py`, then "),
        (command, ""),
    ):
        found = {"a": a_record("gan-parzen-mnist", 1.0, command=command,
                               trained_by=trained_by)}  # fmt: skip
        row = row_of("gan-parzen-mnist", tmp_path, **found)
        assert row.command == f"{written}`{command}` ([record](results/a.json))"


def test_a_study_that_continues_a_record_has_the_commands_of_both(tmp_path):
    command, earlier = "python main.py --seeds=3", "python main.py --seeds=2"
    found = a_record("gan-parzen-mnist", 1.0, command=command, earlier_commands=[earlier])
    row = row_of("gan-parzen-mnist", tmp_path, a=found)
    assert row.command == f"`{earlier}`, then `{command}` ([record](results/a.json))"


def test_a_run_that_never_was_costs_what_its_step_takes(tmp_path):
    assert row_of("improved-mnist-50", tmp_path).verdict == "not attempted, no run"
    of_others = a_record("improved-mnist-100", 93.0, ms_per_step=36.0)
    row = row_of("improved-mnist-50", tmp_path, a=of_others)
    assert (
        row.verdict == "not attempted, no run: 18 hours for 10 runs of 180,000 steps each"
    )
    (tmp_path / "benchmarks").mkdir()
    rounds = [{"plain": 0.9, "XLA": 0.72}] * 3
    path = tmp_path / "benchmarks" / "lsgan_dcgan64.json"
    path.write_text(json.dumps({"rounds": rounds}))
    row = row_of("lsgan-bn-g-adam", tmp_path)
    assert "10,000 hours for 10 runs of 5,000,000 steps each" in row.verdict
    assert row_of("gan-parzen-tfd", tmp_path).verdict.startswith("cannot: ")


def test_a_picture_of_a_run_is_a_claim_that_nothing_measures(tmp_path):
    found = {"a": a_record("gan-parzen-mnist", 200.0)}
    assert row_of("gan-samples-mnist", tmp_path).verdict == "not attempted, no run"
    row = row_of("gan-samples-mnist", tmp_path, **found)
    assert row.verdict == "not judged" and "results/a.json" in row.command
