"""The command line: pick the paper, lay its defaults under the flags, run the mode."""

import sys

from absl import app, flags, logging

from tfgan_papers import data, evaluation, runtime, sampling, training
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.papers import PAPERS, PLANNED

MODES = {
    "train": evaluation.train,
    "sample": sampling.sample,
    "evaluate": evaluation.evaluate,
    "export": sampling.export_run,
}

_MODE = flags.DEFINE_enum("mode", "train", list(MODES), "What to do with the run.")
_MODEL = flags.DEFINE_enum("model", "gan", [*PAPERS, *PLANNED], "The paper.")


def main(arguments):
    try:
        if len(arguments) > 1:
            raise UsageError(f"{arguments[1]!r} is not a flag: write --name=value")
        training.lay_defaults()
        MODES[_MODE.value]()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def run():
    """Entry point of `main.py` and of the console script."""
    logging.set_verbosity(logging.INFO)
    for module in (training, data, evaluation, sampling, runtime, *PAPERS.values()):
        flags.adopt_module_key_flags(module)
    app.run(main)


if __name__ == "__main__":
    run()
