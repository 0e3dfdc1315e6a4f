"""The ledger: RESULTS.md, DEVIATIONS.md and the table of results in README.md.

RESULTS.md has one row per claim of the papers, DEVIATIONS.md one per departure from them.
Every number comes from results/*.json, the claims or the source.
"""

import json
import pathlib
import re
import statistics
from typing import NamedTuple

from reproduction import deviations
from reproduction.claim import Claim
from reproduction.claims import CLAIMS
from reproduction.criteria import CRITERIA
from reproduction.evidence import evidence, flags_of, load, of_study, steps_of
from reproduction.markdown import table
from tfgan_papers import files
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import records

BLOCK = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- /results -->)", re.DOTALL)
BEST = 10  # rows in README
TESTED, UNTRIED, OTHERS_OWN = "held by a test", "not attempted", "others' number"
CLAIM_HEAD = "| claim | says | paper | authors' code | ours | budget | verdict | command |"
RULE = "| --- " * CLAIM_HEAD.count(" | ") + "| --- |"

RESULTS = """# Results

`python main.py --mode=ledger` writes this page from the records in [results/](results)
and the claims in [claims.py](reproduction/claims.py) and
[criteria.py](reproduction/criteria.py); a test compares. Every claim of the papers has
a row.

- "Ours" is the mean over runs, +- their standard deviation, or for one run what is said
  with it. The runs of a mean differ only in their seeds. If there are several kinds of
  run, the row shows the one with the most steps.
- The budget is the number of steps of a run as a share of the paper's, or of its
  authors' code. A run that was stopped has the command of the whole run.
- **reproduced** is as good as the paper's number or better, **within noise** is short
  of it by no more than the paper's own spread, **not reached** is short by more, or
  some runs have ended without a score. A claim without a number has a criterion, which
  says what its record must show; **other data** names data, a size or a budget that is
  not the paper's.
- **held by a test**: the claim is an equation or an algorithm, and a test verifies it.
  **not judged**: there is a run, but neither a number nor a criterion that it could
  decide. **cannot**: the data are not available. **not attempted**: there is no run.
  **others' number**: the paper quotes it for another method.
- A number of the paper is marked **quoted** if it was read in another paper, **from
  memory** if it was read in neither.
"""
OTHERS = """## Runs that bear on no claim

On other data, at another size, by another score than a paper's, or shorter than the run in
the claim's row.

| record | run | result | command |
| --- | --- | --- | --- |
"""


def ledger():
    """Writes RESULTS.md, DEVIATIONS.md and README.md.

    Raises:
        UsageError: the working folder is not the project's.
    """
    root = pathlib.Path.cwd()
    if not (root / "results").is_dir() or not (root / "README.md").is_file():
        raise UsageError(
            f"--mode=ledger: {root} has no results/ and README.md: run it in the "
            "project's folder"
        )
    for name, text in pages(root).items():
        files.write_text(root / name, text)
        print(root / name)


def pages(root: pathlib.Path) -> dict[str, str]:
    """The text of each page, by file name.

    Raises:
        UserError: a record is damaged or incomplete, or README.md has no place for the
            table.
    """
    found = load(root / "results")
    rows = {claim.claim: row(root, claim, found) for claim in CLAIMS.values()}
    return {
        "RESULTS.md": results(rows, found),
        "DEVIATIONS.md": deviations.page(),
        "README.md": readme(root, rows, found),
    }


# A row.


class Row(NamedTuple):
    """The cells of a claim."""

    claim: str
    says: str
    paper: str
    code: str
    ours: str
    budget: str
    verdict: str
    command: str


def row(root: pathlib.Path, claim: Claim, found: dict[str, dict]) -> Row:
    """The row of a claim."""
    runs = evidence(claim, found)
    paper = "" if claim.paper_value is None else _measured(claim, *_of_paper(claim))
    source = f"{paper} ({claim.paper})" if paper else claim.paper
    cells = (claim.claim, claim.says, source, claim.code)
    if runs:
        ours, verdict = _ours(claim, runs)
        used = [run.record for run in runs]
        return Row(*cells, ours, _budget(claim, runs), verdict, _commands(used, found))
    if judged := _judged(claim, found):
        return Row(*cells, *judged)
    if claim.test:
        return Row(*cells, "-", "-", TESTED, f"`python -m pytest {claim.test}`")
    if claim.others:
        return Row(*cells, "-", "-", OTHERS_OWN, "-")
    file, _, more = (claim.recipe or "").partition(" ")
    recipe = f"`{f'--flagfile=flags/{file}.flags {more}'.strip()}`" if file else "-"
    seen = _commands(_seen(claim, found, file), found)
    if not seen and not claim.metric and (root / f"results/{file}.png").is_file():
        seen = f"{recipe} ([picture](results/{file}.png))"
    if seen:
        other = ", other data" if claim.cannot or more else ""
        return Row(*cells, "-", "-", records.UNJUDGED + other, seen)
    if claim.cannot:
        return Row(*cells, "no run", "0", f"cannot: {claim.cannot}", recipe)
    return Row(*cells, "no run", "0", f"{UNTRIED}, {_cost(root, claim, found)}", recipe)


