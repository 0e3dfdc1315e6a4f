"""RESULTS.md shows for every claim what the records show, and nothing else."""

import json
import math
import re
import statistics

import pytest

from reproduction import ledger
from reproduction.claims import CLAIMS
from reproduction.criteria import CRITERIA
from reproduction.protocol import PROTOCOL, UNSAID, fits, measured_by
from tests import launch
from tests.made_records import a_record
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


def test_others_numbers_are_not_attempted_for_they_are_others(rows):
    assert rows["dbn-parzen-tfd"].verdict == "others' number"
    assert rows["gan-parzen-tfd"].verdict.startswith("cannot")


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


def test_a_record_that_its_criterion_cannot_read_is_named():
    record = json.loads((launch.ROOT / "results" / "gan_collapse.json").read_text())
    record["settings"] = record["settings"][:1]
    with pytest.raises(UserError, match=r"gan_collapse\.json .*gan-collapse .*again"):
        ledger.row(launch.ROOT, CLAIMS["gan-collapse"], {"gan_collapse": record})


def test_a_readme_without_the_marks_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(UserError, match="<!-- results -->"):
        ledger.readme(tmp_path, {}, {})


def test_the_mode_works_only_in_the_projects_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="run it in the project's folder"):
        ledger.ledger()
    assert not list(tmp_path.iterdir())


def test_readme_has_scores_on_the_papers_data_first():
    def row(name, verdict, ours):
        return ledger.Row(name, name, "GAN, 2014", "", ours, "-", verdict, "-")

    rows = [
        row("short", "not reached", "5 modes (one run)"),
        row("other", "reproduced, other data: faces", "0.9 (criterion: at least 0.8)"),
        row("criterion", "reproduced", "0.9 (criterion: at least 0.8)"),
        row("near", "within noise", "-97 nats (one run)"),
        row("score", "reproduced", "-95 nats (one run)"),
    ]
    ranked = [each.claim for each in sorted(rows, key=ledger.rank)]
    assert ranked == ["score", "near", "criterion", "other", "short"]
