"""TensorBoard's files of a run. Their tags do not change when the run resumes.

Sheets/samples, Sheets/real                   images; the capital puts them first
losses/  balance/  watch/  score/  speed/     scalars
weights/generator/03_conv2d/kernel            histograms, last
"""

import atexit
import contextlib
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams
from tensorboard.util import tensor_util

from tfgan_papers.errors import UserError
from tfgan_papers.options import to_text

HISTOGRAM_VALUES = 2**14  # values of a weight in its histogram, at most
LOSSES = ("d_loss", "g_loss", "error", "bound", "divergence")
ORDER = ("losses", "balance", "watch", "score", "speed")
GROUPS = {
    **dict.fromkeys(LOSSES, "losses"),
    "diversity": "watch",
    "d_auc": "watch",
    "coverage": "watch",
    "selection": "score",
    "images_per_s": "speed",
}
DESCRIPTIONS = {
    "d_loss": "Loss of the discriminator, mean over the report period.",
    "g_loss": "Loss of the generator, mean over the report period.",
    "d_real": "Mean output of D for data; of an autoencoder, its error.",
    "d_fake": "Mean output of D for samples; of an autoencoder, its error.",
    "k": "BEGAN: weight of the samples' error in D's loss.",
    "m_global": "BEGAN: measure of convergence, lower is better.",
    "train_error": "Share of a batch's labelled examples that D classifies wrongly.",
    "pull_away": "EBGAN: mean squared cosine between the codes of different samples.",
    "bound": "Lower bound on the log-likelihood in nats, mean over the report period.",
    "error": "Reconstruction error of the autoencoder, summed over the pixels.",
    "divergence": "KL divergence between the codes' distribution and the prior, in nats.",
    "diversity": "Mean distance between two samples, divided by that of two examples.",
    "d_auc": "Probability that D distinguishes a sample from an example; 0.5 is a guess.",
    "coverage": "Kinds of images among samples, relative to the data.",
    "selection": "Score that selects the best checkpoint; higher is better.",
    "images_per_s": "Training images per second.",
    "samples": "Samples at latents that stay the same throughout the run.",
    "real": "Examples of the data, in the layout of the samples.",
}


def group(name: str) -> str:
    """The group of a scalar."""
    return GROUPS.get(name, "balance")


def place(name: str) -> tuple[int, str]:
    """Sorts scalars by group, the losses first."""
    return ORDER.index(group(name)), name


class Events(NamedTuple):
    """Writes the events of a step."""

    step: int
    track: Callable | None

    def scalar(self, name: str, value: float):
        """Writes a scalar under its group, with its description."""
        tag = f"{group(name)}/{name}"
        tf.summary.scalar(tag, value, description=DESCRIPTIONS.get(name))
        if self.track:
            self.track(self.step, tag, float(value))

    def image(self, name: str, picture: np.ndarray):
        """Writes one uint8 picture (height, width, 3), with its description."""
        tag = f"Sheets/{name}"
        tf.summary.image(tag, picture[None], description=DESCRIPTIONS[name])
        if self.track:
            self.track(self.step, tag, picture)


def histograms(*networks: keras.Model):
    """Writes a histogram of each weight's finite values, tagged by the layer's position
    and kind."""
    for network in networks:
        layers = [layer for layer in network.layers if layer.trainable_variables]
        for place, layer in enumerate(layers):
            kind = type(layer).__name__.lower()
            for weight in layer.trainable_variables:
                below = weight.path.split("/")[-1]
                tag = f"weights/{network.name}/{place:02d}_{kind}/{below}"
                shape = "x".join(map(str, weight.shape))
                text = f"{below} of the {kind} layer {layer.name}, shape {shape}."
                values = spread_out(weight.value).numpy()
                finite = values[np.isfinite(values)]
                # tf.summary.histogram computes the same by a hundred operations
                written = histogram_pb(tag, finite, description=text)
                tf.summary.experimental.write_raw_pb(written.SerializeToString())


