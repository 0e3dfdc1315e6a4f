"""What a claim of a paper is."""

from typing import NamedTuple


class Claim(NamedTuple):
    """A claim.

    Attributes:
        claim: its id, with which records refer to it.
        paper: its place in the paper; the part before the first comma is the method.
        says: the text of the claim.
        paper_value, paper_spread: the paper's number and its deviation; None if it gives
            none.
        unit: the unit of both.
        better: whether a "higher" or a "lower" value is better; "same" if neither is.
        metric: name in `metrics.METRICS` of the score that measures it, if there is one.
            After a space it may name a part of the score, to use instead of its value.
        flags: the flags that a run must have for its score to count. A tuple lists several
            permitted values.
        recipe: flagfile of the run that the claim needs, followed by the flags that
            override it, as on a command line.
        paper_steps: updates of G in one run, by the paper or the authors' code.
        runs: the number of runs behind the paper's number.
        step: name of the benchmark of a training step of these runs: claims with the same
            name have the same step, and benchmarks/NAME.json has its time.
        code: the authors' code, if known.
        test: for an equation, the test that verifies it.
        others: whether the claim is about a method that the paper compares itself with and
            that is not implemented here, or repeats a number of another paper.
        cannot: the reason why it cannot be run here, if there is one.
    """

    claim: str
    paper: str
    says: str
    paper_value: float | None = None
    paper_spread: float | None = None
    unit: str = ""
    better: str = "higher"
    metric: str | None = None
    flags: dict[str, object] = {}
    recipe: str | None = None
    paper_steps: int | None = None
    runs: int = 1
    step: str | None = None
    code: str = ""
    test: str | None = None
    others: bool = False
    cannot: str | None = None


def claims_of(paper, *rows, **shared):
    """Claims with the same fields, except id, text, value, spread and what a row adds."""
    claims = []
    for claim, says, *numbers in rows:
        added = numbers.pop() if numbers and isinstance(numbers[-1], dict) else {}
        numbers = dict(zip(("paper_value", "paper_spread"), numbers, strict=False))
        claims.append(Claim(claim, paper, says, **{**shared, **numbers, **added}))
    return claims


def inception_score(recipe, **run):
    """The fields of a claim on the Inception Score on CIFAR-10."""
    flags = {"dataset": "cifar10", **run}
    return {"metric": "inception_score", "recipe": recipe, "flags": flags}
