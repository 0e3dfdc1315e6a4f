"""Pictures from a trained run, and its export."""

import numpy as np
import tensorflow as tf
from absl import flags

from tfgan_papers import data, evaluation, export, noise, sheets, training
from tfgan_papers.errors import UsageError

FLAGS = flags.FLAGS
_SAMPLE = flags.DEFINE_enum(
    "sample",
    "sheet",
    ["sheet", "nearest", "line"],
    "sheet: --num_samples images. nearest: rows of five, each row ending in the training "
    "image nearest to the fifth. line: digits along straight lines between latents.",
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 64, "Images on the sheet.", lower_bound=1
)
_SAMPLE_SEED = flags.DEFINE_integer("sample_seed", 0, "Of the latents of the pictures.")

NEAREST = (4, 5)  # rows and samples a row (GAN, show_samples_mnist_paper.py)
LINE = (4, 10)  # lines and images on each (GAN, 2014, Fig. 3)


def sample():
    """Write a picture of the run in --logdir to its samples folder."""
    run = training.Run()
    model, step = run.restored(evaluation.CHECKPOINT.value)
    if len(model.generator.output_shape) != 4:
        raise UsageError("--mode=sample draws images; points are in the run's own sheets")
    kind = _SAMPLE.value
    picture = {"sheet": _sheet, "nearest": _nearest, "line": _line}[kind](model)
    name = f"{kind}-step-{step:09d}-seed{_SAMPLE_SEED.value}.png"
    sheets.save(picture, run.folder / "samples" / name)
    print(run.folder / "samples" / name)


def _to_pixels(images):
    return data.RANGES[FLAGS.value_range].to_pixels(images).numpy()


def _sheet(model):
    samples = evaluation.generated(model, _NUM_SAMPLES.value, _SAMPLE_SEED.value)
    return sheets.sheet(_to_pixels(samples), int(np.ceil(np.sqrt(len(samples)))))


def _nearest(model):
    rows, columns = NEAREST
    samples = evaluation.generated(model, rows * columns, _SAMPLE_SEED.value)
    examples = data.load(FLAGS.train_split).all(FLAGS.value_range)
    found = sheets.nearest(samples[columns - 1 :: columns], examples)
    grid = samples.reshape(rows, columns, *samples.shape[1:])
    grid = np.concatenate([grid, found[:, None]], axis=1)
    return sheets.sheet(_to_pixels(grid.reshape(-1, *samples.shape[1:])), columns + 1)


def _line(model):
    lines, images = LINE
    seed = tf.constant([_SAMPLE_SEED.value, 0], tf.int64)
    ends = noise.latents(model.prior_law, seed, (2 * lines, model.latent_dim)).numpy()
    steps = np.linspace(0, 1, images, dtype=np.float32)[:, None]
    starts, ends = ends[:lines], ends[lines:]
    z = np.concatenate([a + steps * (b - a) for a, b in zip(starts, ends, strict=True)])
    return sheets.sheet(_to_pixels(model.generator(z, training=False)), images)


def export_run():
    """Export the run in --logdir anew, from --checkpoint."""
    run = training.Run()
    model, step = run.restored(evaluation.CHECKPOINT.value)
    facts = training.manifest(run, step)
    export.export(model, run.folder / "export", FLAGS.value_range, facts)
    print(run.folder / "export")
