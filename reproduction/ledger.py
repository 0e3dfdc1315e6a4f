"""The ledger: RESULTS.md, a row a claim of the papers, DEVIATIONS.md, a row a departure
from them, and README's short table. Made from results/*.json, the claims and the source
alone: no number is written here by hand."""

import json
import pathlib
import re
import statistics
from typing import NamedTuple

import tfgan_papers
from reproduction.claims import CLAIMS, Claim, measured_by
from reproduction.criteria import CRITERIA
from tfgan_papers import files
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import records

SOURCE = pathlib.Path(tfgan_papers.__file__).parent
BLOCK = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- /results -->)", re.DOTALL)
DIFFERS = re.compile(r"^Differs: (.*(?:\n    .*)*)", re.MULTILINE)
BEST = 10  # rows in README
TESTED, UNTRIED, OTHERS_OWN = "held by a test", "not attempted", "others' number"
SEEDS = ("seed", "label_seed")  # runs that differ in these alone are of one mean
CLAIM_HEAD = "| claim | says | paper | authors' code | ours | budget | verdict | command |"
RULE = "| --- " * CLAIM_HEAD.count(" | ") + "| --- |"

RESULTS = """# Results

`python main.py --mode=ledger` writes this page from the records in [results/](results)
and the claims in [claims.py](reproduction/claims.py) and
[criteria.py](reproduction/criteria.py); a test compares. Every claim of the papers has
a row.

- "Ours" is the mean over runs, +- their standard deviation, or for one run what is said
  with it. Runs of one mean differ in their seeds alone. Of several kinds of run the row
  has the one with the most steps.
- The budget is the number of steps of a run as a share of the paper's, or of its
  authors' code.
- **reproduced** is as good as the paper's number or better, **within noise** is short
  of it by no more than the paper's own spread, **not reached** is short by more, or
  some runs have ended without a score. A claim without a number has a criterion, which
  says what its record must show; **other data** names data or a size that is not the
  paper's.
- A number of the paper is marked **quoted** if it was read in another paper, **from
  memory** if it was read in neither.
"""
OTHERS = """## Runs that bear on no claim

On other data, at another size, by another score than a paper's, or shorter than the run in
the claim's row.

| record | run | result | command |
| --- | --- | --- | --- |
"""
DEVIATIONS = """# Deviations

Written by `python main.py --mode=ledger` from the `Differs:` lines of the source, which
stand in the head of the file named; a test compares.

| id | what | paper | authors' code | flag | here, and why | file |
| --- | --- | --- | --- | --- | --- | --- |
"""


class Evidence(NamedTuple):
    """What one run found about a claim.

    Attributes:
        value: None if it ended without.
        spread, spread_is: of this run alone.
        kind: the same in runs that differ in nothing but `seed`.
    """

    value: float | None
    spread: float | None
    spread_is: str | None
    steps: int
    seed: object
    failed: bool
    record: str
    kind: object


class Differs(NamedTuple):
    """A departure, and the module that makes it."""

    id: str
    what: str
    paper: str
    code: str
    flag: str
    here: str
    file: str


def ledger():
    """Write the three.

    Raises:
        UsageError: this is not the project's folder.
    """
    root = pathlib.Path.cwd()
    if not (root / "results").is_dir() or not (root / "README.md").is_file():
        raise UsageError(
            f"--mode=ledger: {root} has no results/ and README.md: start it in the "
            "project's folder"
        )
    for name, text in pages(root).items():
        files.write_text(root / name, text)
        print(root / name)


def pages(root: pathlib.Path) -> dict[str, str]:
    """File name -> what is to be in it.

    Raises:
        UserError: a record is damaged or incomplete, README has no place for the table.
    """
    found = load(root / "results")
    rows = {claim.claim: row(root, claim, found) for claim in CLAIMS.values()}
    return {
        "RESULTS.md": results(rows, found),
        "DEVIATIONS.md": DEVIATIONS + table(list(map(_linked, deviations()))),
        "README.md": readme(root, rows, found),
    }


