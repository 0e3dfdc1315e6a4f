"""Every recipe is valid, and trains: two steps with main.py on random images, some of them
smaller."""

import re

import pytest

from tests import launch

RECIPES = sorted(launch.ROOT.glob("flags/*.flags"))
SHORT = (
    *("--steps=2", "--report_steps=2", "--steps_per_execution=1", "--jit_compile=false"),
    *("--batch_size=4", "--metrics=", "--record=", "--nodownload"),
)
PICTURES = ("began_fig4", "lsgan_fig2")  # they draw, and train nothing
NUMBERS = (  # options that SHORT replaces, that a single run does not have, or numbers
    *("steps", "report_steps", "checkpoint_steps", "batch_size", "metrics", "record"),
    *("mode", "grid", "seeds", "jobs", "logdir", "steps_per_execution", "jit_compile"),
    *("seed", "label_seed", "threads", "strip_steps", "score_samples", "learning_rate"),
    *("gamma", "a", "b", "c", "halving_steps"),
    *("train_split", "validation_split", "test_split"),
)
STAGES = ("gan_tfd_pretrain", "gan_tfd")  # the second begins with the first's run


def flags_of(recipe):
    lines = recipe.read_text().splitlines()
    pairs = (line[2:].partition("=") for line in lines if line.startswith("--"))
    return {name: value for name, _, value in pairs}


def unlike():
    """One recipe of those that differ only in NUMBERS, or in how many labels they have."""
    found = {}
    for recipe in RECIPES:
        flags = {k: v for k, v in flags_of(recipe).items() if k not in NUMBERS}
        if flags.get("labels") not in (None, "0"):
            flags["labels"] = "some"
        found.setdefault(frozenset(flags.items()), recipe)
    return [recipe for recipe in found.values() if recipe.stem not in (*PICTURES, *STAGES)]


# One recipe for each model and its networks. An export takes as long as two steps.
EXPORTING = {
    (flags.get("model"), flags.get("network")): recipe
    for recipe in [*unlike(), *(launch.ROOT / "flags" / f"{n}.flags" for n in STAGES)]
    for flags in [flags_of(recipe)]
}


def narrow(flags):
    """Fewer channels, where the networks have a width; else small images."""
    model, dataset = flags["model"], flags.get("dataset")
    if model == "improved_gan":
        sides = {"cifar10": 16, "svhn_cropped": 16, "imagenet2012": 32, "folder": 32}
        return [f"--image_size={sides[dataset]}"] if dataset in sides else []
    has_width = model in ("dcgan", "lsgan", "began", "ebgan")
    return ["--width=4"] if has_width and dataset != "ring" else []


def trained(recipe, folder, *further):
    exports = recipe in EXPORTING.values()
    ended = launch.fork(
        *(f"--flagfile={recipe}", "--mode=train", *SHORT, *narrow(flags_of(recipe))),
        *(f"--logdir={folder}", *further),
        script="tests/stand_in.py",
        export=exports,
    )
    assert ended.code == 0, ended.err[-2000:]
    assert (folder / "checkpoints" / "last").is_dir()
    assert (folder / "export" / "manifest.json").is_file() == exports


@pytest.mark.parametrize(
    "recipe",
    unlike(),
    ids=lambda path: path.stem,
)
def test_a_recipe_takes_two_steps(recipe, tmp_path):
    trained(recipe, tmp_path / "run")


def test_the_stages_on_faces_take_two_steps_each(tmp_path):
    first, second = (launch.ROOT / "flags" / f"{name}.flags" for name in STAGES)
    trained(first, tmp_path / "first")
    begun = f"--init_from={tmp_path / 'first'}"
    trained(second, tmp_path / "second", begun)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_valid_and_names_its_source(recipe):
    ended = launch.within(f"--flagfile={recipe}", "--help")  # resolves its options
    assert ended.code == 0, ended.err
    lines = recipe.read_text().splitlines()
    head = " ".join(line[1:].strip() for line in lines if line.startswith("#"))
    assert lines[0].startswith("#")
    assert re.search(r"\(\d{4}\)", head), "no paper with its year"
    assert re.search(r"Fig\.|Table|Sec\.|Algorithm|\w+\.(yaml|py)\b", head), "no place"
    given = [line for line in lines if line.startswith("--")]
    names = [re.match(r"--(?:no)?(\w+)", line)[1] for line in given]
    once = [name for name in names if name != "grid"]
    assert len(once) == len(set(once))
    assert {"model", "logdir"} <= set(names)
    assert {"dataset", "sample"} & set(names)  # a picture of the losses needs no data


def test_there_are_recipes():
    assert RECIPES
