"""Checkpoints: the networks, optimizers, step and schedules that a run needs to continue.

`last/` contains the newest KEPT, where those at the regular interval come before those that
are written after some time or at an interruption, and always the newest of all. `best/`
contains the best by a score, `history/` those at powers of two of the interval. A
checkpoint is written to another folder and then moved, its index last. Without an index it
does not count, so that a kill at any time leaves only complete checkpoints. TensorFlow
verifies a checksum of every tensor that it reads.
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

KINDS = ("last", "best", "history")
KEPT = 3  # in last/: if the newest is unreadable, the one before it is used


DISK_ERRORS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EIO")


def describe_disk_error(error):
    """Returns the operating system's message for a disk error, or None for other errors.

    Args:
        error: OSError, or TensorFlow's error, which has the message only in its text.
    """
    messages = (os.strerror(getattr(errno, name)) for name in DISK_ERRORS)
    return next((message for message in messages if message in str(error)), None)


class Checkpoints:
    """The checkpoints of a model in a folder.

    Args:
        folder: path of the checkpoints.
        model: the model that they save and restore.
        every: int, the steps between regular checkpoints. Others, which are written after
            some time or at an interruption, do not displace these.
    """

    def __init__(self, folder: pathlib.Path, model: AdversarialModel, every: int = 1):
        self.folder, self.every = pathlib.Path(folder), every
        self.best_score = tf.Variable(-np.inf, dtype=tf.float64)  # in best/
        self.checkpoint = tf.train.Checkpoint(
            **model.checkpointed(), best_score=self.best_score
        )
        self.good_step = None  # step in last/ that was last read or written

    def all(self, kind: str = "last") -> list[pathlib.Path]:
        """Returns the paths of the complete checkpoints without suffix, by step."""
        indices = (self.folder / kind).glob("step-*.index")
        return sorted(path.with_suffix("") for path in indices)

    def save(self, step: int, kind: str = "last", keep: int | None = KEPT):
        """Writes a checkpoint, and then deletes others of its kind.

        Args:
            step: int.
            kind: "last", "best" or "history".
            keep: int, the number that remains besides this one if it is not regular: the
                newest regular ones, and if these are fewer, others; None deletes none.

        Raises:
            UserError: the disk is full or not writable; the older checkpoints remain.
        """
        path = self.folder / kind / f"step-{step:09d}"
        aside = path.parent / "writing"
        try:
            if aside.is_dir():  # left by a process that was killed while writing
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
            newest = f"the newest is {older[-1].name}" if older else "there is no older one"
            reason = describe_disk_error(error) or str(error).splitlines()[0]
            raise UserError(
                f"the checkpoint of step {step} cannot be written ({reason}); {newest}. "
                "Free some space and run the same command again"
            ) from error
        if kind == "last":
            self.good_step = step
        if keep:  # the best may be older than the one before, after a rollback
            others = [other for other in self.all(kind) if other != path]
            regular = set(self._paths(kind, regular=True)) if kind == "last" else set()
            of_value = sorted(others, key=lambda p: (p in regular, _step(p)))
            more = keep if path not in regular and len(regular) >= keep else keep - 1
            for old in of_value[: max(0, len(of_value) - more)]:
                _drop(old)

    def rewind(self, step: int) -> int | None:
        """Restores the newest checkpoint from before `step` and deletes the later ones.

        It is a regular one, if last/ has one: when others are written depends on the clock.

        Checkpoints in best/ are kept. The newest in last/ is valid at any time: the
        restored one is in last/ before the first is deleted, and the newest is deleted
        first.

        Returns:
            The step of the restored checkpoint, or None if none is older; then nothing is
            deleted.
        """
        kinds = ("last", "history")
        best_score, back, failure = float(self.best_score), None, None
        for kind, regular in (("last", True), ("last", False), ("history", False)):
            try:
                back = self.restore(kind, step, regular)
            except UserError as error:
                failure = error
            if back is not None:
                break
        if back is None and failure:
            raise failure
        if back is None:
            return None
        self.best_score.assign(best_score)  # best/ does not change
        if kind != "last":
            self.save(back, keep=None)
        late = [p for kind in kinds for p in self.all(kind) if _step(p) > back]
        for path in sorted(late, key=_step, reverse=True):
            _drop(path)
        return back

    def _paths(self, kind, before=None, regular=False):
        """The paths of `all` from before the step `before`, or only of regular ones."""
        return [
            path
            for path in self.all(kind)
            if (before is None or _step(path) < before)
            and not (regular and _step(path) % self.every)
        ]

    def restore(
        self, kind: str = "last", before: int | None = None, regular: bool = False
    ) -> int | None:
        """Restores the newest readable checkpoint.

        Args:
            kind: "last", "best" or "history".
            before: int, restores only checkpoints from before this step; None allows all.
            regular: bool, restores only regular checkpoints.

        Returns:
            Its step, or None if there are no checkpoints.

        Raises:
            UserError: there are checkpoints, but none is readable.
        """
        paths = self._paths(kind, before, regular)
        return self._first_readable(paths[::-1]) if paths else None

    def restore_step(self, step: int) -> int:
        """Restores the checkpoint of a step, of any kind, and returns the step.

        Raises:
            UserError: there is none, or it is not readable.
        """
        every = [path for kind in KINDS for path in self.all(kind)]
        if not (paths := [path for path in every if _step(path) == step]):
            steps = ", ".join(map(str, sorted(set(map(_step, every)))))
            there = f"there are those of the steps {steps}" if steps else "there are none"
            raise UserError(f"{self.folder} has no checkpoint of step {step}: {there}")
        return self._first_readable(paths)

    def _first_readable(self, paths):
        """Restores the first of the paths that is readable, and returns its step."""
        for path in paths:
            try:
                with files.without_wildcards(path.parent) as folder:
                    self.checkpoint.read(str(folder / path.name)).assert_consumed()
                self.good_step = _step(path)
                return self.good_step
            except (MemoryError, tf.errors.ResourceExhaustedError):
                raise  # the checkpoint may be good
            except Exception as error:  # damaged files raise a dozen different classes
                reason = (str(error) or type(error).__name__).splitlines()[0]
                other = "; trying another" if path is not paths[-1] else ""
                logging.warning("%s cannot be read (%s)%s", path, reason, other)
        raise UserError(
            f"none of the {len(paths)} checkpoints in {paths[0].parent} can be read (the "
            f"oldest: {reason}): use the version that wrote them, or if they are damaged, "
            "another --logdir"
        )


def _step(path):
    return int(path.name.removeprefix("step-"))


def _drop(path):
    for part in sorted(path.parent.glob(path.name + ".*"), reverse=True):  # .index first
        part.unlink()
