"""A run: from the flags to a run folder with samples, checkpoints and an export."""

import atexit
import contextlib
import fcntl
import importlib.metadata
import json
import pathlib
import platform
import resource
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import flags, logging
from tensorboard.plugins.hparams import api as hparams

from tfgan_papers import data, figures, losses, noise
from tfgan_papers.errors import TrainingFailure, UsageError, UserError
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.papers import PAPERS, borrowed
from tfgan_papers.runs import callbacks, collapse, distribution, export, records
from tfgan_papers.runs.checkpoints import Checkpoints

FLAGS = flags.FLAGS
_LOSS = flags.DEFINE_string("loss", None, "Adversarial loss; the paper's own by default.")
_TARGETS = {
    name: flags.DEFINE_float(name, target, f"Target of {whose}; --loss=least_squares.")
    for name, target, whose in (
        ("a", 0.0, "D for samples"),
        ("b", 1.0, "D for data"),
        ("c", 1.0, "G for samples"),
    )
}
_FIDELITY = flags.DEFINE_enum(
    "fidelity",
    "paper",
    ["paper", "code"],
    "Where the paper and its authors' code conflict: which to follow.",
)
_NETWORK = flags.DEFINE_string(
    "network", "", "Networks of the paper by name; those for the data set by default."
)
_VALUE_RANGE = flags.DEFINE_enum(
    "value_range", "unit", list(data.RANGES), "Range of the pixels that networks see."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Images a minibatch, over all replicas.", lower_bound=1
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", None, "Of both optimizers, at the start.", lower_bound=0.0
)
_STEPS = flags.DEFINE_integer("steps", 20_000, "Training steps in all.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 1, "Of weights, data order and noise.", lower_bound=0)
_LOGDIR = flags.DEFINE_string(
    "logdir", None, "The run folder, by default runs/MODEL; a run that is there goes on."
)
_REPORT_STEPS = flags.DEFINE_integer(
    "report_steps",
    1000,
    "Steps from one report and sample sheet to the next.",
    lower_bound=1,
)
_CHECKPOINT_STEPS = flags.DEFINE_integer(
    "checkpoint_steps", 5000, "Steps from one checkpoint to the next.", lower_bound=1
)
_TENSORBOARD_PORT = flags.DEFINE_integer(
    "tensorboard_port", 0, "Serve TensorBoard on this port while training; 0 does not.",
    lower_bound=0, upper_bound=65_535,
)  # fmt: skip

_GENERATOR_AVERAGE = flags.DEFINE_float(
    "generator_average", 0.0, "Keep an average of the generator's weights, which moves so "
    "far towards them in each of its steps, such as 0.001; 0 keeps none.",
    lower_bound=0.0, upper_bound=0.999,
)  # fmt: skip
_GENERATOR = flags.DEFINE_enum(
    "generator", "averaged", ["averaged", "raw"], "Which generator to sample, score and "
    "export, where the run has an average.",
)  # fmt: skip

# Flags that say where a run goes or how far, not what it computes.
WHERE = {
    "logdir", "steps", "report_steps", "checkpoint_steps", "tensorboard_port", "data_dir",
    "download",
}  # fmt: skip
# Free to change when a run folder is used again: these, and those of its scores.
FREE = WHERE | {"validation_split", "test_split", "generator"}
FREE_YET_KEPT = ("steps", "data_dir", "on_collapse")  # in flags.txt
SHEET = (8, 8)  # rows and columns of the sheet at fixed latents
POINTS = 5120  # samples in a picture of points (LSGAN, mixture_gaussian/: 10 batches)
SHEET_SEED = 0  # of its latents, the same in every run, so that runs compare


class Settings(NamedTuple):
    """What a paper's `build` needs to know."""

    dataset: str
    network: str
    loss: losses.AdversarialLoss | Callable  # what the paper's LOSSES has
    fidelity: str
    seed: int
    learning_rate: float
    batch_size: int
    steps_per_epoch: int
    shape: tuple[int, ...]  # of one example
    mean: np.ndarray  # mean example, in the network's value range
    classes: int  # of the labels; 0 without


class Run:
    """A run folder, by default --logdir, and what the flags say about it."""

    def __init__(self, folder: str | None = None):
        self.folder = pathlib.Path(folder or _LOGDIR.value).expanduser()
        self.paper = PAPERS[FLAGS.model]
        self.facts = self.read("run.json") or {}

    def read(self, name: str):
        """A JSON file of the folder, or None if it is not there."""
        path = self.folder / name
        try:
            return json.loads(path.read_text()) if path.is_file() else None
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from error

    def write(self, name: str, content):
        """A JSON file of the folder, whole or not at all."""
        self.write_text(name, json.dumps(content, indent=2) + "\n")

    def write_text(self, name: str, text: str):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{name}.partial"
            partial.write_text(text)
            partial.replace(self.folder / name)
        except OSError as error:
            raise UserError(f"{self.folder / name} cannot be written: {error}") from error

    def lock(self):
        """Have the folder for this process alone to train in, until it ends.

        Raises:
            UserError: another one trains there, or the folder cannot be written.
        """
        path = self.folder / "lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error}") from error
        atexit.register(file.close)  # to close any file of it gives the lock back
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(
                f"another process trains in {self.folder}: wait for its end, or name "
                "another --logdir"
            ) from error

    def check_data(self, examples: data.Examples):
        """Note of which data the run is, or see that it is of these.

        Raises:
            UserError: it was of others.
        """
        found = {
            "shape": list(examples.shape),
            "examples": examples.size,
            "classes": examples.classes,
        }
        there = {name: self.facts.get(name, value) for name, value in found.items()}
        if there != found:
            other = ", ".join(
                f"{name} {found[name]} (there: {there[name]})"
                for name in found
                if found[name] != there[name]
            )
            raise UserError(
                f"--dataset={FLAGS.dataset} is not what the run in {self.folder} was "
                f"started with: {other}. Use the same data, or another --logdir"
            )
        self.facts |= found

    def minibatches_per_step(self) -> int:
        """How many minibatches a training step takes from the data."""
        of_paper = getattr(self.paper, "minibatches_per_step", None)
        return of_paper() if of_paper else 1

    def settings(
        self, shape: Sequence[int], mean: np.ndarray, size: int, classes: int
    ) -> Settings:
        return Settings(
            dataset=FLAGS.dataset,
            network=_NETWORK.value,
            loss=_loss(),
            fidelity=_FIDELITY.value,
            seed=_SEED.value,
            learning_rate=_LEARNING_RATE.value,
            batch_size=_BATCH_SIZE.value,
            steps_per_epoch=max(1, size // _BATCH_SIZE.value),
            shape=tuple(shape),
            mean=mean,
            classes=classes,
        )

    def build(self, settings: Settings, **options) -> AdversarialModel:
        """The paper's model, with what every model can have.

        Raises:
            UsageError: its samples cannot be in the range of the data, or its generator
                cannot be averaged, or is not.
        """
        model = self.paper.build(settings, **options)
        data.ranges.check(model.generator, FLAGS.value_range)
        if not _GENERATOR_AVERAGE.value:
            if FLAGS["generator"].present:
                raise UsageError(
                    f"--generator={_GENERATOR.value} chooses where a run keeps an average "
                    "of its generator, and this has none: see --generator_average"
                )
            return model
        if not model.adversary:
            raise UsageError(
                f"--generator_average is of a generator with an adversary: --model="
                f"{FLAGS.model} scores by the decoder that it trains"
            )
        model.average_generator(_GENERATOR_AVERAGE.value)
        if _GENERATOR.value == "raw":
            model.sampled = model.generator
        return model

    def restored(self, kind: str = "last") -> tuple[AdversarialModel, int]:
        """The trained model of this folder, on one device, and its step.

        Raises:
            UserError: there is no trained run here.
        """
        if not self.facts:
            raise UserError(f"{self.folder} is not a run folder: train there first")
        keras.config.set_dtype_policy(FLAGS.mixed_precision)
        shape, classes = self.facts["shape"], self.facts.get("classes", 0)
        settings = self.settings(shape, np.zeros(shape), self.facts["examples"], classes)
        model = self.build(settings, jit_compile=False)
        step = Checkpoints(self.folder / "checkpoints", model).restore(kind)
        if step is None:
            raise UserError(f"{self.folder} has no checkpoint ({kind}): train there first")
        return model, step


def _loss():
    """What --loss names, with the targets of least squares."""
    if _LOSS.value != "least_squares":
        given = [
            f"--{name}" for name in _TARGETS if FLAGS[name].value != FLAGS[name].default
        ]
        if given:
            raise UsageError(
                f"{', '.join(given)} goes with --loss=least_squares, not {_LOSS.value}"
            )
        return PAPERS[FLAGS.model].LOSSES[_LOSS.value]
    try:
        return losses.least_squares(**{n: flag.value for n, flag in _TARGETS.items()})
    except ValueError as error:
        raise UsageError(f"--loss=least_squares: {error}") from error


def defining_flags() -> dict:
    """The flags that decide what a run computes, as name -> value."""
    modules = FLAGS.flags_by_module_dict()
    names = {"model", "mixed_precision", "deterministic"}
    read = filter(_built_on, (*PAPERS.values(), borrowed))
    for module in (__name__, data.__name__, *(m.__name__ for m in read)):
        names |= {flag.name for flag in modules.get(module, ())}
    return {name: FLAGS[name].value for name in sorted(names - FREE)}


def _built_on(module):
    """Whether the paper of --model is this module, or imports it."""
    paper = PAPERS[FLAGS.model]
    return any(value is module for value in (paper, *vars(paper).values()))


def _foreign():
    """The user's flags that only models other than --model read."""
    modules = FLAGS.flags_by_module_dict()
    others = (m for m in (*PAPERS.values(), borrowed) if not _built_on(m))
    unread = {flag.name for m in others for flag in modules.get(m.__name__, ())}
    return [f"--{name}" for name in sorted(unread) if FLAGS[name].present]


def lay_defaults():
    """Lay the paper's numbers, and over them an existing run's, under the user's flags.

    Raises:
        UsageError: the user's flags contradict the run in the folder, or each other.
    """
    FLAGS.set_default("logdir", f"runs/{FLAGS.model}")
    stored = _stored_flags(pathlib.Path(_LOGDIR.value).expanduser() / "flags.txt")
    for name in ("model", "dataset", "network"):  # the paper's defaults depend on these
        if name in stored:
            FLAGS.set_default(name, stored[name])
    if foreign := _foreign():
        raise UsageError(f"--model={FLAGS.model} does not take {', '.join(foreign)}")
    under = PAPERS[FLAGS.model].defaults(FLAGS.dataset, FLAGS.network)
    for name, value in {**under, **stored}.items():
        FLAGS.set_default(name, value)
    losses = PAPERS[FLAGS.model].LOSSES
    if _LOSS.value not in losses:
        raise UsageError(
            f"--loss={_LOSS.value}: --model={FLAGS.model} takes {', '.join(losses)}"
        )
    if contradicted := _contradicted(stored):
        raise UsageError(
            f"the run in {_LOGDIR.value} was started otherwise: {', '.join(contradicted)}. "
            "Use another --logdir, or leave these flags out to go on with it"
        )


def _contradicted(stored, but_for=()):
    """What a run's flags have otherwise than these flags, for people. A flag that the run
    does not have stored had no value, or was not there yet: then its default holds."""
    names = sorted(defining_flags().keys() - set(but_for)) if stored else []
    there = {name: stored.get(name, _written(FLAGS[name].default)) for name in names}
    return [
        f"--{name}={_written(FLAGS[name].value)} (there: {there[name]})"
        for name in names
        if _written(FLAGS[name].value) != there[name]
    ]


def companion(folder: str, but_for: Sequence[str]) -> Run:
    """Another run of the flags of --logdir's, but for those named.

    Raises:
        UsageError: it has others.
    """
    run = Run(folder)
    stored = _stored_flags(run.folder / "flags.txt")
    if contradicted := _contradicted(stored, but_for):
        raise UsageError(f"{folder} is another kind of run: {', '.join(contradicted)}")
    return run


def _written(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def _stored_flags(path):
    if not path.is_file():
        return {}
    try:
        lines = [line for line in path.read_text().splitlines() if line.startswith("--")]
        pairs = (line.removeprefix("--").partition("=") for line in lines)
        stored = {name: value for name, _, value in pairs if name in FLAGS}
        for name, value in stored.items():
            FLAGS[name].parser.parse(value)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return stored


def train(make_score=None):
    """Train, or go on with, the run of --logdir.

    Args:
        make_score: the training examples -> (model -> float, higher is better), which
            chooses the best checkpoint. Called when TensorFlow is configured, before
            training.
    """
    strategy = distribution.start(_SEED.value)
    run = Run()
    chief = distribution.is_chief(strategy)
    if chief and run.facts:  # else when nothing is left to refuse
        run.lock()
    batch_size = _BATCH_SIZE.value * run.minibatches_per_step()
    distribution.check(strategy, batch_size)
    collapse.check(strategy)
    if _REPORT_STEPS.value % (FLAGS.steps_per_execution or 1):
        raise UsageError(
            f"--report_steps={_REPORT_STEPS.value} is not a multiple of "
            f"--steps_per_execution={FLAGS.steps_per_execution}"
        )
    examples = data.load(FLAGS.train_split)
    run.check_data(examples)
    settings = run.settings(
        examples.shape,
        examples.mean(FLAGS.value_range),
        examples.size,
        examples.classes,
    )
    score = make_score(examples) if make_score else None
    options, why = _compile_options(strategy, run, settings, examples, batch_size)
    logging.info("jit_compile: %s (%s)", options["jit_compile"], why)
    with distribution.scope(strategy):
        model = run.build(settings, **options)
    checkpoints = Checkpoints(run.folder / "checkpoints", model)
    done = checkpoints.restore() or 0
    distribution.check_standing(strategy, done)
    if not done:
        start = getattr(run.paper, "start", borrowed.start)
        start(model, examples, FLAGS.value_range)
    if chief:
        run.lock()
    if not done and collapse.ON_COLLAPSE.value == "rollback":
        checkpoints.save(0, "history", keep=None)  # one to go back to in any case
    run.facts |= {**options, "jit_compile_why": why}
    run.facts.setdefault("run_id", _run_id())
    run.facts.setdefault("commit", records.commit())
    if chief:
        run.write("run.json", run.facts)
        chooses = () if model.averaged_generator is None else ("generator",)
        free = {name: FLAGS[name].value for name in (*FREE_YET_KEPT, *chooses)}
        stored = {**defining_flags(), **free}
        (run.folder / "failure.json").unlink(missing_ok=True)  # it is tried again
        lines = [f"--{k}={_written(v)}" for k, v in stored.items() if v is not None]
        run.write_text("flags.txt", "\n".join(lines) + "\n")
    if done:
        logging.info("going on from step %d in %s", done, run.folder)
    if _TENSORBOARD_PORT.value and chief:
        print(f"TensorBoard: {_tensorboard(run.folder)}", flush=True)
    steps_a_call = options["steps_per_execution"]
    _fit(run, model, checkpoints, score, strategy, examples, batch_size, done, steps_a_call)


def _tensorboard(folder):
    """Serve TensorBoard from a process of its own while this one lives; the address."""
    port = _TENSORBOARD_PORT.value
    with socket.socket() as probe:  # TensorBoard would say so minutes later, elsewhere
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}): name another with "
                "--tensorboard_port, or leave it out"
            ) from error
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, "--port", str(port)], **quiet)
    atexit.register(server.terminate)
    return f"http://localhost:{port}"


