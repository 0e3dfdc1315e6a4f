"""Scores of a trained run, compared with the claims of its paper."""

import importlib.util
import pathlib

from tfgan_papers import data
from tfgan_papers.commands import cluster, export
from tfgan_papers.commands.scoring import (
    OF_SAMPLES,
    SPREADS,
    ScoreOptions,
    Scorer,
    check,
)
from tfgan_papers.commands.subjects import ImageFiles
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import METRICS
from tfgan_papers.runs import records
from tfgan_papers.runs.folder import named_folders
from tfgan_papers.runs.run import Run, ensemble_member
from tfgan_papers.runs.train import train


def _ensemble(run, scores, step):
    """The runs of --ensemble, as (run id, classifier).

    Raises:
        UsageError: a run has other options, or its last step is not `step`.
    """
    members = []
    for folder in named_folders(scores.ensemble):
        member = ensemble_member(folder, run, except_for=("seed",))
        model, reached = member.restored(scores.checkpoint)
        if scores.checkpoint == "last" and reached != step:
            raise UsageError(
                f"--ensemble={folder} is at step {reached:,} and --logdir at {step:,}: "
                "train both to the same step"
            )
        members.append((member.facts["run_id"], model.classifier))
    return members


def train_and_score(run: Run, scores: ScoreOptions):
    """Trains a run, with --metrics for the best checkpoint and at the end.

    The first metric selects the best checkpoint. All are computed after training.

    Args:
        run: `Run`.
        scores: `ScoreOptions`.
    """
    check(scores, run.values.data)
    if scores.ensemble and not scores.metrics:
        raise UsageError("--ensemble needs --metrics=test_error: add it, or leave both out")
    for name in ("images", "cluster"):
        if getattr(scores, name):
            raise UsageError(
                f"--{name} needs --mode=evaluate: add it, or leave --{name} out"
            )
    if not scores.metrics:
        return train(run)
    scorer = None

    def make_scorer(examples):
        nonlocal scorer
        loaded = {run.values.data.train_split: examples}
        # with all metrics, so that an impossible one is refused before training
        scorer = Scorer(scores, run.values.data, loaded, run.facts["class_names"])
        return scorer

    train(run, make_scorer)
    _evaluate(run, scores, scorer)
    export.add_scores(run)


def evaluate(run: Run, scores: ScoreOptions):
    """Computes --metrics for a run, or for an ensemble of it and others."""
    _check_metrics(scores)
    _evaluate(run, scores)


def evaluate_images(of: data.DataOptions, scores: ScoreOptions):
    """Computes --metrics for --images."""
    _check_metrics(scores)
    check(scores, of)
    if scores.cluster:
        raise UsageError("--cluster draws samples of a run: leave it out with --images")
    of = data.with_held_out_split(of)
    test = data.load(of.test_split, of)
    images = ImageFiles(scores, of, test)
    for _, metric, found in Scorer(scores, of, {of.test_split: test}).score(images):
        print(f"{metric.NAME} of {scores.images}: {_written(found, metric.UNIT)}")
        if scores.record:
            _record_of_images(of, scores, metric, found)


def _check_metrics(scores):
    if not scores.metrics:
        names = ", ".join(METRICS)
        raise UsageError(f"--mode=evaluate needs --metrics: choose one or more of {names}")


def _evaluate(run, scores, scorer=None):
    check(scores, run.values.data)
    others = [name for name in scores.metrics if METRICS[name].OF != "classifier"]
    if scores.ensemble and others:
        raise UsageError(
            f"--ensemble averages classifiers, but {others[0]} is no score of a "
            "classifier: leave one out"
        )
    model, step = run.restored(scores.checkpoint)
    score(run, scores, model, step, scorer)


