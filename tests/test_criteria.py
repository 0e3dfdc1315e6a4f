"""Criteria of claims: a made-up record that meets each, and one that does not."""

import json

import pytest

from reproduction.claims import CLAIMS
from reproduction.criteria import CRITERIA
from tests import launch


def gamma_study(diversities, ratios, failures=0):
    """As results/began_gamma.json, at gamma = .3, .5, .7."""
    rows = []
    cells = zip(("0.3", "0.5", "0.7"), diversities, ratios, strict=True)
    for gamma, diversity, ratio in cells:
        scores = {
            "diversity": {
                "mean": diversity,
                "interval": [diversity - 0.1, diversity + 0.1],
            },
            "training g_loss": {"mean": 2.0 * ratio},
            "training d_real": {"mean": 2.0},
        }
        row = {"setting": {"gamma": gamma}, "scores": scores, "failures": failures}
        rows.append({**row, "runs": 3})
    return {"settings": rows}


def stability_study(regular, least_squares):
    """As results/lsgan_stability.json: failures of ten runs, the same in each cell."""
    losses = {"non_saturating": regular, "least_squares": least_squares}
    return {
        "settings": [
            {
                "setting": {"loss": loss, "batch_norm": normalized, "optimizer": optimizer},
                "failures": failures[optimizer],
                "runs": 10,
            }
            for loss, failures in losses.items()
            for normalized in ("discriminator", "none")
            for optimizer in ("adam", "rmsprop")
        ]
    }


def both(failures):
    return {"adam": failures, "rmsprop": failures}


def losses(regular, least_squares):
    """As results/lsgan_stability_rmsprop.json: failures of thirty runs."""
    failures = {"non_saturating": regular, "least_squares": least_squares}
    rows = [
        {"setting": {"loss": loss}, "failures": failed, "runs": 30}
        for loss, failed in failures.items()
    ]
    return {"settings": rows}


def neighbours(value):
    return {"value": value, "paper_value": 3.1, "details": {"test_examples": 10_000}}


def study(*rows, **more):
    """As a record of a study: (setting, scores, failures of eight runs) per row; a score is
    a mean, with an interval of +- 1."""

    def shown(means):
        return {k: {"mean": v, "interval": [v - 1, v + 1]} for k, v in means.items()}

    settings = [
        {"setting": setting, "scores": shown(means), "failures": failures, "runs": 8}
        for setting, means, failures in rows
    ]
    return {"settings": settings, **more}


def convergence(likelihood, d_real, d_fake):
    d = {"training d_real": d_real, "training d_fake": d_fake}
    few = {"parzen_window": -1.6, "training d_real": 0.6, "training d_fake": 0.4}
    return study(({"k": "5"}, few, 0), ({"k": "20"}, {"parzen_window": likelihood, **d}, 0))


def collapse(one, twenty):
    return study(
        *(({"g_steps": k}, {"diversity": v}, 0) for k, v in (("1", one), ("20", twenty)))
    )


def techniques(plain, matched, compared):
    """(errors, Frechet distance) of each."""
    settings = (("none", "0"), ("mean", "0"), ("none", "100"))
    names, rows = ("test_error", "frechet_distance"), []
    for (matching, kernels), scores in zip(
        settings, (plain, matched, compared), strict=True
    ):
        setting = {"feature_matching": matching, "minibatch_kernels": kernels}
        rows.append((setting, dict(zip(names, scores, strict=True)), 0))
    return study(*rows)


def rates(low, high):
    rows = (("0.0002", 4), ("0.0064", low), ("0.0512", high))
    return study(*(({"learning_rate": rate}, {}, failed) for rate, failed in rows))


def networks(authors, plain):
    pairs = (("authors", authors), ("plain", plain))
    return study(*(({"network": n}, {"frechet_distance": v}, 0) for n, v in pairs))


def by_steps(distances):
    runs = (
        {"scores": {"training m_global": m, "frechet_distance": distance}}
        for m, distance in enumerate(distances)
    )
    return {"runs": list(runs)}


def codes(both, small_d, small_g):
    cells = {("16", "16"): both, ("4", "16"): small_d, ("16", "4"): small_g}
    cells |= {("4", "4"): 70.0}
    return study(
        *(({"n_h": h, "n_z": z}, {"frechet_distance": v}, 0) for (h, z), v in cells.items())
    )


def cost(low, middle, high):
    return {"value": middle, "quartiles": [low, middle, high]}


def lines(off, fades, step):
    return {"value": off, "of_cross_fades": fades, "largest_step": step}


def sharp(distance, *covered):
    return {"value": distance, "runs": [{"images_covered": n} for n in covered]}


def bounds(of_20, of_200):
    """(training bound at the end, test bounds) of each."""
    runs = [
        {
            "setting": {"latent_dim": latents},
            "training": [[1000, trained]],
            "selection": [[1000 + i, value] for i, value in enumerate(tested)],
        }
        for latents, (trained, tested) in {"20": of_20, "200": of_200}.items()
    ]
    return {"runs": runs}


def checkpoints(*runs):
    """Frechet distances at the checkpoints of each run."""
    scored = ([[500 * i, -value] for i, value in enumerate(run, 1)] for run in runs)
    return {"runs": [{"selection": scores} for scores in scored]}


def ring(least_squares, regular):
    """Visible modes of each run of a loss; None is a run without a score."""
    found = {"least_squares": least_squares, "non_saturating": regular}
    runs = [
        {
            "setting": {"loss": loss},
            "scores": {} if modes is None else {"kde_modes": float(modes)},
        }
        for loss, counts in found.items()
        for modes in counts
    ]
    return {"runs": runs}