def _compile_options(strategy, run, settings, examples, batch_size):
    """`distribution.compile_options`, or what this run began with: a resumed run must not
    change its arithmetic."""
    if "jit_compile" in run.facts and FLAGS.jit_compile == "auto":
        facts = run.facts
        steps = FLAGS.steps_per_execution or facts.get("steps_per_execution", 1)
        if _REPORT_STEPS.value % steps:  # the period is another now
            steps = 1
        options = {"jit_compile": facts["jit_compile"], "steps_per_execution": steps}
        return options, facts["jit_compile_why"]

    def model_of(jit_compile):
        return run.build(settings, jit_compile=jit_compile)

    def batch_of(model):
        return next(iter(_stream(run, examples, model, batch_size, 0)))

    return distribution.compile_options(strategy, model_of, batch_of, _REPORT_STEPS.value)


def _stream(run, examples, model, batch_size, seed, done=0):
    """What `model` trains on, from the batch after step `done` on."""
    if hasattr(run.paper, "stream"):
        return run.paper.stream(examples, batch_size, seed, FLAGS.value_range, done)
    return examples.stream(
        batch_size, seed, FLAGS.value_range, done, labels=model.classes > 0
    )


def _run_id():
    now = time.strftime("%Y%m%d-%H%M%S")
    return f"{FLAGS.model}-{FLAGS.dataset}-{now}-seed{_SEED.value}"


