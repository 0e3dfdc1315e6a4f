"""A trained model as a SavedModel that needs nothing of this package."""

import json
import pathlib
import shutil

import keras
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.adversarial import AdversarialModel
from tfgan_papers.data import RANGES

SERVING_BATCH_NORM = "inference mode: moving averages, each image alone"


def export(model: AdversarialModel, folder: pathlib.Path, value_range: str, facts: dict):
    """Write generator and discriminator with named endpoints, and manifest.json beside.

    generate(z) -> images, in the network's value range; also serving_default.
    sample(n, seed) -> n uint8 images, the same for the same seed.
    score(images) -> D's output on images in the network's value range.

    Args:
        model: a built `AdversarialModel`.
        folder: replaced if it is there.
        value_range: name in `data.RANGES`.
        facts: further entries of the manifest.
    """
    generator, discriminator = (
        _portable(n) for n in (model.generator, model.discriminator)
    )
    law, width, to_pixels = model.prior_law, model.latent_dim, RANGES[value_range].to_pixels

    def generate(z):
        return generator(z, training=False)

    def sample(n, seed):
        base = tf.stack([seed, tf.zeros_like(seed)])
        return to_pixels(generate(noise.latents(law, base, (n, width))))

    def score(images):
        return discriminator(images, training=False)

    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.track(discriminator)
    z = tf.TensorSpec((None, width), tf.float32, name="z")
    images = tf.TensorSpec(
        (None, *discriminator.input_shape[1:]), tf.float32, name="images"
    )
    n, seed = (
        tf.TensorSpec((), tf.int32, name="n"),
        tf.TensorSpec((), tf.int64, name="seed"),
    )
    archive.add_endpoint("generate", generate, [z])
    archive.add_endpoint("sample", sample, [n, seed])
    archive.add_endpoint("score", score, [images])
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    manifest = {
        "endpoints": {
            "serving_default": "generate",
            "generate": {"z": ["n", width], "returns": ["n", *generator.output_shape[1:]]},
            "sample": {"n": "int32", "seed": "int64", "returns": "uint8 images, or points"},
            "score": {"images": ["n", *discriminator.input_shape[1:]]},
        },
        "value_range": value_range,
        "latent_law": law,
        "batch_normalization": SERVING_BATCH_NORM,
        **facts,
    }
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _portable(network):
    """A copy outside any strategy's scope, whose variables belong to one device."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
