"""The options of a run, and their values from several sources.

A later source has precedence: the code's default, the paper's experiment, the run folder,
the user.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from tfgan_papers import options
from tfgan_papers.data import DataOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs.distribution import MachineOptions

EDITION = 2  # of the format of run folders; run.json of the first edition has none


@dataclasses.dataclass(frozen=True)
class TrainingOptions(Options):
    """How a model is trained, and where the run is stored."""

    loss: str | None = option(None, "Adversarial loss; that of the paper by default.")
    fidelity: str = option(
        "paper",
        "Source to follow if the paper and its authors' code differ.",
        choices=("paper", "code"),
    )
    network: str = option(
        "", "Networks of the paper, by name; those for the data set by default."
    )
    batch_size: int = option(100, "Images per minibatch, over all replicas.", low=1)
    learning_rate: float | None = option(
        None,
        "Learning rate at the start. It is that of G; D has the same, or the multiple of "
        "it that the paper or its code has.",
        low=0.0,
    )
    steps: int = option(20_000, "Training steps in total.", low=1)
    seed: int = option(1, "Seed of weights, data order and noise.", low=0, high=2**31 - 1)
    generator_average: float = option(
        0.0,
        "Exponential moving average of G's weights: the share of the new weights in each "
        "step of G, for example 0.001; 0 keeps no average.",
        low=0.0,
        high=0.999,
    )
    flip: bool = option(
        False, "Mirror each training image left to right with probability 1/2."
    )
    generator: str = option(
        "averaged",
        "Generator for sampling, scores and export if the run keeps an average.",
        choices=("averaged", "raw"),
    )
    on_collapse: str = option(
        "warn",
        "Action when the samples no longer vary: warn; stop at the checkpoint from before; "
        "or roll back to it and continue with other noise, at most three times.",
        choices=("warn", "stop", "rollback"),
    )
    logdir: str | None = option(
        None,
        "Run folder, by default runs/MODEL-DATASET. The same command continues the run in "
        "it.",
    )
    report_steps: int = option(
        1000, "Steps between two reports, each with a sheet of samples.", low=1
    )
    checkpoint_steps: int = option(
        5000,
        "Steps between two checkpoints, rounded up to whole --report_steps. Further ones "
        "are written after the first minute and then every ten minutes.",
        low=1,
    )
    tensorboard_port: int = option(
        0,
        "Port on which TensorBoard is served during training; 0 does not serve it.",
        low=0,
        high=65_535,
    )
    track: str | None = option(
        None,
        "Service that gets the scalars and sheets of the run, besides TensorBoard.",
        choices=("wandb", "mlflow"),
    )


# Options that define where a run is stored and how long it is, not what it computes.
LOCATION = {
    "logdir", "steps", "report_steps", "checkpoint_steps", "tensorboard_port", "data_dir",
    "download", "track",
}  # fmt: skip
# Options that may change when a run continues: these, and those of scores and machine.
FREE = LOCATION | {
    "validation_split", "test_split", "generator", "on_collapse", "strategy", "jit_compile",
    "steps_per_execution", "cpu_devices",
}  # fmt: skip
TRIAL = ("model", "dataset", "loss", "batch_size", "learning_rate", "seed")  # HParams
KEPT_ALTHOUGH_FREE = (  # in flags.txt
    *("steps", "data_dir", "on_collapse", "validation_split", "test_split"),
)
SHARED = (DataOptions, TrainingOptions, MachineOptions)


class Values(NamedTuple):
    """The options of a run."""

    model: str
    paper: Options
    data: DataOptions
    training: TrainingOptions
    machine: MachineOptions

    def flat(self) -> dict[str, object]:
        """Returns name -> value of all options."""
        parts = (self.data, self.training, self.machine, self.paper)
        return {
            "model": self.model,
            **{name: value for part in parts for name, value in vars(part).items()},
        }

    def defining(self) -> dict[str, object]:
        """Returns name -> value of the options that define the computation, sorted."""
        flat = self.flat()
        return {name: flat[name] for name in sorted(flat.keys() - FREE)}

    def of_trial(self) -> dict[str, object]:
        """Those that tell runs apart: the usual ones, the paper's own, and those that are
        not as the paper's experiment has them."""
        training, paper = self.training, paper_of(self.model)
        usual = options.defaults((*SHARED, paper.options)) | contract.defaults(
            paper, self.data.dataset, training.network, training.fidelity
        )
        shown = {*TRIAL, *vars(paper.options).get("__annotations__", ())}
        return {
            name: value
            for name, value in self.defining().items()
            if value is not None and (name in shown or value != usual[name])
        }


