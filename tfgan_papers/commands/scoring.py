"""The subjects of scores, the options of scores, and the computation of `--metrics`."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfgan_papers import data, noise
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS, feature_files, features, inception, subsets
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.options import Options, option


@dataclasses.dataclass(frozen=True)
class CheckpointOptions(Options):
    """The checkpoint of a run to use."""

    checkpoint: str = option(
        "last",
        "Checkpoint to sample, score or export.",
        choices=("last", "best"),
    )


@dataclasses.dataclass(frozen=True)
class ScoreOptions(CheckpointOptions):
    """The scores, their subject, and the feature network."""

    metrics: tuple[str, ...] = option(
        (),
        f"Scores to compute after training or with --mode=evaluate: {', '.join(METRICS)}.",
    )
    score_seed: int = option(2014, "Seed of the latents of the scored samples.", low=0)
    score_samples: int = option(
        0,
        "Number of samples to score; 0 is the number of each score's own protocol.",
        low=0,
    )
    score_batch_size: int = option(
        200,
        "Samples per batch of the generator and the feature network. It bounds the memory "
        "and does not change the scores.",
        low=1,
    )
    features: str = option(
        "classifier",
        "Feature network: a small classifier, trained here once for each data set; the "
        "Inception graph of 2015 or TF-GAN's copy of it from --feature_file; InceptionV3 "
        "of keras.applications, whose scores are not comparable with published ones; or "
        "your own ONNX or Keras network from --feature_file.",
        choices=("classifier", "inception_2015", "tfgan", "inception_v3", "onnx", "keras"),
    )
    feature_file: str | None = option(
        None,
        "Path or URL of the frozen graph; path of inception_v3's weights, or of the ONNX "
        "or Keras network.",
    )
    feature_layer: str = option(
        "", "Output of the ONNX network or layer of the Keras network; the last by default."
    )
    feature_range: str = option(
        "unit",
        "Pixels that the ONNX or Keras network expects: [0, 1], [-1, 1], 0 to 255, or "
        "normalized by ImageNet's mean and deviation.",
        choices=tuple(feature_files.RANGES),
    )
    feature_hash: str | None = option(
        None, "Required sha256 of the feature network, for example from a record."
    )
    score_cache: str = option(
        "~/.cache/tfgan_papers",
        "Folder of classifiers, downloaded graphs, and the features of data sets.",
    )
    images: str | None = option(
        None,
        "With --mode=evaluate: images to score instead of a run's samples, a folder or an "
        "array in a .npy file. They are compared with the splits of --dataset.",
    )
    record: str | None = option(
        None,
        "File for a record of the score, for example results/NAME.json; the picture of the "
        "run is written beside it.",
    )
    ensemble: tuple[str, ...] = option(
        (),
        "Further run folders, whose classifiers' predictions are averaged with those of "
        "--logdir. Only their --seed may differ.",
    )


SPREADS = {
    "standard_error": "standard error over test examples",
    "binomial_error": "standard error over the samples",
    "standard_deviation": "standard deviation over parts of the samples",
}  # names of a score's error, with their meanings
OF_SAMPLES = ("samples", "labelled samples", "features")  # scores of G's samples
REFERENCE_EXAMPLES = 50_000  # examples with which features are compared, at most


def check(scores: ScoreOptions, of: data.DataOptions):
    """Checks that the scores can be computed from the data.

    Raises:
        UsageError: a score in --metrics does not exist or cannot be computed.
    """
    for name in scores.metrics:
        if name not in METRICS:
            raise UsageError(
                f"--metrics={name} is unknown: choose from {', '.join(METRICS)}"
            )
        if "validation" in METRICS[name].SPLITS and not of.validation_split:
            raise UsageError(
                f"--metrics={name} needs --validation_split, for example train[90%:]"
            )
        networks = getattr(METRICS[name], "NETWORKS", [scores.features])
        if scores.features not in networks:
            raise UsageError(
                f"--metrics={name} is not computed from --features={scores.features}: it "
                f"needs --features={' or '.join(networks)}"
            )
        to_batch = not (data.RANGES[of.value_range].limits or scores.images)
        if METRICS[name].OF == "features" and to_batch:
            raise UsageError(
                f"--metrics={name} needs 8-bit samples, and those in --value_range="
                f"{of.value_range} depend on the other samples of their batch: use "
                "another score"
            )
    if scores.record and len(scores.metrics) != 1:
        raise UsageError("--record needs exactly one score in --metrics")


class GeneratorSamples:
    """The samples and parts of a model, for scoring.

    Args:
        model: its generator samples in inference mode.
        scores: `ScoreOptions`.
        value_range: str, that of the generator's images.
        class_shares: (classes,), the share of each class among the samples; None without
            classes.
        ensemble: further classifiers, whose predictions are averaged with the model's.
    """

    def __init__(
        self, model: AdversarialModel, scores, value_range, class_shares=None, ensemble=()
    ):
        self.model, self.ensemble = model, ensemble
        self.scores, self.value_range = scores, value_range
        self.class_shares = class_shares
        self.facts = {"labels": "as in the data"} if model.classes else {}

    def labels(self, n):
        """Returns the labels of n samples, int32 (n,), or None without classes."""
        return subsets.proportionate(n, self.class_shares) if self.model.classes else None

    def batches(self, n):
        """Yields n samples in batches, float32 in the value range."""
        model, size, labels = self.model, self.scores.score_batch_size, self.labels(n)
        seed = tf.constant([self.scores.score_seed, 0], tf.int64)
        for first in range(0, n, size):
            rows = slice(first, min(n, first + size))
            shape = (rows.stop - first, model.latent_dim)
            z = noise.latents(model.prior_name, seed, shape, first)
            of = None if labels is None else tf.constant(labels[rows])
            yield np.asarray(model.generate_in_graph(z, of))

    def samples(self, n):
        """Returns n samples, float32 (n, ...) in the value range.

        They are stored in a temporary file, so that the memory is bounded by the batch.
        """
        file = tempfile.TemporaryFile()
        for images in self.batches(n):
            file.write(images.tobytes())
        return np.memmap(file, images.dtype, "r", shape=(n, *images.shape[1:]))

    def labelled(self, n):
        """Returns (samples, the labels given to the generator).

        Raises:
            UsageError: the model has no classes.
        """
        if not self.model.classes:
            raise UsageError(
                "this score needs a generator with classes, and the model has none: use "
                "another score"
            )
        return self.samples(n), self.labels(n)

    def pixels(self, n):
        """Yields n samples in uint8 batches.

        Raises:
            UserError: a sample is not finite.
            UsageError: the samples are points.
        """
        to_pixels = data.RANGES[self.value_range].to_pixels
        for images in self.batches(n):
            if images.ndim != 4:
                raise UsageError(
                    "scores of features need images, and these samples are points: use "
                    "another score"
                )
            if not np.isfinite(images).all():
                raise UserError(
                    "the samples are not finite: train with a lower learning rate"
                )
            yield to_pixels(images).numpy()

    def component(self, name):
        """Returns the model's part of this name.

        Raises:
            UsageError: the model has none.
        """
        component = getattr(self.model, name)
        if component is None:
            raise UsageError(
                f"this score needs a {name}, and the model has none: use another score"
            )
        return _averaged([component, *self.ensemble]) if self.ensemble else component


class ImageFiles:
    """The images of --images, for scoring.

    Args:
        scores: `ScoreOptions`.
        of: `DataOptions`.
        test: the examples of the test split.

    Raises:
        UsageError: the images do not have the size of the data, or the range 0 to 255.
        UserError: they are not readable.
    """

    facts: Mapping[str, str] = MappingProxyType({})

    def __init__(self, scores: ScoreOptions, of: data.DataOptions, test: data.Examples):
        self.value_range, self.batch_size = of.value_range, scores.score_batch_size
        self.examples, self.test = data.images(scores.images, of), test
        if self.examples.shape != test.shape:
            raise UsageError(
                f"--images={scores.images} have the size {_size(self.examples.shape)} and "
                f"the images of {of.dataset} {_size(test.shape)}: set --image_size and "
                "--channels for both"
            )

    def samples(self, n):
        """Returns n images, or all if there are fewer, float32 in the value range."""
        return subsets.some(self.examples, n).all(self.value_range)

    def labelled(self, n):
        """Returns (images, labels). The labels have the meaning of the test split's."""
        examples = subsets.some(self.examples, n)
        if examples.classes and self.test.classes:
            examples = examples.with_classes(self.test.class_names)
        return examples.labelled(self.value_range)

    def pixels(self, n):
        """Yields n images, or all if there are fewer, in uint8 batches."""
        size = self.batch_size
        for block in map(np.asarray, subsets.some(self.examples, n).blocks()):
            yield from (block[i : i + size] for i in range(0, len(block), size))

    def component(self, name):
        raise UsageError(
            f"this score needs a {name}, and --images has none: use another score"
        )


