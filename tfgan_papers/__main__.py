"""`python -m tfgan_papers` is `main.py`."""

from tfgan_papers.cli import run

if __name__ == "__main__":
    run()
