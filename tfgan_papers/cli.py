"""The command line: defines flags from the option classes and runs the modes."""

import dataclasses
import functools
import logging as stdlib_logging
import pathlib
import shutil
import sys
import textwrap
from typing import NamedTuple

from absl import app, flags, logging

from tfgan_papers import quiet

with quiet.native_stderr():
    import keras  # noqa: F401
    import tensorflow as tf

from tfgan_papers import data, options
from tfgan_papers.commands import (
    compare,
    evaluate,
    export,
    inference,
    inpainting,
    report,
    sample,
    scoring,
    study,
)
from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options
from tfgan_papers.papers import PAPERS
from tfgan_papers.runs import distribution, records, settings
from tfgan_papers.runs.checkpoints import describe_disk_error
from tfgan_papers.runs.distribution import describe_lost_worker
from tfgan_papers.runs.run import hold_out, open_run

FLAGS = flags.FLAGS
HELP = {"--help", "-help", "--helpfull", "--helpshort", "-helpshort", "-h", "-?"}
BRIEF = (
    *("model", "dataset", "data_dir", "image_size", "loss", "network", "steps"),
    *("batch_size", "learning_rate", "seed", "logdir", "mode", "metrics"),
)
EXAMPLES = """\
  python main.py --model=began --gamma=0.5
  python main.py --model=dcgan --dataset=folder --data_dir=PATH --image_size=32
  python main.py --mode=evaluate --logdir=runs/gan-digits --metrics=diversity"""


class Mode(NamedTuple):
    """A mode; `run` is called with the run of --logdir and an object of `options`."""

    run: object
    options: type[Options]


MODES = {
    "train": Mode(evaluate.train_and_score, scoring.ScoreOptions),
    "sample": Mode(sample.sample, sample.SampleOptions),
    "evaluate": Mode(evaluate.evaluate, scoring.ScoreOptions),
    "export": Mode(export.export_run, export.ExportOptions),
    "infer": Mode(inference.infer, inference.InferenceOptions),
    "inpaint": Mode(inpainting.inpaint, inpainting.InpaintingOptions),
}
GROUPS = {  # heading of the help -> its option classes
    "Data": (data.DataOptions,),
    "Training": (settings.TrainingOptions,),
    "Devices": (settings.MachineOptions,),
    "Scores": (scoring.ScoreOptions,),
    "Samples": (sample.SampleOptions,),
    "Inference": (inference.InferenceOptions,),
    "Inpainting": (inpainting.InpaintingOptions,),
    "Exports": (export.ExportOptions,),
    "Studies": (study.StudyOptions,),
    "Reports": (report.ReportOptions,),
    "Votes of people": (compare.CompareOptions,),
}
OTHER_MODES = ("study", "report", "compare", "ledger")


def define_flags():
    """Defines one absl flag per option. Option classes may share an option."""
    flags.DEFINE_enum("mode", "train", [*MODES, *OTHER_MODES], "What to do.")
    flags.DEFINE_enum("model", None, list(PAPERS), "The paper's model; gan by default.")
    classes = [of for group in GROUPS.values() for of in group]
    papers = [paper.options for paper in PAPERS.values()]
    for name, field in options.fields(*papers, *classes).items():
        _define(name, field)


def _define(name, field):
    kind, default, text = options.kind(field), field.default, field.metadata["help"]
    if name == "grid":
        flags.DEFINE_multi_string(name, list(default), text)
    elif field.metadata["choices"]:
        flags.DEFINE_enum(name, default, list(field.metadata["choices"]), text)
    else:
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
            tuple: flags.DEFINE_list,
        }[kind]
        define(name, list(default) if kind is tuple else default, text)


def given() -> dict[str, object]:
    """Returns option -> value of the flags on the command line and in flagfiles.

    Raises:
        UsageError: a list is there twice, or --logdir is misspelt.
    """
    if FLAGS["log_dir"].present:  # absl's, which would do nothing here
        raise UsageError("--log_dir is not a flag of this program: write --logdir")
    known = options.fields(
        *(of for group in GROUPS.values() for of in group),
        *(paper.options for paper in PAPERS.values()),
    )
    typed = _typed()
    for name, field in known.items():
        several = options.kind(field) is tuple and name != "grid"
        if several and typed.count(name) > 1:  # absl takes the last
            raise UsageError(f"--{name} is there twice: give it once, with commas")
    values = {name: FLAGS[name].value for name in ("model", *known) if FLAGS[name].present}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }


