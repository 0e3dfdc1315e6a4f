"""Entry point of `main.py`, of `python -m tfgan_papers` and of the console script."""

import gc
import sys


def run():
    """Runs the command line. Ctrl-C ends the process without a traceback, also during the
    import of TensorFlow, which takes seconds. Training has a handler of its own.

    The garbage collector leaves out the million objects that the imports make: most stay to
    the end, and going through them takes a second. Nothing is collected at the exit, which
    would take another.
    """
    try:
        gc.disable()
        from tfgan_papers import cli

        gc.freeze()
        gc.enable()
        cli.run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()


if __name__ == "__main__":
    run()
