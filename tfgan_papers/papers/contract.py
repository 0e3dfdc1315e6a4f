"""What a paper is, and how its model is built.

A paper's file ends in a `Paper`: its options, the losses that its critic can carry, its
experiments by the name of their networks, and two functions, which make the model and its
optimizers. `docs/add_a_paper.md` adds one.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np

from tfgan_papers import losses
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.options import Options


class Settings(NamedTuple):
    """What a model depends on besides the paper's own options.

    Attributes:
        dataset: name of the data set.
        network: name of the networks; "" for those of the data set.
        loss: the entry of the paper's `losses`.
        fidelity: "paper" or "code".
        seed: of weights and noise.
        learning_rate: of both optimizers at the start.
        batch_size: examples of a minibatch, over all replicas.
        steps_per_epoch: minibatches in the data, at least 1.
        shape: (height, width, channels) of an image, (dimensions,) of a point.
        mean: the mean example, float, in the networks' value range.
        classes: number of classes of the labels, 0 without.
    """

    dataset: str
    network: str
    loss: losses.AdversarialLoss | Callable
    fidelity: str
    seed: int
    learning_rate: float
    batch_size: int
    steps_per_epoch: int
    shape: tuple[int, ...]
    mean: np.ndarray
    classes: int


class Paper(NamedTuple):
    """A paper.

    Attributes:
        name: as `--model` takes it.
        options: its option class.
        losses: what `--loss` may be.
        experiments: name of the networks -> a tuple with `defaults`, values of options by
            name, and whatever else `create` and `optimizers` need.
        network_of: data set -> the name of its networks.
        create: (Settings, options, experiment, `Draw`) -> the model, not compiled. A
            ValueError becomes a UsageError that names model and data set.
        optimizers: (Settings, options, experiment) -> D's optimizer and G's.
        dataset_defaults: (data set, fidelity) -> values of options that go before those
            of the experiment.
        initialize: (model, `Examples`, Settings, options, value range), before step 1.
        batches: (`Examples`, options, batch size, seed, value range, first step) -> what
            the model trains on, if not `Examples.stream`.
        minibatches_per_step: options -> how many minibatches a training step takes.
        batch_dependent: why several replicas do not take the very step of one; "" where
            they do.
    """

    name: str
    options: type[Options]
    losses: Mapping[str, object]
    experiments: Mapping[str, tuple]
    network_of: Callable[[str], str]
    create: Callable
    optimizers: Callable
    dataset_defaults: Callable = lambda dataset, fidelity: {}
    initialize: Callable | None = None
    batches: Callable | None = None
    minibatches_per_step: Callable = lambda options: 1
    batch_dependent: str = ""


def experiment(paper: Paper, dataset: str, network: str):
    """The experiment of `network`, or if that is empty the one for `dataset`.

    Raises:
        UsageError: the paper has no such networks.
    """
    name = network or paper.network_of(dataset)
    if name not in paper.experiments:
        there = ", ".join(paper.experiments)
        raise UsageError(f"--network={name}: --model={paper.name} has the networks {there}")
    return paper.experiments[name]


def defaults(paper: Paper, dataset: str, network: str, fidelity: str) -> dict:
    """Values of options, by name, where the user gives none."""
    chosen = experiment(paper, dataset, network)
    loss = next(iter(paper.losses))
    special = paper.dataset_defaults(dataset, fidelity)
    return {"loss": loss, **chosen.defaults, **special}


def loss(paper: Paper, name: str, options: Options):
    """The loss of that name, with the targets of least squares that the options have.

    Raises:
        UsageError: the paper's critic cannot carry it, or targets are given for another.
    """
    if name not in paper.losses:
        there = ", ".join(paper.losses)
        raise UsageError(f"--loss={name}: --model={paper.name} takes {there}")
    if not isinstance(options, losses.LeastSquaresOptions):
        return paper.losses[name]
    targets = options.a, options.b, options.c
    if name == "least_squares":
        return losses.least_squares(*targets)
    if targets != losses.TARGETS:
        raise UsageError(f"--a, --b and --c go with --loss=least_squares, not {name}")
    return paper.losses[name]


def build(
    paper: Paper,
    settings: Settings,
    options: Options,
    jit_compile: bool,
    steps_per_execution: int = 1,
) -> keras.Model:
    """The paper's compiled model.

    Raises:
        UsageError: the networks do not fit the data, or the options each other.
    """
    chosen = experiment(paper, settings.dataset, settings.network)
    try:
        model = paper.create(settings, options, chosen, Draw(settings.seed))
    except ValueError as error:
        raise UsageError(
            f"--model={paper.name} on --dataset={settings.dataset}: {error}"
        ) from error
    model.compile(
        *paper.optimizers(settings, options, chosen),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    return model


def needed_classes(settings: Settings, model: str) -> int:
    """How many classes the data have.

    Raises:
        UsageError: none.
    """
    if not settings.classes:
        raise UsageError(
            f"--model={model} --network={settings.network} is conditioned on classes, and "
            f"--dataset={settings.dataset} has none"
        )
    return settings.classes
