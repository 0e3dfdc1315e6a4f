"""Measures how sharp a GAN's distribution can be (GAN, 2014, Sec. 6).

    python benchmarks/sharp_samples.py --seeds=5 --record=results/gan_sharp.json

trains the GAN on ten digits, one of each class: a degenerate distribution of ten points.
It draws samples from the export and measures their distance to the nearest of the ten, as
a share of the smallest distance between two of the ten.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
IMAGES, SAMPLES, SHARE = 10, 1000, 0.02
FLAGS = (
    *("--model=gan", f"--train_split=train[:{IMAGES}]", f"--batch_size={IMAGES}"),
    "--learning_rate=0.02",  # at 0.1, the default, the first of these runs diverged
)


def measured(samples, images):
    """The median distance of the samples to the nearest image, relative to the smallest
    distance between two images; and the number of images that are the nearest of at least
    2% of the samples.

    Args:
        samples, images: uint8 (n, height, width, channels).
    """
    from scipy.spatial.distance import cdist, pdist

    samples, images = (np.reshape(x, (len(x), -1)).astype(float) for x in (samples, images))
    distances = cdist(samples, images)
    counts = np.bincount(distances.argmin(1), minlength=len(images))
    relative = np.median(distances.min(1)) / pdist(images).min()
    return float(relative), int((counts >= SHARE * len(samples)).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--record")
    own = parser.parse_args()
    import tensorflow as tf

    from benchmarks.default_runs import train
    from tfgan_papers import data
    from tfgan_papers.files import read_json
    from tfgan_papers.runs import records

    digits = data.load(f"train[:{IMAGES}]", data.DataOptions(dataset="digits"))
    images = data.RANGES["unit"].to_pixels(digits.all("unit")).numpy()
    runs, seeds = [], list(range(1, own.seeds + 1))
    with tempfile.TemporaryDirectory() as temporary:
        for seed in seeds:
            folder = pathlib.Path(temporary, f"seed-{seed}")
            train([*FLAGS, f"--seed={seed}"], folder)
            served = tf.saved_model.load(str(folder / "export"))
            samples = served.sample(tf.constant(SAMPLES), tf.constant(1, tf.int64)).numpy()
            distance, covered = measured(samples, images)
            steps = read_json(folder / "summary.json")["steps"]
            runs.append({"seed": seed, "distance": distance, "images_covered": covered})
            print(f"seed {seed}: distance {distance:.4f}, {covered} of {IMAGES} images")
    if own.record:
        records.write_value(
            own.record,
            quantity="median distance of a sample to the nearest of ten training images, "
            "to the smallest between two of them; the largest of all runs",
            dataset="digits",
            unit="times",
            value=max(run["distance"] for run in runs),
            seeds=seeds,
            steps=steps,
            run_id="gan-digits-sharp",
            runs=runs,
            flags=FLAGS,
            command=records.command(),
        )


if __name__ == "__main__":
    main()
