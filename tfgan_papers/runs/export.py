"""Export of a trained model as files that do not need this package."""

import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfgan_papers import files, noise
from tfgan_papers.models import surgery
from tfgan_papers.models.generative import GenerativeModel
from tfgan_papers.models.generator import Generator
from tfgan_papers.runs import formats

SERVING_BATCH_NORM = "inference mode: moving averages"


def export(
    model: GenerativeModel,
    folder: pathlib.Path,
    value_range: str,
    facts: dict,
    in_formats: Sequence[str] = ("saved_model",),
):
    """Writes the networks with named endpoints, and manifest.json.

    If the model averages its generator, the average is exported, unless the model samples
    the raw one. The endpoints are:

    generate(z) -> images, clipped to the limits of the value range; also serving_default.
    sample(n, seed) -> n uint8 images, the same for the same seed. sample(n) draws others
        in each call.
    score(images) -> D's output, (n, 1); with K classes, the logit of D(x). Images are
        uint8, or floats in the value range of the network.
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
        in_formats: names in `formats.FORMATS`.
    """
    endpoints = Endpoints(model, value_range)
    folder = folder.resolve()  # of a link, only the folder can be replaced
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        there = {name: formats.FORMATS[name](endpoints, partial) for name in in_formats}
        files.write_json(partial / "manifest.json", {**endpoints.describe(there), **facts})
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


class Endpoint(NamedTuple):
    """An exported function.

    Attributes:
        function: its arguments have the names of its inputs.
        output: name of its output. It differs from the names of the inputs, because ONNX
            has one name space for both.
        ways: a dict per way to call it, input name -> `tf.TensorSpec`. The first way is the
            signature. A single way casts the inputs, for example NumPy's float64.
    """

    function: Callable
    output: str
    ways: list[dict[str, tf.TensorSpec]]

    def traced(self):
        """Returns the function with a trace for each way to call it."""
        if len(self.ways) == 1:
            specs = [*self.ways[0].values()]
            function = tf.function(self.function, input_signature=specs, autograph=False)
            function.get_concrete_function()
            return function
        function = tf.function(self.function, autograph=False)
        for inputs in self.ways:
            function.get_concrete_function(**inputs)
        return function

    def signature(self):
        """Returns a function of positional inputs that returns {output: value}."""
        names, specs = zip(*self.ways[0].items(), strict=True)

        def named(*inputs):
            return {self.output: self.function(**dict(zip(names, inputs, strict=True)))}

        return tf.function(named, input_signature=specs, autograph=False)


class Endpoints(Generator):
    """The exported functions, with copies of the model's networks.

    Args:
        model: `GenerativeModel`.
        value_range: name in `data.RANGES`.
    """

    def __init__(self, model, value_range):
        copy = surgery.clone_with_weights
        super().__init__(
            copy(model.sampling_generator),
            *(model.latent_dim, model.prior_name, value_range, model.classes),
        )
        self.model, self.critic = model, copy(model.critic)
        self.energy = model.energy
        learns = model.classifier is not None
        self.classifier = copy(model.classifier) if learns else None
        self.shape = tuple(self.critic.inputs[0].shape[1:])

    def networks(self):
        """Returns the networks whose weights are exported."""
        parts = (self.network, self.critic, self.classifier)
        return [network for network in parts if network is not None]

    def to_network(self, images):
        if images.dtype == tf.uint8:
            return self.range.to_network(images)
        return tf.cast(images, tf.float32)

    def reconstruct(self, images, label=None):
        inputs = self.with_labels(self.to_network(images), label)
        return self.critic(inputs, training=False)

    def score(self, images, label=None):
        output = self.reconstruct(images, label)
        if not self.energy:
            return self.model.score_of(output)
        return self.energy(self.to_network(images), output)[:, None]

    def classify(self, images):
        return tf.nn.softmax(self.classifier(self.to_network(images), training=False))

    def named(self) -> dict[str, Endpoint]:
        """Returns the endpoints by name."""
        spec = tf.TensorSpec

        def labels(shape, dtype):
            return {"label": spec(shape, dtype, name="label")} if self.classes else {}

        z = {"z": spec((None, self.latent_dim), name="z"), **labels((None,), tf.int32)}
        seed = spec((), tf.int64, name="seed")
        images = [
            {"images": spec((None, *self.shape), dtype, name="images")}
            for dtype in (tf.float32, tf.float64, tf.uint8)
        ]
        if len(self.shape) != 3:  # points have no pixels
            images.pop()
        labelled, samples = [], []
        for dtype in (tf.int32, tf.int64):  # that of the signature, and NumPy's own
            if self.classes or not labelled:
                labelled += [{**way, **labels((None,), dtype)} for way in images]
            n, label = {"n": spec((), dtype, name="n")}, labels((), dtype)
            samples += [{**n, "seed": seed, **label}, {**n, **label}]
        found = {
            "generate": Endpoint(self.generate, "images", [z]),
            "sample": Endpoint(self.sample, "images", samples),
            "score": Endpoint(self.score, "scores", labelled),
        }
        if self.energy:
            found["reconstruct"] = Endpoint(self.reconstruct, "copies", labelled)
        if self.classifier is not None:
            found["classify"] = Endpoint(self.classify, "probabilities", images)
        return found

    def describe(self, there: dict[str, list[str]]) -> dict:
        """Describes the inputs and outputs of the endpoints, and the model.

        Args:
            there: format -> names of the endpoints in it.
        """
        images, points = ["n", *self.shape], len(self.shape) != 3
        of_each = {"label": "int32 (n,)"} if self.classes else {}
        of_all = {"label": "int32"} if self.classes else {}
        form = ", ".join(map(str, images))
        samples = f"float32 ({form})" if points else f"uint8 ({form})"
        if self.range.limits is None:
            samples += ", scaled by the largest magnitude among the n"
        endpoints = {
            "generate": {
                "z": ["n", self.latent_dim],
                **of_each,
                "returns": {"images": images},
            },
            "sample": {
                "n": "int32",
                "seed": "int64",
                **of_all,
                "returns": {"images": samples},
            },
            "score": {"images": images, **of_each, "returns": {"scores": ["n", 1]}},
            "reconstruct": {"images": images, **of_each, "returns": {"copies": images}},
        }
        if self.classifier is not None:
            output = ["n", *self.classifier.output_shape[1:]]
            endpoints["classify"] = {"images": images, "returns": {"probabilities": output}}
        served = {name for names in there.values() for name in names}
        of_critic = served.difference(formats.GENERATOR)
        compared = surgery.compares_examples(self.critic)
        return {
            "endpoints": {
                "serving_default": "generate",
                **{name: each for name, each in endpoints.items() if name in served},
            },
            "formats": there,
            "latents": f"z ~ {noise.describe(self.prior_name)}, shape ({self.latent_dim},)",
            "latent_law": self.prior_name,
            "pixels": self._pixels(),
            "pixel_limits": self.range.limits,
            "value_range": self.value_range,
            "classes": self.classes,
            "generator": self.model.sampling_generator_name,
            "batch_normalization": SERVING_BATCH_NORM,
            "depend_on_batch_mates": sorted(of_critic) if compared else [],
        }

    def _pixels(self):
        """Describes the range of the pixels."""
        if len(self.shape) != 3:
            return "none: the examples are points"
        if self.range.limits is None:
            return "float32, each image with mean 0 and norm 55"
        low, high = self.range.limits
        return f"float32, {low:.4g} (black) to {high:.4g} (white); generate clips to them"
