"""What a criterion is, and what several of them compute."""

from collections.abc import Callable
from typing import NamedTuple

from scipy.stats import binomtest, fisher_exact

LEVEL = 0.05  # of one-sided tests
UNSCORED = "a run ended without a score"


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


def fewer(some, others) -> bool:
    """Whether (failures, runs) of the one are fewer than of the other by Fisher's exact
    test."""
    table = [[failures, runs - failures] for failures, runs in (some, others)]
    return fisher_exact(table, alternative="less").pvalue < LEVEL


def scores_of(record, **setting):
    """The scores of the setting of a study that has these flags."""
    (row,) = (
        row for row in record["settings"] if row["setting"].items() >= setting.items()
    )
    return row["scores"]


def below(one, other, score="frechet_distance"):
    """(both means in words, whether the interval of `one` is below that of `other`)."""
    one, other = one[score], other[score]
    words = f"{one['mean']:.4g} against {other['mean']:.4g}"
    return words, one["interval"][1] < other["interval"][0]


def share(count, runs):
    """COUNT of RUNS in words, with its 95% Wilson interval."""
    low, high = binomtest(count, runs).proportion_ci(method="wilson")
    return f"{count} of {runs} [{low:.0%}, {high:.0%}]"


def curves_of(record):
    """The scores at the checkpoints of each run, [[step, score], ...]; none if a run has
    ended without one."""
    curves = [run.get("selection") for run in record["runs"]]
    return curves if all(curves) else []