def _judged(claim, found):
    """The last cells of a claim with a criterion and its record; otherwise None."""
    criterion = CRITERIA.get(claim.claim)
    if criterion is None or criterion.record not in found:
        return None
    record = found[criterion.record]
    try:
        ours, holds = criterion.find(record)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"results/{criterion.record}.json does not have what the criterion of "
            f"{claim.claim} reads ({error!r}): record it again"
        ) from error
    verdict = records.VERDICTS[0] if holds else records.VERDICTS[-1]
    if criterion.data:
        verdict += f", other data: {criterion.data}"
    command = _linked_command(criterion.record, record)
    return f"{ours} (criterion: {criterion.says})", "-", verdict, command


def _seen(claim, found, file):
    """The records of the recipe of a claim that no score measures.

    These are records made by its flagfile or by that of a smaller run, as FILE_32 or
    FILE_short, and records of other claims with the same recipe.
    """
    if claim.metric or not file:
        return []
    alike = [c for c in CLAIMS.values() if c.recipe == claim.recipe and c.metric]
    of_claims = [run.record for other in alike for run in evidence(other, found)]
    recipe = re.compile(rf"flags/{file}(_\d+|_short)?\.flags")
    made = [
        name
        for name, record in found.items()
        if recipe.search(f"{record['command']} {record.get('trained_by')}")
    ]
    return of_claims + made


def _of_paper(claim):
    return claim.paper_value, claim.paper_spread


def _measured(claim, value, spread):
    """A number with its spread and the claim's unit."""
    error = "" if spread is None else f" +- {number(spread)}"
    unit = claim.unit.removesuffix("s") if value == 1 else claim.unit
    return f"{number(value)}{error} {unit}".strip().replace(" %", "%")


def number(value: float) -> str:
    """The number with four significant digits, and commas between thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _ours(claim, runs):
    """The result of the runs, and the verdict."""
    values = [run.value for run in runs if run.value is not None]
    seeds = f"{len(runs)} runs" if runs[1:] else "one run"
    said = f", +- the {runs[0].spread_is}" if runs[0].spread_is and not runs[1:] else ""
    failed = sum(run.failed for run in runs)
    failures = f", of which {failed} failed" if failed else ""
    about, verdict = f"({seeds}{said}{failures})", records.VERDICTS[-1]
    if not values:
        return f"no score {about}", verdict
    mean = statistics.fmean(values)
    spread = statistics.stdev(values) if values[1:] else runs[0].spread
    shown = spread if spread is None else float(f"{spread:.2g}")
    if len(values) == len(runs):
        verdict = records.compare_with_paper(mean, *_of_paper(claim), claim.better)
        if len(runs) < claim.runs and verdict != records.VERDICTS[-1]:
            verdict += f", {len(runs)} of the paper's {claim.runs} runs"
    return f"{_measured(claim, mean, shown)} {about}", verdict


def _budget(claim, runs):
    steps = steps_of(runs)
    if claim.paper_steps is None:
        return f"{steps:,.0f} steps; the paper's are not stated"
    return f"{steps / claim.paper_steps:.0%} of {claim.paper_steps:,} steps"


def _commands(names, found):
    """The command of each record, with a link to the record."""
    return "; ".join(_linked_command(n, found[n]) for n in dict.fromkeys(names))


def _linked_command(name, record):
    before = [*record.get("earlier_commands", ()), record.get("trained_by")]
    commands = dict.fromkeys(filter(None, [*before, record["command"]]))
    written = ", then ".join(f"`{command}`" for command in commands)
    return f"{written} ([record](results/{name}.json))"


def _cost(root, claim, found):
    """The hours that the runs of the claim would take, if a step was timed."""
    ms = _step_time(root, claim, found) if claim.paper_steps and claim.step else None
    if ms is None:
        return "no run"
    hours = claim.runs * claim.paper_steps * ms / 3.6e6
    hours = number(float(f"{hours:.2g}"))
    runs, each = (f"{claim.runs} runs", " each") if claim.runs > 1 else ("one run", "")
    return f"no run: {hours} hours for {runs} of {claim.paper_steps:,} steps{each}"


def _step_time(root, claim, found):
    """The measured time of a training step of the claim's runs in ms, or None."""
    for record in found.values():
        if "study" in record:
            alike = [c for c in CLAIMS.values() if c.step == claim.step]
            budget = record["budget"]
            if budget["steps"] and any(list(of_study(c, "", record)) for c in alike):
                return 3.6e6 * budget["hours"] / budget["steps"]
        elif record["claim"] and CLAIMS[record["claim"]].step == claim.step:
            if record.get("ms_per_step"):
                return record["ms_per_step"]
    path = root / "benchmarks" / f"{claim.step}.json"
    if not path.is_file():
        return None
    rounds = json.loads(path.read_text())["rounds"]
    of_kind = (statistics.median(r[kind] for r in rounds) for kind in ("plain", "XLA"))
    return 1e3 * min(of_kind)


