"""RESULTS.md shows for every claim what the records show, and nothing else. DEVIATIONS.md
lists every deviation that the source names."""

import json
import math
import re
import statistics

import pytest

from reproduction import deviations, ledger
from reproduction.claims import CLAIMS
from reproduction.criteria import CRITERIA
from reproduction.protocol import PROTOCOL, UNSAID, fits, measured_by
from tests import launch
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS
from tfgan_papers.options import fields
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs import settings

# The papers' numbers, written down apart from the table: id -> value, spread.
NUMBERS = {
    # GAN, Table 1
    **{"gan-parzen-mnist": (225, 2), "gan-parzen-tfd": (2057, 26)},
    **{"dbn-parzen-mnist": (138, 2), "dbn-parzen-tfd": (1909, 66)},
    **{"scae-parzen-mnist": (121, 1.6), "scae-parzen-tfd": (2110, 50)},
    **{"gsn-parzen-mnist": (214, 1.1), "gsn-parzen-tfd": (1890, 29)},
    # Improved GAN, Tables 1 to 3, Fig. 5, Sec. 6
    **{"improved-mnist-20": (1677, 452), "improved-ensemble-mnist-20": (1134, 445)},
    **{"improved-mnist-50": (221, 136), "improved-ensemble-mnist-50": (142, 96)},
    **{"improved-mnist-100": (93, 6.5), "improved-ensemble-mnist-100": (86, 5.6)},
    **{"improved-mnist-200": (90, 4.2), "improved-ensemble-mnist-200": (81, 4.3)},
    **{"dgn-mnist-100": (333, 14), "vat-mnist-100": (212, None)},
    **{"catgan-mnist-100": (191, 10), "sdgm-mnist-100": (132, 7)},
    **{"ladder-mnist-100": (106, 37), "adgm-mnist-100": (96, 2)},
    "improved-cifar10-1000": (21.83, 2.01),
    "improved-cifar10-2000": (19.61, 2.09),
    "improved-cifar10-4000": (18.63, 2.32),
    "improved-cifar10-8000": (17.72, 1.82),
    "improved-ensemble-cifar10-1000": (19.22, 0.54),
    "improved-ensemble-cifar10-2000": (17.25, 0.66),
    "improved-ensemble-cifar10-4000": (15.59, 0.47),
    "improved-ensemble-cifar10-8000": (14.87, 0.89),
    **{"ladder-cifar10-4000": (20.40, 0.47), "catgan-cifar10-4000": (19.58, 0.46)},
    **{"improved-svhn-500": (18.44, 4.8), "improved-svhn-1000": (8.11, 1.3)},
    **{"improved-svhn-2000": (6.16, 0.58), "improved-ensemble-svhn-1000": (5.88, 1.0)},
    **{"dgn-svhn-1000": (36.02, 0.10), "vat-svhn-1000": (24.63, None)},
    **{"adgm-svhn-1000": (22.86, None), "sdgm-svhn-1000": (16.61, 0.24)},
    **{"real-is-cifar10": (11.24, 0.12), "improved-is-cifar10": (8.09, 0.07)},
    **{"improved-is-bn": (7.54, 0.07), "improved-is-no-labels-ha": (6.86, 0.06)},
    **{"improved-is-no-smoothing": (6.83, 0.06), "improved-is-no-labels": (4.36, 0.04)},
    "improved-is-no-minibatch": (3.87, 0.03),
    **{"improved-votes-mnist": (52.4, None), "improved-votes-cifar10": (78.7, None)},
    **{"improved-votes-top": (71.4, None), "improved-votes-authors": (95, None)},
    # LSGAN, Table 1, Sec. 4.3.2, 4.4, Fig. 7
    **{"lsgan-is-cifar10": (6.47, None), "dcgan-is-cifar10": (6.22, None)},
    "dcgan-is-cifar10-reported": (6.16, 0.07),
    **{"lsgan-votes": (56.4, None), "dcgan-votes": (43.6, None)},
    **{"lsgan-bn-g-adam": (5, None), "gan-bn-g-adam": (0, None)},
    **{"lsgan-ring": (8, None), "gan-ring": (1, None)},
    # BEGAN, Table 1, Sec. 4.1
    **{"began-is-cifar10": (5.62, None), "dfm-is-cifar10": (7.72, 0.13)},
    **{"ali-is-cifar10": (5.34, 0.05), "improved-is-cifar10-in-began": (4.36, None)},
    **{"mix-wgan-is-cifar10": (4.04, None), "wgan-is-cifar10": (3.82, None)},
    **{"real-is-cifar10-in-began": (11.24, None), "began-parameters": (17.3e6, None)},
    "began-days": (2.5, None),
    # DCGAN, Tables 1 to 3
    **{"dcgan-features-cifar10": (82.8, None), "kmeans-1-cifar10": (80.6, None)},
    **{"kmeans-3-cifar10": (82.0, None), "dcgan-features-svhn-1000": (22.48, None)},
    **{"cnn-svhn-1000": (28.87, None), "real-1nn-50k": (3.1, None)},
    **{"dcgan-1nn-50k": (2.98, None), "dcgan-1nn-10m": (1.48, None)},
    **{"gan-1nn-50k": (6.28, None), "gan-1nn-10m": (5.65, None)},
}
DEFAULTS = {
    name: field.default
    for name, field in {**settings.all_fields(), **fields(ScoreOptions)}.items()
} | {"model": "gan"}
WITHOUT_NUMBERS = set(
    """gan-optimal-d gan-minus-log-4 gan-jsd gan-global-optimum gan-convergence
    gan-early-gradient gan-forward-only gan-collapse gan-sharp gan-samples-mnist
    gan-samples-tfd gan-samples-cifar10 gan-lines dcgan-faces improved-feature-matching
    improved-minibatch improved-historical-averaging improved-smoothing improved-vbn
    improved-vbn-cost improved-k-plus-1 improved-imagenet improved-is-votes
    lsgan-optimal-d lsgan-pearson lsgan-flat-at-one-point lsgan-bedrooms lsgan-scenes
    lsgan-bn-gd-rmsprop lsgan-bn-g-rmsprop lsgan-bn-gd-adam rmsprop-over-adam
    lsgan-characters lsgan-characters-labels lsgan-late-collapse began-equilibrium
    began-no-alternation began-beside-ebgan began-fast began-carry began-carry-identity
    began-rate began-hours began-faces began-gamma began-continuity began-convergence
    began-unbalanced vae-mnist vae-overfitting
    vae-frey""".split()
)


