"""Keras callbacks for `fit` on any model of this package.

    from tfgan_papers import callbacks
    model.fit(images, callbacks=[callbacks.SampleSheets("sheets")])

They use the parts of the command line's runs, without a run folder. What a callback
measures is in the logs, and so in `History` and for Keras' own callbacks to monitor.
"""

import math
import numbers
import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers import noise
from tfgan_papers.data import ranges
from tfgan_papers.metrics import coverage, subsets
from tfgan_papers.runs import callbacks, collapse, sheets
from tfgan_papers.runs.checkpoints import Checkpoints

__all__ = [
    *("CollapseWatch", "ExactCheckpoint", "SampleSheets", "Scores"),
    "TerminateOnNaN",
]
BLOCK = 200  # samples that are drawn at once


class SampleSheets(callbacks.SampleSheets):
    """Writes a sheet of 64 samples at the end of each epoch, always of the same latents.

    The files are `step-000000250.png`, ..., and `latest.png`, the newest.

    Args:
        folder: where the files go; it is created.
        value_range: name in `data.RANGES` of the range of the generator's images. Default:
            that of the generator's last activation, or -1 to 1 if it is linear.
        points: for a generator of points, some of the data (n, dimensions), which the
            picture shows beside the samples. Default: None.
    """

    def __init__(self, folder, value_range=None, points=None):
        super().__init__(None, None, pathlib.Path(folder), period=1, total_steps=0)
        self.value_range, self.points = value_range, points

    def on_train_begin(self, logs=None):
        of_points = self.points is not None
        value_range = self.value_range or ranges.of_generator(self.model.generator)
        self.draw = sheets.drawer(
            self.model, "raw" if of_points else value_range, self.points
        )
        super().on_train_begin(logs)


class CollapseWatch(keras.callbacks.Callback):
    """Measures at the end of each epoch how the samples vary, and warns if they collapse.

    Adds to the logs: `diversity`, the mean distance between samples, as a ratio to that
    between examples; of images `coverage`, the share of the data's kinds that the samples
    show; of adversarial models `d_auc`, how well D separates samples from data, 0.5 to 1.
    `verdict` is "collapsed" after three epochs of low values.

    Args:
        real: examples as the networks see them, float32 (n, ...), n at least 2. At most
            1,000 of them are used.
        labels: their classes, int (n,) or (n, 1): the kinds for `coverage`, and needed by a
            model with classes. Default: None, then the kinds are clusters of the examples.
        stop: bool, whether a collapse ends the training. Default: False.
    """

    def __init__(self, real, labels=None, stop=False):
        super().__init__()
        chosen = subsets.spread(len(real), coverage.EXAMPLES)
        self.real, self.stop, self.reports = np.float32(real[chosen]), stop, []
        self.labels = None if labels is None else np.int32(labels).reshape(-1)[chosen]
        images = self.real.ndim == 4
        pictures = coverage.small(self.real) if images else ()
        self.kinds = coverage.kinds(pictures, self.labels)

    def on_train_begin(self, logs=None):
        n, labels = collapse.EXAMPLES, self.labels if self.model.classes else None
        labels = None if labels is None else labels[:n]
        self.variety = collapse.Variety(self.model, self.real[:n], labels, self.kinds)

    @property
    def verdict(self) -> str:
        """ "healthy", "collapsed", "low_diversity" (from the start), "low" (for less than
        three epochs), "saturated" (D makes no error), "too early to tell" before the third
        epoch, "unknown" before the first.
        """
        return collapse.diagnose(self.reports)

    def on_epoch_end(self, epoch, logs=None):
        before, report = self.verdict, self.variety.report(self.model)
        self.reports.append(report)
        if logs is not None:
            logs |= {name: value for name, value in report.items() if name != "step"}
        if collapse.is_change(before, self.verdict):
            logging.warning(collapse.sentence(self.reports))
        if self.stop and self.verdict == "collapsed":
            self.model.stop_training = True


class TerminateOnNaN(keras.callbacks.Callback):
    """Ends the training after the first epoch with a scalar that is not finite.

    Keras' callback of this name reads `loss`, which these models do not have. The scalars
    are means over the epoch, which a single step makes not finite. To read those of each
    step, Keras would wait for the device.
    """

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            number = isinstance(value, numbers.Real)  # other callbacks may add others
            if number and not math.isfinite(value):
                logging.warning("%s is %s in epoch %d: training ends", name, value, epoch)
                self.model.stop_training = True
                return


class Scores(keras.callbacks.Callback):
    """Scores samples at the end of each epoch, always of the same latents.

    Args:
        scores: name in the logs -> function: samples, float32 (samples, ...) in the range
            of the generator -> float. See `metrics.functional`.
        samples: int, at least 1, the number of samples. Default: 1000.
        seed: int, the seed of the latents. Default: 0.
    """

    def __init__(self, scores: Mapping[str, Callable], samples=1000, seed=0):
        super().__init__()
        self.scores, self.samples, self.seed = dict(scores), samples, seed

    def on_epoch_end(self, epoch, logs=None):
        samples = np.concatenate([*self._blocks()])
        found = {name: float(score(samples)) for name, score in self.scores.items()}
        if logs is not None:
            logs |= found

    def _blocks(self):
        model, seed = self.model, tf.constant([self.seed, 0], tf.int64)
        for first in range(0, self.samples, BLOCK):
            n = min(BLOCK, self.samples - first)
            z = noise.latents(model.prior_name, seed, (n, model.latent_dim), first)
            classes = model.classes
            labels = tf.range(first, first + n) % classes if classes else None
            yield np.asarray(model.generate_in_graph(z, labels))


class ExactCheckpoint(keras.callbacks.Callback):
    """Keeps the complete training state at the end of each epoch.

    Training continues from it bit for bit, if the data do: give `fit` the batches from step
    `done` on, without shuffling.

        keep = callbacks.ExactCheckpoint("checkpoints")
        done = keep.restore(model)
        model.fit(batches.skip(done), callbacks=[keep])

    Args:
        folder: where the last three checkpoints are kept; it is created.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)

    def restore(self, model: keras.Model) -> int:
        """Reads the newest checkpoint into a compiled model.

        Returns:
            The number of steps that the model has taken, 0 without a checkpoint.

        Raises:
            ValueError: the model is not compiled.
            UserError: there are checkpoints, and none can be read.
        """
        if not model.compiled:
            raise ValueError("compile the model first: a checkpoint holds its optimizers")
        return Checkpoints(self.folder, model).restore() or 0

    def set_model(self, model):
        super().set_model(model)
        self.checkpoints = Checkpoints(self.folder, model)

    def on_epoch_end(self, epoch, logs=None):
        self.checkpoints.save(self.model.steps_done)