EVEN = (0.3, 0.5, 0.7)
FEWER, SAME = stability_study(both(6), both(0)), stability_study(both(3), both(1))
CASES = {  # claim -> a record that shows it, records that do not
    "began-gamma": (
        gamma_study((0.1, 0.5, 0.9), EVEN),
        gamma_study((0.1, 0.25, 0.9), EVEN),
        gamma_study((0.9, 0.5, 0.1), EVEN),
    ),
    "began-equilibrium": (
        gamma_study(EVEN, (0.31, 0.52, 0.66)),
        gamma_study(EVEN, (0.31, 0.6, 0.7)),
    ),
    "began-no-alternation": (gamma_study(EVEN, EVEN), gamma_study(EVEN, EVEN, failures=1)),
    "lsgan-ring": (
        ring(6 * [8] + [7, 1, None], 8 * [1] + [8]),
        ring(4 * [8] + [7, 7, 1, None], 8 * [1]),
        ring(6 * [8] + [7, 1, None], 3 * [1] + 6 * [8]),
        ring(6 * [None] + 2 * [8], 8 * [1]),
    ),
    "gan-ring": (
        ring(9 * [8], [1, 1, 1, 0, 8, 2, 7]),
        ring(9 * [1], [1, 1, 1, 8, 2, 7, 8]),
        ring(9 * [1], [1, 1, 1, 1, None, None, None, None]),
    ),
    "lsgan-bn-g-adam": (FEWER, SAME),
    "lsgan-bn-gd-rmsprop": (losses(9, 1), losses(4, 1)),
    "lsgan-bn-g-rmsprop": (stability_study(both(0), both(0)), SAME),
    "lsgan-bn-gd-adam": (SAME, FEWER, stability_study(both(1), both(9))),
    "rmsprop-over-adam": (
        stability_study({"adam": 6, "rmsprop": 0}, {"adam": 3, "rmsprop": 1}),
        stability_study({"adam": 5, "rmsprop": 4}, both(1)),
    ),
    "real-1nn-50k": (neighbours(3.4), neighbours(3.5)),
    "gan-convergence": (
        convergence(-1.45, 0.51, 0.49),
        convergence(-1.48, 0.51, 0.49),
        convergence(-1.45, 0.53, 0.49),
    ),
    "gan-collapse": (collapse(9.0, 5.0), collapse(9.0, 7.5), collapse(5.0, 9.0)),
    "gan-samples-mnist": ({"value": 12.0}, {"value": -3.1}),
    "gan-lines": (
        lines(1.05, 1.4, 0.15),
        lines(1.2, 1.4, 0.15),
        lines(1.05, 1.0, 0.15),
        lines(1.05, 1.4, 0.3),
    ),
    "gan-sharp": (sharp(0.03, 10, 5), sharp(0.2, 10, 10), sharp(0.03, 10, 4)),
    "improved-vbn-cost": (cost(1.9, 2.0, 2.1), cost(1.4, 2.0, 2.1)),
    "improved-feature-matching": (
        techniques((300, 20), (200, 30), (290, 10)),
        techniques((300, 20), (299, 30), (290, 10)),
        techniques((300, 20), (200, 21), (290, 10)),
    ),
    "improved-minibatch": (
        techniques((300, 20), (200, 30), (290, 10)),
        techniques((300, 20), (200, 30), (290, 29)),
        techniques((300, 20), (200, 30), (201, 10)),
    ),
    "began-rate": (rates(0, 6), rates(0, 1), rates(1, 8)),
    "began-carry": (networks(10, 20), networks(19, 20), networks(20, 10)),
    "began-convergence": (by_steps((1, 3, 2, 5, 8)), by_steps((4, 3, 2, 5, 1))),
    "lsgan-late-collapse": (
        checkpoints((9, 5, 7, 8), (9, 5, 6, 5.6), (5, 7, 8, 8), (9, 8, 7, 5)),
        checkpoints((9, 5, 7, 8), (9, 5, 6, 5.6), ()),
        checkpoints((9, 5, 7, 8), (9, 5, 6, 5.6), (9, 5, 6, 5.4), (9, 8, 7, 5)),
        checkpoints((9, 7, 5, 8), (9, 6, 5, 5.6), (5, 7, 8, 8), (9, 8, 7, 5)),
    ),
    "vae-overfitting": (
        bounds((-99, [-110, -101]), (-102, [-110, -104.5])),
        bounds((-99, [-110, -101]), (-102, [-110, -105.5])),
        bounds((-99, [-110, -101]), (-102, [-103, -104.5])),
        bounds((-99, [-110, -101]), (-102, [])),
    ),
    "began-unbalanced": (codes(10, 30, 12), codes(10, 11, 12), codes(10, 30, 31)),
}


def test_every_criterion_is_of_a_claim_and_has_cases():
    assert set(CASES) == set(CRITERIA) <= set(CLAIMS)


COUNTING = [  # failures of a study's runs
    *("began-rate", "began-gamma", "began-no-alternation", "rmsprop-over-adam"),
    *(name for name in CRITERIA if name.startswith("lsgan-bn-")),
]


@pytest.mark.parametrize("claim", COUNTING)
def test_failures_are_those_of_the_present_collapse_watch(claim):
    """It measures coverage too. A record from before counts fewer failures."""
    path = launch.ROOT / "results" / f"{CRITERIA[claim].record}.json"
    watched = [run["scores"] for run in json.loads(path.read_text())["runs"]]
    ended = [scores for scores in watched if "diversity" in scores]
    assert ended and all("coverage" in scores for scores in ended)


@pytest.mark.parametrize("claim", CASES)
def test_a_criterion_holds_where_the_record_shows_it_and_not_elsewhere(claim):
    shows, *others = CASES[claim]
    assert CRITERIA[claim].find(shows)[1]
    assert not any(CRITERIA[claim].find(other)[1] for other in others)
