"""What watches a run. Each acts at the end of a report period, a Keras epoch, so that
nothing from Python runs between the steps."""

import math
import signal
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers import figures
from tfgan_papers.errors import TrainingFailure

HISTOGRAM_VALUES = 2**14  # of a weight, for its histogram
STOPPED = (
    "stopped. The checkpoints are from before; try a lower --learning_rate, in another "
    "--logdir"
)


class Interruption(keras.callbacks.Callback):
    """As a context: SIGINT and SIGTERM end the training after the step under way.
    A second one ends the process as usual. `signum` is the signal, or 0."""

    signum = 0

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self.usual = {s: signal.signal(s, self.interrupt) for s in signals}
        return self

    def __exit__(self, *error):
        for signum, handler in self.usual.items():
            signal.signal(signum, handler)

    def interrupt(self, signum, frame):
        self.signum = signum
        signal.signal(signum, self.usual[signum])
        if self.model is not None:
            self.model.stop_training = True  # fit looks at it after every step

    def on_train_begin(self, logs=None):
        self.model.stop_training = bool(self.signum)  # came between two calls of fit


class Guard(keras.callbacks.Callback):
    """Stops a run whose scalars are no longer finite.

    Looks at the means of a report period, which one bad step spoils for good, and not at
    each step, which would wait for the device.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.first_step = self.model.steps_done

    def on_epoch_end(self, epoch, logs=None):
        """
        Raises:
            TrainingFailure: a scalar is not finite.
        """
        for name, value in logs.items():
            if not math.isfinite(value):
                raise TrainingFailure(
                    f"{name} is {float(value)} between steps {self.first_step} and "
                    f"{self.model.steps_done}",
                    STOPPED,
                )


class Reporter(Guard):
    """Times the periods and reports the scalars: to TensorBoard, and as a line a period
    where no progress bar shows them.

    Args:
        writer: TensorBoard's `tf.summary` writer.
        total_steps: steps of the whole run.
        images_per_step: examples of the global batch.
        lines: whether to print lines.
    """

    def __init__(self, writer, total_steps, images_per_step, lines):
        super().__init__()
        self.writer, self.total_steps, self.lines = writer, total_steps, lines
        self.images_per_step = images_per_step
        self.seconds_per_step, self.scalars = [], {}
        self.steady_since = self.steady_seconds = 0.0  # after the first period
        self.remark = ""

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.begin = time.perf_counter()
        if len(self.seconds_per_step) == 1:
            self.steady_since, self.steady_seconds = self.begin, 0.0

    def on_epoch_end(self, epoch, logs=None):
        seconds, step = time.perf_counter() - self.begin, self.model.steps_done
        super().on_epoch_end(epoch, logs)
        self.seconds_per_step.append(seconds / (step - self.first_step))
        self.steady_seconds += seconds
        self.scalars = {name: float(value) for name, value in logs.items()}
        images_per_second = self.images_per_step / self.seconds_per_step[-1]
        logs["images_per_s"] = images_per_second  # for the progress bar
        with self.writer.as_default(step):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        if self.lines:
            values = "  ".join(f"{k} {v:7.4f}" for k, v in self.scalars.items())
            print(
                f"step {step:>{len(str(self.total_steps))}}/{self.total_steps}  {values}  "
                f"{images_per_second:,.0f} images/s",
                flush=True,
            )
        if self.model.remark() != self.remark:
            self.remark = self.model.remark()
            logging.info("step %d: %s", step, self.remark)

    def ms_per_step(self):
        """Median over the periods, but for the first, in which the step is compiled."""
        return 1e3 * statistics.median(self.seconds_per_step[1:] or self.seconds_per_step)

    def reporting_share(self):
        """Share of the time since the first period that went into reports, pictures and
        checkpoints, not into steps."""
        elapsed = time.perf_counter() - self.steady_since
        return 1 - self.steady_seconds / elapsed if self.seconds_per_step[1:] else 0.0

    def compile_seconds(self):
        """What the first period, one step, took beyond a step."""
        return max(0.0, self.seconds_per_step[0] - self.ms_per_step() / 1e3)


class Samples(keras.callbacks.Callback):
    """Pictures of the samples at fixed latents, and histograms of the weights. Points are
    kept too, as they are, from before the first step on.

    Args:
        writer: TensorBoard's writer.
        draw: model -> samples, and a uint8 picture of them.
        folder: where the pictures go, as step-NNN.png, and points, as step-NNN.npy.
    """

    def __init__(self, writer, draw, folder):
        super().__init__()
        self.writer, self.draw, self.folder = writer, draw, folder

    def on_train_begin(self, logs=None):
        if not self.model.steps_done:
            self.keep_points(self.draw(self.model)[0])

    def on_epoch_end(self, epoch, logs=None):
        step, (samples, picture) = self.model.steps_done, self.draw(self.model)
        figures.save(picture, self.folder / f"step-{step:09d}.png")
        self.keep_points(samples)
        with self.writer.as_default(step):
            tf.summary.image("samples", picture[None])
            for network in (self.model.generator, self.model.discriminator):
                for weight in network.trainable_variables:
                    tf.summary.histogram(weight.path, spread_out(weight.value))

    def keep_points(self, samples):
        if samples.ndim == 2:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(self.folder / f"step-{self.model.steps_done:09d}.npy", samples)


def spread_out(values: tf.Tensor) -> tf.Tensor:
    """Up to HISTOGRAM_VALUES of `values`, at even distances: a histogram of millions takes
    TensorBoard a second, and looks the same."""
    values = tf.reshape(values, [-1])
    every = -(-values.shape[0] // HISTOGRAM_VALUES)
    return values[:: every + 1 - every % 2]  # odd: else it meets some columns only


class Keeper(keras.callbacks.Callback):
    """Checkpoints every `every` steps: the last ones, the best, a sparse history.

    Args:
        checkpoints: `Checkpoints` of the model.
        every: steps, a multiple of the report period.
        writer: TensorBoard's writer.
        score: model -> float, higher is better, or None: then there is no best. Its curve
            is TensorBoard's `selection`.
    """

    def __init__(self, checkpoints, every, writer, score=None):
        super().__init__()
        self.checkpoints, self.every = checkpoints, every
        self.writer, self.score = writer, score

    def on_epoch_end(self, epoch, logs=None):
        if self.model.steps_done % self.every == 0:
            self.keep(self.model)

    def keep(self, model):
        """Write the checkpoint of this step, unless a good one is there.

        Raises:
            TrainingFailure: a weight is not finite, which scalars from before the step's
                update do not show.
        """
        step = model.steps_done
        if step == self.checkpoints.good_step:
            return
        networks = (model.generator, model.discriminator)
        optimizers = (model.d_optimizer, model.g_optimizer)
        for weight in (v for each in (*networks, *optimizers) for v in each.variables):
            if not np.isfinite(weight.numpy()).all():
                raise TrainingFailure(
                    f"{weight.path} is not finite at step {step}", STOPPED
                )
        if self.score is not None:
            score = self.score(model)
            logging.info("step %d: %.4g by the score that chooses the best", step, score)
            with self.writer.as_default(step):
                tf.summary.scalar("selection", score)
            self.writer.flush()
            if score > float(self.checkpoints.best_score):
                self.checkpoints.best_score.assign(score)
                self.checkpoints.save(step, "best", keep=1)
        number, remainder = divmod(step, self.every)
        if number and not remainder and not number & (number - 1):  # 1, 2, 4, 8, ...
            self.checkpoints.save(step, "history", keep=None)
        self.checkpoints.save(step)  # last: a run killed before it comes by here again
