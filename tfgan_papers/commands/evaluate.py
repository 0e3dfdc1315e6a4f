"""Scores of a trained run, and what they say about the paper's claims."""

import os
import pathlib
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import tensorflow as tf
from absl import flags

from reproduction.claims import measured_by
from tfgan_papers import data, noise
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import METRICS, features
from tfgan_papers.models.adversarial import AdversarialModel
from tfgan_papers.runs import records, training

FLAGS = flags.FLAGS
_METRICS = flags.DEFINE_list(
    "metrics", [], f"Scores to take, of {', '.join(METRICS)}; after training, or by "
    "--mode=evaluate.",
)  # fmt: skip
_SCORE_SEED = flags.DEFINE_integer("score_seed", 2014, "Of the latents that are scored.")
_SCORE_SAMPLES = flags.DEFINE_integer(
    "score_samples", 0, "Samples that are scored; 0: as many as each score's own protocol "
    "has.", lower_bound=0,
)  # fmt: skip
_SCORE_BATCH_SIZE = flags.DEFINE_integer(
    "score_batch_size", 200, "Samples that are drawn, and seen by the feature network, at "
    "once: bounds the memory, not the scores.", lower_bound=1,
)  # fmt: skip
_FEATURES = flags.DEFINE_enum(
    "features",
    "classifier",
    ["classifier", "inception_2015", "tfgan", "inception_v3"],
    "What scores of features see by: a small classifier, trained on the spot once a data "
    "set; the Inception graph of 2015, or TF-GAN's copy, from --feature_file; or "
    "keras.applications' InceptionV3, which compares with no published score.",
)
_FEATURE_FILE = flags.DEFINE_string(
    "feature_file",
    None,
    "Path or URL of the frozen graph; of inception_v3, path of weights.",
)
_FEATURE_HASH = flags.DEFINE_string(
    "feature_hash", None, "sha256 that the network must have, as a record says it."
)
_SCORE_CACHE = flags.DEFINE_string(
    "score_cache", "~/.cache/tfgan_papers", "Folder of classifiers, downloaded graphs, and "
    "of what they see in the data, by the data's hash.",
)  # fmt: skip
IMAGES = flags.DEFINE_string(
    "images", None, "With --mode=evaluate: score these images instead of a run's, of a "
    "folder, or an array in a .npy file, against the splits of --dataset.",
)  # fmt: skip
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "last", ["last", "best"], "Which checkpoint to sample, score or export."
)
_RECORD = flags.DEFINE_string(
    "record",
    None,
    "File for the record of the paper's claim, such as results/NAME.json; "
    "the run's picture goes beside it.",
)
_ENSEMBLE = flags.DEFINE_list(
    "ensemble",
    [],
    "Further run folders, whose classifiers' predictions are averaged with those of "
    "--logdir's; --seed may differ, and nothing else.",
)
SPREADS = {
    "standard_error": "standard error over test examples",
    "binomial_error": "standard error over the samples",
    "standard_deviation": "standard deviation over parts of the samples",
}  # by what a score's spread may go
OF_SAMPLES = ("samples", "labelled samples", "features")  # scores of what G draws
REFERENCE_EXAMPLES = 50_000  # at most whose features samples are compared with


def check():
    """
    Raises:
        UsageError: --metrics names a score that is not there, or cannot be taken.
    """
    for name in _METRICS.value:
        if name not in METRICS:
            raise UsageError(f"--metrics={name}: there is {', '.join(METRICS)}")
        if "validation" in METRICS[name].SPLITS and not FLAGS.validation_split:
            raise UsageError(f"--metrics={name} needs --validation_split, as train[90%:]")
        networks = getattr(METRICS[name], "NETWORKS", [_FEATURES.value])
        if _FEATURES.value not in networks:
            raise UsageError(
                f"--metrics={name} is not of --features={_FEATURES.value}: it needs "
                f"--features={' or '.join(networks)}"
            )
        to_batch = not (data.RANGES[FLAGS.value_range].limits or IMAGES.value)
        if METRICS[name].OF == "features" and to_batch:
            raise UsageError(
                f"--metrics={name} is of 8-bit samples, and those of --value_range="
                f"{FLAGS.value_range} depend on the others drawn with them"
            )
    if _RECORD.value and len(_METRICS.value) != 1:
        raise UsageError("--record needs one score in --metrics")


