"""Entry point of `main.py`, of `python -m tfgan_papers` and of the console script."""

import sys


def run():
    """Runs the command line. Ctrl-C during the import of TensorFlow, which takes seconds,
    ends the process without a traceback."""
    try:
        from tfgan_papers import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.run()


if __name__ == "__main__":
    run()
