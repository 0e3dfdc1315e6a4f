"""Runs the command line. `python main.py --help` shows the options."""

from tfgan_papers.__main__ import run

if __name__ == "__main__":
    run()
