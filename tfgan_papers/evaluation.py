"""Scores of a trained run, and what they say about the paper's claims."""

import shlex
import sys

import numpy as np
import tensorflow as tf
from absl import flags, logging

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


def check():
    """
    Raises:
        UsageError: --metrics names a score that is not there, or cannot be taken.
    """
    for name in _METRICS.value:
        if name not in METRICS:
            raise UsageError(f"--metrics={name}: there is {', '.join(METRICS)}")
    if _METRICS.value and not FLAGS.validation_split:
        raise UsageError("--metrics needs --validation_split, as train[90%:]")
    if _RECORD.value and not _METRICS.value:
        raise UsageError("--record needs --metrics")


def generated(
    model: AdversarialModel, n: int, seed: int, batch_size: int = 1000
) -> np.ndarray:
    """n samples of the generator in inference mode, float32, in its value range."""
    generate = tf.function(lambda z: model.generator(z, training=False))
    base = tf.constant([seed, 0], tf.int64)
    z = noise.latents(model.prior_law, base, (n, model.latent_dim))
    parts = [generate(z[i : i + batch_size]) for i in range(0, n, batch_size)]
    return np.concatenate(parts)


def train():
    """Train the run of --logdir; with --metrics keep the checkpoint that is best by the
    first of them on the validation split, and take them all at the end."""
    check()
    training.train(_validation_scorer if _METRICS.value else None)
    if _METRICS.value:
        evaluate()


def _validation_scorer():
    """model -> its score on the validation split, higher is better."""
    metric = METRICS[_METRICS.value[0]]
    validation = data.load(FLAGS.validation_split).all(FLAGS.value_range)
    data.load(FLAGS.test_split)  # which is needed at the end: find out now if it is there

    def scorer(model):
        samples = generated(model, metric.SAMPLES, _SCORE_SEED.value)
        return metric.validation_score(samples, validation)

    return scorer


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
    splits = [data.load(split) for split in (FLAGS.validation_split, FLAGS.test_split)]
    validation, test = (split.all(FLAGS.value_range) for split in splits)
    for name in _METRICS.value:
        metric = METRICS[name]
        samples = generated(model, metric.SAMPLES, _SCORE_SEED.value)
        found = metric.score(samples, validation, test)._asdict()
        print(
            f"{metric.NAME} at step {step}: {found['value']:.2f} +- "
            f"{found['standard_error']:.2f} {metric.UNIT} "
            + ", ".join(f"{k} {v}" for k, v in list(found.items())[2:])
        )
        if found["at_grid_edge"]:
            logging.warning("sigma is at the edge of its grid: the score is a lower bound")
        entry = {"metric": name, "step": step, "seed": _SCORE_SEED.value, **found}
        run.write("scores.json", [*(run.read("scores.json") or []), entry])
        if _RECORD.value:
            _record(run, name, metric, step, found)


def _record(run, name, metric, step, found):
    """The paper's claim about this score on this data set, and what the run says."""
    claim = run.paper.CLAIMS.get((name, FLAGS.dataset))
    if claim is None:
        raise UsageError(
            f"the paper claims no {name} on {FLAGS.dataset}: leave out --record"
        )
    records.write(
        _RECORD.value,
        **claim._asdict(),
        quantity=metric.NAME,
        dataset=FLAGS.dataset,
        unit=metric.UNIT,
        value=found["value"],
        spread=found["standard_error"],
        spread_is="standard error over test examples",
        details=found,
        seeds=[FLAGS.seed],
        steps=step,
        budget_share=step / claim.paper_steps if claim.paper_steps else None,
        verdict=records.verdict(
            found["value"], claim.paper_value, claim.paper_spread, found["standard_error"]
        ),
        run_id=run.facts["run_id"],
        command=shlex.join(["python", *sys.argv]),
    )
