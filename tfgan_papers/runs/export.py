"""Export of a trained model as a SavedModel that does not need this package."""

import json
import pathlib
import shutil

import keras
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.data import RANGES
from tfgan_papers.models import surgery
from tfgan_papers.models.generative import GenerativeModel

SERVING_BATCH_NORM = "inference mode: moving averages"


def export(model: GenerativeModel, folder: pathlib.Path, value_range: str, facts: dict):
    """Writes the networks with named endpoints, and manifest.json.

    If the model averages its generator, the average is exported, unless the model samples
    the raw one. The endpoints are:

    generate(z) -> images in the value range of the network; also serving_default.
    sample(n, seed) -> n uint8 images, the same for the same seed. sample(n) draws others
        in each call.
    score(images) -> D's output, (n, 1). Images are uint8, or float32 in the value range
        of the network.
    reconstruct(images) -> images, if D or the model is an autoencoder. `score` then returns
        the distance between images and reconstructions, (n, 1).
    classify(images) -> probabilities of the classes, if the model learns a classifier.

    With classes, `generate` and `score` also take `label`, int32 (n,), and `sample` takes
    one `label`, int32. A label that is not a class raises an InvalidArgumentError.

    Args:
        model: a built model.
        folder: path of the export; an existing one is replaced.
        value_range: name in `data.RANGES`.
        facts: dict, further entries of manifest.json.
    """
    endpoints = Endpoints(model, value_range)
    archive = keras.export.ExportArchive()
    for network in endpoints.networks():
        archive.track(network)
    for name, function in endpoints.traced().items():
        archive.add_endpoint(name, function)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    manifest = {**endpoints.manifest(), **facts}
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


class Endpoints:
    """The exported functions, with copies of the model's networks.

    Args:
        model: `GenerativeModel`.
        value_range: name in `data.RANGES`.
    """

    def __init__(self, model, value_range):
        self.model, self.value_range = model, value_range
        self.range = RANGES[value_range]
        copy = surgery.clone_with_weights
        self.generator, self.critic = copy(model.sampling_generator), copy(model.critic)
        learns = model.classifier is not None
        self.classifier = copy(model.classifier) if learns else None
        self.shape = self.critic.inputs[0].shape[1:]

    def networks(self):
        """Returns the networks whose weights are exported."""
        parts = (self.generator, self.critic, self.classifier)
        return [network for network in parts if network is not None]

    def labelled(self, inputs, label):
        """Returns the inputs of a network: `inputs`, and `label` if it is not None."""
        if label is None:
            return inputs
        classes = self.model.classes
        of_classes = tf.reduce_all((label >= 0) & (label < classes))
        line = f"a label is not one of the classes 0 to {classes - 1}:"
        tf.debugging.Assert(of_classes, [line, label])  # one-hot encoding gives zeros
        return [inputs, label]

    def to_network(self, images):
        return self.range.to_network(images) if images.dtype == tf.uint8 else images

    def generate(self, z, label=None):
        return self.generator(self.labelled(z, label), training=False)

    def sample(self, n, seed=None, label=None):
        if seed is None:
            limits = {"maxval": tf.int64.max, "dtype": tf.int64}
            seed = tf.random.uniform((), 0, **limits)
        base = tf.stack([seed, tf.zeros_like(seed)])
        shape = (n, self.model.latent_dim)
        z = noise.latents(self.model.prior_name, base, shape)
        label = None if label is None else tf.fill((n,), label)
        return self.range.to_pixels(self.generate(z, label))

    def reconstruct(self, images, label=None):
        inputs = self.labelled(self.to_network(images), label)
        return self.critic(inputs, training=False)

    def score(self, images, label=None):
        output = self.reconstruct(images, label)
        if not self.model.energy:
            return output
        return self.model.energy(self.to_network(images), output)[:, None]

    def classify(self, images):
        return tf.nn.softmax(self.classifier(self.to_network(images), training=False))

    def traced(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Traces each endpoint for each of its signatures, the first being the default.

        Returns:
            name -> traced function.
        """
        spec, several = tf.TensorSpec, bool(self.model.classes)
        each = {"label": spec((None,), tf.int32, name="label")} if several else {}
        one = {"label": spec((), tf.int32, name="label")} if several else {}
        z = {"z": spec((None, self.model.latent_dim), name="z")}
        n, seed = spec((), tf.int32, name="n"), spec((), tf.int64, name="seed")
        images, pixels = (
            {"images": spec((None, *self.shape), dtype, name="images")}
            for dtype in (tf.float32, tf.uint8)
        )
        ways = {
            "generate": [{**z, **each}],
            "sample": [{"n": n, "seed": seed, **one}, {"n": n, **one}],
            "score": [{**images, **each}, {**pixels, **each}],
        }
        if len(self.shape) != 3:  # points have no pixels
            ways["score"].pop()
        if self.model.energy:
            ways["reconstruct"] = ways["score"]
        if self.classifier is not None:
            ways["classify"] = [images, pixels][: len(ways["score"])]
        return {name: self._traced(name, each) for name, each in ways.items()}

    def _traced(self, name, ways):
        function = tf.function(getattr(self, name))
        for arguments in ways:
            function.get_concrete_function(**arguments)
        return function

    def manifest(self) -> dict:
        """Describes the inputs and outputs of the endpoints, and the model."""
        model, shape = self.model, ["n", *self.shape]
        of_each = {"label": "int32 (n,)"} if model.classes else {}
        of_all = {"label": "int32"} if model.classes else {}
        returns = "uint8 images, or points"
        if self.range.limits is None:
            returns = "uint8 images, scaled by the largest magnitude among the n"
        endpoints = {
            "serving_default": "generate",
            "generate": {
                "z": ["n", model.latent_dim],
                **of_each,
                "returns": ["n", *self.generator.output_shape[1:]],
            },
            "sample": {"n": "int32", "seed": "int64", **of_all, "returns": returns},
            "score": {"images": shape, **of_each},
        }
        if model.energy:
            endpoints["reconstruct"] = {"images": shape, "returns": shape}
        if self.classifier is not None:
            output = ["n", *self.classifier.output_shape[1:]]
            endpoints["classify"] = {"images": shape, "returns": output}
        of_critic = set(endpoints) - {"serving_default", "generate", "sample"}
        compared = surgery.compares_examples(self.critic)
        low, high = noise.PRIORS[model.prior_name]
        bounded = model.prior_name != "normal"
        return {
            "endpoints": endpoints,
            "value_range": self.value_range,
            "pixel_limits": self.range.limits,
            "latent_law": model.prior_name,
            "latents": f"U({low:.4g}, {high:.4g})" if bounded else "N(0, 1)",
            "classes": model.classes,
            "generator": model.sampling_generator_name,
            "batch_normalization": SERVING_BATCH_NORM,
            "depend_on_batch_mates": sorted(of_critic) if compared else [],
        }
