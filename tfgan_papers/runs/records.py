"""Records: one JSON file per result, written by the run that found it."""

import datetime
import importlib.metadata
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
NO_CLAIM = dict.fromkeys(
    ("claim", "paper", "paper_value", "paper_spread", "spread", "budget_share", "verdict")
)
PACKAGES = ("tfgan-papers", "tensorflow", "keras", "numpy")  # a result depends on them
VECTORS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")  # they determine times of steps


def compare_with_paper(
    value: float,
    paper_value: float | None,
    paper_spread: float | None,
    better: str = "higher",
) -> str:
    """Compares a value with that of the paper.

    It is within noise if it is worse by at most the paper's own spread. Our spread is not
    used, because runs that vary more would be judged better.

    Args:
        value: our value.
        paper_value: the paper's value; None if it has none.
        paper_spread: the paper's spread; None counts as 0.
        better: "higher" or "lower", or "same" if the values should be equal.

    Returns:
        One of VERDICTS, or UNJUDGED if the paper has no value.
    """
    if paper_value is None:
        return UNJUDGED
    short = paper_value - value
    short = {"higher": short, "lower": -short, "same": abs(short)}[better]
    if short <= 0:
        return "reproduced"
    return "within noise" if short <= (paper_spread or 0) else "not reached"


def machine() -> str:
    """Describes the machine: processor with its widest vectors, cores, system."""
    model = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        model = facts.get("model name", model)
        widest = (v for v in VECTORS if v in facts.get("flags", "").split())
        model += "".join(f" ({v})" for v in itertools.islice(widest, 1))
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Returns name -> version of the packages on which a result depends."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {**found, "python": platform.python_version()}


def described(machine: str, versions: dict[str, str]) -> str:
    """Describes the machine and the versions of a run, which may change the last bits of
    its sums, on one line."""
    return ", ".join([machine, *(f"{name} {of}" for name, of in versions.items())])


def command() -> str:
    """Returns the command line of this process, with `-m` and the name of a module instead
    of its path, which differs between machines."""
    script, main = sys.argv[:1], sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec and script == [main.__file__]:
        script = ["-m", spec.name.removesuffix(".__main__")]
    return shlex.join(["python", *script, *sys.argv[1:]])


def commit() -> str | None:
    """Returns the commit of this code, with "-dirty" if it is changed; None outside git.

    An installed copy within the repository of another project is outside.
    """
    here = pathlib.Path(__file__)
    git = ["git", "-C", str(here.parent)]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for command in (["ls-files", "--error-unmatch", here.name], describe):
            result = subprocess.run(
                [*git, *command], capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def write(path: str | pathlib.Path, **fields):
    """Writes a record atomically, and adds machine, versions, commit and date."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    where = {"machine": machine(), "versions": versions(), "commit": commit()}
    files.write_json(path, {**fields, **where, "date": date})


def write_value(path: str | pathlib.Path, **fields):
    """Writes the record of one value. The fields about a claim are None if not given."""
    write(path, **{**NO_CLAIM, **fields})


def write_of_run(path: str | pathlib.Path, run, picture: pathlib.Path | None, **fields):
    """Writes the record of a value of a run, and copies a picture beside it.

    Args:
        path: the record.
        run: `Run`.
        picture: a PNG file, or None.
        **fields: see `write_value`; they replace those that follow from the run.
    """
    flags = run.values.defining()
    seed, label_seed = flags.pop("seed"), flags.pop("label_seed", None)
    of_run = {
        "dataset": run.values.data.dataset,
        "seeds": [seed],
        "label_seed": label_seed,
        "flags": flags,
        "run_id": run.facts.get("run_id"),
        "trained_by": run.facts.get("command"),
        "command": command(),
    }
    write_value(path, **{**of_run, **fields})
    if picture:
        add_picture(path, picture)


def add_picture(path: str | pathlib.Path, picture: pathlib.Path):
    """Copies a PNG file beside the record `path`; it replaces the picture there."""
    target = pathlib.Path(path).expanduser().with_suffix(".png")
    files.write_bytes(target, pathlib.Path(picture).read_bytes())
