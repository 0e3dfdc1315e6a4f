"""Collapse watch: once a report, whether the samples still vary and D can still err.

GANs tend to look well early and to collapse late (LSGAN, 2017, on its stability runs), so
the watch never stops looking. It measures three things that need to know no loss:

    diversity   mean distance between two samples over that between two examples: 1 is as
                varied as the data, 0 is one sample for all z. Among the modes of a
                mixture half may be lost before it shows: there, see mode coverage.
    coverage    how many kinds of images the samples are of, over how many the data are of
                (`metrics.coverage`): a digit that bends and moves has half the diversity
                of all digits and no coverage. Not taken of points.
    d_auc       the chance that D tells a sample from an example: .5 is a guess, 1 is never
                wrong. Taken in whichever direction D's scores run, so that it holds for
                logits, least-squares scores and energies alike; not taken of a model in
                which nothing learns to tell.

Its reports are in collapse.json, by step. A rollback changes nothing but the noise of the
run, which from there on is that of another number: the same noise would lead to the same
collapse. As reports and rollbacks are read up to the step at which a run goes on, a
resumed run does what the uninterrupted one would have done.
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
from tfgan_papers.runs import tensorboard

EXAMPLES = 128  # samples, and examples: 8,128 pairs of each
SEED = 0  # of both, the same in every run
VALUES = 2**18  # of the samples whose kinds are counted, so many numbers at most
LEAST = 0.2  # of diversity, and of coverage; ours: sheets below it show one motif
MOST_AUC = 0.999  # ours
REPORTS = 3  # in a row; no more than checkpoints in last/, so that a good one is left
ROLLBACKS = 3
NOISES_APART = 2**48  # seeds of a run's noises, clear of `noise.Stream.reseed`'s


def separation(real_scores: np.ndarray, fake_scores: np.ndarray) -> float:
    """Area under the ROC curve of the one against the other, ties counting half, in the
    direction in which it is larger: 1/2 to 1."""
    n, m = len(real_scores), len(fake_scores)
    ranks = rankdata(np.concatenate([real_scores, fake_scores]))
    auc = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    return float(max(auc, 1 - auc))


def first_low(reports: list[dict]) -> int | None:
    """The step since which every report is of low diversity or coverage, or None."""
    since = None
    for report in reversed(reports):
        if not is_low(report):
            break
        since = report["step"]
    return since


def is_low(report: dict) -> bool:
    """Whether the samples of a report vary too little."""
    return report["diversity"] < LEAST or report.get("coverage", 1.0) < LEAST


def measured(report: dict, digits: int = 2) -> str:
    """The variety of a report's samples, in words."""
    names = (name for name in ("diversity", "coverage") if name in report)
    return ", ".join(f"{name} {report[name]:.{digits}f}" for name in names)


def diagnose(reports: list[dict]) -> str:
    """On the last reports: collapsed, if the samples have ceased to vary; low_diversity, if
    they never did; saturated, if D never errs; else healthy. "too early to tell" of fewer
    than REPORTS, unknown before the first."""
    last = reports[-REPORTS:]
    if len(last) < REPORTS:
        return "too early to tell" if last else "unknown"
    if all(map(is_low, last)):
        return "low_diversity" if all(map(is_low, reports)) else "collapsed"
    if all(report.get("d_auc", 0.0) > MOST_AUC for report in last):
        return "saturated"
    return "healthy"


def check(strategy: tf.distribute.Strategy, on_collapse: str):
    """
    Raises:
        UsageError: the workers of a cluster would not all stop.
    """
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several and on_collapse != "warn":
        raise UsageError(
            f"--on_collapse={on_collapse} works on one machine; on several, warn"
        )


