"""DEVIATIONS.md: one row per departure from the papers, from the source."""

import pathlib
import re
from typing import NamedTuple

import tfgan_papers
from reproduction.markdown import table
from tfgan_papers.errors import UserError

SOURCE = pathlib.Path(tfgan_papers.__file__).parent
DIFFERS = re.compile(r"^Differs: (.*(?:\n    .*)*)", re.MULTILINE)
DEVIATIONS = """# Deviations

`python main.py --mode=ledger` writes this page from the `Differs:` lines of the source,
which are in the docstring of the file; a test compares.

| id | what | paper | authors' code | flag | here, and why | file |
| --- | --- | --- | --- | --- | --- | --- |
"""


class Differs(NamedTuple):
    """A departure from a paper, and the file that has it."""

    id: str
    what: str
    paper: str
    code: str
    flag: str
    here: str
    file: str


def page() -> str:
    """The text of DEVIATIONS.md."""
    return DEVIATIONS + table([_linked(each) for each in deviations()])


def deviations() -> list[Differs]:
    """The `Differs:` lines of the package, in the order of their files.

    Raises:
        UserError: a line does not have the form id | what | paper | code | flag | here.
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