@pytest.fixture(scope="module")
def pages():
    return ledger.pages(launch.ROOT)


@pytest.fixture(scope="module")
def rows(pages):
    """claim -> cells, of RESULTS.md."""
    lines = (line for line in pages["RESULTS.md"].splitlines() if line.startswith("| "))
    cells = ([cell.strip() for cell in line[2:-2].split(" | ")] for line in lines)
    return {cell[0]: ledger.Row(*cell) for cell in cells if cell[0] in CLAIMS}


@pytest.mark.parametrize("name", ["RESULTS.md", "DEVIATIONS.md", "README.md"])
def test_what_is_committed_is_what_the_mode_writes(pages, name):
    written = (launch.ROOT / name).read_text(encoding="utf-8")
    assert written == pages[name], "run python main.py --mode=ledger"


def test_every_claim_has_a_row_with_the_papers_own_number(rows):
    assert set(CLAIMS) == set(NUMBERS) | WITHOUT_NUMBERS == set(rows)
    for claim, (value, spread) in NUMBERS.items():
        assert (CLAIMS[claim].paper_value, CLAIMS[claim].paper_spread) == (value, spread)
        error = "" if spread is None else f" +- {ledger.number(spread)}"
        assert rows[claim].paper.startswith(f"{ledger.number(value)}{error}")
    assert all(CLAIMS[claim].paper_value is None for claim in WITHOUT_NUMBERS)


def test_a_number_of_ours_stands_in_a_record_that_the_row_links_to(rows):
    for row in rows.values():
        linked = re.findall(r"\(results/(\w+)\.json\)", row.command)
        if row.claim in CRITERIA or not re.match(r"-?\d", row.ours):
            words = row.ours in ("-", "no run") or row.ours.startswith("no score (")
            assert words or (row.claim in CRITERIA and linked)
            continue
        found = [read(launch.ROOT / "results" / f"{name}.json") for name in linked]
        values = [r["value"] for r in found if r.get("claim") == row.claim]
        values = values or [
            run["scores"][CLAIMS[row.claim].metric]
            for record in found
            for run in record.get("runs", [])
            if CLAIMS[row.claim].metric in run["scores"]
            and CLAIMS[row.claim]
            in measured_by(CLAIMS[row.claim].metric.split()[0], flags_of(record, run))
        ]
        shown = float(re.match(r"-?[\d,.]+", row.ours)[0].replace(",", ""))
        assert math.isclose(shown, statistics.fmean(values), rel_tol=1e-3), row


def flags_of(study, run):
    written = [text for texts in study["flags"].values() for text in texts]
    pairs = (text.removeprefix("--").split("=", 1) for text in written if "=" in text)
    return {**dict(pairs), **run["setting"]}