def spread_out(values: tf.Tensor) -> tf.Tensor:
    """Returns at most HISTOGRAM_VALUES of the values, evenly spaced.

    A histogram of millions of values takes TensorBoard a second, and looks the same.
    """
    values = tf.reshape(values, [-1])
    every = -(-values.shape[0] // HISTOGRAM_VALUES)
    return values[:: every + 1 - every % 2]  # odd: an even one would omit columns


class Writer:
    """The TensorBoard writer of a run.

    Args:
        folder: path of the event files; None writes nothing.
        step: int, the step from which the run resumes.
        track: function (step, tag, number or picture) that gets the same scalars and
            sheets, or None.
    """

    def __init__(self, folder: pathlib.Path | None, step: int = 0, track=None):
        self.folder, self.track = folder, track
        self.writer = tf.summary.create_noop_writer()
        if folder is not None:
            self.restart(step)

    def restart(self, step: int):
        """Continues after `step`. TensorBoard drops events of later steps."""
        self.writer.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            _note_restart(self.folder, step)
        self.writer = tf.summary.create_file_writer(str(self.folder))

    @contextlib.contextmanager
    def at(self, step: int):
        """Yields the `Events` of `step`, in a context in which `tf.summary` writes them."""
        with self.writer.as_default(step):
            yield Events(step, self.track)

    def flush(self):
        self.writer.flush()


def _note_restart(folder, step):
    """Writes an event file that makes TensorBoard drop the events after `step`.

    TensorBoard reads the files in the order of their names, which begin with the second of
    their creation. "-" sorts this one before the next file of the writer. It has two
    starts, because TensorBoard takes the first of a run for its beginning.
    """
    files = folder.glob("events.out.*")
    created = max((int(path.name.split(".")[3]) for path in files), default=0)
    ahead = created - time.time()
    if ahead > 1:
        logging.warning(
            "the newest file in %s is %d seconds in the future: TensorBoard may show its "
            "curves after those of this process",
            *(folder, ahead),
        )
    while (now := time.time()) < created + 1 and ahead <= 1:
        time.sleep(0.05)
    log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    start = event_pb2.Event(wall_time=now, step=step + 1, session_log=log)
    path = folder / f"events.out.tfevents.{int(now)}.-restart"
    with tf.io.TFRecordWriter(str(path)) as file:
        version = event_pb2.Event(wall_time=now, file_version="brain.Event:2")
        for event in (version, start, start):
            file.write(event.SerializeToString())


def flags(writer: Writer, values: dict, trial: dict, name: str):
    """Writes the options `values` as text, and those of `trial` as the hyper-parameters of
    the trial `name`."""
    rows = "\n".join(f"| {k} | {v} |" for k, v in values.items() if v is not None)
    with writer.at(0):
        tf.summary.text("flags", f"| flag | value |\n|---|---|\n{rows}")
        of_trial = {k: to_text(v) if isinstance(v, tuple) else v for k, v in trial.items()}
        hparams.hparams(of_trial, trial_id=name)


def read_scalars(folder: pathlib.Path) -> dict[str, dict[int, float]]:
    """Reads the scalars of a run.

    Returns:
        name without group -> {step: value}. If a step was repeated after a resume or a
        rollback, the last value counts.
    """
    scalars = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        try:
            for written in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                _add(scalars, event_pb2.Event.FromString(written))
        except tf.errors.DataLossError:
            continue  # the last event of a killed run
    return scalars


def _add(scalars, event):
    """Adds the scalars of an event, or drops later steps if the event is a restart."""
    if event.HasField("session_log"):
        for name, values in scalars.items():
            scalars[name] = {k: v for k, v in values.items() if k < event.step}
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "scalars":
            name = value.tag.rpartition("/")[-1]
            number = float(tensor_util.make_ndarray(value.tensor))
            scalars.setdefault(name, {})[event.step] = number


def serve(folder: pathlib.Path, port: int) -> str:
    """Serves TensorBoard from another process, until this process ends.

    Args:
        folder: path of the event files.
        port: int.

    Returns:
        The address.

    Raises:
        UserError: the port cannot be used.
    """
    with socket.socket() as probe:  # TensorBoard would fail only minutes later
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}): choose another "
                "--tensorboard_port, or leave it out"
            ) from error
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, "--port", str(port)], **quiet)
    atexit.register(server.terminate)
    return f"http://localhost:{port}"
