"""Records: one JSON file for each result, written by the run that found it."""

import datetime
import itertools
import os
import pathlib
import platform
import shlex
import subprocess
import sys

from tfgan_papers import files

VERDICTS = ("reproduced", "within noise", "not reached")
UNJUDGED = "not judged"
VECTORS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")  # what steps' times depend on


def compare_with_paper(
    value: float,
    paper_value: float | None,
    paper_spread: float | None,
    better: str = "higher",
) -> str:
    """How `value` compares with the paper's, where "higher" or "lower" is better, or
    neither than the "same"; not judged where the paper has none.

    Within noise: short by no more than the paper's own spread. Ours does not count: runs
    that scatter would come off better for it.
    """
    if paper_value is None:
        return UNJUDGED
    short = paper_value - value
    short = {"higher": short, "lower": -short, "same": abs(short)}[better]
    if short <= 0:
        return "reproduced"
    return "within noise" if short <= (paper_spread or 0) else "not reached"


def machine() -> str:
    """The machine in a few words: processor with its widest vectors, cores, system."""
    model = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        model = facts.get("model name", model)
        widest = (v for v in VECTORS if v in facts.get("flags", "").split())
        model += "".join(f" ({v})" for v in itertools.islice(widest, 1))
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def command() -> str:
    """The command line of this process."""
    return shlex.join(["python", *sys.argv])


def commit() -> str | None:
    """The commit of the code that runs, "-dirty" if it is changed; None outside git."""
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def write(path: str | pathlib.Path, **fields):
    """Write one record, whole or not at all; machine, commit and date are added."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    record = {**fields, "machine": machine(), "commit": commit(), "date": date}
    files.write_json(path, record)
