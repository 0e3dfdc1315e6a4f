"""A run: its options, its folder, and the model that both define."""

import dataclasses
import pathlib

import keras
import numpy as np

from tfgan_papers import data, options
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs import settings
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.folder import RunFolder


class Run:
    """A run, new or old.

    Attributes:
        values: `settings.Values`, its options.
        paper: `contract.Paper`.
        folder: `RunFolder`.
        facts: dict, run.json: what the run is of.
    """

    def __init__(self, values: settings.Values):
        self.values, self.paper = values, PAPERS[values.model]
        self.folder = RunFolder(values.training.logdir)
        self.facts = self.folder.read("run.json") or {}

    def check_data(self, examples: data.Examples):
        """Note which data the run is of, or see that these are they.

        Raises:
            UsageError: it was started with others.
        """
        facts = {
            "shape": list(examples.shape),
            "examples": examples.size,
            "classes": examples.classes,
            "class_names": list(examples.class_names or ()),
            "fingerprint": examples.fingerprint(),
        }
        there = {name: self.facts.get(name, value) for name, value in facts.items()}
        if there["classes"] == 1:  # version 0.1 took one folder for a class
            there["classes"] = 0
        if there != facts:
            other = ", ".join(
                f"{name} {_short(facts[name])} (there: {_short(there[name])})"
                for name in facts
                if facts[name] != there[name]
            )
            raise UsageError(
                f"--dataset={self.values.data.dataset} is not what the run in "
                f"{self.folder} was started with: {other}. Use the same data, or another "
                "--logdir"
            )
        self.facts |= facts

    def minibatches_per_step(self) -> int:
        """How many minibatches a training step takes from the data."""
        return self.paper.minibatches_per_step(self.values.paper)

    def settings(self, shape, mean, size: int, classes: int) -> contract.Settings:
        """What the model depends on besides the paper's own options.

        Args:
            shape: of an example.
            mean: the mean example in the networks' value range.
            size: number of training examples.
            classes: number of classes; 0 without labels.
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
            shape=tuple(shape),
            mean=mean,
            classes=classes,
        )

    def build(self, of: contract.Settings, **compile_options) -> AdversarialModel:
        """The paper's model, with what every model can have.

        Raises:
            UsageError: its samples cannot be in the range of the data, or its generator
                cannot be averaged.
        """
        model = contract.build(self.paper, of, self.values.paper, **compile_options)
        data.ranges.check(model.generator, self.values.data.value_range)
        training = self.values.training
        model.flip = training.flip
        if not training.generator_average:
            if training.generator != "averaged":
                raise UsageError(
                    "--generator=raw goes with a run that keeps an average of its "
                    "generator: see --generator_average"
                )
            return model
        if not model.adversary:
            raise UsageError(
                "--generator_average is for a generator that has an adversary, and "
                f"--model={self.values.model} has none"
            )
        model.average_generator(training.generator_average)
        if training.generator == "raw":
            model.sampling_generator = model.generator
        return model

    def batches(self, examples: data.Examples, model, of, seed: int, first_step: int = 0):
        """What the model trains on, from the batch after `first_step` steps on."""
        size = self.values.training.batch_size * self.minibatches_per_step()
        value_range = self.values.data.value_range
        if self.paper.batches:
            return self.paper.batches(
                *(examples, of, self.values.paper, size, seed, value_range, first_step)
            )
        return examples.stream(
            size, seed, value_range, first_step, labels=model.classes > 0
        )

    def restored(self, kind: str = "last") -> tuple[AdversarialModel, int]:
        """The trained model of the folder, on one device, and its step.

        Args:
            kind: "last" or "best", which checkpoint.

        Raises:
            UserError: there is no trained run in the folder.
        """
        if not self.facts:
            raise UserError(f"{self.folder} is not a run folder: train there first")
        keras.config.set_dtype_policy(self.values.machine.mixed_precision)
        shape, classes = self.facts["shape"], self.facts.get("classes", 0)
        of = self.settings(shape, np.zeros(shape), self.facts["examples"], classes)
        model = self.build(of, jit_compile=False)
        step = Checkpoints(self.folder / "checkpoints", model).restore(kind)
        if step is None:
            raise UserError(
                f"{self.folder} has no checkpoint in checkpoints/{kind}"
                + (
                    ": a best one is kept where --metrics is given in training"
                    if kind == "best"
                    else ": train there first"
                )
            )
        return model, step


def _short(fact):
    return fact[:12] if isinstance(fact, str) else fact


def hold_out(run: Run, given: dict) -> Run:
    """A new run with a tenth of the data held out for scores, where the set has no test
    split and neither the user nor the paper names splits."""
    if run.facts or {"train_split", "test_split"} & given.keys():
        return run
    of = data.with_held_out_split(run.values.data)
    return Run(run.values._replace(data=of))


def open_run(given: dict) -> Run:
    """The run that the user's option values mean, new or in a folder.

    Raises:
        UsageError: they make no sense, or contradict the run in the folder.
    """
    logdir = given.get("logdir")
    if logdir is None:
        dataset = given.get("dataset") or "digits"
        logdir = settings.default_folder(given.get("model") or "gan", dataset)
    folder = RunFolder(logdir)
    stored = folder.stored_options()
    return Run(settings.resolve({**given, "logdir": str(folder)}, stored))


def ensemble_member(folder: str, run: Run, except_for: tuple[str, ...]) -> Run:
    """Another run with the options of `run`, except for those named.

    Raises:
        UsageError: it has others, or is the run itself.
    """
    other = RunFolder(folder)
    if other.path.resolve() == run.folder.path.resolve():
        raise UsageError(f"--ensemble: {folder} is the run of --logdir itself")
    stored = other.stored_options()
    if not stored:
        raise UserError(f"--ensemble: {folder} is not a run folder")
    if contradicted := settings.contradictions(run.values, stored, except_for):
        raise UsageError(f"{folder} is another kind of run: {', '.join(contradicted)}")
    own = {name: stored[name] for name in except_for if name in stored}
    fields = settings.all_fields()
    changed = {name: options.from_text(fields[name], own[name]) for name in own}
    training = dataclasses.replace(
        run.values.training, logdir=str(pathlib.Path(folder)), **changed
    )
    return Run(run.values._replace(training=training))
