"""The command line: pick the paper, lay its defaults under the flags, run the mode."""

import pathlib
import sys

import tensorflow as tf
from absl import app, flags, logging

from reproduction import ledger
from tfgan_papers import data
from tfgan_papers.commands import evaluate, report, sample, study
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.papers import PAPERS, borrowed
from tfgan_papers.runs import collapse, distribution, training
from tfgan_papers.runs.checkpoints import disk_trouble

MODES = {
    "train": evaluate.train,
    "sample": sample.sample,
    "evaluate": evaluate.evaluate,
    "export": sample.export_run,
    "study": study.study,
}
OF_NO_RUN = {"ledger": ledger.ledger, "report": report.report}  # --logdir is none of theirs
HELP = {"--help", "-help", "--helpshort", "-helpshort", "-h", "-?"}

_MODE = flags.DEFINE_enum("mode", "train", [*MODES, *OF_NO_RUN], "What to do with the run.")
_MODEL = flags.DEFINE_enum("model", "gan", list(PAPERS), "The paper.")


def main(arguments):
    try:
        if len(arguments) > 1:
            raise UsageError(f"{arguments[1]!r} is not a flag: write --name=value")
        if _MODE.value in OF_NO_RUN:
            return OF_NO_RUN[_MODE.value]()
        if not evaluate.IMAGES.value:  # they are of no run, and of no paper
            training.lay_defaults()
        MODES[_MODE.value]()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except (OSError, tf.errors.OpError) as error:
        trouble = data.trouble(error)
        if not trouble and (said := disk_trouble(error)):
            file = getattr(error, "filename", None)  # TensorFlow's errors have none
            trouble = f"{file or flags.FLAGS.logdir}: {said}"
        if not trouble:
            raise
        print(f"error: {trouble}", file=sys.stderr)
        sys.exit(1)


def run():
    """Entry point of `main.py` and of the console script."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_ours_or_serious)
    tf.get_logger().setLevel("WARNING")
    if HELP & set(sys.argv[1:]):
        return _help()
    app.run(main)


def _is_ours_or_serious(record):
    """TensorFlow tells of its inside at the level at which a run tells of itself."""
    ours = record.pathname.startswith(str(pathlib.Path(__file__).parent))
    return ours or record.levelno > logging.converter.STANDARD_INFO


def _help():
    """Print the package's flags under the modules that define them."""
    print(sys.modules["__main__"].__doc__ or __doc__)  # a console script has none
    own = flags.FLAGS.find_module_defining_flag(_MODE.name)
    modules = (
        training,
        data,
        collapse,
        evaluate,
        sample,
        study,
        report,
        distribution,
        borrowed,
        *dict.fromkeys(PAPERS.values()),  # two may be in one file
    )
    for name in (own, *(module.__name__ for module in modules)):
        print(flags.FLAGS.module_help(name))


if __name__ == "__main__":
    run()
