"""Runs main.py with samples that are diverse up to step 5 and collapsed from step 10 on.

The samples collapse while the noise of the run is one of its first $COLLAPSING.
"""

import os

from tfgan_papers.cli import run
from tfgan_papers.runs import collapse

look = collapse.Watch.look


def found(self, step):
    collapsing = step >= 10 and self.noise_number < int(os.environ["COLLAPSING"])
    coverage = 0.0 if collapsing else 0.9
    return {**look(self, step), "diversity": 0.5, "coverage": coverage}


if __name__ == "__main__":
    collapse.Watch.look = found
    run()