def _checkpoint_every():
    """--checkpoint_steps, rounded up to whole report periods."""
    return -(-_CHECKPOINT_STEPS.value // _REPORT_STEPS.value) * _REPORT_STEPS.value


def _fit(
    run, model, checkpoints, score, strategy, examples, batch_size, done, steps_a_call
):
    """Train to --steps; then the export and the summary."""
    total, period = _STEPS.value, _REPORT_STEPS.value
    chief, bar = distribution.is_chief(strategy), sys.stdout.isatty()
    interruption, writer = callbacks.Interruption(), tf.summary.create_noop_writer()
    if chief:
        writer = tf.summary.create_file_writer(str(run.folder / "tensorboard"))
    keeper = callbacks.Keeper(checkpoints, _checkpoint_every(), writer, score)
    watch = _collapse_watch(run, model, checkpoints, writer, examples)
    if chief:
        _write_flags(writer)
        reporter = callbacks.Reporter(writer, total, batch_size, lines=not bar)
        draw = sheet_drawer(model, examples)
        samples = callbacks.Samples(writer, draw, run.folder / "samples")
        # measured before the last checkpoint, after which there may be no step to time
        measure = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: _measure(run, reporter, batch_size)
        )
        watchers = [interruption, reporter, samples, watch, measure, keeper]
    else:  # the chief alone writes the run folder
        watchers = [interruption, callbacks.Guard()]
    with interruption, _failure_kept(run, chief):
        segments = _segments(done, total, period)
        while segment := next(segments, None):
            steps, periods = segment
            planned = done + steps * periods
            stream = _stream(run, examples, model, batch_size, _SEED.value, done)
            _set_steps_per_execution(model, steps, steps_a_call)
            model.fit(
                distribution.distribute(strategy, stream),
                steps_per_epoch=steps,
                initial_epoch=done // period,
                epochs=done // period + periods,
                callbacks=watchers,
                shuffle=False,  # it is
                verbose=int(bar and chief),
            )
            done = model.steps_done
            if interruption.signum:
                break
            if done != planned:  # rolled back
                segments = _segments(done, total, period)
        if chief:
            keeper.keep(model)
    if not chief:
        sys.exit(128 + interruption.signum if interruption.signum else 0)
    if interruption.signum:
        print(f"interrupted at step {done}: the same command goes on from there")
        sys.exit(128 + interruption.signum)
    if reporter.seconds_per_step:
        _measure(run, reporter, batch_size)
    elif (run.read("summary.json") or {}).get("steps") == done:
        print(f"the run in {run.folder} is complete; --steps=N takes it further")
        return
    export.export(model, run.folder / "export", FLAGS.value_range, manifest(run, done))
    watch.conclude()
    _summarize(run, model, watch, strategy)


