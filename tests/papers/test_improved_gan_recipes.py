"""The recipes of Improved GAN: techniques, and the rows of Table 3."""

import dataclasses

import pytest

from tests import launch
from tests.factories import build
from tests.papers.test_improved_gan import settings_of
from tfgan_papers import options
from tfgan_papers.runs.settings import all_fields, resolve

RECIPES = sorted(launch.ROOT.glob("flags/improved_gan_*.flags"))
OF_IMAGES = [
    path
    for path in RECIPES
    if path.stem.split("_")[2] not in ("mnist", "imagenet", "faces", "fig3")
]


def flags_of(recipe):
    lines = recipe.read_text().splitlines()
    return dict(line[2:].split("=") for line in lines if line.startswith("--"))


def recipe_options(recipe):
    """All options of a run of the recipe."""
    fields = all_fields()
    given = {
        name: options.from_text(fields[name], text)
        for name, text in flags_of(recipe).items()
        if name in fields
    }
    return resolve({"model": "improved_gan", **given})


@pytest.mark.parametrize("recipe", OF_IMAGES, ids=lambda path: path.stem)
def test_a_recipe_has_the_techniques_that_it_names(recipe):
    """tests/test_recipes.py trains it."""
    run = recipe_options(recipe)
    given, training = run.paper, run.training
    if given.reference_batch:
        given = dataclasses.replace(given, reference_batch=3)
    settings = settings_of(
        dataset=run.data.dataset,
        network=training.network,
        fidelity=training.fidelity,
    )
    model = build("improved_gan", settings, **vars(given))
    technique = {type(x).__name__ for x in model.discriminator._flatten_layers()}
    technique |= {type(x).__name__ for x in model.generator._flatten_layers()}
    assert ("MinibatchDiscrimination" in technique) == bool(given.minibatch_kernels)
    assert ("VirtualBatchNormalization" in technique) == bool(given.reference_batch)
    assert bool(model.histories) == bool(given.historical_averaging)
    assert model.g_steps == given.g_steps


# row: the paper's score, and flags other than those of "our methods"; None: not given
TABLE_3 = {
    "ours": ("8.09 +- .07", {}),
    "bn": ("7.54 +- .07", {"reference_batch": None}),
    "unlabelled_history": ("6.86 +- .06", {"labels": "0", "historical_averaging": "1"}),
    "hard_labels": ("6.83 +- .06", {"label_smoothing": None}),
    "unlabelled": ("4.36 +- .04", {"labels": "0"}),
    "no_minibatch": ("3.87 +- .03", {"minibatch_kernels": "0"}),
}


def test_table_3_has_its_six_rows_each_without_its_technique():
    rows = {p.stem.partition("table3_")[2]: p for p in RECIPES if "table3" in p.stem}
    assert rows.keys() == TABLE_3.keys()
    given = {name: flags_of(path) for name, path in rows.items()}
    ours = given["ours"]
    techniques = {"labels": "4000", "label_smoothing": "0.1", "reference_batch": "100"}
    assert techniques.items() <= ours.items() and "minibatch_kernels" not in ours
    path = launch.ROOT / "flags" / "improved_gan_table3_ours.flags"
    assert recipe_options(path).paper.minibatch_kernels > 0
    for name, (score, change) in TABLE_3.items():
        head = " ".join(rows[name].read_text().replace("\n#", "").split())
        assert f"Inception Score of {score}." in head
        of_all = {**ours, **change, "logdir": f"runs/improved_gan_table3_{name}"}
        assert given[name] == {n: v for n, v in of_all.items() if v is not None}, name