def _typed() -> list[str]:
    """The names of the flags on the command line itself, without those in flagfiles."""
    names = [argument.lstrip("-").partition("=")[0] for argument in sys.argv[1:]]
    return names + [name[2:] for name in names if name.startswith("no")]


def run_mode(mode: str, values: dict[str, object]):
    """Runs a mode with the user's values.

    Args:
        mode: a value of --mode.
        values: option -> value, from `given`.

    Raises:
        UsageError: the options do not fit together.
        UserError: a file or folder is missing, damaged or cannot be written.
    """
    if mode == "ledger":
        return _ledger()
    if mode not in ("train", "report", "study"):  # the last two do not use TensorFlow
        threads = values.pop("threads", 0)  # not those of the run's training
        distribution.configure(distribution.MachineOptions(threads=threads))
    if mode == "report":
        _warn_of_unread(mode, values, options.fields(report.ReportOptions))
        return report.report(options.build(report.ReportOptions, values))
    if mode == "compare":
        _warn_of_unread(mode, values, options.fields(compare.CompareOptions))
        return compare.compare(options.build(compare.CompareOptions, values))
    if mode == "study":
        if "seed" in _typed():  # flagfiles of runs have one
            raise UsageError("--seed: a study has the seeds 1 to --seeds: leave it out")
        return study.study(
            values,
            options.build(study.StudyOptions, values),
            options.build(scoring.ScoreOptions, values),
        )
    function, of = MODES[mode]
    own = options.build(of, values)
    if mode == "evaluate" and own.images:  # images without a run or a paper
        for name in ("checkpoint", "ensemble"):
            if name in values:
                raise UsageError(f"--images are scored without a run: leave out --{name}")
        for name in ("logdir", "model"):
            if name in values:
                logging.warning("--images are scored without a run: --%s has no use", name)
        read = {*options.fields(of, data.DataOptions), "logdir", "model"}
        _warn_of_unread(mode, values, read)
        data.check_used(values.get("dataset", data.DataOptions().dataset), values)
        return evaluate.evaluate_images(options.build(data.DataOptions, values), own)
    fields = options.fields(*settings.SHARED, *(p.options for p in PAPERS.values()))
    of_run = {k: v for k, v in values.items() if k in fields or k == "model"}
    of_training = sample.IN_TRAINING if mode == "train" else ()
    _warn_of_unread(mode, values, {*of_run, *options.fields(of), *of_training})
    if mode == "sample" and own.pretrained:
        if others := sorted(of_run.keys() - {"logdir"}):
            raise UsageError(f"--pretrained does not need a run: leave out --{others[0]}")
        return sample.sample_pretrained(own, of_run.get("logdir"))
    if mode != "train":
        return function(open_run(of_run), own)
    if not FLAGS["mode"].present:
        _check_of_training(values, of_run)
    pictures = options.build(sample.SampleOptions, values)
    run = open_run(of_run)
    distribution.configure(run.values.machine)
    if not run.facts:
        data.check_used(run.values.data.dataset, of_run)
    sample.check_after_training(pictures, run.values.data)
    scoring.check(own, run.values.data)
    function(hold_out(run, of_run), own)
    if pictures.sample:
        picture = sample.sample_folder(run, pictures)
        if own.record:  # this picture instead of the last sheet
            records.add_picture(own.record, picture)


def _warn_of_unread(mode, values, read):
    """Warns of the options in the user's command, not in a flagfile, that an explicit mode
    does not read."""
    if not FLAGS["mode"].present:
        return
    if unread := sorted(values.keys() & set(_typed()) - set(read)):
        names = ", ".join(f"--{name}" for name in unread)
        logging.warning("--mode=%s does not read %s", mode, names)


def _check_of_training(values, of_run):
    """
    Raises:
        UsageError: an option is of another mode, which the user has probably forgotten.
    """
    taken = {*options.fields(scoring.ScoreOptions), *sample.IN_TRAINING}
    if others := sorted(values.keys() - of_run.keys() - taken):
        classes = {name: mode.options for name, mode in MODES.items()}
        classes |= {"study": study.StudyOptions, "report": report.ReportOptions}
        classes |= {"compare": compare.CompareOptions}
        mode = next(m for m, of in classes.items() if others[0] in options.fields(of))
        raise UsageError(f"--{others[0]} goes with --mode={mode}: add it, or leave it out")


def _ledger():
    try:
        from reproduction import ledger  # in the repository only, not in the package
    except ImportError as error:
        raise UsageError("--mode=ledger works only in a checkout of the project") from error
    ledger.ledger()