def load(folder: pathlib.Path) -> dict[str, dict]:
    """The records, by the names of their files.

    Raises:
        UserError: one is damaged, has no command, or names no claim that there is.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = found[path.stem] = json.loads(path.read_text())
            command, claim = record["command"], record.get("claim")
            record["runs"] if "study" in record else (record["value"], record["steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is no record: {error}") from error
        if not command:
            raise UserError(f"{path} does not say by which command it was made")
        if claim not in CLAIMS and claim is not None:
            raise UserError(f"{path} is of {claim}, which is not among the claims")
    return found


def evidence(claim: Claim, found: dict[str, dict]) -> list[Evidence]:
    """What the records say of a claim, a run a seed: of the kind of run that has the most
    steps, and among equals the most seeds."""
    kinds = {}
    for name, record in found.items():
        of_study = "study" in record
        for run in (_of_study if of_study else _of_run)(claim, name, record):
            kinds.setdefault(run.kind, {})[run.seed] = run
    alike = [list(runs.values()) for runs in kinds.values()]
    return max(alike, key=lambda runs: (_steps(runs), len(runs)), default=[])


def _of_run(claim, name, record):
    if record["claim"] == claim.claim:
        spread = record.get("spread"), record.get("spread_is")
        seed = (*record.get("seeds", ()), record.get("label_seed"))
        generator = record.get("generator", "raw")  # there was no other, once
        flags = json.dumps(record.get("flags"), sort_keys=True)
        kind = record["steps"], generator, flags
        yield Evidence(record["value"], *spread, record["steps"], seed, False, name, kind)


def _of_study(claim, name, record):
    for run in record["runs"]:
        flags = {**_flags(record), **run["setting"]}
        score, failed = run["scores"].get(claim.metric), bool(run["failure"])
        mine = claim.metric and claim in measured_by(claim.metric.split()[0], flags)
        if mine and (failed or score is not None):
            seed = run["seed"], flags.get("label_seed")
            kind = name, *((k, v) for k, v in run["setting"].items() if k not in SEEDS)
            yield Evidence(score, None, None, run["steps"], seed, failed, name, kind)


def _steps(runs):
    """Of each that was not cut short."""
    return max(run.steps for run in runs)


def _flags(study):
    """Flag -> value, of those that all runs of a study have."""
    written = (text for texts in study["flags"].values() for text in texts)
    pairs = (text.removeprefix("--").partition("=") for text in written)
    return {name: value for name, _, value in pairs}


# A row.


class Row(NamedTuple):
    """The cells of a claim, and whether a run stands behind them."""

    claim: str
    says: str
    paper: str
    code: str
    ours: str
    budget: str
    verdict: str
    command: str


def row(root: pathlib.Path, claim: Claim, found: dict[str, dict]) -> Row:
    """What there is to say of a claim."""
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
    """Cells of a claim that a criterion decides by its record; None without either."""
    criterion = CRITERIA.get(claim.claim)
    if criterion is None or criterion.record not in found:
        return None
    record = found[criterion.record]
    ours, holds = criterion.find(record)
    verdict = records.VERDICTS[0] if holds else records.VERDICTS[-1]
    if criterion.data:
        verdict += f", other data: {criterion.data}"
    command = _linked_command(criterion.record, record)
    return f"{ours} (criterion: {criterion.says})", "-", verdict, command


def _seen(claim, found, file):
    """Records of the recipe of a claim that no score measures: those made by its flagfile
    or by one whose name goes on from it, as FILE_32 does, and those of other claims that it
    bears on."""
    if claim.metric or not file:
        return []
    alike = [c for c in CLAIMS.values() if c.recipe == claim.recipe and c.metric]
    of_claims = [run.record for other in alike for run in evidence(other, found)]
    recipe = re.compile(rf"flags/{file}(_\w+)?\.flags")
    made = [
        name
        for name, record in found.items()
        if recipe.search(f"{record['command']} {record.get('trained_by')}")
    ]
    return of_claims + made


def _of_paper(claim):
    return claim.paper_value, claim.paper_spread


def _measured(claim, value, spread):
    """A number of the claim's unit."""
    error = "" if spread is None else f" +- {number(spread)}"
    return f"{number(value)}{error} {claim.unit}".strip().replace(" %", "%")


