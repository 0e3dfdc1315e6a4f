"""Measures the cost of virtual batch normalization in G (Improved GAN, 2016, Sec. 3.5).

    python benchmarks/virtual_batch_norm.py --record=results/virtual_batch_norm.json

times the forward pass of Improved GAN's generator for CIFAR-10, with batch normalization
and with virtual batch normalization of a reference batch of the same size. Both take turns,
so that other load on the machine affects them equally; the ratio is computed within a turn.
"""

import argparse
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
BATCH, TURNS, PASSES = 100, 30, 5


def generators():
    """The generator with batch normalization, and with a reference batch of BATCH."""
    import numpy as np

    from tfgan_papers.layers.initializers import Draw
    from tfgan_papers.models import surgery
    from tfgan_papers.papers import improved_gan_networks as networks

    draw = Draw(0)
    plain, _ = networks.image_networks((32, 32, 3), 10, draw, filters=96)
    reference = np.random.default_rng(1).uniform(size=(BATCH, networks.LATENT_DIM))
    reference, gains = reference.astype("float32"), draw.normal(0.02, 1.0)
    return plain, surgery.with_virtual_batch_normalization(plain, reference, gains)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record")
    own = parser.parse_args()
    import tensorflow as tf

    from tfgan_papers.runs import records

    z = tf.random.stateless_uniform((BATCH, 100), (0, 1))
    passes = [
        tf.function(lambda x, network=network: network(x, training=True))
        for network in generators()
    ]
    for forward in passes:
        forward(z)
    times = []
    for _ in range(TURNS):
        turn = []
        for forward in passes:
            start = time.perf_counter()
            for _ in range(PASSES):
                images = forward(z)
            images.numpy()
            turn.append((time.perf_counter() - start) / PASSES)
        times.append(turn)
    ratios = [virtual / plain for plain, virtual in times]
    quartiles = statistics.quantiles(ratios, n=4)
    low, middle, high = quartiles
    milliseconds = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    print("ms: {:.1f} batch, {:.1f} virtual".format(*milliseconds))
    print(f"ratio {middle:.2f} [{low:.2f}, {high:.2f}]")
    if own.record:
        records.write_value(
            ROOT / own.record,
            quantity="time of G's forward pass, virtual to batch normalization",
            dataset="none: the inputs are latents",
            unit="times",
            value=middle,
            quartiles=quartiles,
            ms_batch=milliseconds[0],
            ms_virtual=milliseconds[1],
            steps=TURNS * PASSES,
            seeds=[0],
            command=records.command(),
        )


if __name__ == "__main__":
    main()
