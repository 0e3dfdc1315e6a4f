"""Claims that no single score decides: what a record must show, and what it shows.

A criterion is a function of one record in results/. It gives what was found, in words for
the table, and whether that is what the paper says.
"""

from collections.abc import Callable
from typing import NamedTuple

from scipy.stats import fisher_exact

from reproduction.claims import CLAIMS

LEVEL = 0.05  # of one-sided tests


class Criterion(NamedTuple):
    """How a claim is decided.

    Attributes:
        record: name in results/ without its suffix.
        says: what the record must show.
        find: the record -> (what was found, whether it holds).
        data: in which data the record differs from the paper's, or "".
    """

    record: str
    says: str
    find: Callable[[dict], tuple[str, bool]]
    data: str = ""


def _settings(record: dict, score: str, name: str) -> dict[str, dict]:
    """Value of the flag -> mean, deviation and interval of a score of a study."""
    return {
        row["setting"][name]: row["scores"][score]
        for row in record["settings"]
        if score in row["scores"]
    }


def _rises(record):
    """Diversity at gamma = .3, .5, .7."""
    by_gamma = _settings(record, "diversity", "gamma")
    scores = [by_gamma[gamma] for gamma in sorted(by_gamma, key=float)]
    apart = all(
        low["interval"][1] < high["interval"][0]
        for low, high in zip(scores, scores[1:], strict=False)
    )
    means = ", ".join(f"{score['mean']:.2f}" for score in scores)
    return f"diversity {means} of the data's at gamma {', '.join(by_gamma)}", apart


def _equilibrium(record):
    """E L(G(z)) / E L(x) beside gamma."""
    fake = _settings(record, "training g_loss", "gamma")
    real = _settings(record, "training d_real", "gamma")
    ratios = {gamma: fake[gamma]["mean"] / real[gamma]["mean"] for gamma in fake}
    holds = all(abs(ratio - float(gamma)) < 0.05 for gamma, ratio in ratios.items())
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
    return f"ratio {said} at gamma {', '.join(ratios)}", holds


def _fewer(some, others) -> bool:
    """Whether (failures, runs) of the one are fewer than of the other by Fisher's exact
    test."""
    table = [[failures, runs - failures] for failures, runs in (some, others)]
    return fisher_exact(table, alternative="less").pvalue < LEVEL


def _stable(record):
    """No failure at gamma of .5 and above, without alternation or pretraining."""
    rows = [row for row in record["settings"] if float(row["setting"]["gamma"]) >= 0.5]
    failures, runs = (sum(row[name] for row in rows) for name in ("failures", "runs"))
    return f"{failures} of {runs} runs at gamma >= 0.5 fail", not failures


def _failures(record, batch_norm, optimizer):
    """Loss -> (failures, runs) of a cell of the stability study."""
    return {
        row["setting"]["loss"]: (row["failures"], row["runs"])
        for row in record["settings"]
        if row["setting"]["batch_norm"] == batch_norm
        and row["setting"]["optimizer"] == optimizer
    }


def _cell(record, batch_norm, optimizer):
    failures = _failures(record, batch_norm, optimizer)
    regular, least_squares = failures["non_saturating"], failures["least_squares"]
    words = "failures: regular GAN {} of {}, LSGAN {} of {}"
    return words.format(*regular, *least_squares), regular, least_squares


def _none_rmsprop(record):
    words, regular, least_squares = _cell(record, "none", "rmsprop")
    return words, _fewer(least_squares, regular)


def _none_adam(record):
    words, regular, least_squares = _cell(record, "none", "adam")
    return words, regular[0] > 0 and least_squares[0] > 0


def _discriminator_rmsprop(record):
    words, regular, least_squares = _cell(record, "discriminator", "rmsprop")
    return words, regular[0] == 0 and least_squares[0] == 0


def _discriminator_adam(record):
    words, regular, least_squares = _cell(record, "discriminator", "adam")
    return words, _fewer(least_squares, regular)


def _optimizers(record):
    """Failures of RMSProp and of Adam over all cells."""
    totals = {"rmsprop": 0, "adam": 0}
    for row in record["settings"]:
        totals[row["setting"]["optimizer"]] += row["failures"]
    words = f"failures: RMSProp {totals['rmsprop']}, Adam {totals['adam']} of 40 each"
    return words, _fewer((totals["rmsprop"], 40), (totals["adam"], 40))


def _nearest_real(record):
    """Within the 95% interval of a share of 10,000 test images."""
    error, paper = record["value"], CLAIMS["real-1nn-50k"].paper_value
    half = (
        196 * (paper / 100 * (1 - paper / 100) / record["details"]["test_examples"]) ** 0.5
    )
    return f"{error:.2f}% wrong", abs(error - paper) <= half


FACES = "Olivetti faces at 32x32"
SMALL_MNIST = "MNIST at 16x16, 1,000 steps"
CRITERIA = {
    "began-gamma": Criterion(
        "began_gamma",
        "diversity rises with gamma, with 95% intervals apart",
        _rises,
        FACES,
    ),
    "began-equilibrium": Criterion(
        "began_gamma",
        "E L(G(z)) / E L(x) is within 0.05 of gamma at the end",
        _equilibrium,
        FACES,
    ),
    "began-no-alternation": Criterion(
        "began_gamma", "no run at gamma of 0.5 or more fails", _stable, FACES
    ),
    "lsgan-bn-g-adam": Criterion(
        "lsgan_stability",
        "LSGAN fails less often than the regular GAN, by Fisher's test at 5%",
        _discriminator_adam,
        SMALL_MNIST,
    ),
    "lsgan-bn-gd-rmsprop": Criterion(
        "lsgan_stability",
        "LSGAN fails less often than the regular GAN, by Fisher's test at 5%",
        _none_rmsprop,
        SMALL_MNIST,
    ),
    "lsgan-bn-g-rmsprop": Criterion(
        "lsgan_stability", "no run fails", _discriminator_rmsprop, SMALL_MNIST
    ),
    "lsgan-bn-gd-adam": Criterion(
        "lsgan_stability", "runs of both losses fail", _none_adam, SMALL_MNIST
    ),
    "rmsprop-over-adam": Criterion(
        "lsgan_stability",
        "RMSProp fails less often than Adam, by Fisher's test at 5%",
        _optimizers,
        SMALL_MNIST,
    ),
    "real-1nn-50k": Criterion(
        "real_neighbours",
        "within the 95% interval of the share over 10,000 images",
        _nearest_real,
    ),
}
