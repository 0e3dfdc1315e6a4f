"""Times the two slowest scores, in one process.

    python benchmarks/scores.py [--rounds=5] [--record=benchmarks/scores.json]

- Frechet distance: 10,000 feature vectors of size 2,048, as Inception's. The moments of the
  reference are not included, because a run computes them once.
- Parzen window: 10,000 samples, 10,000 test examples, 784 pixels, one sigma. It is compared
  with one float64 matrix product of that size, which is a lower bound on its time.

The functions take turns in each round.
"""

import argparse
import json
import statistics
import time

import numpy as np

from tfgan_papers.metrics import frechet_distance, parzen_window
from tfgan_papers.metrics.features import Activations
from tfgan_papers.runs import records


def seconds(function):
    """Returns the time of a call in seconds."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", help="write the numbers to this JSON file")
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    features, others = (
        Activations(draw.standard_normal((10_000, 2048), np.float32), np.empty((10_000, 0)))
        for _ in range(2)
    )
    of_others = frechet_distance.moments(others)
    reference = frechet_distance.Reference(
        of_others, frechet_distance.root(of_others.covariance)
    )
    samples, examples = draw.random((2, 10_000, 784))
    turns = {
        "frechet_distance": lambda: frechet_distance.distance(
            frechet_distance.moments(features), reference
        ),
        "parzen_window": lambda: parzen_window.log_likelihoods(samples, examples, [0.2]),
        "product": lambda: samples @ examples.T,
    }
    for function in turns.values():
        function()
    rounds = [
        {name: seconds(function) for name, function in turns.items()}
        for _ in range(options.rounds)
    ]
    middle = {name: statistics.median(r[name] for r in rounds) for name in turns}
    ratio = statistics.median(r["parzen_window"] / r["product"] for r in rounds)
    print(f"Frechet distance, 10,000 x 2,048 features: {middle['frechet_distance']:.2f} s")
    print(f"Parzen window: {middle['parzen_window']:.2f} s, {ratio:.2f} times a product")
    if options.record:
        command = f"python benchmarks/scores.py --rounds={options.rounds}"
        content = {"command": command, "rounds": rounds, "machine": records.machine()}
        with open(options.record, "w") as file:
            json.dump({**content, "date": time.strftime("%Y-%m-%d")}, file, indent=1)


if __name__ == "__main__":
    main()
