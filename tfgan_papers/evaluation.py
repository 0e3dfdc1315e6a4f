"""Scores of a trained run, and what they say about the paper's claims."""

import functools
import pathlib
import shlex
import shutil
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from tfgan_papers import data, noise, records, training
from tfgan_papers.adversarial import AdversarialModel
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import METRICS
from tfgan_papers.papers.claims import measured_by

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
    "record",
    None,
    "File for the record of the paper's claim, such as results/NAME.json; "
    "the run's picture goes beside it.",
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
    if _RECORD.value and len(_METRICS.value) != 1:
        raise UsageError("--record needs one score in --metrics")


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
    """Take --metrics of the run in --logdir."""
    check()
    if not _METRICS.value:
        raise UsageError(f"--mode=evaluate needs --metrics, of {', '.join(METRICS)}")
    run = training.Run()
    model, step = run.restored(CHECKPOINT.value)
    score(run, model, step)


def score(run, model, step):
    """Print the scores, add them to the run's scores.json, and write the record."""
    for name, reference in _references().items():
        metric = METRICS[name]
        found = metric.score(scored(model, metric), reference)._asdict()
        print(f"{metric.NAME} at step {step}: {_written(found, metric.UNIT)}")
        entry = {"metric": name, "step": step, "seed": _SCORE_SEED.value, **found}
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
    """What the run says of the paper's claim about this score, or without one what it has
    found; beside it the run's picture of that step."""
    written = {flag: str(FLAGS[flag].value) for flag in FLAGS}
    claim = next(iter(measured_by(name, written)), None)
    fields = {"claim": None, "paper": None, "paper_value": None, "paper_spread": None}
    part, unit = "value", metric.UNIT
    if claim:
        fields = {field: getattr(claim, field) for field in fields}
        part, unit = (claim.metric.split()[1:] or ["value"])[0], claim.unit
    error = found.get("standard_error")
    steps, summary = claim and claim.paper_steps, run.read("summary.json") or {}
    records.write(
        _RECORD.value,
        **fields,
        quantity=metric.NAME,
        dataset=FLAGS.dataset,
        unit=unit,
        value=found[part],
        spread=error,
        spread_is="standard error over test examples" if error is not None else None,
        details=found,
        seeds=[FLAGS.seed],
        steps=step,
        ms_per_step=summary.get("ms_per_step"),
        budget_share=step / steps if steps else None,
        verdict=claim
        and records.verdict(
            *(found[part], claim.paper_value, claim.paper_spread, error), claim.better
        ),
        run_id=run.facts["run_id"],
        trained_by=summary.get("command"),
        command=shlex.join(["python", *sys.argv]),
    )
    picture = run.folder / "samples" / f"step-{step:09d}.png"
    if picture.is_file():
        shutil.copyfile(picture, pathlib.Path(_RECORD.value).with_suffix(".png"))