# The pages.


SECTIONS = {  # heading -> the first words of its verdicts
    "Reproduced, or within noise": records.VERDICTS[:2],
    "Not reached, and how far": records.VERDICTS[2:],
    "Held by a test": (TESTED,),
    "Seen in a run, and not judged": (records.UNJUDGED,),
    "Cannot be run here, and why": ("cannot",),
    "Not attempted, with the cost where a step was timed": (UNTRIED,),
    "Numbers of other methods, which the papers compare with": (OTHERS_OWN,),
}


def results(rows: dict[str, Row], found: dict[str, dict]) -> str:
    """RESULTS.md."""
    parts = [RESULTS]
    for heading, kinds in SECTIONS.items():
        mine = [each for each in rows.values() if _kind(each) in kinds]
        if mine:
            parts.append(f"## {heading}\n\n{CLAIM_HEAD}\n{RULE}\n{table(mine)}")
    used = {e.record for claim in CLAIMS.values() for e in evidence(claim, found)}
    used |= {each.record for each in CRITERIA.values()}
    others = [_other(name, record) for name, record in found.items() if name not in used]
    return "\n".join(parts) + ("\n" + OTHERS + table(others) if others else "")


def _kind(each):
    return re.split("[,:]", each.verdict)[0]


def _other(name, record):
    """The cells of a record that bears on no claim."""
    if "study" in record:
        about = ", ".join(f"{k}={v}" for k, v in flags_of(record).items())
        each = (
            f"{_setting(setting['setting'])}: {setting['failures']} of {setting['runs']} "
            f"failed{''.join(map(_score, setting['scores'].items()))}"
            for setting in record["settings"]
        )
        result = "; ".join(each)
    else:
        about = f"{record['run_id']}, {record['steps']:,} steps"
        spread = "" if record.get("spread") is None else f" +- {number(record['spread'])}"
        result = f"{record['quantity']} {number(record['value'])}{spread} {record['unit']}"
    return name, about, result, _linked_command(name, record)


def rank(each: Row) -> tuple:
    """Orders rows: what is reached, on the paper's data, by a score, before the rest."""
    reached = _kind(each) in records.VERDICTS[:2]
    other_data, judged = "other data" in each.verdict, "(criterion: " in each.ours
    return not reached, other_data, judged, records.VERDICTS.index(_kind(each))


def _setting(setting):
    return ", ".join(setting.values())


def _score(item):
    name, score = item
    spread = score["deviation"]
    return f", {name} {number(score['mean'])}" + (
        "" if spread is None else f" +- {number(spread)}"
    )


def readme(root: pathlib.Path, rows: dict[str, Row], found: dict[str, dict]) -> str:
    """The text of README.md with the first `BEST` rows that a run decides: those on the
    paper's data before those on other data, and scores before criteria.

    Raises:
        UserError: README.md has no block for them.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise UserError(
            "README.md has no lines <!-- results --> and <!-- /results -->, between which "
            "the table goes"
        )
    judged = (each for each in rows.values() if _kind(each) in records.VERDICTS)
    ranked = sorted(judged, key=rank)
    best = [
        (
            *(each.says, each.paper, each.ours, each.budget, f"**{each.verdict}**"),
            ", ".join(re.findall(r"\[record\]\(.*?\)", each.command)),
        )
        for each in ranked[:BEST]
    ]
    head = (
        "| claim | paper | ours | budget | verdict | record |\n|---|---|---|---|---|---|\n"
    )
    return BLOCK.sub(lambda _: head + table(best), text)
