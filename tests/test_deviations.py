"""DEVIATIONS.md lists every departure that the source names."""

import re

import pytest

from reproduction import deviations
from tfgan_papers.errors import UserError
from tfgan_papers.papers import PAPERS


def test_deviations_and_the_ids_in_the_source_are_the_same():
    declared = [differs.id for differs in deviations.deviations()]
    assert len(set(declared)) == len(declared) >= 43
    listed = re.findall(r"^\| ([A-Z]+-\d+) \|", deviations.page(), re.MULTILINE)
    assert listed == declared
    sources = sorted(deviations.SOURCE.rglob("*.py"))
    text = "\n".join(path.read_text() for path in sources)
    marked = re.findall(r"^ *Differs:\s*(\S+)", text, re.MULTILINE)
    assert sorted(marked) == sorted(declared), "a Differs: line is not in its form"
    families = {id_.partition("-")[0] for id_ in declared}
    used = set(re.findall(rf"\b(?:{'|'.join(families)})-\d+\b", text))
    assert used == set(declared)


def test_every_paper_names_its_departures_in_order():
    of_file = {}
    for differs in deviations.deviations():
        of_file.setdefault(differs.file, []).append(differs.id)
    for paper in PAPERS.values():
        path = paper.create.__module__.replace(".", "/") + ".py"
        families = [departure.partition("-")[0] for departure in of_file[path]]
        numbers = [families[: i + 1].count(family) for i, family in enumerate(families)]
        expected = [f"{f}-{n}" for f, n in zip(families, numbers, strict=True)]
        assert of_file[path] == expected


def test_a_departure_in_another_form_is_refused(monkeypatch, tmp_path):
    (tmp_path / "paper.py").write_text('"""\nDiffers: X-1 | what | paper | here.\n"""\n')
    monkeypatch.setattr(deviations, "SOURCE", tmp_path)
    with pytest.raises(UserError, match="X-1 has 4 parts, not six"):
        deviations.deviations()