def main(arguments):
    try:
        if len(arguments) > 1:
            raise UsageError(f"{arguments[1]!r} is not a flag: write --name=value")
        run_mode(FLAGS.mode, given())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except Exception as error:
        if not (text := describe(error, given())):
            raise
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)


def describe(error: Exception, values: dict[str, object]) -> str:
    """Describes an error of the data, the disk, the memory or a worker on one line; others
    as "".

    Args:
        error: the error.
        values: option -> value, from `given`.
    """
    if not isinstance(error, (OSError, MemoryError, tf.errors.OpError)):
        return ""
    if text := describe_lost_worker(error):
        return text
    if text := data.describe_data_error(error, values.get("dataset")):
        return text
    if reason := describe_disk_error(error):
        file = getattr(error, "filename", None)  # TensorFlow's errors have none
        return f"{file or values.get('logdir') or 'the disk'}: {reason}"
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        sizes = "--batch_size, --image_size or --width, or fewer samples"
        return f"the memory is too small: use a smaller {sizes} ({one_line(error)})"
    return ""


def run():
    """Runs the command line; the entry point of `main.py` and the console script."""
    if "mode" not in FLAGS:
        define_flags()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_ours_or_serious)
    logging.get_absl_handler().setFormatter(_Plain())
    tf.get_logger().setLevel("WARNING")
    if HELP & set(sys.argv[1:]):
        try:
            print(help_text(sys.argv[1:]))
        except (UserError, flags.Error) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2 if isinstance(error, UsageError) else 1)
        return
    app.run(main)


_LINES = functools.partial(
    textwrap.TextWrapper, break_long_words=False, break_on_hyphens=False
)


class _Plain(stdlib_logging.Formatter):
    """The message alone, after its level where that is a warning or worse; on a terminal
    in lines that end between words."""

    def format(self, record):
        text = super().format(record)
        if record.levelno > stdlib_logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        if "\n" in text or not sys.stderr.isatty():
            return text
        return "\n".join(_LINES(shutil.get_terminal_size().columns).wrap(text))


def _is_ours_or_serious(record):
    """Filters the log, because TensorFlow logs its internals at the level INFO of a run."""
    ours = record.pathname.startswith(str(pathlib.Path(__file__).parent))
    return ours or record.levelno > logging.converter.STANDARD_INFO


# Help.


def help_text(arguments: list[str]) -> str:
    """Returns the text of --help, with the values that the other arguments determine.

    Args:
        arguments: the command line; --helpshort selects the common options.
    """
    brief = bool({"--helpshort", "-helpshort"} & set(arguments))
    FLAGS([sys.argv[0], *(argument for argument in arguments if argument not in HELP)])
    values = given()
    fields = settings.SHARED
    of_run = options.fields(*fields, *(p.options for p in PAPERS.values()))
    run = settings.resolve({k: v for k, v in values.items() if k in of_run or k == "model"})
    effective = {**values, **run.flat(), "mode": FLAGS.mode}
    title = f"Options of --model={run.model} on --dataset={run.data.dataset}"
    parts = [f"{title}, with their values:", f"Examples:\n{EXAMPLES}"]
    paper = PAPERS[run.model]
    groups = {f"Model {run.model}": (paper.options,), **GROUPS}
    for heading, classes in groups.items():
        own = options.fields(*classes)
        lines = [
            _help_line(field, effective.get(name, field.default), paper)
            for name, field in own.items()
            if not brief or name in BRIEF
        ]
        if lines:
            parts.append(f"{heading}:\n" + "\n".join(lines))
    modes = ", ".join([*MODES, *OTHER_MODES])
    parts.append(f"Mode:\n  --mode={FLAGS.mode}\n" + _wrapped(f"What to do: {modes}."))
    last = f"Models: {', '.join(PAPERS)}. --helpshort shows the common options only."
    parts.append(_wrapped(last, ""))
    return "\n\n".join(parts)


def _help_line(field: dataclasses.Field, value, paper) -> str:
    text = field.metadata["help"]
    special = {"loss": paper.losses, "network": paper.experiments}
    if field.name in special:
        text += f" One of {', '.join(special[field.name])}."
    elif choices := field.metadata["choices"]:
        text += f" One of {', '.join(choices)}."
    shown = "" if value is None else options.to_text(value)
    return f"  --{field.name}={shown}\n{_wrapped(text)}"


def _wrapped(text, indent=" " * 6):
    """The text, indented; on a terminal in lines that end between words."""
    if not sys.stdout.isatty():
        return indent + text
    columns = shutil.get_terminal_size().columns
    return _LINES(columns, initial_indent=indent, subsequent_indent=indent).fill(text)


if __name__ == "__main__":
    run()