class Watch(keras.callbacks.Callback):
    """Looks at the end of each whole report period, and does what `on_collapse` says.

    Args:
        folder: `RunFolder`.
        model: as it stands when the run begins or goes on.
        checkpoints: its `Checkpoints`, for going back.
        writer: TensorBoard's writer.
        real: EXAMPLES examples as the networks see them, with their labels where there
            are classes: the samples are then of the same classes.
        period: steps; reports in between, which depend on where a run was interrupted,
            do not count.
        on_collapse: warn, stop or rollback.
        kinds: `coverage.Kinds` of the data; without them no coverage is taken.
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
        self.real, self.labels = real if model.classes else (real, None)
        self.real_distance = mean_distance(self.real) or np.nan  # all are the same
        self.kinds, n = kinds, len(self.real)
        if kinds:
            n = max(n, min(coverage.SAMPLES, VALUES // int(np.prod(self.real.shape[1:]))))
        seed = tf.constant([SEED, 0], tf.int64)
        self.z = noise.latents(model.prior_name, seed, (n, model.latent_dim))
        stored = folder.read("collapse.json") or {"reports": [], "rollbacks": []}
        self.reports = [r for r in stored["reports"] if r["step"] <= done]
        self.rollbacks = [r for r in stored["rollbacks"] if r["to"] <= done]
        self.first_seed, self.said = model.seed, None
        self.use_noise(model)

    @property
    def noise_number(self):
        return max((rollback["noise"] for rollback in self.rollbacks), default=0)

    def use_noise(self, model):
        model.seed = self.first_seed + self.noise_number * NOISES_APART

    def on_epoch_end(self, epoch, logs=None):
        """
        Raises:
            TrainingFailure: the samples have collapsed, and that is to end the run.
        """
        step = self.model.steps_done
        if step % self.period:
            return
        before, report = diagnose(self.reports), self.look(step)
        self.reports.append(report)
        with self.writer.as_default(step):
            for name in report.keys() - {"step"}:
                tensorboard.scalar(name, report[name])
        now = diagnose(self.reports)
        if now != before and {before, now} & {"collapsed", "low_diversity", "saturated"}:
            logging.warning(self.sentence(now))
            self.said = now
        if now == "collapsed" and self.on_collapse != "warn":
            self.go_back()
        self.folder.write("collapse.json", self.state())

    def conclude(self):
        """Log the verdict at the end of the run, unless it is the last that was said."""
        now = diagnose(self.reports)
        if now not in ("unknown", self.said):
            logging.info(self.sentence(now))

    def look(self, step):
        labels = None if self.labels is None else np.resize(self.labels, len(self.z))
        given = self.model.with_labels(self.z, labels)
        drawn = np.asarray(self.model.generator(given, training=False))  # not its average
        fake = drawn[: len(self.real)]
        report = {"step": step, "diversity": mean_distance(fake) / self.real_distance}
        if self.kinds and np.isfinite(drawn).all():
            report["coverage"] = coverage.score(drawn, self.kinds).value
        if not self.model.adversary:
            return report
        scores = (
            np.reshape(
                self.model.critic_output(images, self.labels), (len(images), -1)
            ).mean(1)
            for images in (self.real, fake)
        )
        return report | {"d_auc": separation(*scores)}

    def sentence(self, now):
        """A verdict in words: of which samples, and where to see them."""
        last = self.reports[-1]
        of = f"samples at step {last['step']:,}"
        vary = f"{of} vary {last['diversity']:.2f} times as much as the data"
        if "coverage" in last:
            vary += f" and show {last['coverage']:.2f} of its kinds"
        told = f", D tells them from it with AUC {last.get('d_auc', np.nan):.3f}"
        told = vary + (told if "d_auc" in last else "")
        reports = f"{len(self.reports)} of {REPORTS} reports"
        said = {
            "collapsed": f"collapse: {vary} (threshold {LEAST} for {REPORTS} reports)",
            "low_diversity": f"no variety yet: {vary}",
            "saturated": f"saturation: D tells {of} from data without error (AUC over "
            f"{MOST_AUC} for {REPORTS} reports)",
            "too early to tell": f"too early to tell of a collapse, {reports}: {told}",
            "healthy": f"no collapse, no saturation: {told}",
        }[now]
        return f"{said}; see {self.folder / 'samples'}/step-{last['step']:09d}.png"

    def go_back(self):
        """To the newest checkpoint from before the samples ceased to vary."""
        said = self.sentence("collapsed")
        seen, noise_number = self.reports[-1]["step"], self.noise_number + 1
        goes_on = self.on_collapse == "rollback" and noise_number <= ROLLBACKS
        back = self.checkpoints.rewind(first_low(self.reports))
        if back is None:
            raise TrainingFailure(said, "stopped; no checkpoint is from before")
        self.reports = [report for report in self.reports if report["step"] <= back]
        if not goes_on:
            tried = f", after {ROLLBACKS} rollbacks" if noise_number > ROLLBACKS else ""
            self.folder.write("collapse.json", self.state())
            raise TrainingFailure(
                said, f"stopped{tried}. The run stands at step {back:,}, from before"
            )
        self.writer.restart(back)
        self.rollbacks.append({"seen": seen, "to": back, "noise": noise_number})
        self.use_noise(self.model)
        self.model.make_train_function(force=True)  # the old one has the old noise in it
        self.model.stop_training = True
        logging.warning(
            "rollback %d of at most %d: from step %d back to %d, on with other noise",
            *(noise_number, ROLLBACKS, seen, back),
        )

    def state(self):
        return {"reports": self.reports, "rollbacks": self.rollbacks}

    def summary(self):
        """What summary.json says: the verdict, and the last report behind it."""
        last = self.reports[-1] if self.reports else {}
        return {"verdict": diagnose(self.reports), **last, "rollbacks": self.noise_number}
