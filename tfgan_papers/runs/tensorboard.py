"""What a run writes for TensorBoard, under names that do not change when it resumes.

losses/  balance/  watch/  score/  speed/     scalars
samples, real                                 sheets
weights/generator/03_conv2d/kernel            histograms
"""

import atexit
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api as hparams
from tensorboard.util import tensor_util

from tfgan_papers.errors import UserError

HISTOGRAM_VALUES = 2**14  # of a weight, for its histogram
LOSSES = ("d_loss", "g_loss", "error", "bound", "divergence")
GROUPS = {
    **dict.fromkeys(LOSSES, "losses"),
    "diversity": "watch",
    "d_auc": "watch",
    "coverage": "watch",
    "selection": "score",
    "images_per_s": "speed",
}
DESCRIPTIONS = {
    "d_loss": "What the discriminator descends, mean over the report period.",
    "g_loss": "What the generator descends, mean over the report period.",
    "d_real": "What D says of data; of an autoencoder its error on data.",
    "d_fake": "What D says of samples.",
    "k": "BEGAN: weight of the samples' error in D's loss.",
    "m_global": "BEGAN: measure of convergence, lower is better.",
    "train_error": "Share of the labelled examples of a batch that D names wrongly.",
    "pull_away": "EBGAN: mean squared cosine between the codes of different samples.",
    "bound": "Lower bound on the log-likelihood in nats, mean over the report period.",
    "error": "Error of the autoencoder's copies, summed over the pixels.",
    "divergence": "KL divergence between the codes' distribution and the prior, in nats.",
    "diversity": "Mean distance between two samples over that between two examples.",
    "d_auc": "Chance that D tells a sample from an example; 0.5 is a guess.",
    "coverage": "Share of the data's variety that the samples have, by nearest examples.",
    "selection": "The score that chooses the best checkpoint; higher is better.",
    "images_per_s": "Training images per second.",
}


def scalar(name: str, value: float):
    """Write a scalar under its group, with its description."""
    tag = f"{GROUPS.get(name, 'balance')}/{name}"
    tf.summary.scalar(tag, value, description=DESCRIPTIONS.get(name))


def image(tag: str, picture: np.ndarray):
    """Write one uint8 picture (height, width, 3)."""
    tf.summary.image(tag, picture[None])


def histograms(*networks: keras.Model):
    """Write the weights of each network, by the place of their layer and their name."""
    for network in networks:
        layers = [layer for layer in network.layers if layer.trainable_variables]
        for place, layer in enumerate(layers):
            kind = type(layer).__name__.lower()
            for weight in layer.trainable_variables:
                below = weight.path.split("/")[-1]
                tag = f"weights/{network.name}/{place:02d}_{kind}/{below}"
                tf.summary.histogram(tag, spread_out(weight.value))


def spread_out(values: tf.Tensor) -> tf.Tensor:
    """Up to HISTOGRAM_VALUES of `values`, at even distances: a histogram of millions takes
    TensorBoard a second, and looks the same."""
    values = tf.reshape(values, [-1])
    every = -(-values.shape[0] // HISTOGRAM_VALUES)
    return values[:: every + 1 - every % 2]  # odd: else it meets some columns only


class Writer:
    """TensorBoard's writer of a run.

    Args:
        folder: of the event files; None writes nothing.
        step: after which the run goes on.
    """

    def __init__(self, folder: pathlib.Path | None, step: int = 0):
        self.folder = folder
        self.writer = tf.summary.create_noop_writer()
        if folder is not None:
            self.restart(step)

    def restart(self, step: int):
        """Go on after `step`: TensorBoard drops what was written of later steps, which
        are done again."""
        self.writer.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            _note_restart(self.folder, step)
        self.writer = tf.summary.create_file_writer(str(self.folder))

    def as_default(self, step: int):
        """`tf.summary`'s context."""
        return self.writer.as_default(step)

    def flush(self):
        self.writer.flush()


def _note_restart(folder, step):
    """TensorBoard reads the files of a folder in the order of their names, which begin
    with the second in which they were made: "-" sorts this one before the writer's."""
    made = max(int(path.name.split(".")[3]) for path in folder.glob("events.out.*"))
    while (now := time.time()) < made + 1:
        time.sleep(0.05)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    path = folder / f"events.out.tfevents.{int(now)}.-restart"
    with tf.io.TFRecordWriter(str(path)) as file:
        for event in (
            event_pb2.Event(wall_time=now, file_version="brain.Event:2"),
            event_pb2.Event(wall_time=now, step=step + 1, session_log=start),
        ):
            file.write(event.SerializeToString())


def flags(writer: Writer, values: dict[str, object], name: str):
    """Write the options: as text, and as the hyper-parameters of a trial of this name."""
    values = {k: v for k, v in values.items() if v is not None}
    rows = "\n".join(f"| {name} | {value} |" for name, value in values.items())
    with writer.as_default(0):
        tf.summary.text("flags", f"| flag | value |\n|---|---|\n{rows}")
        hparams.hparams(values, trial_id=name)


def read_scalars(folder: pathlib.Path) -> dict[str, dict[int, float]]:
    """Scalar, without its group -> step -> value. Of a step that was done again, after a
    resume or a rollback, what it gave last."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        try:
            for written in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                _add(found, event_pb2.Event.FromString(written))
        except tf.errors.DataLossError:
            continue  # the last event of a run that was killed
    return found


def _add(found, event):
    if event.HasField("session_log"):
        for name, values in found.items():
            found[name] = {k: v for k, v in values.items() if k < event.step}
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "scalars":
            name = value.tag.rpartition("/")[-1]
            number = float(tensor_util.make_ndarray(value.tensor))
            found.setdefault(name, {})[event.step] = number


def serve(folder: pathlib.Path, port: int) -> str:
    """Serve TensorBoard from a process of its own while this one lives; the address.

    Raises:
        UserError: the port cannot be used.
    """
    with socket.socket() as probe:  # TensorBoard would say so minutes later, elsewhere
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
