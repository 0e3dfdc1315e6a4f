"""Votes of people, from the files that a page of --mode=compare gives: shares, errors and
agreement, with what chance would give."""

import glob
import itertools
import math
import os
import statistics
from typing import NamedTuple

from scipy.stats import binomtest

from tfgan_papers import files
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import records

CONFIDENCE = 0.95
SAME = ("study", "form", "subjects", "dataset", "steps", "seed", "feedback")  # in all files


class Share(NamedTuple):
    """A share of votes.

    Attributes:
        low, high: the Wilson interval, at 95%.
        p: of the two-sided sign test, that the share is 1/2.
    """

    count: int
    votes: int
    low: float
    high: float
    p: float

    @property
    def value(self):
        return self.count / self.votes

    @property
    def standard_error(self):
        return math.sqrt(self.value * (1 - self.value) / self.votes)

    def __str__(self):
        return (
            f"{self.value:.1%} of {self.votes:,} (95% interval {self.low:.1%} to "
            f"{self.high:.1%}), sign test p = {self.p:.2g}"
        )


def share(outcomes: list[bool]) -> Share:
    """The share of true outcomes."""
    test = binomtest(sum(outcomes), len(outcomes))
    low, high = test.proportion_ci(CONFIDENCE, method="wilson")
    return Share(test.k, test.n, float(low), float(high), float(test.pvalue))


def agreement(raters: list[dict[int, int]]) -> tuple[float | None, int]:
    """Cohen's kappa, the mean over all pairs of raters (Light, 1971), and the number of
    pairs. A pair is left out where kappa is undefined: no question in common, or the same
    answer throughout. Without any pair, None.

    Args:
        raters: question -> answer, of each rater.
    """
    from sklearn.metrics import cohen_kappa_score  # here, for it takes a second

    kappas = []
    for one, other in itertools.combinations(raters, 2):
        both = sorted(one.keys() & other.keys())
        answers = [one[i] for i in both], [other[i] for i in both]
        if len({*answers[0], *answers[1]}) > 1:
            kappas.append(float(cohen_kappa_score(*answers)))
    return (statistics.fmean(kappas) if kappas else None), len(kappas)


def load(patterns: tuple[str, ...]) -> list[dict]:
    """The files of votes.

    Raises:
        UsageError: there are none, or they are of several studies.
        UserError: a file is none of votes, or a rater is there twice.
    """
    named = [*map(os.path.expanduser, patterns)]
    paths = sorted({path for p in named for path in glob.glob(p, recursive=True) or [p]})
    loaded = {path: _read(path) for path in paths}
    first = loaded[paths[0]]
    for path, each in loaded.items():
        if any(each[name] != first[name] for name in SAME):
            raise UsageError(f"--votes: {path} and {paths[0]} are votes of different pages")
    raters = [each["rater"] for each in loaded.values()]
    if twice := [name for i, name in enumerate(raters) if name in raters[:i]]:
        raise UserError(f"--votes: there are two files of the rater {twice[0]}")
    return [*loaded.values()]


def _read(path):
    found = files.read_json(path)
    if found is None:
        raise UsageError(f"--votes: there is no file {path}")
    try:
        if {name: found[name] for name in SAME} and found["rater"] and found["votes"]:
            for vote in found["votes"]:
                vote["item"], vote["answer"], vote["truth" if _is_test(found) else "left"]
            return found
    except (KeyError, TypeError):
        pass
    raise UserError(f"{path} is no file of votes, or has none")


def _is_test(ballot):
    """Whether answers are right or wrong."""
    return ballot["form"] == "real"


def outcomes(ballot: dict) -> list[bool]:
    """For each vote whether it is right, or is for the first run."""
    if _is_test(ballot):
        return [vote["answer"] == vote["truth"] for vote in ballot["votes"]]
    return [vote["answer"] == 0 for vote in ballot["votes"]]


def count(patterns: tuple[str, ...], record: str | None):
    """Print what the votes say, and write it as a record."""
    ballots = load(patterns)
    first, votes = ballots[0], [vote for each in ballots for vote in each["votes"]]
    total = share([right for each in ballots for right in outcomes(each)])
    of_rater = {each["rater"]: share(outcomes(each)) for each in ballots}
    print(f"{_quantity(first)}: {total}")
    details = {"share": total._asdict()}
    details |= _errors(votes) if _is_test(first) else _sides(votes)
    for name, each in of_rater.items():
        print(f"rater {name}: {each}")
    kappa, pairs = agreement(
        [{vote["item"]: vote["answer"] for vote in each["votes"]} for each in ballots]
    )
    if kappa is not None:
        over = f", mean over {pairs} pairs of raters" if pairs > 1 else ""
        print(f"agreement: Cohen's kappa {kappa:.2f}{over}")
    details |= {"kappa": kappa, "pairs_of_raters": pairs}
    details["raters"] = {name: each._asdict() for name, each in of_rater.items()}
    if record:
        _write(record, first, total, details)


def _quantity(ballot):
    if not _is_test(ballot):
        return "votes for {} against {}".format(*ballot["subjects"])
    told = "with" if ballot["feedback"] else "without"
    return f"right answers, real or from {ballot['subjects'][1]}, {told} feedback"


def _sides(votes):
    """How often the left picture won, which chance makes 1/2."""
    left = share([vote["answer"] == vote["left"] for vote in votes])
    print(f"left picture: {left}")
    return {"left": left._asdict()}


def _errors(votes):
    """How often pictures of each kind were taken for the other."""
    found = {}
    for truth, text in enumerate(("real called generated", "generated called real")):
        if of := [vote["answer"] != truth for vote in votes if vote["truth"] == truth]:
            print(f"{text}: {share(of).value:.1%} of {len(of):,}")
            found[text] = share(of)._asdict()
    return found


def _write(path, ballot, total, details):
    records.write_value(  # no claim: a page of a few raters is no study of a paper's size
        path,
        quantity=_quantity(ballot),
        dataset=ballot["dataset"],
        unit="% of votes",
        value=100 * total.value,
        spread=100 * total.standard_error,
        spread_is="standard error over votes",
        details={"interval_is": f"Wilson, {CONFIDENCE:.0%}", **details},
        seeds=[ballot["seed"]],
        steps=max(ballot["steps"]),
        run_id=" and ".join(ballot["subjects"]),
        command=records.command(),
    )