def read(path):
    return json.loads(path.read_text())


def test_a_claim_that_a_test_holds_names_a_test_that_there_is():
    for claim in CLAIMS.values():
        if claim.test:
            path, name = claim.test.split("::")
            text = (launch.ROOT / path).read_text()
            assert f"\ndef {name}(" in text, claim.claim


def test_recipes_and_scores_of_claims_exist():
    settings = (launch.ROOT / "benchmarks" / "timed_settings.py").read_text()
    for claim in CLAIMS.values():
        metric = (claim.metric or "").split()
        assert not metric or metric[0].removesuffix("_of_10") in METRICS
        assert claim.better in ("higher", "lower", "same")
        if claim.step:
            assert f"def {claim.step}()" in settings


@pytest.mark.parametrize(
    "claim", [c for c in CLAIMS.values() if c.recipe], ids=lambda claim: claim.claim
)
def test_a_recipe_is_of_a_run_that_bears_on_its_claim(claim):
    given = flags_of_recipe(*claim.recipe.split())
    (model,) = given["model"]
    (dataset,), (network,) = given["dataset"], given.get("network", [""])
    by_default = contract.defaults(PAPERS[model], dataset, network, "paper")
    for name, value in ((PROTOCOL if claim.metric else {}) | claim.flags).items():
        default = by_default.get(name, DEFAULTS[name])
        texts = given.get(name, [default])
        assert any(fits(text, value) for text in texts), (name, texts)


def test_what_a_claim_takes_for_a_flag_s_default_is_its_default():
    for name, value in (PROTOCOL | UNSAID).items():
        if name != "test_split":  # a paper's default may have been laid under it
            assert fits(DEFAULTS[name], value), name


def flags_of_recipe(name, *more):
    """Flag -> its values, of which a study's grid has several."""
    lines = (launch.ROOT / "flags" / f"{name}.flags").read_text().splitlines()
    found = {}
    for line in [*lines, *more]:
        if line.startswith("--"):
            flag, _, value = line.removeprefix("--").removeprefix("grid=").partition("=")
            found[flag] = value.split(",")
    return found


# What records do to a row, on records made here.


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
    row = row_of("lsgan-ring", tmp_path, fig7=a_study())
    assert row.ours == "7 +- 1.7 modes (3 runs, of which 1 failed)"
    assert (row.verdict, row.budget) == ("not reached", "50% of 40,000 steps")
    row = row_of("gan-ring", tmp_path, fig7=a_study())
    assert row.ours == "1 +- 0 modes (3 runs, of which 1 failed)"  # which has no score
    assert row.verdict == "not reached"
    smaller = a_study(flags={**a_study()["flags"], "width": ["--width=16"]})
    assert row_of("lsgan-ring", tmp_path, fig7=smaller).ours == "no run"


def mnist_100(**otherwise):
    """What a study says of runs with 100 labels."""
    return {"model": "improved_gan", "dataset": "mnist", "labels": "100", **otherwise}


def ring(**otherwise):
    return {"model": "lsgan", "dataset": "ring", **otherwise}


def parzen(**otherwise):
    return {"model": "gan", "dataset": "mnist", **otherwise}


def table_3(**otherwise):
    return {"model": "improved_gan", "dataset": "cifar10", "network": "minibatch",
            "labels": "4000", "label_smoothing": "0.1", "reference_batch": "100",
            "features": "inception_2015", **otherwise}  # fmt: skip


CROSS_ENTROPY = {"loss": "non_saturating"}


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
        ("mode_coverage", ring(), ["lsgan-ring"]),  # --loss is least squares by default
        ("mode_coverage", ring(a="0", b="1", c="1.0"), ["lsgan-ring"]),
        ("mode_coverage", ring(**CROSS_ENTROPY), ["gan-ring"]),
        ("mode_coverage", ring(a="-1", c="0"), []),
        ("mode_coverage", ring(ring="authors"), []),
        ("mode_coverage", ring(optimizer="rmsprop", **CROSS_ENTROPY), []),
        ("mode_coverage", ring(historical_averaging="0.5", **CROSS_ENTROPY), []),
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


def test_others_numbers_are_not_attempted_for_they_are_others(rows):
    assert rows["dbn-parzen-tfd"].verdict == "others' number"
    assert rows["gan-parzen-tfd"].verdict.startswith("cannot")


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


