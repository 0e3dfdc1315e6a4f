"""The interface between a paper and the command line.

The file of a paper ends with a `Paper`: its options, its losses, its experiments by the
name of their networks, and two functions that create the model and its optimizers.
`docs/add_a_paper.md` shows how to add a paper.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
from absl import logging

from tfgan_papers import losses
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.options import Options


class Settings(NamedTuple):
    """The settings of a model that do not belong to the paper's own options.

    Attributes:
        dataset: name of the data set.
        network: name of the networks; "" selects those for the data set.
        loss: an entry of the paper's `losses`.
        fidelity: "paper" or "code".
        seed: seed of the initial weights and of the noise.
        learning_rate: initial learning rate.
        batch_size: number of examples in a minibatch, over all replicas.
        steps_per_epoch: number of minibatches in the data, at least 1.
        steps: number of training steps of the run.
        shape: (height, width, channels) of an image, or (dimensions,) of a point.
        mean: the mean example, float array of `shape`, in the value range of the networks.
        classes: number of classes of the labels; 0 without labels.
    """

    dataset: str
    network: str
    loss: losses.AdversarialLoss | Callable
    fidelity: str
    seed: int
    learning_rate: float
    batch_size: int
    steps_per_epoch: int
    steps: int
    shape: tuple[int, ...]
    mean: np.ndarray
    classes: int


class Paper(NamedTuple):
    """A paper.

    Attributes:
        name: the value of `--model`.
        options: the class of its options.
        losses: name -> loss, the choices of `--loss`. The first is the default.
        experiments: name of the networks -> a named tuple with `defaults`, a dict of option
            values by name, and the fields that `create` and `optimizers` need.
        network_of: data set -> name of its networks.
        create: (Settings, options, experiment, `Draw`) -> the model, not compiled. A
            ValueError becomes a UsageError that names the model and the data set.
        optimizers: (Settings, options, experiment) -> (optimizer of D, optimizer of G).
        dataset_defaults: (data set, network, fidelity) -> dict of option values that
            override the defaults of the experiment.
        initialize: called with (model, `Examples`, Settings, options, value range) before
            step 1.
        batches: (`Examples`, Settings, options, batch size, seed, value range, first step)
            -> the training batches, if they are not those of `Examples.stream`.
        follows_code: whether --fidelity chooses between the paper and its authors' code.
        minibatches_per_step: options -> the number of minibatches in a training step.
        batch_dependent: the reason why several replicas do not compute the same step as
            one; "" if they do.
        dataset: the data set of a run whose user names none.
        check: called with (options, value range); raises UsageError if they do not fit.
    """

    name: str
    options: type[Options]
    losses: Mapping[str, object]
    experiments: Mapping[str, tuple]
    network_of: Callable[[str], str]
    create: Callable
    optimizers: Callable
    dataset_defaults: Callable = lambda dataset, network, fidelity: {}
    initialize: Callable | None = None
    batches: Callable | None = None
    follows_code: bool = True
    minibatches_per_step: Callable = lambda options: 1
    batch_dependent: str = ""
    dataset: str = "digits"
    check: Callable = lambda options, value_range: None


def experiment(paper: Paper, dataset: str, network: str):
    """The experiment of `network`, or of the data set if `network` is empty.

    Raises:
        UsageError: the paper has no networks of that name.
    """
    name = network or paper.network_of(dataset)
    if name not in paper.experiments:
        names = ", ".join(paper.experiments)
        raise UsageError(f"--network={name}: --model={paper.name} has the networks {names}")
    return paper.experiments[name]


def defaults(paper: Paper, dataset: str, network: str, fidelity: str) -> dict:
    """The default values of the options, by name."""
    chosen = experiment(paper, dataset, network)
    loss, name = next(iter(paper.losses)), network or paper.network_of(dataset)
    special = paper.dataset_defaults(dataset, name, fidelity)
    return {"loss": loss, **chosen.defaults, **special}


def loss(paper: Paper, name: str, options: Options):
    """The loss of that name. Least squares gets the targets from the options.

    Raises:
        UsageError: the paper has no such loss, or the options set targets and the loss is
            not least squares.
    """
    if name not in paper.losses:
        names = ", ".join(paper.losses)
        raise UsageError(f"--loss={name}: --model={paper.name} takes {names}")
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
    """Creates and compiles the paper's model.

    Args:
        jit_compile: whether XLA compiles the training step.
        steps_per_execution: training steps per call of Keras' train function.

    Raises:
        UsageError: the networks do not fit the data, or options contradict each other.
    """
    chosen = experiment(paper, settings.dataset, settings.network)
    if settings.fidelity == "code" and not paper.follows_code:
        warn_of_no_effect("fidelity=code", f"--model={paper.name}")
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


@functools.cache
def warn_of_zero_rate(first: int, steps: int):
    """Warns that a run is longer than the decay of its learning rate."""
    logging.warning(
        "from step %d on the learning rate is 0, so that no weight changes: %d of the %d "
        "steps have no effect",
        *(first, steps - first, steps),
    )


@functools.cache  # once, and not for each model that is built
def warn_of_no_effect(option: str, beside: str):
    """Warns that --`option` has no effect beside the options in `beside`."""
    logging.warning("--%s has no effect with %s", option, beside)


def needed_classes(settings: Settings, model: str) -> int:
    """The number of classes of the data.

    Raises:
        UsageError: the data have no classes.
    """
    if not settings.classes:
        raise UsageError(
            f"--model={model} --network={settings.network} is conditioned on classes, and "
            f"--dataset={settings.dataset} has none"
        )
    return settings.classes