@contextlib.contextmanager
def _failure_kept(run, chief):
    """failure.json for a training that failed: unlike any other end, it is a result."""
    try:
        yield
    except TrainingFailure as failure:
        if chief:
            run.write("failure.json", {"reason": failure.reason})
        raise


def _collapse_watch(run, model, checkpoints, writer, examples):
    """The watch, with examples from all over the data."""
    n = min(collapse.EXAMPLES, examples.size)
    labels = model.classes > 0
    stream = examples.stream(n, collapse.SEED, FLAGS.value_range, labels=labels)
    real = next(iter(stream))
    return collapse.Watch(run, model, checkpoints, writer, real, _REPORT_STEPS.value)


def _set_steps_per_execution(model, steps, asked):
    """As asked, where an epoch of `steps` divides by it: Keras would overrun."""
    fitting = asked if steps % asked == 0 else 1
    if model.steps_per_execution != fitting:
        model.steps_per_execution = fitting
        model.make_train_function(force=True)


def _segments(done, total, period):
    """(steps an epoch, epochs) from step `done` to `total`: one step on its own, which
    shows what compiling takes; up to the next report; whole periods; what is left."""
    if done < total:
        yield 1, 1
        done += 1
    aligned = min(total, -(-done // period) * period)
    if done < aligned:
        yield aligned - done, 1
    if (total - aligned) // period:
        yield period, (total - aligned) // period
    if aligned < total and (total - aligned) % period:
        yield (total - aligned) % period, 1


def sheet_drawer(model, examples):
    """model -> its samples at latents that are the same in every run, and their picture."""
    rows, columns = SHEET
    images = len(examples.shape) == 3
    seed = tf.constant([SHEET_SEED, 0], tf.int64)
    n = rows * columns if images else POINTS
    z = noise.latents(model.prior_law, seed, (n, model.latent_dim))
    labels = sheet_labels(model, rows, columns)
    real = None if images else examples.all(FLAGS.value_range, POINTS)
    to_pixels = data.RANGES[FLAGS.value_range].to_pixels

    def draw(model):
        samples = to_pixels(model.generate(z, labels)).numpy()
        if images:
            return samples, figures.sheet(samples, columns)
        if examples.shape == (1,):
            picture = figures.line(
                z.numpy(), samples, real, lambda x: model.verdict(x).numpy()
            )
            return samples, picture
        return samples, figures.plane(samples, real)

    return draw


def sheet_labels(model, rows, columns):
    """A class a row, evenly over all of them, int32; None without classes."""
    if not model.classes:
        return None
    classes = np.linspace(0, model.classes - 1, min(rows, model.classes))
    of_row = np.resize(np.rint(classes), rows)
    return tf.constant(np.repeat(of_row, columns), tf.int32)


def _write_flags(writer):
    """The flags into TensorBoard: as text, and as hyper-parameters of the run."""
    values = {k: v for k, v in defining_flags().items() if v is not None}
    rows = "\n".join(f"| {name} | {value} |" for name, value in values.items())
    with writer.as_default(0):
        tf.summary.text("flags", f"| flag | value |\n|---|---|\n{rows}")
        hparams.hparams(values)


def manifest(run: Run, step: int) -> dict:
    """Further entries of the export's manifest.json."""
    return {"model": FLAGS.model, "run_id": run.facts["run_id"], "step": step, **versions()}


def versions() -> dict:
    packages = ("tfgan-papers", "tensorflow", "keras", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"versions": {**found, "python": platform.python_version()}}


def _trainable(network):
    """How many trainable weights: the figure that papers give."""
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def _measure(run, reporter, batch_size):
    """Into run.json what summary.json says of speed and scalars. Times of a process that
    has taken one step, which compiles, do not replace those of one before."""
    measured = run.facts.setdefault("measured", {})
    if not measured or reporter.seconds_per_step[1:]:
        ms_per_step = reporter.ms_per_step()
        measured |= {
            "images_per_second": 1e3 * batch_size / ms_per_step,
            "ms_per_step": ms_per_step,
            "compile_seconds": reporter.compile_seconds(),
            "reporting_share": reporter.reporting_share(),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    measured["scalars"] = reporter.scalars
    run.write("run.json", run.facts)


def _summarize(run, model, watch, strategy):
    """summary.json."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    run.write(
        "summary.json",
        {
            "run_id": run.facts["run_id"],
            "command": shlex.join(["python", *sys.argv]),
            "model": FLAGS.model,
            "loss": _LOSS.value,
            "dataset": FLAGS.dataset,
            "steps": model.steps_done,
            "batch_size": _BATCH_SIZE.value,
            "seed": _SEED.value,
            **run.facts["measured"],
            "parameters": {name: _trainable(net) for name, net in networks.items()},
            "generator": model.sampled_is,
            "collapse": watch.summary(),
            "jit_compile": run.facts["jit_compile"],
            "jit_compile_why": run.facts["jit_compile_why"],
            "mixed_precision": FLAGS.mixed_precision,
            "strategy": FLAGS.strategy,
            "replicas": strategy.num_replicas_in_sync,
            "machine": records.machine(),
            **versions(),
        },
    )
    print(f"{model.steps_done} steps; samples, export and summary.json are in {run.folder}")
