"""Keras callbacks of a run.

Each acts at the end of a report period, which is an epoch for Keras. Between training steps
they only check the time: in `on_train_batch_begin`, because for `on_train_batch_end` Keras
would read the scalars of each step and so wait for the device.
"""

import contextlib
import io
import math
import signal
import statistics
import time
from collections.abc import Iterator

import keras
import numpy as np
from absl import logging
from tqdm import tqdm

from tfgan_papers import figures, files
from tfgan_papers.errors import TrainingFailure, UsageError, UserError
from tfgan_papers.runs import sheets, tensorboard

FIRST_CHECKPOINT_SECONDS = 60.0
CHECKPOINT_SECONDS = 600.0
SHEET_SECONDS = 60.0
STOPPED = (
    "stopped. The checkpoints are from before: try a lower --learning_rate in another "
    "--logdir"
)


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Lets Ctrl-C end the block with a KeyboardInterrupt.

    If Python raises it in a function that TensorFlow's C++ code calls, this code can make a
    SystemError of it, for example while a step is traced.
    """
    usual, pressed = signal.getsignal(signal.SIGINT), []
    if not callable(usual):  # Python does not raise KeyboardInterrupt in this process
        yield
        return

    def interrupt(signum, frame):
        pressed.append(signum)
        usual(signum, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception:
        if not pressed:
            raise
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt


class GracefulStop(keras.callbacks.Callback):
    """Ends the training after the current step on SIGINT or SIGTERM.

    It handles the signals while it is entered as a context. A second signal ends the
    process as usual. `signum` is the number of the signal, or 0.
    """

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
            self.model.stop_training = True  # fit checks it after every step

    def on_train_begin(self, logs=None):
        self.model.stop_training = bool(self.signum)  # received between two calls of fit


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops a run whose scalars are not finite.

    It checks the means of a report period, which a single bad step makes not finite. A
    check after every step would wait for the device.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.first_step = self.model.steps_done

    def on_epoch_end(self, epoch, logs=None):
        """Checks the scalars of the period.

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


class Reporter(StopOnNonFinite):
    """Measures the time of the periods and reports the scalars.

    It writes them to TensorBoard, and prints them as a line or on the progress bar.

    Args:
        writer: `tensorboard.Writer`.
        total_steps: int, steps of the whole run.
        period: int, steps between reports.
        images_per_step: int, examples in the global batch.
        bar: `Progress`, or None to print lines.
    """

    def __init__(self, writer, total_steps, period, images_per_step, bar=None):
        super().__init__()
        self.writer, self.total_steps, self.period = writer, total_steps, period
        self.images_per_step, self.bar = images_per_step, bar
        self.seconds_per_step, self.scalars = [], {}
        self.timed_steps = 0
        self.steady_since = self.steady_seconds = 0.0  # after the first period
        self.status_message = ""

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.begin = time.perf_counter()
        if len(self.seconds_per_step) == 1:
            self.steady_since, self.steady_seconds = self.begin, 0.0

    def on_epoch_end(self, epoch, logs=None):
        seconds, step = time.perf_counter() - self.begin, self.model.steps_done
        super().on_epoch_end(epoch, logs)
        compiled_before = bool(self.seconds_per_step)
        self.seconds_per_step.append(seconds / (step - self.first_step))
        self.steady_seconds += seconds
        self.scalars = {name: float(value) for name, value in logs.items()}
        images_per_second = self.images_per_step / self.seconds_per_step[-1]
        if compiled_before:
            self.timed_steps += step - self.first_step
        if not is_report(step, self.period, self.total_steps):
            if not compiled_before:  # shows soon that a resumed run is alive
                self.show(step, images_per_second)
            return
        with self.writer.at(step) as events:
            for name, value in logs.items():
                events.scalar(name, value)
            if compiled_before:
                events.scalar("images_per_s", images_per_second)
        self.writer.flush()
        self.show(step, images_per_second)
        if self.model.status_message() != self.status_message:
            self.status_message = self.model.status_message()
            logging.info("step %d: %s", step, self.status_message)

    def show(self, step, images_per_second):
        """Prints the scalars, the speed and the time left."""
        values = "  ".join(f"{k} {v:7.4f}" for k, v in self.scalars.items())
        if self.bar:
            self.bar.show(self.scalars)
            return
        if self.seconds_per_step[1:]:
            left = clock((self.total_steps - step) * self.ms_per_step() / 1e3)
            speed = f"{images_per_second:,.0f} images/s  {left} left"
        else:  # one step, most of which was its compilation: no speed to extrapolate
            speed = f"first step in {clock(self.seconds_per_step[0])}"
        print(
            f"step {step:>{len(str(self.total_steps))}}/{self.total_steps}  {values}  "
            f"{speed}",
            flush=True,
        )

    def ms_per_step(self):
        """Returns the median over the periods after the first, which compiles the step."""
        return 1e3 * statistics.median(self.seconds_per_step[1:] or self.seconds_per_step)

    def reporting_share(self):
        """Returns the share of time for reports, pictures and checkpoints, 0 to 1.

        The time counts from the end of the first period.
        """
        elapsed = time.perf_counter() - self.steady_since
        return 1 - self.steady_seconds / elapsed if self.seconds_per_step[1:] else 0.0

    def compile_seconds(self):
        """Returns how much longer the first period, one step, took than a step."""
        return max(0.0, self.seconds_per_step[0] - self.ms_per_step() / 1e3)