def _size(shape):
    return "x".join(map(str, shape))


class Scorer:
    """Computes --metrics. The data and references are loaded once.

    Args:
        scores: `ScoreOptions`.
        of: the data with which samples are compared.
        loaded: split -> examples that are already loaded.
        class_names: the classes of a run's model, in the order of its labels. The labels of
            the splits, which may lack a class or have another order, are adapted by name.
    """

    def __init__(
        self,
        scores: ScoreOptions,
        of: data.DataOptions,
        loaded: Mapping[str, data.Examples] = MappingProxyType({}),
        class_names: Sequence[str] = (),
    ):
        check(scores, of)
        self.scores, self.of = scores, of
        self.metrics = {name: METRICS[name] for name in scores.metrics}
        self.loaded, self.class_names = dict(loaded), class_names
        self.network, self.facts = None, {}
        of_features = [m for m in self.metrics.values() if m.OF == "features"]
        if of_features:
            self._look_at_data({kind for m in of_features for kind in m.SPLITS})
        self.references = {n: self._reference(m) for n, m in self.metrics.items()}

    def load(self, kind):
        """Returns the examples of the train, validation or test split."""
        split = getattr(self.of, f"{kind}_split")
        if split not in self.loaded:
            self.loaded[split] = data.load(split, self.of)
        examples = self.loaded[split]
        if self.class_names and examples.classes:
            return examples.with_classes(self.class_names)
        return examples

    def subject(self, model, ensemble=()):
        """Returns a model's `GeneratorSamples`, with class shares as in the train split."""
        shares = subsets.class_shares(self.load("train")) if model.classes else None
        value_range = self.of.value_range
        return GeneratorSamples(model, self.scores, value_range, shares, ensemble)

    def _look_at_data(self, kinds):
        """Builds the feature network and applies it to the splits."""
        cache = pathlib.Path(self.scores.score_cache).expanduser()
        self.network = _feature_network(self.scores, self.load, cache)
        self.facts = {
            "features": self.network.name,
            "features_sha256": self.network.sha256,
            "resize": self.network.resize,
            **self.network.facts,
        }
        self.seen = {}
        for kind in sorted(kinds):
            self.seen[kind], digest = features.of_examples(
                self.network, self.load(kind), REFERENCE_EXAMPLES,
                self.scores.score_batch_size, cache,
            )  # fmt: skip
            self.facts |= {
                "reference": f"{self.of.dataset} {getattr(self.of, f'{kind}_split')}",
                "reference_sha256": digest,
            }

    def _reference(self, metric):
        if metric.OF == "features":
            seen = {kind: self.seen[kind] for kind in metric.SPLITS}
            return metric.reference(**seen) if seen else None
        splits = {kind: self.load(kind) for kind in metric.SPLITS}
        return metric.reference(self.of.value_range, **splits)

    def _taken(self, subject, names):
        """Yields (name, subject of the score). The feature network is applied once."""
        counts = {
            name: self.scores.score_samples or getattr(self.metrics[name], "SAMPLES", 0)
            for name in names
        }
        seen = [n for name, n in counts.items() if self.metrics[name].OF == "features"]
        if seen:
            seen = features.activations(self.network, subject.pixels(max(seen)))
        for name, n in counts.items():
            yield (
                name,
                {
                    "samples": lambda n=n: subject.samples(n),
                    "labelled samples": lambda n=n: subject.labelled(n),
                    "features": lambda n=n: seen.first(n),
                    "classifier": lambda: subject.component("classifier"),
                    "bound": lambda: subject.component("bound"),
                }[self.metrics[name].OF](),
            )

    def select(self, model) -> float:
        """Returns the model's score by the first metric, highest for the best model."""
        ((name, taken),) = self._taken(self.subject(model), list(self.metrics)[:1])
        return self.metrics[name].selection(taken, self.references[name])

    def score(self, subject) -> Iterator:
        """Yields (name, metric, dict of the score and its details) of each metric."""
        for name, taken in self._taken(subject, self.metrics):
            metric = self.metrics[name]
            values = metric.score(taken, self.references[name])._asdict()
            of_network = self.facts if metric.OF == "features" else {}
            of_samples = subject.facts if metric.OF in OF_SAMPLES else {}
            yield name, metric, values | of_network | of_samples


def _feature_network(scores, load, cache):
    """The `Network` of --features."""
    name, file, sha256 = scores.features, scores.feature_file, scores.feature_hash
    if name == "classifier":
        network = features.classifier(load("train"), load("test"), cache)
        if sha256 and network.sha256 != sha256.lower():
            raise UsageError(
                f"the classifier has the sha256 {network.sha256}, not {sha256}: leave out "
                "--feature_hash, or use the --score_cache that contains that classifier"
            )
        return network
    if name == "inception_v3":
        return inception.inception_v3(file, sha256)
    if name in ("onnx", "keras"):
        layer, scale = scores.feature_layer, scores.feature_range
        return feature_files.load(name, file, layer, scale, sha256)
    return inception.frozen(name, file, sha256, cache)


def _averaged(classifiers):
    """A classifier whose output is the mean of the classifiers' probabilities.

    Their logarithm would be infinite if all classifiers are certain.
    """

    def mean(images, training=False):
        outputs = [tf.nn.softmax(each(images, training=training)) for each in classifiers]
        return tf.reduce_mean(outputs, 0)

    return mean
