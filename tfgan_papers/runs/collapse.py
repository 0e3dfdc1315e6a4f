"""The collapse watch: checks at every report that the samples vary and that D can err.

GANs often look well early and collapse late (LSGAN, 2017, on its stability runs), so the
watch continues to the end of the run. It measures three quantities, for any loss:

    diversity   mean distance between two samples, divided by that between two examples: 1
                if the samples vary as much as the data, 0 if G ignores z. On a mixture,
                half of the modes may be lost without effect: use the score mode_coverage
                there.
    coverage    number of kinds of images among the samples, relative to the data
                (`metrics.coverage`). A digit that bends and moves has half the diversity
                of all digits and no coverage. Not measured for points.
    d_auc       the probability that D ranks an example above a sample, or the reverse,
                whichever is larger: .5 is a guess, and 1 means that D never errs. It is
                therefore defined for logits, least-squares scores and energies alike. Not
                measured for a model without an adversary.

The reports are written to collapse.json, by step. A rollback changes only the noise of the
run, because the same noise would lead to the same collapse. A resumed run reads the reports
and rollbacks up to its step, and therefore does what the uninterrupted run would have done.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from scipy.stats import rankdata

from tfgan_papers import noise
from tfgan_papers.errors import TrainingFailure, UsageError
from tfgan_papers.metrics import coverage
from tfgan_papers.metrics.diversity import mean_distance

EXAMPLES = 128  # number of samples and of examples: 8,128 pairs of each
SEED = 0  # of samples and examples, the same in every run
VALUES = 2**18  # largest number of pixel values in the samples for coverage
LEAST = 0.2  # diversity or coverage below it is low; ours: such sheets show one motif
MOST_AUC = 0.999  # ours
REPORTS = 3  # in a row; at most the checkpoints in last/, so that a good one remains
ROLLBACKS = 3
FAILURES = {"collapsed", "low_diversity", "saturated"}  # diagnoses that are logged at once
NOISES_APART = 2**48  # distance between the seeds; see also `noise.Stream.reseed`


def separation(real_scores: np.ndarray, fake_scores: np.ndarray) -> float:
    """Area under the ROC curve of real against fake scores, 1/2 to 1.

    Ties count half. The direction of the scores does not matter.
    """
    n, m = len(real_scores), len(fake_scores)
    ranks = rankdata(np.concatenate([real_scores, fake_scores]))
    auc = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    return float(max(auc, 1 - auc))


def first_low(reports: list[dict]) -> int | None:
    """Returns the step since which all reports are low, or None if the last is not low."""
    since = None
    for report in reversed(reports):
        if not is_low(report):
            break
        since = report["step"]
    return since


def is_low(report: dict) -> bool:
    """Whether the diversity or coverage of a report is below LEAST."""
    return report["diversity"] < LEAST or report.get("coverage", 1.0) < LEAST


def lack_of_variety(summary: dict) -> str | None:
    """Returns "collapsed" or "low_diversity" if the samples of a run vary too little at its
    end, else None. The last report decides, if the diagnosis does not.

    Args:
        summary: `Watch.summary`, or {} of a run without a watch.
    """
    verdict = summary.get("verdict")
    if verdict in ("collapsed", "low_diversity"):
        return verdict
    return "low_diversity" if "diversity" in summary and is_low(summary) else None


def measured(report: dict, digits: int = 2) -> str:
    """Returns the diversity and coverage of a report as text."""
    names = (name for name in ("diversity", "coverage") if name in report)
    return ", ".join(f"{name} {report[name]:.{digits}f}" for name in names)


def diagnose(reports: list[dict]) -> str:
    """Diagnoses a run from its last REPORTS reports.

    Returns:
        "collapsed": the samples no longer vary.
        "low_diversity": they have never varied.
        "saturated": D never errs.
        "low": the last report is low, and not all of the last REPORTS.
        "healthy": none of these.
        "too early to tell": there are fewer than REPORTS reports.
        "unknown": there are none.
    """
    last = reports[-REPORTS:]
    if len(last) < REPORTS:
        return "too early to tell" if last else "unknown"
    if all(map(is_low, last)):
        return "low_diversity" if all(map(is_low, reports)) else "collapsed"
    if all(report.get("d_auc", 0.0) > MOST_AUC for report in last):
        return "saturated"
    return "low" if is_low(last[-1]) else "healthy"


def check(strategy: tf.distribute.Strategy, on_collapse: str):
    """Checks that the strategy supports `on_collapse`.

    Raises:
        UsageError: it does not, because the workers of a cluster would not all stop.
    """
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several and on_collapse != "warn":
        raise UsageError(
            f"--on_collapse={on_collapse} works only on one machine: use "
            "--on_collapse=warn on several"
        )


class Variety:
    """Measures the variety of a model's samples, always at the same latents.

    Args:
        model: the model.
        real: examples in the value range of the networks, float32 (n, ...).
        labels: their classes, int32 (n,), if the model has classes; the samples then have
            the same classes.
        kinds: `coverage.Kinds` of the data; None measures no coverage.
    """

    def __init__(self, model, real, labels=None, kinds=None):
        self.real, self.labels, self.kinds = real, labels, kinds
        self.real_distance = mean_distance(real) or np.nan  # 0 if all are equal
        n = len(real)
        if kinds:
            n = max(n, min(coverage.SAMPLES, VALUES // int(np.prod(real.shape[1:]))))
        seed = tf.constant([SEED, 0], tf.int64)
        self.z = noise.latents(model.prior_name, seed, (n, model.latent_dim))

    def report(self, model) -> dict[str, float]:
        """Measures the model and returns the report of its step."""
        labels = None if self.labels is None else np.resize(self.labels, len(self.z))
        inputs = model.with_labels(self.z, labels)
        drawn = np.asarray(model.generator(inputs, training=False))  # not averaged
        fake = drawn[: len(self.real)]
        diversity = mean_distance(fake) / self.real_distance
        report = {"step": model.steps_done, "diversity": diversity}
        if self.kinds and np.isfinite(drawn).all():
            report["coverage"] = coverage.score(drawn, self.kinds).value
        if not model.adversary:
            return report
        scores = (
            np.reshape(model.critic_output(images, self.labels), (len(images), -1)).mean(1)
            for images in (self.real, fake)
        )
        return report | {"d_auc": separation(*scores)}


def is_change(before: str, now: str) -> bool:
    """Whether the diagnosis has changed, and one of the two is a failure."""
    return now != before and bool({before, now} & FAILURES)


def sentence(reports: list[dict]) -> str:
    """Describes the diagnosis of the reports."""
    last = reports[-1]
    of = f"samples at step {last['step']:,}"
    vary = f"{of} vary {last['diversity']:.2f} times as much as the data"
    if "coverage" in last:
        vary += f" and show {last['coverage']:.2f} of its kinds"
    auc = f", and D distinguishes them with AUC {last.get('d_auc', np.nan):.3f}"
    measures = vary + (auc if "d_auc" in last else "")
    count = f"{len(reports)} of {REPORTS} reports"
    return {
        "collapsed": f"collapse: {vary} (threshold {LEAST} for {REPORTS} reports)",
        "low_diversity": f"low diversity since the start: {vary}",
        "saturated": f"saturation: D distinguishes {of} from data without error (AUC "
        f"above {MOST_AUC} for {REPORTS} reports)",
        "too early to tell": f"too early to diagnose a collapse, {count}: {measures}",
        "low": f"low variety, but not in {REPORTS} reports in a row: {measures}",
        "healthy": f"no collapse, no saturation: {measures}",
    }[diagnose(reports)]


def _stored(folder, done):
    """The reports and rollbacks of a run up to the step `done`."""
    stored = folder.read("collapse.json") or {"reports": [], "rollbacks": []}
    return (
        [report for report in stored["reports"] if report["step"] <= done],
        [rollback for rollback in stored["rollbacks"] if rollback["to"] <= done],
    )


def _noise_number(rollbacks):
    return max((rollback["noise"] for rollback in rollbacks), default=0)


def use_stored_noise(folder, model):
    """Lets a worker without a `Watch` draw the noise of the run after its rollbacks."""
    _, rollbacks = _stored(folder, model.steps_done)
    model.seed += _noise_number(rollbacks) * NOISES_APART


class Watch(keras.callbacks.Callback):
    """Diagnoses the run after each report period and carries out `on_collapse`.

    Args:
        folder: `RunFolder`.
        model: the model at the start of training, after restoring.
        checkpoints: `Checkpoints` of the model, for rollbacks.
        writer: `tensorboard.Writer`.
        real: EXAMPLES examples in the value range of the networks. If the model has
            classes, (examples, labels); the samples then have the same classes.
        period: int, steps between reports. Reports at other steps, where a run was
            interrupted, do not count.
        on_collapse: "warn", "stop" or "rollback".
        kinds: see `Variety`.
    """

    def __init__(
        self,
        folder,
        model,
        checkpoints,
        writer,
        real,
        period,
        on_collapse="warn",
        kinds=None,
    ):
        super().__init__()
        self.folder, self.checkpoints, self.writer = folder, checkpoints, writer
        self.on_collapse = on_collapse
        self.period, done = period, model.steps_done
        real, labels = real if model.classes else (real, None)
        self.variety = Variety(model, real, labels, kinds)
        self.reports, self.rollbacks = _stored(folder, done)
        self.first_seed, self.logged = model.seed, None
        self.use_noise(model)

    @property
    def noise_number(self):
        return _noise_number(self.rollbacks)

    def use_noise(self, model):
        model.seed = self.first_seed + self.noise_number * NOISES_APART

    def on_epoch_end(self, epoch, logs=None):
        """Reports, diagnoses and acts at the end of a period.

        Raises:
            TrainingFailure: the samples have collapsed, and `on_collapse` ends the run.
        """
        step = self.model.steps_done
        if step % self.period:
            return
        before, report = diagnose(self.reports), self.variety.report(self.model)
        self.reports.append(report)
        with self.writer.at(step) as events:
            for name in report.keys() - {"step"}:
                events.scalar(name, report[name])
        now = diagnose(self.reports)
        if is_change(before, now):
            logging.warning(self.sentence())
            self.logged = now
        if now == "collapsed" and self.on_collapse != "warn":
            self.go_back()
        self.folder.write("collapse.json", self.state())

    def conclude(self):
        """Logs the diagnosis at the end of the run, unless it is the last logged."""
        now = diagnose(self.reports)
        if now not in ("unknown", self.logged):
            logging.info(self.sentence())

    def sentence(self):
        """Describes the diagnosis and names the sheet of the samples."""
        name = f"step-{self.reports[-1]['step']:09d}.png"
        return f"{sentence(self.reports)}; see {self.folder / 'samples'}/{name}"

    def go_back(self):
        """Restores the newest checkpoint from before the collapse, then stops or continues.

        Raises:
            TrainingFailure: `on_collapse` is "stop", there were ROLLBACKS rollbacks, or
                no such checkpoint exists.
        """
        reason = self.sentence()
        seen, noise_number = self.reports[-1]["step"], self.noise_number + 1
        resumes = self.on_collapse == "rollback" and noise_number <= ROLLBACKS
        back = self.checkpoints.rewind(first_low(self.reports))
        if back is None:
            raise TrainingFailure(reason, "stopped; no checkpoint is from before it")
        self.reports = [report for report in self.reports if report["step"] <= back]
        if not resumes:
            tried = f" after {ROLLBACKS} rollbacks" if noise_number > ROLLBACKS else ""
            self.folder.write("collapse.json", self.state())
            raise TrainingFailure(
                reason, f"stopped{tried}. The run is back at step {back:,}, from before"
            )
        self.writer.restart(back)
        self.rollbacks.append({"seen": seen, "to": back, "noise": noise_number})
        self.use_noise(self.model)
        self.model.make_train_function(force=True)  # the old one contains the old noise
        self.model.stop_training = True
        logging.warning(
            "rollback %d of at most %d: from step %d back to %d, then with other noise",
            *(noise_number, ROLLBACKS, seen, back),
        )

    def state(self):
        return {"reports": self.reports, "rollbacks": self.rollbacks}

    def summary(self):
        """Returns the entries for summary.json: the diagnosis and the last report."""
        last = self.reports[-1] if self.reports else {}
        return {"verdict": diagnose(self.reports), **last, "rollbacks": self.noise_number}
