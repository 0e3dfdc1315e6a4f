"""Approximate inference with a network that predicts z from x (GAN, 2014, Sec. 7, item 2).

The network is trained on samples of a finished generator, which does not change:

    minimize  E_z |z - E(G(z))|^2

It then maps a held-out image to latents in one forward pass. `commands/embedding.py` finds
such latents by optimization, which is slower and usually more exact.
"""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers import data, figures, files, noise
from tfgan_papers.commands import embedding
from tfgan_papers.commands.scoring import CheckpointOptions, RecordOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import subsets
from tfgan_papers.options import option
from tfgan_papers.runs import records
from tfgan_papers.runs.run import Run

UNITS = (1200, 1200)  # as G's of mnist.yaml, in reverse; ours, as are the next three
BATCH_SIZE = 128
LEARNING_RATE = 1e-3
IMAGES = 10  # columns of the sheet
STEPS_PER_CALL = 100


@dataclasses.dataclass(frozen=True)
class InferenceOptions(CheckpointOptions, RecordOptions):
    """Options of --mode=infer."""

    inference_steps: int = option(
        2000, "Training steps of the network that predicts z.", low=1
    )


def infer(run: Run, options: InferenceOptions):
    """Trains the inference network of a run and compares it with optimization.

    Writes three files to the run folder: `inference.keras` is the network, `inference.json`
    has errors and times, and `samples/inference.png` has three rows: held-out images, G at
    the latents that the network predicts, and G at the latents that optimization finds.

    With classes, G gets the labels of the images, and the network only the images.

    Raises:
        UsageError: the data of the run are points.
    """
    model, step = run.restored(options.checkpoint)
    if len(model.generator.output_shape) != 4:
        raise UsageError("--mode=infer needs a run on images")
    images, labels = held_out(run, labels=model.classes > 0)
    network = inference_network(model)
    seed = run.values.training.seed
    loss = train(network, model, options.inference_steps, seed)
    predicted, seconds = timed(lambda: network(images, training=False).numpy())
    starts = noise.latents(
        *(model.prior_name, tf.constant([seed, 0], tf.int64)),
        (embedding.STARTS, model.latent_dim),
    )
    optimized, optimizing = timed(
        lambda: embedding.embed(
            model.generate, images, starts.numpy(), model.prior_name, labels=labels
        )
    )
    copies = [model.generate(z, labels).numpy() for z in (predicted, optimized.z)]
    errors = [float(np.abs(images - copy).mean()) for copy in copies]
    to_pixels = data.RANGES[run.values.data.value_range].to_pixels
    sheet = to_pixels(np.concatenate([images, *copies])).numpy()
    path = run.folder / "samples" / "inference.png"
    figures.save(figures.sheet(sheet, len(images)), path)
    files.save_keras(network, run.folder / "inference.keras")
    per_image = [1e3 * total / len(images) for total in (seconds, optimizing)]
    facts = {
        "step": step,
        "steps": options.inference_steps,
        "mean_squared_error_of_z": loss,
        "images": len(images),
        **_facts("network", errors[0], per_image[0]),
        **_facts("optimization", errors[1], per_image[1]),
    }
    run.folder.write("inference.json", facts)
    if options.record:
        records.write_of_run(
            options.record,
            run,
            path,
            quantity="mean |x - G(z)| of held-out images, z from the inference network",
            unit="in the value range of the networks",
            value=errors[0],
            details=facts,
            steps=step,
        )
    for name, error, ms in zip(("network", "optimization"), errors, per_image, strict=True):
        print(f"{name}: mean |x - G(z)| {error:.4f}, {ms:.2f} ms per image")
    print(path)


def _facts(name, error, ms):
    return {f"{name}_error": error, f"{name}_ms_per_image": ms}


def timed(function):
    """The result of a function and the seconds that it took."""
    begin = time.perf_counter()
    result = function()
    return result, time.perf_counter() - begin


def held_out(run: Run, labels: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Images of the test split, or without one of the training split, in the networks'
    value range; and their labels, or None.

    Raises:
        UsageError: they are of the training split, and the run was started with other data.
    """
    options = run.values.data
    split = options.test_split or options.train_split
    examples = data.load(split, options)
    if split == options.train_split:
        run.check_data(examples)
    some = subsets.some(examples, IMAGES)
    if labels:
        names = run.facts.get("class_names")  # absent in old runs
        some = some.with_classes(names) if names else some
        return some.labelled(options.value_range)
    return some.all(options.value_range), None


def inference_network(model) -> keras.Model:
    """A multilayer perceptron: images (batch, height, width, channels) -> z (batch,
    latent_dim), within the support of the prior."""
    low, high = noise.PRIORS[model.prior_name]
    draw = keras.initializers.GlorotUniform
    dtype = "float32"  # not the policy of the run, as the latents
    x = images = keras.Input(model.generator.output_shape[1:], name="images")
    x = keras.layers.Flatten(dtype=dtype)(x)
    for i, units in enumerate(UNITS):
        kernel = draw(seed=model.seed + i)
        x = keras.layers.Dense(units, "relu", kernel_initializer=kernel, dtype=dtype)(x)
    last = draw(seed=model.seed + len(UNITS))
    spherical = model.prior_name == "spherical"
    bounded = np.isfinite(high) and not spherical
    x = keras.layers.Dense(
        model.latent_dim,
        "sigmoid" if bounded else None,
        kernel_initializer=last,
        dtype=dtype,
        name="z",
    )(x)
    if bounded:
        x = keras.layers.Rescaling(high - low, low, dtype=dtype, name="in_bounds")(x)
    if spherical:
        x = keras.layers.UnitNormalization(dtype=dtype, name="on_sphere")(x)
    return keras.Model(images, x, name="inference")


def train(network: keras.Model, model, steps: int, seed: int) -> float:
    """Trains the network on samples of the model, each drawn once.

    Args:
        network: images -> z.
        model: a `GenerativeModel`.
        steps: int, the number of steps, each with `BATCH_SIZE` samples.
        seed: int, the seed of the latents. Step i draws those of number -(i + 2), which no
            training step and no picture draws.

    Returns:
        The mean squared error of z over the last steps.
    """
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(network.trainable_variables)
    shape = (BATCH_SIZE, model.latent_dim)

    def labels(i):
        """All classes in turn, over the steps."""
        if not model.classes:
            return None
        first = i * BATCH_SIZE
        return tf.cast(tf.range(first, first + BATCH_SIZE) % model.classes, tf.int32)

    @tf.function
    def descend(first, last):
        total = 0.0
        for i in tf.range(first, last):
            base = tf.stack([tf.constant(seed, tf.int64), -2 - i])
            z = noise.latents(model.prior_name, base, shape)
            images = model.generate(z, labels(i))
            with tf.GradientTape() as tape:
                error = tf.reduce_mean(tf.square(z - network(images, training=True)))
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(error, variables), variables)
            total += error
        return total / tf.cast(last - first, tf.float32)

    for first in range(0, steps, STEPS_PER_CALL):
        last = min(first + STEPS_PER_CALL, steps)
        error = float(descend(*tf.constant([first, last], tf.int64)))
        logging.info("inference network, step %d of %d: error %.4f", last, steps, error)
    return error
