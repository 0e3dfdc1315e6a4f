"""Measures whether images change smoothly along straight lines in z (GAN, 2014, Fig. 3).

    python benchmarks/straight_lines.py --logdir=runs/gan_mnist \
        --record=results/gan_mnist_lines.json

draws lines between latents of the prior, with 17 images each, and measures

    largest step    the largest distance between two neighbouring images, as a share of the
                    length of the line: 1/16 if all are equal, 1 if the image jumps once
    off the data    the distance to the nearest training image of the images in the inner
                    half of the line, relative to that of the samples at its ends. The same
                    is measured for cross-fades of the two end images, which are smooth too,
                    but not images of the data.

Distances are Euclidean, the first between pixels, the second between features of the
classifier for the data.
"""

import argparse
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
LINES, POINTS, SEED = 500, 17, 1
CACHE = "~/.cache/tfgan_papers"


def between(ends, points):
    """Equally spaced points from each ends[0][i] to ends[1][i], (n, points, ...)."""
    starts, stops = (np.asarray(end, np.float32)[:, None] for end in ends)
    shares = np.linspace(0, 1, points, dtype=np.float32)
    shares = shares.reshape(1, -1, *(1,) * (starts.ndim - 2))
    return starts + shares * (stops - starts)


def largest_steps(images):
    """The largest step of each line as a share of its length.

    Args:
        images: (lines, points, ...).
    """
    rows = np.reshape(images, (*images.shape[:2], -1)).astype(np.float64)
    steps = np.linalg.norm(np.diff(rows, axis=1), axis=2)
    return steps.max(1) / steps.sum(1)


def off_the_data(distances):
    """The median distance in the inner half of the lines, relative to that at their ends.

    Args:
        distances: (lines, points), to the nearest training image.
    """
    points = distances.shape[1]
    inner = distances[:, points // 4 : points - points // 4]
    return float(np.median(inner) / np.median(distances[:, [0, -1]]))


def nearest(features, training):
    """Distance from each row to the nearest of `training`."""
    from tfgan_papers.metrics import neighbours

    squares = [found.min(1) for _, found in neighbours.blocks(features, training)]
    return np.sqrt(np.concatenate(squares))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logdir", required=True)
    parser.add_argument("--record")
    own = parser.parse_args()
    import tensorflow as tf

    from tfgan_papers import data, noise
    from tfgan_papers.metrics import features
    from tfgan_papers.runs import records, settings
    from tfgan_papers.runs.folder import RunFolder
    from tfgan_papers.runs.run import Run

    stored = RunFolder(own.logdir).stored_options()
    run = Run(settings.resolve({"logdir": own.logdir}, stored))
    model, step = run.restored()
    of = run.values.data
    train, test = (data.load(split, of) for split in (of.train_split, of.test_split))
    network = features.classifier(train, test, pathlib.Path(CACHE).expanduser())

    seed = tf.constant([SEED, 0], tf.int64)
    z = noise.latents(model.prior_name, seed, (2 * LINES, model.latent_dim)).numpy()
    on_lines = between((z[:LINES], z[LINES:]), POINTS).reshape(-1, model.latent_dim)
    drawn = model.generate_in_graph(tf.constant(on_lines))
    to_pixels = data.RANGES[of.value_range].to_pixels
    images = to_pixels(drawn).numpy().reshape(LINES, POINTS, *train.shape)
    fades = np.uint8(np.rint(between((images[:, 0], images[:, -1]), POINTS)))

    def applied(batches):
        return np.asarray(features.activations(network, batches).features)

    training = applied(to_pixels(block).numpy() for block in blocks(train, of.value_range))
    apart = []
    for lines in (images, fades):
        rows = lines.reshape(-1, *train.shape)
        seen = applied(rows[i : i + 500] for i in range(0, len(rows), 500))
        apart.append(off_the_data(nearest(seen, training).reshape(LINES, POINTS)))
    steps = np.quantile(largest_steps(images), 0.95)
    print(f"largest step of 95% of the lines: {steps:.3f} of their length")
    print("off the data: {:.3f}, cross-fades {:.3f}".format(*apart))
    if own.record:
        records.write_value(
            own.record,
            quantity="distance to the nearest training image on a line, to its ends'",
            dataset=of.dataset,
            unit="times",
            value=apart[0],
            of_cross_fades=apart[1],
            largest_step=float(steps),
            lines=LINES,
            features_sha256=network.sha256,
            steps=step,
            seeds=[run.values.training.seed],
            run_id=run.facts.get("run_id"),
            trained_by=(run.folder.read("summary.json") or {}).get("command"),
            command=records.command(),
        )


def blocks(examples, value_range):
    """All examples in parts, in the value range of the networks."""
    images = examples.all(value_range)
    return (images[i : i + 500] for i in range(0, len(images), 500))


if __name__ == "__main__":
    main()
