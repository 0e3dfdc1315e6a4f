"""--help: every option with the value that the model has."""

import importlib.metadata
import re

import pytest

import tfgan_papers.__main__
from tests import launch
from tfgan_papers import cli
from tfgan_papers.options import fields, to_text
from tfgan_papers.papers import PAPERS
from tfgan_papers.runs import settings


def options_in(text):
    """Name -> value of the options that a help page lists."""
    return dict(re.findall(r"^  --(\w+)=(.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("model", PAPERS)
def test_help_lists_every_option_with_the_value_that_the_model_has(model):
    ended = launch.within(f"--model={model}", "--help")
    assert ended.code == 0, ended.err
    listed = options_in(ended.out)
    values = settings.resolve({"model": model}).flat()
    shown = {k: "" if v is None else to_text(v) for k, v in values.items() if k != "model"}
    assert shown.items() <= listed.items()
    of_commands = [each for group in cli.GROUPS.values() for each in group]
    assert set(listed) == set(shown) | set(fields(*of_commands)) | {"mode"}
    losses = ", ".join(PAPERS[model].losses)
    assert f"One of {losses}." in ended.out


def test_help_of_the_users_command_says_its_own_steps():
    ended = launch.within("--model=began", "--gamma=0.7", "--help")
    listed = options_in(ended.out)
    assert (listed["steps"], listed["gamma"]) == ("2500", "0.7")


def test_short_help_is_short_and_has_examples():
    ended = launch.within("--helpshort")
    assert 10 <= len(options_in(ended.out)) <= 16
    assert len(re.findall(r"^  python main.py", ended.out, re.MULTILINE)) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--model=lsgan", "--k=2"), 2, "--model=lsgan does not take --k"),
        (("--k=0",), 2, "--k=0: give a number from 1 to 254"),
        (("--colour=red",), 1, "colour"),
    ],
)
def test_help_on_what_makes_no_sense_is_refused_in_one_line(arguments, code, words):
    ended = launch.within(*arguments, "--help")
    assert ended.code == code and ended.out == ""
    (line,) = ended.errors
    assert words in line


def test_the_console_script_is_main():
    (script,) = importlib.metadata.entry_points(name="tfgan-papers")
    assert script.load() is tfgan_papers.__main__.run
