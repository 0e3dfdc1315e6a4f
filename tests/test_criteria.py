"""Criteria of claims: a made-up record that meets each, and one that does not."""

import pytest

from reproduction.claims import CLAIMS
from reproduction.criteria import CRITERIA


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


def neighbours(value):
    return {"value": value, "paper_value": 3.1, "details": {"test_examples": 10_000}}


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
    "lsgan-bn-g-adam": (FEWER, SAME),
    "lsgan-bn-gd-rmsprop": (FEWER, SAME),
    "lsgan-bn-g-rmsprop": (stability_study(both(0), both(0)), SAME),
    "lsgan-bn-gd-adam": (SAME, FEWER),
    "rmsprop-over-adam": (
        stability_study({"adam": 6, "rmsprop": 0}, {"adam": 3, "rmsprop": 1}),
        stability_study({"adam": 5, "rmsprop": 4}, both(1)),
    ),
    "real-1nn-50k": (neighbours(3.4), neighbours(3.5)),
}


def test_every_criterion_is_of_a_claim_and_has_cases():
    assert set(CASES) == set(CRITERIA) <= set(CLAIMS)


@pytest.mark.parametrize("claim", CASES)
def test_a_criterion_holds_where_the_record_shows_it_and_not_elsewhere(claim):
    shows, *others = CASES[claim]
    assert CRITERIA[claim].find(shows)[1]
    assert not any(CRITERIA[claim].find(other)[1] for other in others)
