"""Everything a run needs to go on, on disk: networks, optimizers, step, schedules.

`last/` holds the newest few, `best/` the best by a score, `history/` those at powers of
two of the interval. Each is written aside and then moved, its index last, without which it
is none: a kill at any moment leaves whole ones only. TensorFlow checks a checksum of every
tensor it reads.
"""

import errno
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers import files
from tfgan_papers.errors import UserError
from tfgan_papers.models.adversarial import AdversarialModel

KEPT = 3  # in last/: should the newest be unreadable, the one before it is used


DISK_ERRORS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EIO")


def describe_disk_error(error):
    """What a disk refuses, in the operating system's words, or None: another error.

    Args:
        error: an OSError or TensorFlow's, which has the words in its message only.
    """
    said = (os.strerror(getattr(errno, name)) for name in DISK_ERRORS)
    return next((words for words in said if words in str(error)), None)


class Checkpoints:
    """Those of one model in one folder."""

    def __init__(self, folder: pathlib.Path, model: AdversarialModel):
        self.folder = pathlib.Path(folder)
        self.best_score = tf.Variable(-np.inf, dtype=tf.float64)  # of those in best/
        self.checkpoint = tf.train.Checkpoint(
            **model.checkpointed(), best_score=self.best_score
        )
        self.good_step = None  # of the one in last/ that was read or written just now

    def all(self, kind: str = "last") -> list[pathlib.Path]:
        """Paths without suffix, by step. Written out means: with its index."""
        found = (self.folder / kind).glob("step-*.index")
        return sorted(path.with_suffix("") for path in found)

    def save(self, step: int, kind: str = "last", keep: int | None = KEPT):
        """Write, then drop all but the newest `keep` (None: all).

        Raises:
            UserError: the disk is full or not writable; the older ones stay.
        """
        path = self.folder / kind / f"step-{step:09d}"
        aside = path.parent / "writing"
        try:
            if aside.is_dir():  # of a process that was killed here
                shutil.rmtree(aside)
            aside.mkdir(parents=True)
            self.checkpoint.write(str(aside / path.name))
            _drop(path)
            for part in sorted(aside.iterdir()):  # .data before .index
                part.replace(path.parent / part.name)
            aside.rmdir()
        except (tf.errors.OpError, OSError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            older = self.all(kind)
            kept = f"the newest kept is {older[-1].name}" if older else "none is kept"
            reason = describe_disk_error(error) or str(error).splitlines()[0]
            raise UserError(
                f"the checkpoint of step {step} cannot be written ({reason}); {kept}. "
                "Free some space and run the same command again"
            ) from error
        if kind == "last":
            self.good_step = step
        for old in self.all(kind)[:-keep] if keep else ():
            _drop(old)

    def rewind(self, step: int) -> int | None:
        """Back to the newest from before `step`, dropping those in last/ and history/ from
        `step` on; its step, or None if there is none, and nothing is dropped.

        At every moment the newest in last/ is one to go on from: what is gone back to is
        there before the first is dropped, and the newest is dropped first.
        """
        kinds = ("last", "history")
        early = {kind: [p for p in self.all(kind) if _step(p) < step] for kind in kinds}
        kind = next((kind for kind in kinds if early[kind]), None)
        if kind is None:
            return None
        best_score = float(self.best_score)  # best/ stays as it is
        back = self.restore(kind, before=step)
        self.best_score.assign(best_score)
        if kind != "last":
            self.save(back, keep=None)
        late = [p for kind in kinds for p in self.all(kind) if _step(p) >= step]
        for path in sorted(late, key=_step, reverse=True):
            _drop(path)
        return back

    def restore(self, kind: str = "last", before: int | None = None) -> int | None:
        """The newest readable one into the model, of those from before a step if that is
        given; its step, or None if there is none.

        Raises:
            UserError: there are some, and none can be read.
        """
        paths = [p for p in self.all(kind) if before is None or _step(p) < before]
        for path in reversed(paths):
            try:
                with files.without_wildcards(path) as name:
                    self.checkpoint.read(name).assert_consumed()
                self.good_step = _step(path)
                return self.good_step
            except Exception as error:  # a cut or garbled file raises any of a dozen
                reason = (str(error) or type(error).__name__).splitlines()[0]
                logging.warning(
                    "%s cannot be read (%s); trying the one before", path, reason
                )
        if paths:
            raise UserError(
                f"none of the {len(paths)} checkpoints in {self.folder / kind} can be "
                "read; remove that folder to start from step 0, or use another --logdir"
            )
        return None


def _step(path):
    return int(path.name.removeprefix("step-"))


def _drop(path):
    for part in sorted(path.parent.glob(path.name + ".*"), reverse=True):  # .index first
        part.unlink()
