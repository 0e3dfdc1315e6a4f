"""The notebook runs from its first cell to its last, and its page shows a real run."""

import ast
import re

import nbclient
import nbformat
import pytest
from PIL import Image

from tests import launch
from tfgan_papers.papers import began

PATH = launch.ROOT / "examples" / "began_in_keras.ipynb"
LENGTH = "STEPS, PERIOD = 2000, 100"
OURS = began.OURS_ON_DIGITS


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook):
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    return [output.data["image/png"] for output in outputs if "data" in output]


def test_it_runs_with_few_steps(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(launch.ROOT))
    first, committed = code(notebook)[0], len(pictures(notebook))
    assert LENGTH in first.source
    first.source = first.source.replace(LENGTH, "STEPS, PERIOD = 8, 2")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert len(pictures(notebook)) == committed == 4
    folder = tmp_path / "began_digits"
    assert (folder / "began.keras").is_file()
    with Image.open(folder / "step-000000008.png") as page:
        assert page.size == (530, 530)


def test_its_settings_are_those_of_the_command_line(notebook):
    source = "\n".join(cell.source for cell in code(notebook))
    given = {
        keyword.arg: ast.literal_eval(keyword.value)
        for node in ast.walk(ast.parse(re.sub(";$", "", source, flags=re.MULTILINE)))
        for keyword in getattr(node, "keywords", ())
        if keyword.arg in {*OURS, "std"}
    }
    assert given.pop("std") == OURS["weight_std"]
    assert given == {name: OURS[name] for name in given} and len(given) >= 6
    rates = OURS["d_rate"] * OURS["learning_rate"], OURS["learning_rate"]
    assert f"for rate in ({rates[0]:.1e}".replace("e-0", "e-") in source
    assert f"falling(rate, {OURS['halving_steps']}, 0.5, staircase=True)" in source


def test_its_page_is_of_a_whole_run_and_names_no_machine(notebook):
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data"}
    text = "".join(o.text for o in outputs if o.output_type == "stream")
    assert "healthy" in text and "nan" not in text
    assert not re.search(r"/(home|tmp|root|work|usr|Users)/", text)
    assert all(o.name == "stdout" for o in outputs if o.output_type == "stream")
    assert max(len(picture) for picture in pictures(notebook)) < 200_000
    assert PATH.stat().st_size < 500_000
