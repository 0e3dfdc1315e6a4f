"""Every command of the README and of docs/ runs, shortened, on embedded or random data.

Links resolve, and phrases that readers found unclear are gone.
"""

import os
import re
import shlex

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from tests import launch

PAGES = [launch.ROOT / "README.md", *sorted((launch.ROOT / "docs").glob("*.md"))]
SHORT = (
    *("--steps=2", "--report_steps=2", "--batch_size=8", "--jit_compile=false"),
    "--steps_per_execution=1",
)
MODES = ("sample", "evaluate", "export", "report", "compare", "study", "ledger")
OTHER_PROGRAMS = (
    *("pip", "git", "python -m", ". .venv", "tensorboard", "ruff", "TF_CONFIG", "dask"),
    "python benchmarks",
)
NOT_HERE = {  # a part of the command -> why it does not run in this test
    "--flagfile": "tests/test_recipes.py trains every recipe",
    "--strategy=multi_worker": "tests/test_distribution.py has worker processes",
    "--model=wgan_gp": "tests/test_add_a_paper.py",
    "--mode=study": "tests/test_study.py",
    "--track=": "tests/test_tracking.py: services need extras",
    "--cluster=": "tests/test_cluster_scores.py has workers",
    "--mode=infer": "tests/test_inference.py",
    "--mode=inpaint": "tests/test_inpainting.py",
    "--formats=": "tests/test_formats.py: formats need extras",
    "--votes=": "tests/test_compare.py has raters",
    "--mode=ledger": "it rewrites the pages of this checkout",
    "runs/losses": "of the study",
}


def commands():
    """The command lines of the pages, in order, each once."""
    lines = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\\\n", " ")
        lines += re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return list(dict.fromkeys(" ".join(line.split()) for line in lines))


def ours(line):
    return line.startswith("python main.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to be in, with the images that the pages speak of."""
    place = tmp_path_factory.mktemp("readme")
    digits = sklearn.datasets.load_digits()
    for name in ("PICTURES", "FOLDER"):
        (place / name).mkdir()
    for i, (image, label) in enumerate(
        zip(digits.images[:100], digits.target[:100], strict=True)
    ):
        picture = Image.fromarray(np.uint8(image * 255 / 16))
        picture.save(place / "FOLDER" / f"{i}.png")
        folder = place / "PICTURES" / str(label % 2)
        folder.mkdir(exist_ok=True)
        picture.resize((40, 40)).save(folder / f"{i}.png")
    return place


def cut(line):
    """The arguments, with few steps and sets that need no network."""
    arguments = shlex.split(line)[2:]
    if not any(a.startswith("--mode=") and a[7:] in MODES for a in arguments):
        arguments += SHORT
    for i, argument in enumerate(arguments):
        if argument in ("--dataset=mnist", "--dataset=fashion_mnist"):
            arguments[i : i + 1] = ["--dataset=digits", "--image_size=16"]
    if any(argument.startswith("--strategy=mirrored") for argument in arguments):
        arguments.append("--cpu_devices=2")
    return arguments


def test_every_command_is_tried_or_says_why_not():
    lines = commands()
    assert sum(map(ours, lines)) >= 15
    for line in lines:
        assert ours(line) or line.startswith(OTHER_PROGRAMS), line


def test_every_command_runs(place, tmp_path):
    """One after the other, as a reader would, who has the runs of before."""
    there = os.getcwd()
    try:
        os.chdir(place)
        tried = 0
        for line in filter(ours, commands()):
            if any(part in line for part in NOT_HERE):
                continue
            arguments = [*cut(line), f"--score_cache={tmp_path}"]
            script = str(launch.ROOT / "main.py")
            ended = launch.fork(*arguments, script=script, folder=str(place))
            assert ended.code == 0, f"{line}\n{ended.err[-2000:]}"
            tried += 1
        assert tried >= 12
    finally:
        os.chdir(there)


ARCHAIC = (
    *("bear out", "but for", "of the spot", "on the spot", "one a line", "a row a"),
    *("One device = many", "see by a small", "law of", "whereof", "thereof"),
    *("of a hundred rendered", "samples a report", "once a data set"),
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_in_plain_words(page):
    text = re.sub(
        r"<!-- results -->.*<!-- /results -->", "", page.read_text(), flags=re.DOTALL
    )
    text = " ".join(text.split())  # a phrase may be broken into two lines
    assert not [words for words in ARCHAIC if words in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    for target in targets:
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