def batches(model: AdversarialModel, n: int, seed: int) -> Iterator:
    """n samples of the generator in inference mode, --score_batch_size at a time: float32
    images in its value range; and labels, of all classes in turn, or None."""
    base = tf.constant([seed, 0], tf.int64)
    for first in range(0, n, _SCORE_BATCH_SIZE.value):
        last = min(n, first + _SCORE_BATCH_SIZE.value)
        z = noise.latents(model.prior_law, base, (last - first, model.latent_dim), first)
        labels = tf.range(first, last) % model.classes if model.classes else None
        yield np.asarray(model.generate_in_graph(z, labels)), labels


class Generated:
    """What a model gives to be scored; as classifier, with `ensemble`, further ones."""

    def __init__(self, model: AdversarialModel, ensemble=()):
        self.model, self.ensemble = model, ensemble

    def samples(self, n):
        """float32 (n, ...) in the value range, in a file without a name, so that memory is
        bounded by the batch."""
        file = tempfile.TemporaryFile()
        for images, _ in batches(self.model, n, _SCORE_SEED.value):
            file.write(images.tobytes())
        return np.memmap(file, images.dtype, "r", shape=(n, *images.shape[1:]))

    def labelled(self, n):
        """The same, and the labels they were drawn with.

        Raises:
            UsageError: the model has no classes.
        """
        if not self.model.classes:
            raise UsageError(f"--model={FLAGS.model} draws no samples of a class")
        return self.samples(n), np.arange(n) % self.model.classes

    def pixels(self, n):
        """uint8 batches of n in all.

        Raises:
            UserError: a sample is not finite.
            UsageError: the samples are points.
        """
        to_pixels = data.RANGES[FLAGS.value_range].to_pixels
        for images, _ in batches(self.model, n, _SCORE_SEED.value):
            if images.ndim != 4:
                raise UsageError("scores of features are of images, and these are points")
            if not np.isfinite(images).all():
                raise UserError(
                    "the generator's samples are not finite: there is nothing to score"
                )
            yield to_pixels(images).numpy()

    def part(self, name):
        """The model's part of that name.

        Raises:
            UsageError: it has none.
        """
        if getattr(self.model, name) is None:
            raise UsageError(
                f"--metrics is of a {name}, and --model={FLAGS.model} learns none"
            )
        part = getattr(self.model, name)
        return _averaged([part, *self.ensemble]) if self.ensemble else part


class Given:
    """What --images gives to be scored.

    Raises:
        UsageError: the images are not of the data's size, or not of 0 to 255.
        UserError: they cannot be read.
    """

    def __init__(self, path: str, shape: tuple[int, ...]):
        path = os.path.expanduser(path)
        self.examples = (
            data.array(path) if path.endswith(".npy") else data.folder.read(path, "train")
        )
        if self.examples.shape != shape:
            raise UsageError(
                f"--images={path} are {_size(self.examples.shape)}, those of "
                f"{FLAGS.dataset} {_size(shape)}: set --image_size and --channels for both"
            )

    def samples(self, n):
        """float32, n or as many as there are, in the value range."""
        return self.examples.all(FLAGS.value_range, n)

    def labelled(self, n):
        return self.examples.labelled(FLAGS.value_range, n)

    def pixels(self, n):
        """uint8 batches of n in all, or as many as there are."""
        size = _SCORE_BATCH_SIZE.value
        for block in map(np.asarray, self.examples.blocks(n)):
            yield from (block[i : i + size] for i in range(0, len(block), size))

    def part(self, name):
        raise UsageError(f"--metrics is of a run's {name}, and --images has none")


