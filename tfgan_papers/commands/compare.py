"""A study with people: a page on which they vote, and what their votes say.

Two runs: which picture is better (LSGAN, 2016, Sec. 4.3.2). One run: is this picture real
or generated (Improved GAN, 2016, Sec. 6).
"""

import base64
import dataclasses
import hashlib
import json
import math
import pathlib
import string

import numpy as np

from tfgan_papers import data, figures, files
from tfgan_papers.commands import sample, votes
from tfgan_papers.commands.scoring import CheckpointOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import subsets
from tfgan_papers.options import option
from tfgan_papers.runs.folder import named_folders
from tfgan_papers.runs.run import Run, open_run

TEMPLATE = pathlib.Path(__file__).with_name("compare.html")


@dataclasses.dataclass(frozen=True)
class CompareOptions(CheckpointOptions):
    """Which runs people compare, how the page asks them, and which votes to count."""

    runs: tuple[str, ...] = option(
        (),
        "Run folders of --mode=compare: of two, raters choose the better picture; of one, "
        "they say whether a picture is real or generated.",
    )
    page: str = option("votes.html", "The page that --mode=compare writes.")
    questions: int = option(50, "Questions on the page.", low=2)
    images_shown: int = option(
        1, "Images in each picture: 1, or more, which make a sheet.", low=1
    )
    feedback: bool = option(
        False,
        "Tell raters after each answer whether the picture was real. People who are told "
        "learn to see the difference (Improved GAN, Sec. 6).",
    )
    sample_seed: int = option(
        0, "Seed of the latents, and of the order and sides that each rater sees.", low=0
    )
    votes: tuple[str, ...] = option(
        (), "Files of votes that --mode=compare counts; * and ? stand for any characters."
    )
    record: str | None = option(None, "File for a record of the votes.")


def compare(options: CompareOptions):
    """Write --page of --runs, or count --votes.

    Raises:
        UsageError: it is not clear which of the two, or the runs do not compare.
    """
    if bool(options.runs) == bool(options.votes):
        raise UsageError(
            "--mode=compare writes a page with --runs=FOLDER,FOLDER, or counts the votes "
            "in --votes=FILE,FILE"
        )
    if options.votes:
        votes.count(options.votes, options.record)
        return
    if options.record:
        raise UsageError("--record goes with --votes")
    files.write_text(options.page, page(study(options)))
    print(options.page)


def study(options: CompareOptions) -> dict:
    """What the page asks: its subjects, and the pictures of each question.

    Raises:
        UsageError: the runs do not compare.
    """
    runs = [open_run({"logdir": folder}) for folder in named_folders(options.runs)]
    if len(runs) > 2:
        raise UsageError("--runs: give two runs to compare, or one to set beside the data")
    if options.feedback and len(runs) == 2:
        raise UsageError("--feedback goes with one run: of two pictures none is right")
    for run in runs:
        _check(run, runs[0])
    names = [run.facts["run_id"] for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"--runs: {names[0]} is there twice")
    restored = [run.restored(options.checkpoint) for run in runs]
    models = [model for model, _ in restored]
    content = {
        "form": "preference" if len(runs) == 2 else "real",
        "subjects": names if len(runs) == 2 else ["real", *names],
        "dataset": runs[0].values.data.dataset,
        "steps": [step for _, step in restored],
        "seed": options.sample_seed,
        "feedback": options.feedback,
        "items": (_pairs if len(runs) == 2 else _mixed)(runs, models, options),
    }
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return {"study": digest[:16], **content}


def page(study: dict) -> str:
    """The page, as text."""
    content = json.dumps(study).replace("<", "\\u003c")  # nothing ends the script early
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(study=content)


def _pairs(runs, models, options):
    """Each question has a picture of each run."""
    both = zip(runs, models, strict=True)
    sides = [_samples(run, model, options, options.questions) for run, model in both]
    return [{"pictures": [*map(_url, pair)]} for pair in zip(*sides, strict=True)]


def _mixed(runs, models, options):
    """Half of the questions have a picture of data, half have samples."""
    real = _real(*runs, options, -(-options.questions // 2))
    sides = real, _samples(*runs, *models, options, options.questions // 2)
    return [
        {"pictures": [_url(picture)], "truth": truth}
        for truth, pictures in enumerate(sides)
        for picture in pictures
    ]


def _check(run: Run, first: Run):
    if not run.facts:
        raise UsageError(f"--runs: {run.folder} is the folder of no run")
    if len(run.facts["shape"]) != 3:
        raise UsageError(f"--runs: {run.folder} is of points, and people compare images")
    for name, of in (("images", "shape"), ("data", "fingerprint")):
        if run.facts.get(of) != first.facts.get(of):
            raise UsageError(
                f"--runs: {run.folder} is of other {name} than {first.folder}, so that "
                "votes would compare the data"
            )


def _samples(run, model, options, count):
    """`count` pictures of samples."""
    draws = sample.SampleOptions(sample_seed=options.sample_seed)
    pictures = sample.Pictures(run.values.data, model, draws)
    images = pictures.images(pictures.latents(count * options.images_shown))
    return _pictures(pictures.to_pixels(images), options.images_shown)


def _real(run, options, count):
    """`count` pictures of examples of the run's test split."""
    of, wanted = run.values.data, count * options.images_shown
    examples = data.load(of.test_split, of)
    if examples.size < wanted:
        raise UsageError(
            f"{examples.name} has {examples.size} examples, and the page needs {wanted}: "
            "give fewer --questions or --images_shown"
        )
    blocks = subsets.some(examples, wanted).blocks()
    return _pictures(np.concatenate([*map(np.asarray, blocks)]), options.images_shown)


def _pictures(images, shown):
    """uint8 (n, height, width, channels) -> n / shown pictures, squares where they can."""
    columns = math.ceil(math.sqrt(shown))
    return [figures.sheet(part, columns) for part in np.split(images, len(images) // shown)]


def _url(picture):
    return f"data:image/png;base64,{base64.b64encode(figures.png(picture)).decode()}"
