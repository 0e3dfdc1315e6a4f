"""Every recipe trains: two steps with main.py on random images, some of them smaller."""

import keras
import pytest

from tests import launch, stand_in
from tfgan_papers import data
from tfgan_papers.papers import gan_networks, improved_gan_experiments
from tfgan_papers.runs import train

RECIPES = sorted(launch.ROOT.glob("flags/*.flags"))
SHORT = (
    *("--steps=2", "--report_steps=2", "--steps_per_execution=1", "--jit_compile=false"),
    *("--batch_size=4", "--metrics=", "--record=", "--nodownload", "--threads=0"),
)
PICTURES = ("began_fig4", "lsgan_fig2")  # they draw, and train nothing
STAGES = ("gan_tfd_pretrain", "gan_tfd")  # the second begins with the first's run


def flags_of(recipe):
    lines = recipe.read_text().splitlines()
    pairs = (line[2:].partition("=") for line in lines if line.startswith("--"))
    return {name: value for name, _, value in pairs}


# One recipe for each model and its networks. An export takes as long as two steps.
EXPORTING = {
    (flags.get("model"), flags.get("network")): recipe
    for recipe in RECIPES
    if recipe.stem not in PICTURES
    for flags in [flags_of(recipe)]
}


def narrow(flags):
    """Fewer channels, where the networks have a width; else small images."""
    model, dataset = flags["model"], flags.get("dataset")
    if model == "improved_gan":
        sides = {"cifar10": 16, "svhn_cropped": 16, "imagenet2012": 32}
        return [f"--image_size={sides[dataset]}"] if dataset in sides else []
    has_width = model in ("dcgan", "lsgan", "began", "ebgan")
    return ["--width=4"] if has_width and dataset != "ring" else []


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Random data, and fewer units where the networks have no option for their width; the
    tests of the papers build the networks in full."""
    monkeypatch.setattr(data, "load", stand_in.made)
    monkeypatch.setattr(data, "with_held_out_split", lambda options: options)
    monkeypatch.setattr(gan_networks, "UNITS", 200)
    for name in ("cifar10", "svhn", "minibatch"):
        networks = improved_gan_experiments.EXPERIMENTS[name].networks
        monkeypatch.setitem(networks.keywords, "filters", 8)
    yield
    keras.backend.clear_session()


def trained(recipe, folder, monkeypatch, *further):
    exports = recipe in EXPORTING.values()
    if not exports:
        monkeypatch.setattr(train.export, "export", lambda *arguments: None)
    ended = launch.within(
        *(f"--flagfile={recipe}", "--mode=train", *SHORT, *narrow(flags_of(recipe))),
        *(f"--logdir={folder}", *further),
    )
    assert ended.code == 0, ended.err[-2000:]
    assert (folder / "checkpoints" / "last").is_dir()
    assert (folder / "export" / "manifest.json").is_file() == exports


@pytest.mark.parametrize(
    "recipe",
    [r for r in RECIPES if r.stem not in (*PICTURES, *STAGES)],
    ids=lambda path: path.stem,
)
def test_a_recipe_takes_two_steps(recipe, tmp_path, monkeypatch):
    trained(recipe, tmp_path / "run", monkeypatch)


def test_the_stages_on_faces_take_two_steps_each(tmp_path, monkeypatch):
    first, second = (launch.ROOT / "flags" / f"{name}.flags" for name in STAGES)
    trained(first, tmp_path / "first", monkeypatch)
    begun = f"--init_from={tmp_path / 'first'}"
    trained(second, tmp_path / "second", monkeypatch, begun)