def _size(shape):
    return "x".join(map(str, shape))


class Scorer:
    """--metrics, with what samples are compared with, which is loaded once.

    Args:
        loaded: splits that are loaded already.
    """

    def __init__(self, loaded: Mapping[str, data.Examples] = MappingProxyType({})):
        check()
        self.metrics = {name: METRICS[name] for name in _METRICS.value}
        loaded = dict(loaded)

        def load(kind):
            split = FLAGS[f"{kind}_split"].value
            if split not in loaded:
                loaded[split] = data.load(split)
            return loaded[split]

        self.load, self.network, self.facts = load, None, {}
        of_features = [m for m in self.metrics.values() if m.OF == "features"]
        if of_features:
            self._look_at_data({kind for m in of_features for kind in m.SPLITS})
        self.references = {n: self._reference(m) for n, m in self.metrics.items()}

    def _look_at_data(self, kinds):
        """By the feature network, which is made here."""
        cache = pathlib.Path(_SCORE_CACHE.value).expanduser()
        self.network = _feature_network(self.load, cache)
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
                _SCORE_BATCH_SIZE.value, cache,
            )  # fmt: skip
            self.facts |= {
                "reference": f"{FLAGS.dataset} {FLAGS[f'{kind}_split'].value}",
                "reference_sha256": digest,
            }

    def _reference(self, metric):
        if metric.OF == "features":
            seen = {kind: self.seen[kind] for kind in metric.SPLITS}
            return metric.reference(**seen) if seen else None
        splits = {kind: self.load(kind) for kind in metric.SPLITS}
        return metric.reference(FLAGS.value_range, **splits)

    def _taken(self, subject, names):
        """(name, what the score is of), of one look of the feature network at all."""
        counts = {
            name: _SCORE_SAMPLES.value or getattr(self.metrics[name], "SAMPLES", 0)
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
                    "classifier": lambda: subject.part("classifier"),
                    "bound": lambda: subject.part("bound"),
                }[self.metrics[name].OF](),
            )

    def select(self, model) -> float:
        """Its score by the first of --metrics, higher is better."""
        ((name, taken),) = self._taken(Generated(model), list(self.metrics)[:1])
        return self.metrics[name].selection(taken, self.references[name])

    def scores(self, subject) -> Iterator:
        """(name, metric, score and what it rests on) of each of --metrics."""
        for name, taken in self._taken(subject, self.metrics):
            metric = self.metrics[name]
            found = metric.score(taken, self.references[name])._asdict()
            yield name, metric, found | (self.facts if metric.OF == "features" else {})


def _feature_network(load, cache):
    """--features."""
    name, file, sha256 = _FEATURES.value, _FEATURE_FILE.value, _FEATURE_HASH.value
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


def _ensemble(step):
    """(run id, classifier) of each run of --ensemble.

    Raises:
        UsageError: it is a run of other flags, or its last step is another than `step`.
    """
    members = []
    for folder in _ENSEMBLE.value:
        run = training.companion(folder, but_for=("seed",))
        model, reached = run.restored(CHECKPOINT.value)
        if CHECKPOINT.value == "last" and reached != step:
            raise UsageError(
                f"--ensemble: {folder} stands at step {reached:,}, --logdir's at {step:,}"
            )
        members.append((run.facts["run_id"], model.classifier))
    return members


def _averaged(classifiers):
    """(images) -> the mean of their probabilities: not its logarithm, which is infinite
    where all are sure."""

    def mean(images, training=False):
        found = [tf.nn.softmax(each(images, training=training)) for each in classifiers]
        return tf.reduce_mean(found, 0)

    return mean


