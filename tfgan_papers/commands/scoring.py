"""The options of scores, and the computation of `--metrics`."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from absl import logging

from tfgan_papers import data
from tfgan_papers.commands.subjects import GeneratorSamples
from tfgan_papers.data import splits
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import (
    METRICS,
    blocks,
    feature_files,
    features,
    inception,
    subsets,
)
from tfgan_papers.options import Options, option
from tfgan_papers.runs.execution import ClusterOptions


@dataclasses.dataclass(frozen=True)
class CheckpointOptions(Options):
    """The checkpoint of a run to use."""

    checkpoint: str = option(
        "last",
        "Checkpoint to sample, score or, with --mode=export, export: last, best, or the "
        "step of one in the run's checkpoints.",
    )

    def __post_init__(self):
        super().__post_init__()
        if not (self.checkpoint in ("last", "best") or self.checkpoint.isdecimal()):
            raise UsageError(
                f"--checkpoint={self.checkpoint}: give last, best, or the step of a "
                "checkpoint"
            )


@dataclasses.dataclass(frozen=True)
class RecordOptions(Options):
    """The record of a result."""

    record: str | None = option(
        None,
        "File for a record of the result, for example results/NAME.json; the run's last "
        "sheet, or the picture of --sample, is written beside it.",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.record and not self.record.endswith(".json"):
            raise UsageError(
                f"--record={self.record}: name a file that ends with .json; its picture "
                "gets the same name with .png"
            )


@dataclasses.dataclass(frozen=True)
class ScoreOptions(CheckpointOptions, RecordOptions, ClusterOptions):
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
# the values of OF for scores of G's samples
OF_SAMPLES = ("samples", "drawn samples", "labelled samples", "features")
REFERENCE_EXAMPLES = 50_000  # examples with which features are compared, at most


def check(scores: ScoreOptions, of: data.DataOptions):
    """Checks that the scores can be computed from the data.

    Raises:
        UsageError: a score in --metrics does not exist or cannot be computed.
    """
    if scores.features == "classifier" and scores.feature_file:
        raise UsageError(
            "--features=classifier is trained here and reads no --feature_file: name the "
            "network by --features, or leave the file out"
        )
    if scores.features not in ("onnx", "keras"):
        for name in ("feature_layer", "feature_range"):
            if getattr(scores, name) != getattr(ScoreOptions, name):
                raise UsageError(
                    f"--{name} is of --features=onnx and keras: leave it out, or add one"
                )
    for name in scores.metrics:
        if name not in METRICS:
            raise UsageError(
                f"--metrics={name} is unknown: choose from {', '.join(METRICS)}"
            )
        if "validation" in METRICS[name].SPLITS:
            _check_validation(name, of)
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


def _check_validation(name, of):
    apart = (
        "for example --train_split=train[:80%] --validation_split=train[80%:90%] "
        "--test_split=train[90%:]"
    )
    if not of.validation_split:
        raise UsageError(f"--metrics={name} needs --validation_split, {apart}")
    if splits.overlap(of.validation_split, of.test_split):
        raise UsageError(
            f"--metrics={name} would be chosen on the examples that it scores: "
            f"--validation_split={of.validation_split} and --test_split={of.test_split} "
            f"overlap. Give parts, {apart}"
        )


class Scorer:
    """Computes --metrics. The data and references are loaded once.

    Args:
        scores: `ScoreOptions`.
        of: the data with which samples are compared.
        loaded: split -> examples that are already loaded.
        class_names: the classes of a run's model, in the order of its labels. The labels of
            the splits, which may lack a class or have another order, are adapted by name.
        check_train: function that is called with the train split when it is loaded, and
            raises UsageError if the run was not trained on it.
    """

    def __init__(
        self,
        scores: ScoreOptions,
        of: data.DataOptions,
        loaded: Mapping[str, data.Examples] = MappingProxyType({}),
        class_names: Sequence[str] = (),
        check_train: Callable = lambda examples: None,
    ):
        check(scores, of)
        self.scores, self.of = scores, of
        self.metrics = {name: METRICS[name] for name in scores.metrics}
        chooses = any("validation" in metric.SPLITS for metric in self.metrics.values())
        if chooses and splits.overlap(of.validation_split, of.train_split):
            logging.warning(
                "--validation_split=%s has examples of --train_split=%s: the score is "
                "chosen on images that the run has trained on",
                *(of.validation_split, of.train_split),
            )
        compares = any("test" in metric.SPLITS for metric in self.metrics.values())
        meant = of.test_split == of.train_split  # as in published scores (METRICS-1)
        if compares and not meant and splits.overlap(of.test_split, of.train_split):
            logging.warning(
                "--test_split=%s has examples of --train_split=%s: the score is computed "
                "on training images, which hides copies and overfitting",
                *(of.test_split, of.train_split),
            )
        self.loaded, self.class_names = dict(loaded), class_names
        self.check_train = check_train
        self.network, self.facts = None, {}
        of_features = [m for m in self.metrics.values() if m.OF == "features"]
        if of_features:
            self._look_at_data({kind for m in of_features for kind in m.SPLITS})
        self.references = {n: self._reference(m) for n, m in self.metrics.items()}

    def _split(self, kind):
        return getattr(self.of, f"{kind}_split")

    def load(self, kind):
        """Returns the examples of the train, validation or test split."""
        split = self._split(kind)
        if split not in self.loaded:
            self.loaded[split] = data.load(split, self.of)
            if kind == "train":
                self.check_train(self.loaded[split])
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
        for kind in sorted(kinds):  # "test" before "train"
            examples = self.load(kind)
            if kind == "train" and examples.size > REFERENCE_EXAMPLES:
                logging.warning(
                    "copies are looked for among %s of the %s images of --train_split=%s: "
                    "copies of the others seem new",
                    *(f"{n:,}" for n in (REFERENCE_EXAMPLES, examples.size)),
                    self.of.train_split,
                )
            self.seen[kind], digest = features.of_examples(
                self.network, examples, REFERENCE_EXAMPLES,
                self.scores.score_batch_size, cache,
            )  # fmt: skip
            prefix = "" if kind == min(kinds) else f"{kind}_"
            self.facts |= {
                f"{prefix}reference": f"{self.of.dataset} {self._split(kind)}",
                f"{prefix}reference_sha256": digest,
            }

    def _reference(self, metric):
        if metric.OF == "features":
            seen = {kind: self.seen[kind] for kind in metric.SPLITS}
            return metric.reference(**seen) if seen else None
        splits = {kind: self.load(kind) for kind in metric.SPLITS}
        return metric.reference(self.of.value_range, **splits)

    def _count(self, name):
        """The number of samples of a score."""
        return self.scores.score_samples or getattr(self.metrics[name], "SAMPLES", 0)

    def _taken(self, subject, names):
        """Yields (name, subject of the score). The feature network is applied once."""
        counts = {name: self._count(name) for name in names}
        seen = [n for name, n in counts.items() if self.metrics[name].OF == "features"]
        if seen:
            seen = features.activations(self.network, subject.pixels(max(seen)))
        for name, n in counts.items():
            yield (
                name,
                {
                    "samples": lambda n=n: np.asarray(subject.samples(n)),
                    "drawn samples": lambda n=n: subject.samples(n),
                    "labelled samples": lambda n=n: subject.labelled(n),
                    "features": lambda n=n: seen.first(n),
                    "classifier": lambda: subject.component("classifier"),
                    "bound": lambda: subject.component("bound"),
                    "discriminator": lambda: subject.component("discriminator"),
                }[self.metrics[name].OF](),
            )

    def check_model(self, model):
        """Checks that the model has the parts that the scores need.

        Raises:
            UsageError: it lacks one.
        """
        subject = GeneratorSamples(model, self.scores, self.of.value_range)
        for metric in self.metrics.values():
            if metric.OF == "labelled samples":
                subject.check_classes()
            elif metric.OF not in OF_SAMPLES:
                component = subject.component(metric.OF)
                if metric.OF == "discriminator":
                    metric.network(component)  # refuses a D with labels

    @property
    def selected_by(self) -> dict[str, object]:
        """What determines the scale of `select`: the first metric and its options."""
        metric, scores = next(iter(self.metrics)), self.scores
        kind = "validation" if "validation" in METRICS[metric].SPLITS else "test"
        on = self._split(kind) if kind in METRICS[metric].SPLITS else ""
        found = {
            "metric": metric,
            "split": on,
            "samples": self._count(metric),
            "seed": scores.score_seed,
        }
        if version := getattr(METRICS[metric], "SELECTION", None):
            found["version"] = version  # a run of an earlier one selects anew
        if METRICS[metric].OF != "features":
            return found
        names = ("features", "feature_layer", "feature_range")
        network = {name: getattr(scores, name) for name in names}
        return found | network | {"features_sha256": self.facts["features_sha256"]}

    def select(self, model) -> float:
        """Returns the model's score by the first metric, highest for the best model."""
        ((name, taken),) = self._taken(self.subject(model), list(self.metrics)[:1])
        return self.metrics[name].selection(taken, self.references[name])

    def score(self, subject, state_of=None) -> Iterator:
        """Yields (name, metric, dict of the score and its details) of each metric.

        Args:
            subject: from `subject`, or `ImageFiles`.
            state_of: function (name, number of samples) -> the state of all samples, by
                which the scores of `metrics.blocks` are computed elsewhere.
        """
        divided = divisible(self.metrics) if state_of else []
        for name in divided:
            n, reference = self._count(name), self.references[name]
            found = self.metrics[name].of_state(state_of(name, n), reference, n)
            yield self._found(subject, name, found)
        others = [name for name in self.metrics if name not in divided]
        for name, taken in self._taken(subject, others):
            found = self.metrics[name].score(taken, self.references[name])
            yield self._found(subject, name, found)

    def _found(self, subject, name, found):
        metric = self.metrics[name]
        of_network = self.facts if metric.OF == "features" else {}
        of_samples = subject.facts if metric.OF in OF_SAMPLES else {}
        return name, metric, found._asdict() | of_network | of_samples

    def state_of_block(self, subject, name, n, first):
        """Returns the state of the block of a score's n samples that begins with `first`.

        Args:
            subject: from `subject`.
            name: of a score that has states (`metrics.blocks`).
        """
        metric = self.metrics[name]
        if metric.OF == "features":
            pixels = subject.pixels(n, [first])
            block = features.activations(self.network, pixels)
        else:
            of_labels = metric.OF == "labelled samples"
            taken = subject.labelled(n) if of_labels else subject.samples(n)
            block = blocks.part(taken, first)
        with blocks.one_thread():
            place = blocks.Place(first, n)
            return metric.of_block(block, self.references[name], place)

    def fingerprint(self) -> dict[str, str]:
        """Identifies the feature network and the examples, which all processes that compute
        a score must share."""
        digests = {split: of.fingerprint() for split, of in self.loaded.items()}
        return {**digests, "features": self.facts.get("features_sha256", "")}


def divisible(names) -> list[str]:
    """Those of the scores whose samples can be divided into blocks."""
    return [name for name in names if hasattr(METRICS[name], "of_state")]


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
