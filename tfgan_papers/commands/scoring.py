"""What is scored, the options of scores, and how all scores of `--metrics` are taken."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfgan_papers import data, noise
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS, feature_files, features, subsets
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.options import Options, option


@dataclasses.dataclass(frozen=True)
class CheckpointOptions(Options):
    """Which state of the run."""

    checkpoint: str = option(
        "last",
        "Checkpoint to sample, score or export.",
        choices=("last", "best"),
    )


@dataclasses.dataclass(frozen=True)
class ScoreOptions(CheckpointOptions):
    """Which scores, of what, and by which features."""

    metrics: tuple[str, ...] = option(
        (),
        f"Scores to take after training, or with --mode=evaluate: {', '.join(METRICS)}.",
    )
    score_seed: int = option(2014, "Seed of the latents that are scored.", low=0)
    score_samples: int = option(
        0,
        "Number of samples to score; 0 takes the number of each score's own protocol.",
        low=0,
    )
    score_batch_size: int = option(
        200,
        "Samples that are drawn and seen by the feature network at once. It bounds the "
        "memory and does not change the scores.",
        low=1,
    )
    features: str = option(
        "classifier",
        "Feature network: a small classifier that is trained here once for each data set, "
        "the Inception graph of 2015 or TF-GAN's copy of it from --feature_file, or "
        "InceptionV3 of keras.applications, whose scores compare with no published ones, "
        "or your own ONNX or Keras network from --feature_file.",
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
        None, "sha256 that the feature network must have, as a record states it."
    )
    score_cache: str = option(
        "~/.cache/tfgan_papers",
        "Folder of classifiers, downloaded graphs, and the features of data sets.",
    )
    images: str | None = option(
        None,
        "With --mode=evaluate: score these images instead of a run's samples. A folder, or "
        "an array in a .npy file; they are compared with the splits of --dataset.",
    )
    record: str | None = option(
        None,
        "File for a record of the score, for example results/NAME.json; the run's picture "
        "goes beside it.",
    )
    ensemble: tuple[str, ...] = option(
        (),
        "Further run folders whose classifiers' predictions are averaged with those of "
        "--logdir's run. Only their --seed may differ.",
    )


SPREADS = {
    "standard_error": "standard error over test examples",
    "binomial_error": "standard error over the samples",
    "standard_deviation": "standard deviation over parts of the samples",
}  # by what a score's spread may go
OF_SAMPLES = ("samples", "labelled samples", "features")  # scores of what G draws
REFERENCE_EXAMPLES = 50_000  # at most whose features samples are compared with


def check(scores: ScoreOptions, of: data.DataOptions):
    """
    Raises:
        UsageError: --metrics names a score that is not there, or cannot be taken.
    """
    for name in scores.metrics:
        if name not in METRICS:
            raise UsageError(f"--metrics={name}: there is {', '.join(METRICS)}")
        if "validation" in METRICS[name].SPLITS and not of.validation_split:
            raise UsageError(f"--metrics={name} needs --validation_split, as train[90%:]")
        networks = getattr(METRICS[name], "NETWORKS", [scores.features])
        if scores.features not in networks:
            raise UsageError(
                f"--metrics={name} is not of --features={scores.features}: it needs "
                f"--features={' or '.join(networks)}"
            )
        to_batch = not (data.RANGES[of.value_range].limits or scores.images)
        if METRICS[name].OF == "features" and to_batch:
            raise UsageError(
                f"--metrics={name} is of 8-bit samples, and those of --value_range="
                f"{of.value_range} depend on the others drawn with them"
            )
    if scores.record and len(scores.metrics) != 1:
        raise UsageError("--record needs one score in --metrics")


class GeneratorSamples:
    """What a model gives to be scored.

    Args:
        model: whose generator draws, in inference mode.
        scores: `ScoreOptions`.
        value_range: of the generator's images.
        class_shares: share of each class among the samples of a generator with classes.
        ensemble: further classifiers, averaged with the model's.
    """

    def __init__(
        self, model: AdversarialModel, scores, value_range, class_shares=None, ensemble=()
    ):
        self.model, self.ensemble = model, ensemble
        self.scores, self.value_range = scores, value_range
        self.class_shares = class_shares
        self.facts = {"labels": "as in the data"} if model.classes else {}

    def labels(self, n):
        """Of n samples, int32 (n,), or None without classes."""
        return subsets.proportionate(n, self.class_shares) if self.model.classes else None

    def batches(self, n):
        """n samples, batch by batch, float32 in the value range."""
        model, size, labels = self.model, self.scores.score_batch_size, self.labels(n)
        seed = tf.constant([self.scores.score_seed, 0], tf.int64)
        for first in range(0, n, size):
            rows = slice(first, min(n, first + size))
            shape = (rows.stop - first, model.latent_dim)
            z = noise.latents(model.prior_name, seed, shape, first)
            of = None if labels is None else tf.constant(labels[rows])
            yield np.asarray(model.generate_in_graph(z, of))

    def samples(self, n):
        """float32 (n, ...) in the value range, in a file without a name, so that memory is
        bounded by the batch."""
        file = tempfile.TemporaryFile()
        for images in self.batches(n):
            file.write(images.tobytes())
        return np.memmap(file, images.dtype, "r", shape=(n, *images.shape[1:]))

    def labelled(self, n):
        """The same, and the labels they were drawn with.

        Raises:
            UsageError: the model has no classes.
        """
        if not self.model.classes:
            raise UsageError("this model draws no samples of a class")
        return self.samples(n), self.labels(n)

    def pixels(self, n):
        """uint8 batches of n in all.

        Raises:
            UserError: a sample is not finite.
            UsageError: the samples are points.
        """
        to_pixels = data.RANGES[self.value_range].to_pixels
        for images in self.batches(n):
            if images.ndim != 4:
                raise UsageError("scores of features are of images, and these are points")
            if not np.isfinite(images).all():
                raise UserError(
                    "the samples are not finite: train with a lower learning rate"
                )
            yield to_pixels(images).numpy()

    def component(self, name):
        """The model's component of that name.

        Raises:
            UsageError: it has none.
        """
        component = getattr(self.model, name)
        if component is None:
            raise UsageError(f"--metrics is of a {name}, and this model learns none")
        return _averaged([component, *self.ensemble]) if self.ensemble else component


class ImageFiles:
    """What --images gives to be scored.

    Raises:
        UsageError: the images are not of the data's size, or not of 0 to 255.
        UserError: they cannot be read.
    """

    facts: Mapping[str, str] = MappingProxyType({})

    def __init__(self, scores: ScoreOptions, of: data.DataOptions, test: data.Examples):
        self.value_range, self.batch_size = of.value_range, scores.score_batch_size
        self.examples, self.test = data.images(scores.images, of), test
        if self.examples.shape != test.shape:
            raise UsageError(
                f"--images={scores.images} are {_size(self.examples.shape)}, those of "
                f"{of.dataset} {_size(test.shape)}: set --image_size and --channels for "
                "both"
            )

    def samples(self, n):
        """float32, n or as many as there are, in the value range."""
        return subsets.some(self.examples, n).all(self.value_range)

    def labelled(self, n):
        """The same with labels that mean what those of the test split mean, by name."""
        found = subsets.some(self.examples, n)
        if found.classes and self.test.classes:
            found = found.with_classes(self.test.class_names)
        return found.labelled(self.value_range)

    def pixels(self, n):
        """uint8 batches of n in all, or as many as there are."""
        size = self.batch_size
        for block in map(np.asarray, subsets.some(self.examples, n).blocks()):
            yield from (block[i : i + size] for i in range(0, len(block), size))

    def component(self, name):
        raise UsageError(f"--metrics is of a run's {name}, and --images has none")


def _size(shape):
    return "x".join(map(str, shape))


class Scorer:
    """--metrics, with what samples are compared with, which is loaded once.

    Args:
        scores: which metrics, and how.
        of: the data that samples are compared with.
        loaded: splits that are loaded already.
        class_names: what the labels of a run's model mean. Those of the splits, which may
            lack a class or have them in another order, become the same, by name.
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
        """The train, validation or test split."""
        split = getattr(self.of, f"{kind}_split")
        if split not in self.loaded:
            self.loaded[split] = data.load(split, self.of)
        examples = self.loaded[split]
        if self.class_names and examples.classes:
            return examples.with_classes(self.class_names)
        return examples

    def subject(self, model, ensemble=()):
        """What a model gives to be scored, of classes as frequent as in the train split."""
        shares = subsets.class_shares(self.load("train")) if model.classes else None
        value_range = self.of.value_range
        return GeneratorSamples(model, self.scores, value_range, shares, ensemble)

    def _look_at_data(self, kinds):
        """By the feature network, which is made here."""
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
        """(name, what the score is of), of one look of the feature network at all."""
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
        """Its score by the first of --metrics, higher is better."""
        ((name, taken),) = self._taken(self.subject(model), list(self.metrics)[:1])
        return self.metrics[name].selection(taken, self.references[name])

    def score(self, subject) -> Iterator:
        """(name, metric, score and what it rests on) of each of --metrics."""
        for name, taken in self._taken(subject, self.metrics):
            metric = self.metrics[name]
            found = metric.score(taken, self.references[name])._asdict()
            of_network = self.facts if metric.OF == "features" else {}
            of_samples = subject.facts if metric.OF in OF_SAMPLES else {}
            yield name, metric, found | of_network | of_samples


def _feature_network(scores, load, cache):
    """--features."""
    name, file, sha256 = scores.features, scores.feature_file, scores.feature_hash
    if name == "classifier":
        network = features.classifier(load("train"), load("test"), cache)
        if sha256 and network.sha256 != sha256.lower():
            raise UsageError(
                f"the classifier has the sha256 {network.sha256}, not {sha256}: leave out "
                "--feature_hash, or bring along the --score_cache that it is from"
            )
        return network
    if name == "inception_v3":
        return features.inception_v3(file, sha256)
    if name in ("onnx", "keras"):
        layer, scale = scores.feature_layer, scores.feature_range
        return feature_files.load(name, file, layer, scale, sha256)
    return features.frozen(name, file, sha256, cache)


def _averaged(classifiers):
    """(images) -> the mean of their probabilities: not its logarithm, which is infinite
    where all are sure."""

    def mean(images, training=False):
        found = [tf.nn.softmax(each(images, training=training)) for each in classifiers]
        return tf.reduce_mean(found, 0)

    return mean
