"""Scores of a trained run, and what they say about the paper's claims."""

import dataclasses
import importlib.util
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfgan_papers import data, noise
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS, features, subsets
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.options import Options, option
from tfgan_papers.runs import records
from tfgan_papers.runs.run import Run, ensemble_member
from tfgan_papers.runs.train import train


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
        "InceptionV3 of keras.applications, whose scores compare with no published ones.",
        choices=("classifier", "inception_2015", "tfgan", "inception_v3"),
    )
    feature_file: str | None = option(
        None, "Path or URL of the frozen graph; of inception_v3, path of its weights."
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
                    "the generator's samples are not finite: there is nothing to score"
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
    return features.frozen(name, file, sha256, cache)


def _ensemble(run, scores, step):
    """(run id, classifier) of each run of --ensemble.

    Raises:
        UsageError: it is a run of other flags, or its last step is another than `step`.
    """
    members = []
    for folder in scores.ensemble:
        member = ensemble_member(folder, run, except_for=("seed",))
        model, reached = member.restored(scores.checkpoint)
        if scores.checkpoint == "last" and reached != step:
            raise UsageError(
                f"--ensemble: {folder} stands at step {reached:,}, --logdir's at {step:,}"
            )
        members.append((member.facts["run_id"], model.classifier))
    return members


def _averaged(classifiers):
    """(images) -> the mean of their probabilities: not its logarithm, which is infinite
    where all are sure."""

    def mean(images, training=False):
        found = [tf.nn.softmax(each(images, training=training)) for each in classifiers]
        return tf.reduce_mean(found, 0)

    return mean


def train_and_score(run: Run, scores: ScoreOptions):
    """Train the run; with --metrics keep the checkpoint that is best by the first of them,
    and take them all at the end."""
    check(scores, run.values.data)
    if scores.images:
        raise UsageError("--images goes with --mode=evaluate")
    if not scores.metrics:
        return train(run)
    scorer = None

    def make_score(examples):
        nonlocal scorer
        loaded = {run.values.data.train_split: examples}
        # of all metrics, to find out now if one cannot be taken
        scorer = Scorer(scores, run.values.data, loaded, run.facts["class_names"])
        return scorer.select

    train(run, make_score)
    _evaluate(run, scores, scorer)


def evaluate(run: Run, scores: ScoreOptions):
    """Take --metrics of the run, or of it and an --ensemble."""
    _check_metrics(scores)
    _evaluate(run, scores)


def evaluate_images(of: data.DataOptions, scores: ScoreOptions):
    """Take --metrics of --images."""
    _check_metrics(scores)
    check(scores, of)
    if scores.record:
        raise UsageError("--record is of a run, and --images of none")
    of = data.with_held_out_split(of)
    test = data.load(of.test_split, of)
    images = ImageFiles(scores, of, test)
    for _, metric, found in Scorer(scores, of, {of.test_split: test}).score(images):
        print(f"{metric.NAME} of {scores.images}: {_written(found, metric.UNIT)}")


def _check_metrics(scores):
    if not scores.metrics:
        raise UsageError(f"--mode=evaluate needs --metrics, of {', '.join(METRICS)}")


def _evaluate(run, scores, scorer=None):
    check(scores, run.values.data)
    others = [name for name in scores.metrics if METRICS[name].OF != "classifier"]
    if scores.ensemble and others:
        raise UsageError(f"--ensemble is of classifiers, and {others[0]} is not")
    model, step = run.restored(scores.checkpoint)
    score(run, scores, model, step, scorer)


def score(run, scores, model, step, scorer=None):
    """Print the scores, add them to the run's scores.json, and write the record."""
    members = _ensemble(run, scores, step)
    ids = [run.facts["run_id"], *(run_id for run_id, _ in members)]
    of = f" of {len(ids)} runs" if members else ""
    names = run.facts.get("class_names", ())  # which old runs have not noted
    scorer = scorer or Scorer(scores, run.values.data, class_names=names)
    subject = scorer.subject(model, [classifier for _, classifier in members])
    for name, metric, found in scorer.score(subject):
        print(f"{metric.NAME}{of} at step {step}: {_written(found, metric.UNIT)}")
        if members:
            name = f"{name}_of_{len({_seed(run_id) for run_id in ids})}"
        entry = {"metric": name, "step": step, "checkpoint": scores.checkpoint}
        if metric.OF in OF_SAMPLES:
            entry["generator"] = model.sampling_generator_name
        entry |= {"seed": scores.score_seed, **found}
        if members:
            entry["with"] = ids[1:]
        stored = run.folder.read("scores.json") or []
        run.folder.write("scores.json", [*stored, entry])
        if scores.record:
            _record(run, scores, name, metric, entry, found, ids)


def _seed(run_id):
    """In which it ends."""
    return int(run_id.rpartition("-seed")[2])


def _spread(found):
    """A score's spread, and what it is; None, None without."""
    kind = next((kind for kind in SPREADS if kind in found), None)
    return found.get(kind), SPREADS.get(kind)


def _written(found, unit):
    """A score on a line: the value, its error, and what it rests on."""
    spread, _ = _spread(found)
    error = "" if spread is None else f" +- {_plain(spread)}"
    details = (
        f"{name} {value:.4g}"
        if isinstance(value, float)
        else f"{name} {value[:16] if name.endswith('sha256') else value}"
        for name, value in found.items()
        if name not in ("value", *SPREADS)
    )
    value = _plain(found["value"])
    return f"{value}{error} {unit}, {', '.join(details)}".replace(" ,", ",")


def _plain(value):
    return f"{value:.2f}" if abs(value) >= 1 or not value else f"{value:.4g}"


def _record(run, scores, name, metric, entry, found, ids):
    """A record of the score, with the paper's claim that it bears on, if there is one;
    beside it the run's picture of that step."""
    of_run = run.values.defining()
    claim = _claim(name, {**run.values.flat(), **vars(scores)})
    fields = {"claim": None, "paper": None, "paper_value": None, "paper_spread": None}
    part, unit = "value", metric.UNIT
    if claim:
        fields = {field: getattr(claim, field) for field in fields}
        part, unit = (claim.metric.split()[1:] or ["value"])[0], claim.unit
    spread, spread_is = _spread(found)
    step = entry["step"]
    seed, label_seed = of_run.pop("seed"), of_run.pop("label_seed", None)
    steps, summary = claim and claim.paper_steps, run.folder.read("summary.json") or {}
    records.write(
        scores.record,
        **fields,
        quantity=metric.NAME,
        dataset=run.values.data.dataset,
        unit=unit,
        value=found[part],
        spread=spread,
        spread_is=spread_is,
        details=found,
        seeds=[seed, *map(_seed, ids[1:])],
        label_seed=label_seed,
        flags=of_run,
        steps=step,
        checkpoint=entry["checkpoint"],
        generator=entry.get("generator"),
        ms_per_step=summary.get("ms_per_step"),
        reporting_share=summary.get("reporting_share"),
        peak_memory_mb=summary.get("peak_memory_mb"),
        scalars=summary.get("scalars"),  # of training, means over its last report
        budget_share=step / steps if steps else None,
        verdict=claim
        and records.compare_with_paper(
            found[part], claim.paper_value, claim.paper_spread, claim.better
        ),
        run_id=ids[0],
        ensemble=ids[1:],
        trained_by=summary.get("command"),
        command=records.command(),
    )
    picture = run.folder.sheets().get(step)
    if picture:
        shutil.copyfile(picture, pathlib.Path(scores.record).with_suffix(".png"))


def _claim(name, values):
    """The claim of the project's ledger that the score bears on; None outside its
    checkout, where there is no ledger."""
    if importlib.util.find_spec("reproduction") is None:
        return None
    from reproduction.claims import measured_by  # the project's, not the package's

    written = {name: str(value) for name, value in values.items()}
    return next(iter(measured_by(name, written)), None)
