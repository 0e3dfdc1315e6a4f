"""Runs main.py with samples that are diverse up to step 5 and collapsed from step 10 on.

The samples collapse while the noise of the run is one of its first $COLLAPSING.
"""

import os

from tfgan_papers.cli import run
from tfgan_papers.runs import collapse

measured = collapse.Variety.report


def report(self, model):
    noise_number = model.seed // collapse.NOISES_APART
    collapsing = model.steps_done >= 10 and noise_number < int(os.environ["COLLAPSING"])
    coverage = 0.0 if collapsing else 0.9
    return {**measured(self, model), "diversity": 0.5, "coverage": coverage}


if __name__ == "__main__":
    collapse.Variety.report = report
    run()
