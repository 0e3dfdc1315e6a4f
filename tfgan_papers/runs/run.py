"""A run: its options, its folder, and the model that both define."""

import dataclasses
import pathlib

import keras
import numpy as np

from tfgan_papers import data, options
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.models import surgery
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs import settings
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.folder import RunFolder


class Run:
    """A new or existing run.

    Attributes:
        values: `settings.Values`, its options.
        paper: `contract.Paper`.
        folder: `RunFolder`.
        facts: dict, the content of run.json.
    """

    def __init__(self, values: settings.Values):
        self.values, self.paper = values, PAPERS[values.model]
        self.folder = RunFolder(values.training.logdir)
        self.facts = self.folder.read("run.json") or {}

    def check_data(self, examples: data.Examples):
        """Adds the properties of the training data to `facts`, or compares with them.

        Raises:
            UsageError: the run was started with other data.
        """
        facts = {
            "shape": list(examples.shape),
            "examples": examples.size,
            "classes": examples.classes,
            "class_names": list(examples.class_names or ()),
            "fingerprint": examples.fingerprint(),
        }
        known = {name: self.facts.get(name, value) for name, value in facts.items()}
        if known["classes"] == 1:  # version 0.1 took one folder for a class
            known["classes"] = 0
        if known != facts:
            other = ", ".join(
                f"{name} {_short(facts[name])} (there: {_short(known[name])})"
                for name in facts
                if facts[name] != known[name]
            )
            raise UsageError(
                f"--dataset={self.values.data.dataset} is not the data with which "
                f"the run in {self.folder} was started: {other}. Use that data, or another "
                "--logdir"
            )
        self.facts |= facts

    def minibatches_per_step(self) -> int:
        """Returns the number of minibatches that a training step takes from the data."""
        return self.paper.minibatches_per_step(self.values.paper)

    def settings(self, shape, mean, size: int, classes: int) -> contract.Settings:
        """Returns the settings on which the model depends besides the paper's options.

        Args:
            shape: the shape of an example.
            mean: the mean example in the value range of the networks.
            size: int, the number of training examples.
            classes: int, the number of classes; 0 without labels.
        """
        training = self.values.training
        return contract.Settings(
            dataset=self.values.data.dataset,
            network=training.network,
            loss=contract.loss(self.paper, training.loss, self.values.paper),
            fidelity=training.fidelity,
            seed=training.seed,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            steps_per_epoch=max(1, size // training.batch_size),
            steps=training.steps,
            shape=tuple(shape),
            mean=mean,
            classes=classes,
        )

    def build(self, of: contract.Settings, **compile_options) -> AdversarialModel:
        """Builds the paper's model and applies the options that all models share.

        Raises:
            UsageError: the output of the generator does not fit the value range, or its
                weights cannot be averaged.
        """
        model = contract.build(self.paper, of, self.values.paper, **compile_options)
        data.ranges.check(model.generator, self.values.data.value_range)
        training = self.values.training
        model.flip = training.flip
        if self.values.machine.sync_batch_norm:
            surgery.synchronize_batch_normalization(*model.networks)
        if not training.generator_average:
            if training.generator != "averaged":
                raise UsageError(
                    "--generator=raw needs a run with an averaged generator: train with "
                    "--generator_average"
                )
            return model
        if not model.adversary:
            raise UsageError(
                f"--generator_average needs an adversary, and --model={self.values.model} "
                "has none: leave it out"
            )
        model.average_generator(training.generator_average)
        if training.generator == "raw":
            model.sampling_generator = model.generator
        return model

    def batches(self, examples: data.Examples, model, of, seed: int, first_step: int = 0):
        """Returns the batches of training data after the first `first_step` steps."""
        size = self.values.training.batch_size * self.minibatches_per_step()
        value_range = self.values.data.value_range
        if self.paper.batches:
            return self.paper.batches(
                *(examples, of, self.values.paper, size, seed, value_range, first_step)
            )
        return examples.stream(
            size, seed, value_range, first_step, labels=model.classes > 0
        )

    def check_is_trained(self):
        """
        Raises:
            UserError: the folder contains no run.
        """
        if not self.facts:
            raise UserError(f"{self.folder} is not a run folder: train there first")

    def restored(self, kind: str = "last") -> tuple[AdversarialModel, int]:
        """Restores the trained model of the folder on one device.

        Args:
            kind: "last", "best", or the step of the checkpoint.

        Returns:
            (model, step).

        Raises:
            UserError: the folder contains no such checkpoint, or no run.
        """
        self.check_is_trained()
        keras.config.set_dtype_policy(self.values.machine.mixed_precision)
        shape, classes = self.facts["shape"], self.facts.get("classes", 0)
        of = self.settings(shape, np.zeros(shape), self.facts["examples"], classes)
        of = of._replace(steps=0)  # without warnings of a schedule that training has ended
        model = self.build(of, jit_compile=False)
        checkpoints = Checkpoints(self.folder / "checkpoints", model)
        if kind.isdecimal():
            return model, checkpoints.restore_step(int(kind))
        step = checkpoints.restore(kind)
        if step is None:
            raise UserError(
                f"{self.folder} has no checkpoint in checkpoints/{kind}"
                + (
                    "; train with --metrics to keep the best"
                    if kind == "best"
                    else "; train there first"
                )
            )
        return model, step


def _short(fact):
    return fact[:12] if isinstance(fact, str) else fact


def hold_out(run: Run, given: dict) -> Run:
    """Holds out a tenth of the data for scores, if the data set has no test split.

    An existing run, and one whose splits the user or the paper names, is unchanged.
    """
    if run.facts or {"train_split", "test_split"} & given.keys():
        return run
    of = data.with_held_out_split(run.values.data)
    return Run(run.values._replace(data=of))


def open_run(given: dict) -> Run:
    """Returns the run that the user's options describe, new or existing.

    Args:
        given: option -> value, from the user.

    Raises:
        UsageError: the options are invalid or contradict the run in the folder.
    """
    logdir = given.get("logdir")
    if logdir == "":
        raise UsageError("--logdir is empty: name a folder, or leave it out")
    if logdir is None:
        paper = settings.paper_of(given.get("model"))
        dataset = given.get("dataset") or paper.dataset
        logdir = settings.default_folder(paper.name, dataset)
    folder = RunFolder(logdir)
    stored = folder.stored_options()
    return Run(settings.resolve({**given, "logdir": str(folder)}, stored))


def ensemble_member(folder: str, run: Run, except_for: tuple[str, ...]) -> Run:
    """Returns another run that has the options of `run`, except for the named ones.

    Args:
        folder: path of the other run.
        run: `Run`.
        except_for: names of the options that may differ.

    Raises:
        UsageError: another option differs, or `folder` is the folder of `run`.
        UserError: `folder` is not a run folder.
    """
    other = RunFolder(folder)
    if other.path.resolve() == run.folder.path.resolve():
        raise UsageError(f"--ensemble={folder} is the run of --logdir: name other runs")
    stored = other.stored_options()
    if not stored:
        raise UserError(f"--ensemble={folder} is not a run folder: train there first")
    if contradicted := settings.contradictions(run.values, stored, except_for):
        raise UsageError(
            f"{folder} has other options than the run: {', '.join(contradicted)}"
        )
    own = {name: stored[name] for name in except_for if name in stored}
    fields = settings.all_fields()
    changed = {name: options.from_text(fields[name], own[name]) for name in own}
    training = dataclasses.replace(
        run.values.training, logdir=str(pathlib.Path(folder)), **changed
    )
    return Run(run.values._replace(training=training))
