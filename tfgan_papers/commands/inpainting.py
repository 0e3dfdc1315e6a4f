"""Trains a GAN that draws a part of an image (GAN, 2014, Sec. 7, item 3)."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers import data, figures, files, noise
from tfgan_papers.commands.inference import held_out
from tfgan_papers.commands.scoring import RecordOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.options import option
from tfgan_papers.papers import gan_inpainting
from tfgan_papers.runs import records
from tfgan_papers.runs.run import Run

BATCH_SIZE = 100  # ours, as the next two
LEARNING_RATE, BETA_1 = 2e-4, 0.5
PERIOD = 500  # steps between two lines of progress
SAMPLES = 2  # rows of samples on the sheet


@dataclasses.dataclass(frozen=True)
class InpaintingOptions(RecordOptions):
    """Options of --mode=inpaint."""

    part: str = option(
        "right", "Part of the image that G draws.", choices=gan_inpainting.PARTS
    )
    inpainting_steps: int = option(5000, "Training steps of the two networks.", low=1)


def inpaint(run: Run, options: InpaintingOptions):
    """Trains on the data of a run and completes held-out images.

    Writes three files to the run folder: `inpainting.keras` is the generator,
    `inpainting.json` has the errors in the part, and `samples/inpainting.png` has four
    rows: images without the part, two samples, and the whole images.

    Raises:
        UsageError: the data are points, or their pixels have no fixed range.
        UserError: --logdir is not a run folder.
    """
    run.check_is_trained()
    of = run.values.data
    limits, examples = data.RANGES[of.value_range].limits, data.load(of.train_split, of)
    run.check_data(examples)
    if len(examples.shape) != 3 or limits is None:
        raise UsageError(
            "--mode=inpaint needs a run on images with a fixed range of pixels"
        )
    images, _ = held_out(run)
    seed = run.values.training.seed
    pair = gan_inpainting.networks(examples.shape, limits, Draw(seed))
    model = gan_inpainting.InpaintingGAN(*pair, part=options.part, seed=seed)
    model.compile(*(keras.optimizers.Adam(LEARNING_RATE, BETA_1) for _ in range(2)))
    batch_size = min(BATCH_SIZE, examples.size)
    total = options.inpainting_steps
    for first in range(0, total, PERIOD):
        steps = min(PERIOD, total - first)
        batches = examples.stream(batch_size, seed, of.value_range, first)
        found = model.fit(batches.take(steps), shuffle=False, verbose=0).history
        scalars = "  ".join(f"{name} {values[-1]:.4f}" for name, values in found.items())
        logging.info("inpainting, step %d of %d: %s", first + steps, total, scalars)
    drawn = [model.completed(images, _values(seed, i, images)) for i in range(SAMPLES)]
    inside, middle = model.inside.numpy(), images.mean(0)
    shown = [images * (1 - inside) + inside * np.mean(limits), *drawn, images]
    to_pixels = data.RANGES[of.value_range].to_pixels
    pixels = to_pixels(np.concatenate([np.asarray(row) for row in shown])).numpy()
    path = run.folder / "samples" / "inpainting.png"
    figures.save(figures.sheet(pixels, len(images)), path)
    files.save_keras(model.generator, run.folder / "inpainting.keras")
    facts = {
        "part": options.part,
        "steps": total,
        "images": len(images),
        "error": float(np.mean([_error(images, each, inside) for each in drawn])),
        "error_of_mean_image": _error(images, middle, inside),
        "difference_of_samples": _error(*drawn, inside),
    }
    run.folder.write("inpainting.json", facts)
    if options.record:
        records.write_of_run(
            options.record,
            run,
            path,
            quantity=f"mean |x - completed x| in the {options.part} part, held-out images",
            unit="in the value range of the networks",
            value=facts["error"],
            details=facts,
            steps=total,
        )
    print(
        f"mean |x - completed x| in the part: {facts['error']:.4f}, of the mean image "
        f"{facts['error_of_mean_image']:.4f}; between two samples "
        f"{facts['difference_of_samples']:.4f}"
    )
    print(path)


def _values(seed, number, images):
    """The noise of the `number`-th sample of each image; no training step draws it."""
    base = tf.constant([seed, -2 - number], tf.int64)
    return noise.normal(base, images.shape)


def _error(some, others, inside):
    differences = np.abs(np.asarray(some) - np.asarray(others)) * inside
    return float(differences.sum() / (inside.sum() * some.shape[0] * some.shape[-1]))