def all_fields() -> dict[str, dataclasses.Field]:
    """Returns the fields of all options of all models, by name."""
    return options.fields(*SHARED, *(paper.options for paper in PAPERS.values()))


def paper_of(model: str | None) -> contract.Paper:
    """Returns the paper of a model; the first if the user names none.

    Raises:
        UsageError: no such model exists.
    """
    model = model or next(iter(PAPERS))
    if model not in PAPERS:
        raise UsageError(f"--model={model}: choose one of {', '.join(PAPERS)}")
    return PAPERS[model]


def resolve(given: Mapping[str, object], stored: Mapping[str, str] = {}) -> Values:
    """Returns the values of a run.

    Args:
        given: option -> value, from the user, including `model`.
        stored: option -> text, from the run folder; empty for a new run.

    Raises:
        UsageError: a value is invalid, an option is not one of the model, or the user's
            values contradict those of the run.
    """
    if stored:  # the first edition read folders in the order of their paths
        stored = {"data_order": "sorted", **stored}
    paper = paper_of(given.get("model") or stored.get("model"))
    fields = options.fields(*SHARED, paper.options)
    if foreign := sorted(name for name in given if name in all_fields().keys() - fields):
        flags = ", ".join(f"--{name}" for name in foreign)
        raise UsageError(f"--model={paper.name} does not take {flags}")
    values = {**options.defaults((*SHARED, paper.options)), "dataset": paper.dataset}
    old = _parsed(stored, fields, given.get("logdir"))
    known = {**values, **old, **given}
    special = contract.defaults(
        paper, known["dataset"], known["network"], known["fidelity"]
    )
    if stored:  # the folder contains all values that define the run
        special = {name: value for name, value in special.items() if name in FREE}
    chosen = {**values, **special, **old, **given}
    chosen["logdir"] = chosen["logdir"] or default_folder(paper.name, chosen["dataset"])
    built = (options.build(of, chosen) for of in (paper.options, *SHARED))
    resolved = Values(paper.name, *built)
    contract.loss(paper, resolved.training.loss, resolved.paper)
    paper.check(resolved.paper, resolved.data.value_range)
    if stored and (contradicted := contradictions(resolved, stored)):
        raise UsageError(
            f"the run in {chosen['logdir']} was started with other options: "
            f"{', '.join(contradicted)}. Choose another --logdir, or leave these options "
            "out to continue the run"
        )
    return resolved


def _parsed(stored, fields, folder):
    try:
        return {
            name: options.from_text(fields[name], text)
            for name, text in stored.items()
            if name in fields
        }
    except UsageError as error:
        raise UserError(f"{folder}/flags.txt is damaged: {error}") from error


def default_folder(model: str, dataset: str) -> str:
    """Returns runs/MODEL-DATASET."""
    return f"runs/{model}-{dataset.replace('/', '-')}"


def contradictions(
    values: Values, stored: Mapping[str, str], except_for: tuple[str, ...] = ()
) -> list[str]:
    """Describes each defining option whose value differs from the stored one.

    If an option is not stored, it had no value or did not exist yet, and its default
    counts.

    Args:
        values: `Values`.
        stored: option -> text, from a run folder.
        except_for: names of options to ignore.

    Returns:
        A list of texts, such as "--seed=2 (there: 1)".
    """
    defaults = {"model": None, **options.defaults((*SHARED, type(values.paper)))}
    old = {
        name: stored.get(name, options.to_text(defaults[name]))
        for name in values.defining()
        if name not in except_for
    }
    return [
        f"--{name}={options.to_text(value)} (there: {old[name]})"
        for name, value in values.defining().items()
        if name in old and not _same(name, value, old[name])
    ]


def _same(name, value, text):
    if name == "model":
        return value == text
    return value == options.from_text(all_fields()[name], text)


def lines(values: Values, steps: int) -> str:
    """Returns the content of flags.txt of a run with `steps` steps."""
    flat = values.flat()
    chosen = values.defining() | {name: flat[name] for name in KEPT_ALTHOUGH_FREE}
    if flat["generator_average"]:
        chosen["generator"] = flat["generator"]
    chosen["steps"] = steps
    return "".join(
        f"--{name}={options.to_text(value)}\n"
        for name, value in chosen.items()
        if value is not None
    )
