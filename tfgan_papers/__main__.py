"""Entry point of `main.py`, of `python -m tfgan_papers` and of the console script."""

import sys


def run():
    """Runs the command line. Ctrl-C ends the process without a traceback, also during the
    import of TensorFlow, which takes seconds. Training has a handler of its own."""
    try:
        from tfgan_papers import cli

        cli.run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