def is_report(step: int, period: int, total_steps: int) -> bool:
    """Whether a step ends in a report, wherever the run was interrupted."""
    return step % period == 0 or step in (1, total_steps)


def clock(seconds: float) -> str:
    """Formats a duration: 45 s, 3 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Bar(tqdm):
    """A bar that shows the mean speed since its measurement began.

    tqdm's own speed contains the compilation of the first step, so that the bar would begin
    with hours left.
    """

    since = None

    def measure_from(self, n):
        """Begins to measure the speed, now that `n` is reached."""
        self.since = time.monotonic(), n

    @property
    def format_dict(self):
        rate = 0.0  # shown as unknown
        if self.since:
            begin, images = self.since
            rate = max(0, self.n - images) / (time.monotonic() - begin + 1e-9)
        return super().format_dict | {"rate": rate}


class Progress(keras.callbacks.Callback):
    """A progress bar over all steps of the run, for a terminal.

    Args:
        total_steps: int, steps of the whole run.
        done: int, steps of earlier processes.
        images_per_step: int, examples in the global batch.
    """

    compiling = True

    def __init__(self, total_steps, done, images_per_step):
        super().__init__()
        self.bar = Bar(
            total=total_steps * images_per_step,
            initial=done * images_per_step,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left, "
            "{rate_fmt}{postfix}",
        )
        self.images_per_step = images_per_step

    def on_train_begin(self, logs=None):
        self.compiling = True

    def on_train_batch_begin(self, batch, logs=None):
        if batch:  # otherwise no step of this epoch is done
            steps = max(1, self.model.steps_per_execution)
            self.advance(self.bar.n + steps * self.images_per_step)

    def on_epoch_end(self, epoch, logs=None):
        self.advance(self.model.steps_done * self.images_per_step)
        self.bar.refresh()

    def advance(self, images):
        """Moves the bar to a number of images."""
        if self.compiling:
            self.bar.measure_from(images)
            self.compiling = False
        self.bar.update(images - self.bar.n)

    def show(self, scalars):
        shown = [name for name in tensorboard.LOSSES if name in scalars][:2]
        self.bar.set_postfix_str("  ".join(f"{k} {scalars[k]:.3f}" for k in shown))

    def close(self):
        self.bar.close()


class SampleSheets(keras.callbacks.Callback):
    """Draws samples at fixed latents, and histograms of the weights, at each report.

    Samples that are points are also stored, starting before the first step.

    Args:
        writer: `tensorboard.Writer`, or None.
        draw: function from the model to (samples, uint8 picture of them).
        folder: path for the pictures step-NNN.png, latest.png, which is at most a minute
            old, and the points step-NNN.npy.
        period: int, steps between reports.
        total_steps: int, steps of the whole run.
    """

    def __init__(self, writer, draw, folder, period, total_steps):
        super().__init__()
        self.writer, self.draw, self.folder = writer, draw, folder
        self.period, self.total_steps = period, total_steps
        self.drawn = time.monotonic()

    def on_train_begin(self, logs=None):
        if not self.model.steps_done:
            self.keep_points(self.draw(self.model)[0])

    def on_train_batch_begin(self, batch, logs=None):
        if time.monotonic() - self.drawn > SHEET_SECONDS:
            figures.save(self.draw(self.model)[1], self.folder / "latest.png")
            self.drawn = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.steps_done
        if not is_report(step, self.period, self.total_steps):
            return
        samples, picture = self.draw(self.model)
        sheets.save(picture, self.folder, step)
        self.drawn = time.monotonic()
        self.keep_points(samples)
        if self.writer is None:
            return
        with self.writer.at(step) as events:
            events.image("samples", picture)
            tensorboard.histograms(*self.model.networks)

    def keep_points(self, samples):
        if samples.ndim == 2:
            content = io.BytesIO()
            np.save(content, samples)
            path = self.folder / f"step-{self.model.steps_done:09d}.npy"
            files.write_bytes(path, content.getvalue())


class CheckpointCallback(keras.callbacks.Callback):
    """Writes checkpoints: the last ones, the best, and a sparse history.

    It writes by steps, and also after the first minute and then every ten minutes.

    Args:
        checkpoints: `Checkpoints` of the model.
        every: int, steps between checkpoints, a multiple of the report period.
        writer: `tensorboard.Writer`.
        score: function from the model to a float, which is highest for the best checkpoint
            and is the curve `score/selection`. None keeps no best checkpoint.
    """

    def __init__(self, checkpoints, every, writer, score=None):
        super().__init__()
        self.checkpoints, self.every = checkpoints, every
        self.writer, self.score = writer, score
        self.due = time.monotonic() + FIRST_CHECKPOINT_SECONDS

    def on_train_batch_begin(self, batch, logs=None):
        if time.monotonic() < self.due:
            return
        step = self.model.steps_done
        if step in (0, self.checkpoints.good_step):
            return
        self.check(self.model)
        self.checkpoints.save(step)
        self.due = time.monotonic() + CHECKPOINT_SECONDS

    def on_epoch_end(self, epoch, logs=None):
        if self.model.steps_done % self.every == 0:
            self.keep(self.model)

    def keep(self, model, scored=True):
        """Writes the checkpoint of this step, unless it is already written.

        Args:
            model: the model.
            scored: bool, whether it may become the best checkpoint. That of an interrupted
                run does not: a score takes time, and the uninterrupted run has none here.

        Raises:
            TrainingFailure: a weight is not finite. The scalars, which are computed before
                the update, do not show it.
        """
        step = model.steps_done
        if step == self.checkpoints.good_step:
            return
        self.check(model)
        if self.score is not None and scored:
            self.select(model, step)
        number, remainder = divmod(step, self.every)
        if number and not remainder and not number & (number - 1):  # 1, 2, 4, 8, ...
            self.checkpoints.save(step, "history", keep=None)
        self.checkpoints.save(step)  # last: a run killed before this line repeats the above
        self.due = time.monotonic() + CHECKPOINT_SECONDS

    def check(self, model):
        """Checks the weights of the networks and the optimizers.

        Raises:
            TrainingFailure: a weight is not finite.
        """
        parts = (*model.networks, *model.named_optimizers.values())
        for weight in (v for part in parts for v in part.variables):
            if not np.isfinite(weight.numpy()).all():
                raise TrainingFailure(
                    f"{weight.path} is not finite at step {model.steps_done}", STOPPED
                )

    def select(self, model, step):
        """Scores the model, and writes it as the best checkpoint if no score was higher.

        A model whose samples cannot be scored yet, for example because they are all alike,
        is not the best.
        """
        try:
            score = self.score(model)
        except UsageError:  # no samples can be scored
            raise
        except UserError as error:
            logging.warning("step %d has no score: %s", step, error)
            return
        logging.info("step %d: %.4g by the score that selects the best", step, score)
        with self.writer.at(step) as events:
            events.scalar("selection", score)
        self.writer.flush()
        if score > float(self.checkpoints.best_score):
            self.checkpoints.best_score.assign(score)
            self.checkpoints.save(step, "best", keep=1)
