"""Scores of a trained run, and what they say about the paper's claims."""

import functools
import shlex
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from tfgan_papers import data, noise, records, training
from tfgan_papers.adversarial import AdversarialModel
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import METRICS

FLAGS = flags.FLAGS
_METRICS = flags.DEFINE_list(
    "metrics", [], f"Scores to take, of {', '.join(METRICS)}; after training, or by "
    "--mode=evaluate.",
)  # fmt: skip
_SCORE_SEED = flags.DEFINE_integer("score_seed", 2014, "Of the latents that are scored.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "last", ["last", "best"], "Which checkpoint to sample, score or export."
)
_RECORD = flags.DEFINE_string(
    "record", None, "File for the record of the paper's claim, such as results/NAME.json."
)
_ENSEMBLE = flags.DEFINE_list(
    "ensemble",
    [],
    "Further run folders, whose classifiers' predictions are averaged with those of "
    "--logdir's; seeds may differ.",
)


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
    if _RECORD.value and not _METRICS.value:
        raise UsageError("--record needs --metrics")


def generated(
    model: AdversarialModel, n: int, seed: int, batch_size: int = 1000
) -> np.ndarray:
    """n samples of the generator in inference mode, float32, in its value range; of all
    classes in turn, where there are any."""
    base = tf.constant([seed, 0], tf.int64)
    z = noise.latents(model.prior_law, base, (n, model.latent_dim))
    labels = tf.range(n) % model.classes if model.classes else None
    parts = []
    for i in range(0, n, batch_size):
        part = slice(i, i + batch_size)
        of_part = None if labels is None else labels[part]
        parts.append(model.generate_in_graph(z[part], of_part))
    return np.concatenate(parts)


def scored(model: AdversarialModel, metric):
    """What `metric` is of: samples, or the model's classifier.

    Raises:
        UsageError: the model has none.
    """
    if metric.SAMPLES:
        return generated(model, metric.SAMPLES, _SCORE_SEED.value)
    if model.classifier is None:
        raise UsageError(
            f"{metric.NAME} is of a classifier, and --model={FLAGS.model} learns none"
        )
    return model.classifier


def _ensemble(classifier, folders):
    """The log of the mean prediction of `classifier` and those of further runs."""
    members = [classifier]
    for folder in folders:
        run = training.companion(folder, but_for=("seed", "label_seed"))
        members.append(run.restored(CHECKPOINT.value)[0].classifier)

    def mean(images, training=False):
        found = [tf.nn.softmax(each(images, training=training)) for each in members]
        return tf.math.log(tf.reduce_mean(found, 0))

    return mean


def train():
    """Train the run of --logdir; with --metrics keep the checkpoint that is best by the
    first of them, and take them all at the end."""
    check()
    training.train(_selection if _METRICS.value else None)
    if _METRICS.value:
        evaluate()


def _references():
    """name -> what the samples are compared with, of --metrics."""
    load = functools.cache(lambda kind: data.load(FLAGS[f"{kind}_split"].value))
    splits = {name: METRICS[name].SPLITS for name in _METRICS.value}
    return {
        name: METRICS[name].reference(FLAGS.value_range, **{k: load(k) for k in kinds})
        for name, kinds in splits.items()
    }


def _selection():
    """model -> its score by the first of --metrics, higher is better."""
    references = _references()  # of all, to find out now if one cannot be had
    name = _METRICS.value[0]

    def select(model):
        return METRICS[name].selection(scored(model, METRICS[name]), references[name])

    return select


def evaluate():
    """Take --metrics of the run in --logdir, or of the --ensemble."""
    check()
    of_samples = [name for name in _METRICS.value if METRICS[name].SAMPLES]
    if _ENSEMBLE.value and of_samples:
        raise UsageError(f"--ensemble is of classifiers, and {of_samples[0]} of samples")
    if not _METRICS.value:
        raise UsageError(f"--mode=evaluate needs --metrics, of {', '.join(METRICS)}")
    run = training.Run()
    model, step = run.restored(CHECKPOINT.value)
    score(run, model, step)


def score(run, model, step):
    """Print the scores, add them to the run's scores.json, and write the record."""
    for name, reference in _references().items():
        metric = METRICS[name]
        judged, of = scored(model, metric), ""
        if _ENSEMBLE.value:
            judged = _ensemble(judged, _ENSEMBLE.value)
            of, name = f" of {1 + len(_ENSEMBLE.value)} runs", f"{name}_of_ensemble"
        found = metric.score(judged, reference)._asdict()
        print(f"{metric.NAME}{of} at step {step}: {_written(found, metric.UNIT)}")
        entry = {"metric": name, "step": step, "seed": _SCORE_SEED.value, **found}
        if _ENSEMBLE.value:
            entry["with"] = _ENSEMBLE.value
        run.write("scores.json", [*(run.read("scores.json") or []), entry])
        if _RECORD.value:
            _record(run, name, metric, step, found)


def _written(found, unit):
    """A score on a line: the value, its error, and what it rests on."""
    error = f" +- {found['standard_error']:.2f}" if "standard_error" in found else ""
    details = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
        if name not in ("value", "standard_error")
    )
    return f"{found['value']:.2f}{error} {unit}, {', '.join(details)}"


def _record(run, name, metric, step, found):
    """The paper's claim about this score on this data set, and what the run says."""
    variant = getattr(run.paper, "variant", tuple)()
    claim = run.paper.CLAIMS.get((name, FLAGS.dataset, *variant))
    if claim is None:
        such = " ".join([FLAGS.dataset, *map(str, variant)])
        raise UsageError(f"the paper claims no {name} on {such}: leave out --record")
    error = found.get("standard_error")
    less_is_better = getattr(metric, "LESS_IS_BETTER", False)
    records.write(
        _RECORD.value,
        **claim._asdict(),
        quantity=metric.NAME,
        dataset=FLAGS.dataset,
        unit=metric.UNIT,
        value=found["value"],
        spread=error,
        spread_is="standard error over test examples" if error is not None else None,
        details=found,
        seeds=[FLAGS.seed],
        steps=step,
        budget_share=step / claim.paper_steps if claim.paper_steps else None,
        less_is_better=less_is_better,
        verdict=records.verdict(
            found["value"], claim.paper_value, claim.paper_spread, error, less_is_better
        ),
        run_id=run.facts["run_id"],
        command=shlex.join(["python", *sys.argv]),
    )
