"""Creates complete settings, options, models and runs for tests."""

import pathlib

import keras
import numpy as np
import pytest

from tfgan_papers import data
from tfgan_papers.errors import UsageError
from tfgan_papers.options import Options
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs import settings as run_settings
from tfgan_papers.runs.run import Run, open_run


def settings(model: str = "gan", shape=(8, 8, 1), **changes) -> contract.Settings:
    """Returns settings of a paper's model with its own loss; `changes` replace values."""
    values = {
        "dataset": "any",
        "network": "",
        "loss": next(iter(PAPERS[model].losses.values())),
        "fidelity": "paper",
        "seed": 1,
        "learning_rate": 1e-3,
        "batch_size": 16,
        "steps_per_epoch": 50,
        "steps": 1000,
        "shape": shape,
        "mean": np.zeros(shape),
        "classes": 0,
    }
    return contract.Settings(**{**values, **changes})


def options_of(model: str, **given) -> Options:
    """Returns a paper's own options: the defaults of the code, changed by `given`."""
    return PAPERS[model].options(**given)


def build(model: str, of: contract.Settings, jit_compile=False, **given) -> keras.Model:
    """Returns a paper's compiled model with the options `given`."""
    return contract.build(PAPERS[model], of, options_of(model, **given), jit_compile)


def values(model: str, **given) -> run_settings.Values:
    """Returns all options of a new run whose command line has the options `given`."""
    return run_settings.resolve({"model": model, **given})


def run(folder: pathlib.Path, model: str = "gan", **given) -> Run:
    """Opens or creates the run in `folder`."""
    return open_run({"model": model, "logdir": str(folder), **given})


def begin(of: Run) -> keras.Model:
    """Returns the model of a new run before its first step."""
    examples = data.load(of.values.data.train_split, of.values.data)
    value_range = of.values.data.value_range
    settings = of.settings(
        examples.shape, examples.mean(value_range), examples.size, examples.classes
    )
    model = of.build(settings, jit_compile=False)
    if of.paper.initialize:
        of.paper.initialize(model, examples, settings, of.values.paper, value_range)
    return model


def refusal(model: str, **given) -> str:
    """Returns the error message of a run whose options do not fit together."""
    with pytest.raises(UsageError) as caught:
        begin(run("nowhere", model, **given))
    message = str(caught.value)
    assert message and message == " ".join(message.split())  # one line
    return message