def test_a_run_that_never_was_costs_what_its_step_takes(tmp_path):
    assert row_of("improved-mnist-50", tmp_path).verdict == "not attempted, no run"
    of_others = a_record("improved-mnist-100", 93.0, ms_per_step=36.0)
    row = row_of("improved-mnist-50", tmp_path, a=of_others)
    assert row.verdict == "not attempted, no run: 18 hours for 10 of 180,000 steps"
    (tmp_path / "benchmarks").mkdir()
    rounds = [{"plain": 0.9, "XLA": 0.72}] * 3
    path = tmp_path / "benchmarks" / "lsgan_dcgan64.json"
    path.write_text(json.dumps({"rounds": rounds}))
    row = row_of("lsgan-bn-g-adam", tmp_path)
    assert "10,000 hours for 10 of 5,000,000 steps" in row.verdict
    assert row_of("gan-parzen-tfd", tmp_path).verdict.startswith("cannot: ")


def test_a_picture_of_a_run_is_a_claim_that_nothing_measures(tmp_path):
    found = {"a": a_record("gan-parzen-mnist", 200.0)}
    assert row_of("gan-samples-mnist", tmp_path).verdict == "not attempted, no run"
    row = row_of("gan-samples-mnist", tmp_path, **found)
    assert row.verdict == "not judged" and "results/a.json" in row.command


def test_records_of_no_claim_and_pictures_are_shown_too(tmp_path, rows):
    (tmp_path / "README.md").write_text("a\n<!-- results -->\nold\n<!-- /results -->\nb\n")
    (tmp_path / "results").mkdir()
    for name, steps in (("short", 10), ("long", 20)):
        record = a_record(None, 3.0, 0.5, steps=steps, run_id=f"gan-{name}-1")
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(record))
        (tmp_path / "results" / f"{name}.png").write_bytes(b"")
    written = ledger.pages(tmp_path)
    others = written["RESULTS.md"].split("## Runs that bear on no claim")[1]
    assert "| long | gan-long-1, 20 steps | q 3 +- 0.5 u | `python main.py`" in others
    readme = written["README.md"]
    assert readme.startswith("a\n<!-- results -->\n|") and "old" not in readme
    assert readme.endswith("<!-- /results -->\nb\n") and "results/short" not in readme


@pytest.mark.parametrize(
    "content, words",
    [
        (json.dumps(a_record(None, 1.0, command="")), "does not have the command"),
        (
            json.dumps({"claim": None, "value": 1.0, "steps": 1}),
            "is not a record: 'command'",
        ),
        (
            json.dumps(a_record("gan-parzen-cifar10", 1.0)),
            "names the claim gan-parzen-cifar10",
        ),
        ('{"claim": ', "is not a record"),
        ("[]", "is not a record"),
    ],
)
def test_a_record_that_proves_nothing_is_refused(content, words, tmp_path):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(UserError, match=words):
        ledger.load(tmp_path)


def test_a_readme_without_the_marks_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(UserError, match="<!-- results -->"):
        ledger.readme(tmp_path, {}, {})


def test_the_mode_works_only_in_the_projects_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="run it in the project's folder"):
        ledger.ledger()
    assert not list(tmp_path.iterdir())


# Deviations.


def test_deviations_and_the_ids_in_the_source_are_the_same(pages):
    declared = [differs.id for differs in deviations.deviations()]
    assert len(set(declared)) == len(declared) >= 43
    listed = re.findall(r"^\| ([A-Z]+-\d+) \|", pages["DEVIATIONS.md"], re.MULTILINE)
    assert listed == declared
    sources = sorted(deviations.SOURCE.rglob("*.py"))
    text = "\n".join(path.read_text() for path in sources)
    marked = re.findall(r"^ *Differs:\s*(\S+)", text, re.MULTILINE)
    assert sorted(marked) == sorted(declared), "a Differs: line is not in its form"
    families = {id_.partition("-")[0] for id_ in declared}
    used = set(re.findall(rf"\b(?:{'|'.join(families)})-\d+\b", text))
    assert used == set(declared)


def test_every_paper_names_its_departures_in_order():
    of_file = {}
    for differs in deviations.deviations():
        of_file.setdefault(differs.file, []).append(differs.id)
    for paper in PAPERS.values():
        path = paper.create.__module__.replace(".", "/") + ".py"
        families = [departure.partition("-")[0] for departure in of_file[path]]
        numbers = [families[: i + 1].count(family) for i, family in enumerate(families)]
        expected = [f"{f}-{n}" for f, n in zip(families, numbers, strict=True)]
        assert of_file[path] == expected


def test_a_departure_in_another_form_is_refused(monkeypatch, tmp_path):
    (tmp_path / "paper.py").write_text('"""\nDiffers: X-1 | what | paper | here.\n"""\n')
    monkeypatch.setattr(deviations, "SOURCE", tmp_path)
    with pytest.raises(UserError, match="X-1 has 4 parts, not six"):
        deviations.deviations()
