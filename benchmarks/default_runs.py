"""Counts how many of the ten digits the samples of a default run show.

    python benchmarks/default_runs.py --model=began --gamma=0.5 --seeds=5 --times=4 \\
        --record=results/default_began.json

trains the default run of a model with several seeds, for its default number of steps and
for --times as many. Each time, 500 samples of its export are classified by the five nearest
images of its data set, all resized to 8x8 pixels. A digit counts as shown if it is at least
2% of the samples. Other flags are passed to main.py.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
SAMPLES, NEIGHBOURS, SHARE = 500, 5, 0.02


def small(images: np.ndarray) -> np.ndarray:
    """Resizes uint8 images (n, height, width, channels) to vectors of 64 pixels."""
    resized = [
        Image.fromarray(image[..., 0]).resize((8, 8), Image.Resampling.BOX)
        for image in images
    ]
    return np.reshape([np.asarray(image) for image in resized], (len(images), -1))


def names(images: np.ndarray, dataset: str = "digits") -> np.ndarray:
    """Classifies uint8 images (n, height, width, channels) by the nearest of a data set of
    digits. Returns int (n,)."""
    from tfgan_papers import data

    training, labels = data.load("train", data.DataOptions(dataset)).labelled("unit")
    training = np.uint8(np.rint(255 * training))
    neighbours = KNeighborsClassifier(NEIGHBOURS).fit(small(training), labels)
    return neighbours.predict(small(images))


def shown(folder: pathlib.Path, dataset: str) -> list[int]:
    """Draws samples from the export in a run folder and counts those of each digit."""
    import tensorflow as tf

    served = tf.saved_model.load(str(folder / "export"))
    images = served.sample(tf.constant(SAMPLES), tf.constant(1, tf.int64)).numpy()
    counts = collections.Counter(names(images, dataset).tolist())
    return [counts[digit] for digit in range(10)]


def train(arguments, folder):
    """Trains with the command line; exits with its error message if it fails."""
    command = [sys.executable, "main.py", *arguments, f"--logdir={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--record")
    parser.add_argument("--folder", help="keep the runs in this folder")
    own, flags = parser.parse_known_args()
    from tfgan_papers.files import read_json
    from tfgan_papers.options import from_text
    from tfgan_papers.runs import records, settings

    pairs = (flag.removeprefix("--").split("=", 1) for flag in flags)
    fields = settings.all_fields()
    given = {k: v if k == "model" else from_text(fields[k], v) for k, v in pairs}
    values, runs = settings.resolve(given), []
    steps, dataset = values.training.steps, values.data.dataset
    seeds = list(range(own.first_seed, own.first_seed + own.seeds))
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(own.folder or temporary)
        for seed in seeds:
            folder = root / f"seed-{seed}"
            arguments = [*flags, f"--seed={seed}"]
            for factor in dict.fromkeys((1, own.times)):
                train([*arguments, f"--steps={factor * steps}"], folder)
                counts = shown(folder, dataset)
                digits = sum(count >= SHARE * SAMPLES for count in counts)
                summary = read_json(folder / "summary.json")
                runs.append(
                    {
                        "seed": seed,
                        "steps": summary["steps"],
                        "digits": digits,
                        "samples_of_each_digit": counts,
                        "ms_per_step": summary["ms_per_step"],
                        "watch": summary["collapse"],
                    }
                )
                print(f"seed {seed}, {summary['steps']} steps: {digits} digits {counts}")
    if own.record:
        records.write_value(
            own.record,
            quantity="digits with 2% of the samples or more, the least of all runs",
            dataset=dataset,
            unit="of ten digits",
            value=min(run["digits"] for run in runs),
            seeds=seeds,
            steps=own.times * steps,
            run_id=f"{values.model}-{dataset}-default",
            runs=runs,
            flags=flags,
            command=records.command(),
        )


if __name__ == "__main__":
    main()