def train():
    """Train the run of --logdir; with --metrics keep the checkpoint that is best by the
    first of them, and take them all at the end."""
    check()
    if IMAGES.value:
        raise UsageError("--images goes with --mode=evaluate")
    if not _METRICS.value:
        return training.train()
    scorer = None

    def make_score(examples):
        nonlocal scorer
        scorer = Scorer(
            {FLAGS.train_split: examples}
        )  # of all, to find out now if one cannot be taken
        return scorer.select

    training.train(make_score)
    _evaluate(scorer)


def evaluate():
    """Take --metrics of the run in --logdir, of the --ensemble, or of --images."""
    check()
    others = [name for name in _METRICS.value if METRICS[name].OF != "classifier"]
    if _ENSEMBLE.value and others:
        raise UsageError(f"--ensemble is of classifiers, and {others[0]} is not")
    if not _METRICS.value:
        raise UsageError(f"--mode=evaluate needs --metrics, of {', '.join(METRICS)}")
    if IMAGES.value:
        if _RECORD.value:
            raise UsageError("--record is of a run, and --images of none")
        test = data.load(FLAGS.test_split)
        images = Given(IMAGES.value, test.shape)
        for _, metric, found in Scorer({FLAGS.test_split: test}).scores(images):
            print(f"{metric.NAME} of {IMAGES.value}: {_written(found, metric.UNIT)}")
        return
    _evaluate()


def _evaluate(scorer=None):
    run = training.Run()
    model, step = run.restored(CHECKPOINT.value)
    score(run, model, step, scorer)


def score(run, model, step, scorer=None):
    """Print the scores, add them to the run's scores.json, and write the record."""
    members = _ensemble(step)
    ids = [run.facts["run_id"], *(run_id for run_id, _ in members)]
    of = f" of {len(ids)} runs" if members else ""
    subject = Generated(model, [classifier for _, classifier in members])
    for name, metric, found in (scorer or Scorer()).scores(subject):
        print(f"{metric.NAME}{of} at step {step}: {_written(found, metric.UNIT)}")
        if members:
            name = f"{name}_of_{len({_seed(run_id) for run_id in ids})}"
        entry = {"metric": name, "step": step, "checkpoint": CHECKPOINT.value}
        if metric.OF in OF_SAMPLES:
            entry["generator"] = model.sampled_is
        entry |= {"seed": _SCORE_SEED.value, **found}
        if members:
            entry["with"] = ids[1:]
        run.write("scores.json", [*(run.read("scores.json") or []), entry])
        if _RECORD.value:
            _record(run, name, metric, entry, found, ids)


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


def _record(run, name, metric, entry, found, ids):
    """What the run says of the paper's claim about this score, or without one what it has
    found; beside it the run's picture of that step."""
    written = {flag: str(FLAGS[flag].value) for flag in FLAGS}
    claim = next(iter(measured_by(name, written)), None)
    fields = {"claim": None, "paper": None, "paper_value": None, "paper_spread": None}
    part, unit = "value", metric.UNIT
    if claim:
        fields = {field: getattr(claim, field) for field in fields}
        part, unit = (claim.metric.split()[1:] or ["value"])[0], claim.unit
    spread, spread_is = _spread(found)
    of_run = training.defining_flags()
    step = entry["step"]
    seed, label_seed = of_run.pop("seed"), of_run.pop("label_seed", None)
    steps, summary = claim and claim.paper_steps, run.read("summary.json") or {}
    records.write(
        _RECORD.value,
        **fields,
        quantity=metric.NAME,
        dataset=FLAGS.dataset,
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
        and records.verdict(
            found[part], claim.paper_value, claim.paper_spread, claim.better
        ),
        run_id=ids[0],
        ensemble=ids[1:],
        trained_by=summary.get("command"),
        command=shlex.join(["python", *sys.argv]),
    )
    picture = run.folder / "samples" / f"step-{step:09d}.png"
    if picture.is_file():
        shutil.copyfile(picture, pathlib.Path(_RECORD.value).with_suffix(".png"))
