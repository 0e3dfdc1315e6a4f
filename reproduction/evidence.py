"""What the records in results/ show about a claim."""

import json
import pathlib
from typing import NamedTuple

from reproduction.claim import Claim
from reproduction.claims import CLAIMS
from reproduction.protocol import measured_by
from tfgan_papers.errors import UserError

SEEDS = ("seed", "label_seed")  # runs that differ only in these have one mean


class Evidence(NamedTuple):
    """What one run shows about a claim.

    Attributes:
        value: the score, or None if the run ended without one.
        spread, spread_is: the spread of this run alone, and what it is.
        steps: the number of steps of the run.
        seed: the seeds of the run.
        failed: whether the run ended early.
        record: the name of the record.
        kind: equal for runs that differ only in their seeds.
    """

    value: float | None
    spread: float | None
    spread_is: str | None
    steps: int
    seed: object
    failed: bool
    record: str
    kind: object


def load(folder: pathlib.Path) -> dict[str, dict]:
    """The records of a folder, by file name without suffix.

    Raises:
        UserError: a record is damaged, has no command, or names an unknown claim.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = found[path.stem] = json.loads(path.read_text())
            command, claim = record["command"], record.get("claim")
            record["runs"] if "study" in record else (record["value"], record["steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not a record: {error}") from error
        if not command:
            raise UserError(f"{path} does not have the command that made it")
        if claim not in CLAIMS and claim is not None:
            raise UserError(f"{path} names the claim {claim}, which does not exist")
    return found


def evidence(claim: Claim, found: dict[str, dict]) -> list[Evidence]:
    """The evidence for a claim, one run per seed.

    Of several kinds of run, this is the kind with the most steps; among those with as many
    steps, the kind with the most seeds.
    """
    kinds = {}
    for name, record in found.items():
        is_study = "study" in record
        for run in (of_study if is_study else _of_run)(claim, name, record):
            kinds.setdefault(run.kind, {})[run.seed] = run
    alike = [list(runs.values()) for runs in kinds.values()]
    return max(alike, key=lambda runs: (steps_of(runs), len(runs)), default=[])


def _of_run(claim, name, record):
    if record["claim"] == claim.claim:
        spread = record.get("spread"), record.get("spread_is")
        seed = (*record.get("seeds", ()), record.get("label_seed"))
        generator = record.get("generator", "raw")  # old records have only this one
        flags = json.dumps(record.get("flags"), sort_keys=True)
        kind = record["steps"], generator, flags
        yield Evidence(record["value"], *spread, record["steps"], seed, False, name, kind)


def of_study(claim, name, record):
    for run in record["runs"]:
        flags = {**flags_of(record), **run["setting"]}
        score, failed = run["scores"].get(claim.metric), bool(run["failure"])
        mine = claim.metric and claim in measured_by(claim.metric.split()[0], flags)
        if mine and (failed or score is not None):
            seed = run["seed"], flags.get("label_seed")
            kind = name, *((k, v) for k, v in run["setting"].items() if k not in SEEDS)
            yield Evidence(score, None, None, run["steps"], seed, failed, name, kind)


def steps_of(runs):
    """The number of steps of the runs that ended as planned."""
    return max(run.steps for run in runs)


def flags_of(study):
    """The flags that all runs of a study have, by name."""
    written = (text for texts in study["flags"].values() for text in texts)
    pairs = (text.removeprefix("--").partition("=") for text in written)
    return {name: value for name, _, value in pairs}