def score(run, scores, model, step, scorer=None):
    """Prints the scores, adds them to the run's scores.json, and writes the record.

    Raises:
        UsageError: the runs of --ensemble differ in more than their seeds, or one of them
            is there twice.
    """
    members = _ensemble(run, scores, step)
    ids = [run.facts["run_id"], *(run_id for run_id, _ in members)]
    if twice := [run_id for i, run_id in enumerate(ids) if run_id in ids[:i]]:
        raise UsageError(f"--ensemble: {twice[0]} is there twice: name each run once")
    of = f" of {len(ids)} runs" if members else ""
    names = run.facts.get("class_names", ())  # absent in old runs
    scorer = scorer or Scorer(
        scores, run.values.data, class_names=names, check_train=run.check_data
    )
    by = _selected_by(run, step) if scores.checkpoint == "best" else None
    subject = scorer.subject(model, [classifier for _, classifier in members])
    with cluster.states(run, scorer, step) as state_of:
        for name, metric, found in scorer.score(subject, state_of):
            print(
                f"{metric.NAME}{of} at step {step}{_chosen(scores, by)}: "
                f"{_written(found, metric.UNIT)}"
            )
            if members:
                name = f"{name}_of_{len({_seed(run_id) for run_id in ids})}"
            entry = {"metric": name, "step": step, "checkpoint": scores.checkpoint}
            if metric.OF in OF_SAMPLES:
                entry["generator"] = model.sampling_generator_name
            if by:
                entry["selected_by"] = by
            entry |= {"seed": scores.score_seed, **found}
            if members:
                entry["with"] = ids[1:]
            run.folder.append("scores.json", entry)
            if scores.record:
                _record(run, scores, name, metric, entry, found, ids)


def _selected_by(run, step):
    """The options by which the best checkpoint, of this step, was selected, or None."""
    by = run.facts.get("selected_by")  # absent in old runs
    while by and by["since"] and step <= by["since"]:  # it is of before the change
        by = by.get("before")
    return by and by["options"]


def _chosen(scores, by):
    """How the best checkpoint was chosen, in words for its score."""
    if scores.checkpoint != "best":
        return ""
    if not by:
        return ", the best"
    return f", the best by {by['metric']}" + (f" on {by['split']}" if by["split"] else "")


def _seed(run_id):
    """The seed at the end of a run id."""
    return int(run_id.rpartition("-seed")[2])


def _spread(found):
    """The spread of a score and its kind, or (None, None)."""
    kind = next((kind for kind in SPREADS if kind in found), None)
    return found.get(kind), SPREADS.get(kind)


def _written(found, unit):
    """Formats a score as value, error, unit and details."""
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
    """Writes a record of the score, and copies the run's picture of that step beside it.

    The record names the claim of the paper about this score, if there is one.
    """
    claim = _claim(name, {**run.values.flat(), **vars(scores)})
    fields, part, unit = {}, "value", metric.UNIT
    if claim:
        names = ("claim", "paper", "paper_value", "paper_spread")
        fields = {name: getattr(claim, name) for name in names}
        part, unit = (claim.metric.split()[1:] or ["value"])[0], claim.unit
    spread, spread_is = _spread(found)
    step = entry["step"]
    steps, summary = claim and claim.paper_steps, run.folder.read("summary.json") or {}
    records.write_of_run(
        scores.record,
        run,
        run.folder.sheets().get(step),
        **fields,
        quantity=metric.NAME,
        unit=unit,
        value=found[part],
        spread=spread,
        spread_is=spread_is,
        details=found,
        seeds=[run.values.training.seed, *map(_seed, ids[1:])],
        steps=step,
        checkpoint=entry["checkpoint"],
        **({"selected_by": by} if (by := entry.get("selected_by")) else {}),
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
    )


def _record_of_images(of, scores, metric, found):
    """Writes a record of a score of --images, without a claim."""
    spread, spread_is = _spread(found)
    records.write_value(
        scores.record,
        quantity=metric.NAME,
        dataset=of.dataset,
        unit=metric.UNIT,
        value=found["value"],
        spread=spread,
        spread_is=spread_is,
        details=found,
        seeds=[],
        steps=0,
        run_id=f"images of {pathlib.Path(scores.images).name}",
        command=records.command(),
    )


def _claim(name, values):
    """The claim in the project's ledger about this score, or None.

    The ledger exists only in the project's checkout.
    """
    if importlib.util.find_spec("reproduction") is None:
        return None
    from reproduction.protocol import measured_by  # not a part of the package

    written = {name: str(value) for name, value in values.items()}
    return next(iter(measured_by(name, written)), None)
