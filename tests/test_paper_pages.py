"""The pages of docs/ on the papers agree with the source, the recipes and the results."""

import re

import pytest

from tests import launch

NAMES = ("gan", "improved_gan", "lsgan", "began", "baselines")
PAGES = {name: (launch.ROOT / "docs" / f"{name}.md").read_text() for name in NAMES}
PACKAGE = "\n".join(
    path.read_text(encoding="utf-8") for path in launch.ROOT.glob("tfgan_papers/**/*.py")
)
TESTS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in launch.ROOT.glob("tests/**/test_*.py")
    if path.name != "test_paper_pages.py"
)
CLI_FLAGS = {"mode", "model"}  # defined in cli.py itself


@pytest.mark.parametrize("name", NAMES)
def test_functions_of_a_page_exist(name):
    """`name()` is a function, a class or a test, `Class.name()` a method of the class."""
    named = re.findall(r"`(?:(\w+)\.)?(\w+)\(\)`", PAGES[name])
    assert len(named) >= 5
    for owner, function in named:
        source = PACKAGE + TESTS
        if owner:
            (source,) = re.findall(
                rf"^class {owner}\b.*?(?=^\S|\Z)", PACKAGE, re.MULTILINE | re.DOTALL
            )
        assert re.search(rf"^ *(?:def|class) {function}\b", source, re.MULTILINE), function


@pytest.mark.parametrize("name", NAMES)
def test_flags_of_a_page_are_options(name):
    for flag in set(re.findall(r"`--(\w+)", PAGES[name])) - CLI_FLAGS:
        assert re.search(rf"^    {flag}: .*option\(", PACKAGE, re.MULTILINE), flag


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_a_page_are_those_of_the_results(name):
    results = (launch.ROOT / "RESULTS.md").read_text()
    for score in re.findall(r"-?[\d.,]*\d \+- [\d.]*\d", PAGES[name]):
        assert score in results


@pytest.mark.parametrize("name", NAMES)
def test_verdicts_of_a_page_are_those_of_the_results(name):
    rows = (launch.ROOT / "RESULTS.md").read_text().splitlines()
    for line in PAGES[name].splitlines():
        for record in re.findall(r"\(\.\./(results/\w+\.json)\)", line):
            of_record = [row for row in rows if f"({record})" in row]
            assert of_record, record
            for verdict in ("reproduced", "not reached", "not judged"):
                if verdict in line:
                    assert any(f"| {verdict}" in row for row in of_record), line


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_of_a_page_are_those_of_the_tests(name):
    networks = PAGES[name].split("## Networks")[1].split("##")[0]
    counts = re.findall(r"\b\d+(?:,\d{3})+\b", networks)
    assert len(counts) >= 4
    counted = TESTS.replace("_", ",")
    for count in counts:
        few = re.search(rf"{count} (?:characters|elements)", networks)
        assert few or count in counted, count


def test_every_recipe_is_on_a_page():
    linked = set(re.findall(r"\(\.\./flags/(\w+)\.flags\)", "".join(PAGES.values())))
    assert linked == {path.stem for path in launch.ROOT.glob("flags/*.flags")}