def number(value: float) -> str:
    """With four digits that mean something, and a comma at the thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _ours(claim, runs):
    """What the runs found, and the verdict on it."""
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
    return f"{_measured(claim, mean, shown)} {about}", verdict


def _budget(claim, runs):
    steps = _steps(runs)
    if claim.paper_steps is None:
        return f"{steps:,.0f} steps; the paper's are not stated"
    return f"{steps / claim.paper_steps:.0%} of {claim.paper_steps:,} steps"


def _commands(names, found):
    """The command of each record, which links to it."""
    return "; ".join(_linked_command(n, found[n]) for n in dict.fromkeys(names))


def _linked_command(name, record):
    commands = dict.fromkeys(filter(None, (record.get("trained_by"), record["command"])))
    written = ", then ".join(f"`{command}`" for command in commands)
    return f"{written} ([record](results/{name}.json))"


def _cost(root, claim, found):
    """Hours of the runs that the claim asks for, or plainly that there are none."""
    ms = _step_time(root, claim, found) if claim.paper_steps and claim.step else None
    if ms is None:
        return "no run"
    hours = claim.runs * claim.paper_steps * ms / 3.6e6
    hours = number(float(f"{hours:.2g}"))
    return f"no run: {hours} hours for {claim.runs} of {claim.paper_steps:,} steps"


def _step_time(root, claim, found):
    """ms of the step that the claim's runs take, measured; None if it is not."""
    for record in found.values():
        if "study" in record:
            alike = [c for c in CLAIMS.values() if c.step == claim.step]
            budget = record["budget"]
            if budget["steps"] and any(list(_of_study(c, "", record)) for c in alike):
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


def table(rows: list[tuple]) -> str:
    """Rows of a Markdown table."""
    lines = (" | ".join(str(cell).replace("|", r"\|") for cell in row) for row in rows)
    return "".join(f"| {line} |\n" for line in lines)


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
    """Cells of a record of no claim."""
    if "study" in record:
        about = ", ".join(f"{k}={v}" for k, v in _flags(record).items())
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


def _setting(setting):
    return ", ".join(setting.values())


def _score(item):
    name, score = item
    spread = score["deviation"]
    return f", {name} {number(score['mean'])}" + (
        "" if spread is None else f" +- {number(spread)}"
    )


def readme(root: pathlib.Path, rows: dict[str, Row], found: dict[str, dict]) -> str:
    """README.md with its block of results: the BEST rows that a run decides.

    Raises:
        UserError: it has no such block.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise UserError(
            "README.md has no lines <!-- results --> and <!-- /results -->, between which "
            "the table goes"
        )
    ranked = sorted(
        (each for each in rows.values() if _kind(each) in records.VERDICTS),
        key=lambda each: records.VERDICTS.index(_kind(each)),
    )
    best = [
        (each.says, each.paper, each.ours, f"**{each.verdict}**", each.command)
        for each in ranked[:BEST]
    ]
    head = "| claim | paper | ours | verdict | command |\n|---|---|---|---|---|\n"
    return BLOCK.sub(lambda _: head + table(best), text)


def deviations() -> list[Differs]:
    """The `Differs:` lines of the package, in order of their files.

    Raises:
        UserError: one has not the form id | what | paper | code | flag | here.
    """
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE.parent).as_posix()
        for match in DIFFERS.finditer(path.read_text(encoding="utf-8")):
            cells = [" ".join(cell.split()) for cell in match[1].split("|")]
            if len(cells) != len(Differs._fields) - 1:
                raise UserError(
                    f"{name}: Differs: {cells[0]} has {len(cells)} parts, not six: id, "
                    "what, paper, authors' code, flag, here"
                )
            found.append(Differs(*cells, name))
    return found


def _linked(differs):
    return differs._replace(file=f"[{differs.file}]({differs.file})")
