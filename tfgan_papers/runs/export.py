"""A trained model as a SavedModel that needs nothing of this package."""

import json
import pathlib
import shutil

import keras
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.data import RANGES
from tfgan_papers.models import surgery
from tfgan_papers.models.adversarial import AdversarialModel

SERVING_BATCH_NORM = "inference mode: moving averages"


def export(model: AdversarialModel, folder: pathlib.Path, value_range: str, facts: dict):
    """Write generator and discriminator with named endpoints, and manifest.json beside.
    Of a model that averages its generator, the average, unless it samples the raw one.

    generate(z) -> images, in the network's value range; also serving_default.
    sample(n, seed) -> n uint8 images, the same for the same seed.
    score(images) -> D's output on images in the network's value range.
    reconstruct(images) -> images, where D or the model is an autoencoder; `score` is then
        their distance, (n, 1).
    classify(images) -> probabilities of the classes, where the model learns a classifier.

    With classes `generate` and `score` take besides labels (n,), and `sample` one label;
    labels of no class are an InvalidArgumentError.

    Args:
        model: a built `AdversarialModel`.
        folder: replaced if it is there.
        value_range: name in `data.RANGES`.
        facts: further entries of the manifest.
    """
    generator, discriminator = map(
        surgery.clone_with_weights, (model.sampling_generator, model.critic)
    )
    law, width, to_pixels = (
        model.prior_name,
        model.latent_dim,
        RANGES[value_range].to_pixels,
    )

    def given(inputs, label):
        if not label:
            return inputs
        of_classes = tf.reduce_all((label[0] >= 0) & (label[0] < model.classes))
        line = f"a label is none of the classes 0 to {model.classes - 1}:"
        tf.debugging.Assert(of_classes, [line, label[0]])  # one-hot it would be zeros
        return [inputs, *label]

    def generate(z, *label):
        return generator(given(z, label), training=False)

    def sample(n, seed, *label):
        base = tf.stack([seed, tf.zeros_like(seed)])
        of_all = [tf.fill((n,), one) for one in label]
        return to_pixels(generate(noise.latents(law, base, (n, width)), *of_all))

    def output_of_d(images, *label):
        return discriminator(given(images, label), training=False)

    def distance(images, *label):
        return model.energy(images, output_of_d(images, *label))[:, None]

    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.track(discriminator)
    shape = discriminator.inputs[0].shape[1:]
    spec = tf.TensorSpec
    z, images = spec((None, width), name="z"), spec((None, *shape), name="images")
    n, seed = spec((), tf.int32, name="n"), spec((), tf.int64, name="seed")
    labels = [spec((None,), tf.int32, name="label")] if model.classes else []
    label = [spec((), tf.int32, name="label")] if model.classes else []
    archive.add_endpoint("generate", generate, [z, *labels])
    archive.add_endpoint("sample", sample, [n, seed, *label])
    if model.energy:
        archive.add_endpoint("reconstruct", output_of_d, [images, *labels])
    score = distance if model.energy else output_of_d
    archive.add_endpoint("score", score, [images, *labels])
    if model.classifier is not None:
        classifier = surgery.clone_with_weights(model.classifier)
        archive.track(classifier)

        def classify(images):
            return tf.nn.softmax(classifier(images, training=False))

        archive.add_endpoint("classify", classify, [images])
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    returns = ["n", *generator.output_shape[1:]]
    of_each = {"label": "int32 (n,)"} if model.classes else {}
    of_all = {"label": "int32"} if model.classes else {}
    reconstructing = {}
    if model.energy:
        reconstructing["reconstruct"] = {"images": ["n", *shape], "returns": ["n", *shape]}
    drawn = {"n": "int32", "seed": "int64", **of_all, "returns": "uint8 images, or points"}
    if RANGES[value_range].limits is None:
        drawn["returns"] = "uint8 images, scaled by the largest magnitude among the n"
    manifest = {
        "endpoints": {
            "serving_default": "generate",
            "generate": {"z": ["n", width], **of_each, "returns": returns},
            "sample": drawn,
            "score": {"images": ["n", *shape], **of_each},
            **reconstructing,
        },
        "value_range": value_range,
        "latent_law": law,
        "classes": model.classes,
        "generator": model.sampling_generator_name,
        "batch_normalization": SERVING_BATCH_NORM,
        **facts,
    }
    if model.classifier is not None:
        returns = ["n", *classifier.output_shape[1:]]
        entry = {"images": ["n", *shape], "returns": returns}
        manifest["endpoints"]["classify"] = entry
    of_g = ("serving_default", "generate", "sample")
    compared = surgery.compares_examples(discriminator)
    manifest["depend_on_batch_mates"] = [
        endpoint for endpoint in manifest["endpoints"] if compared and endpoint not in of_g
    ]
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
