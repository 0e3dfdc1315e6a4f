"""A split of a data set, as batches in the value range that a network wants.

The order of examples is a function of (seed, epoch), so the batches from any step on
are too: a resumed run reads what the uninterrupted one would have read.

Differs: DATA-1 | last batch of an epoch | not stated | kept, short (pylearn2;
    Newmu/dcgan_code, lib/data_utils.py: iter_data), dropped (openai/improved-gan,
    train_*.py), filled from the next (xudonmao/LSGAN, lsun.py) | none | dropped: static
    shapes for XLA; each epoch is shuffled anew, so no image is lost for good.
"""

import copy
import hashlib
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers.data.ranges import RANGES
from tfgan_papers.errors import UsageError, UserError

IN_MEMORY_BYTES = 2 << 30  # of uint8; larger sets are read from disk, batch by batch
FINGERPRINTED = 4096  # examples at most that tell a set from others
CLASSES_SHOWN = 12  # in the log
LABELLED = (
    "digits, mnist, fashion_mnist, cifar10, svhn_cropped, imagenet2012, glyphs, hwdb, and "
    "a folder all of whose images lie in two subfolders or more"
)


class Modes(NamedTuple):
    """A mixture of Gaussians that are equal but for their centres."""

    centres: np.ndarray  # (k, dimensions)
    std: float
    weights: np.ndarray  # (k,), of sum 1


class Examples:
    """A split. Subclasses say by what keys its examples go, and how to read them.

    Attributes:
        name: str, for messages.
        size: int, how many examples.
        shape: (height, width, channels) of images, (dimensions,) of points.
        class_names: tuple of str, what the labels 0, 1, ... mean; None without labels,
            as a set of fewer than two classes is.
        left_out: reason -> how many files of the set were left out.
        modes: Modes that points are drawn from; None if not known.
        window: int, so many keys change places among themselves; all, if not told.
    """

    parallel_calls = tf.data.AUTOTUNE  # how many batches are read at once
    mean_of = 10_000  # examples at most that `mean` looks at
    modes: Modes | None = None
    left_out: Mapping[str, int] = MappingProxyType({})
    remedy = "start again, and what is damaged is left out"

    def __init__(
        self,
        name: str,
        size: int,
        shape: Sequence[int],
        labels: np.ndarray | None = None,
        class_names: Sequence[str] | None = None,
    ):
        self.name, self.size, self.shape, self.window = name, size, tuple(shape), size
        if len(class_names or ()) < 2:
            labels = class_names = None
        self.labels = None if labels is None else np.int32(labels)  # by number
        self.class_names = class_names and tuple(class_names)

    @property
    def classes(self) -> int:
        """How many classes the labels tell apart; 0 without labels."""
        return len(self.class_names or ())

    def keys(self) -> tf.data.Dataset:
        """One key an example, in the order of the split; here its number."""
        return tf.data.Dataset.range(self.size)

    def read(self, keys: tf.Tensor) -> tf.Tensor:
        """In a graph: keys (n,) -> examples (n, *shape) as they are stored."""
        raise NotImplementedError

    def read_labels(self, keys: tf.Tensor) -> tf.Tensor:
        """In a graph: keys (n,) -> labels, int32 (n,)."""
        return tf.gather(self.labels, keys)

    def stream(
        self,
        batch_size: int,
        seed: int,
        value_range: str,
        first_step: int = 0,
        labels: bool = False,
    ) -> tf.data.Dataset:
        """Endless batches, float32 (batch_size, *shape), from that of `first_step` on.

        An epoch shows each example at most once; a last, partial batch is dropped. With
        `labels` the same batches, each with its labels: (images, int32 (batch_size,)).

        Raises:
            UsageError: fewer examples than a batch, points in a range of pixels, or no
                labels.
        """
        read, per_epoch = self._reader(value_range, labels), self.size // batch_size
        if not per_epoch:
            raise UsageError(
                f"{self.name} has {self.size} examples, fewer than a batch of "
                f"{batch_size}: give a smaller --batch_size"
            )
        window = -(-min(self.window, self.size) // batch_size) * batch_size

        def epoch(number):
            def batches(i, keys):
                order = tf.random.fold_in(tf.stack([seed, number]), i)
                keys = tf.random.experimental.stateless_shuffle(keys, order)
                whole = keys[: tf.size(keys) // batch_size * batch_size]
                whole = tf.reshape(whole, (-1, batch_size))
                return tf.data.Dataset.from_tensor_slices(whole)

            return self.keys().batch(window).prefetch(1).enumerate().flat_map(batches)

        first_epoch, skipped = divmod(first_step, per_epoch)
        return _ahead(
            tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            .flat_map(epoch)
            .skip(skipped)
            .map(read, self.parallel_calls)
        )

    def blocks(
        self,
        limit: int | None = None,
        read: Callable | None = None,
        keys: tf.data.Dataset | None = None,
    ) -> Iterator:
        """`read`, by default the examples as they are stored, of `keys`, by default all or
        the first `limit`, 1024 at a time."""
        done, keys = 0, (keys or self.keys().take(limit or self.size)).batch(1024)
        progress = Progress()
        try:
            for block in keys.map(read or self.read, self.parallel_calls):
                yield block
                done += 1024
                progress("%s: %d examples read", self.name, min(done, self.size))
        except tf.errors.OpError as error:
            raise UserError(
                f"{self.name} cannot be read ({one_line(error)}): {self.remedy}"
            ) from error

    def all(self, value_range: str, limit: int | None = None) -> np.ndarray:
        """The examples, or the first `limit`, float32 (n, *shape)."""
        return np.concatenate([*self.blocks(limit, self._reader(value_range))])

    def labelled(
        self, value_range: str, limit: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same with their labels, int32 (n,).

        Raises:
            UsageError: there are no labels.
            UserError: a label is not one of the classes.
        """
        images, labels = zip(*self.labelled_blocks(value_range, limit), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def labelled_blocks(self, value_range: str, limit: int | None = None) -> Iterator:
        """The same, 1024 at a time."""
        return self.blocks(limit, self._reader(value_range, labels=True))

    def digest(self, limit: int | None = None, labels: bool = False) -> str:
        """sha256 of the examples, or of the first `limit`, as they are stored, in their
        order, and of their labels if wanted.

        Raises:
            UsageError: labels are wanted, and there are none.
        """
        found = hashlib.sha256(repr(self.shape).encode())
        reads = [self.read, self._labels_reader()] if labels else [self.read]
        for block in self.blocks(limit, lambda keys: [read(keys) for read in reads]):
            for part in block:
                found.update(part.numpy().tobytes())
        return found.hexdigest()

    def fingerprint(self) -> str:
        """sha256 of what tells this split from others: its size, shape and class names, and
        the contents and labels of at most 4096 examples, spread over all of it. Where the
        data lie does not matter."""
        facts = (self.size, self.shape, self.class_names)
        found = hashlib.sha256(repr(facts).encode())
        for block in self.blocks(read=self.contents, keys=self.spread(FINGERPRINTED)):
            for part in block:
                array = part.numpy()
                content = b"".join(array) if array.dtype == object else array.tobytes()
                found.update(content)
        return found.hexdigest()

    def spread(self, count: int) -> tf.data.Dataset:
        """The keys of at most `count` examples, every so many one."""
        return self.keys().shard(-(-self.size // count), 0)

    def contents(self, keys: tf.Tensor) -> list[tf.Tensor]:
        """In a graph: keys (n,) -> what `fingerprint` is of, (n, ...) each."""
        labels = [] if self.labels is None else [self.read_labels(keys)]
        return [self.read(keys), *labels]

    def with_classes(self, class_names: Sequence[str]) -> "Examples":
        """The same examples with labels that number `class_names`, by name.

        Raises:
            UsageError: these have a class that is none of them, or no labels.
        """
        if not self.classes:
            raise UsageError(self._no_labels())
        if lacking := [name for name in self.class_names if name not in class_names]:
            raise UsageError(
                f"{self.name} has {named('class', lacking)}, which the training data lack: "
                f"they have {named('class', class_names)}"
            )
        there = list(class_names)
        numbers = np.int32([*map(there.index, self.class_names), -1])  # -1: no label

        def renumbered(labels):
            known = (labels >= 0) & (labels < self.classes)
            return tf.gather(numbers, tf.where(known, labels, self.classes))

        found = copy.copy(self)
        found.class_names = tuple(class_names)
        found.read_labels = lambda keys: renumbered(self.read_labels(keys))
        if self.labels is not None:
            found.labels = renumbered(self.labels).numpy()
        return found

    def summary(self) -> str:
        """Size, shape, classes with counts and what is left out, on one line."""
        if len(self.shape) == 1:
            parts = [f"{self.size:,} points of {self.shape[0]} dimensions"]
        else:
            height, width, channels = self.shape
            tone = "grey" if channels == 1 else "colour"
            parts = [f"{self.size:,} {tone} images of {width}x{height} pixels"]
        if self.classes:
            parts.append(f"{self.classes} classes: {self._counts()}")
        if self.left_out:
            reasons = (f"{count:,} {reason}" for reason, count in self.left_out.items())
            parts.append(f"left out: {', '.join(reasons)}")
        return "; ".join(parts)

    def _counts(self):
        """The first classes, with how many examples each has where that is known."""
        shown = self.class_names[:CLASSES_SHOWN]
        if self.labels is not None:
            counts = [np.count_nonzero(self.labels == i) for i in range(len(shown))]
            shown = [f"{name} ({n:,})" for name, n in zip(shown, counts, strict=True)]
        return ", ".join(shown) + (", ..." if self.classes > len(shown) else "")

    def balanced(self, per_class: int, seed: int) -> "HeldExamples":
        """`per_class` examples of each class, in memory; `seed` alone chooses them.

        Raises:
            ValueError: a class has fewer.
            UsageError: there are no labels.
            UserError: a label is not one of the classes.
        """
        labels = np.concatenate([*self.blocks(read=self._labels_reader())])
        order = np.random.default_rng(seed).permutation(self.size)
        chosen = np.zeros(self.size, bool)
        for number, name in enumerate(self.class_names):
            of_class = order[labels[order] == number][:per_class]
            if len(of_class) < per_class:
                raise ValueError(
                    f"{per_class} of each class are wanted, and {self.name} has "
                    f"{len(of_class)} of class {name}"
                )
            chosen[of_class] = True
        keys = np.concatenate(
            [
                block.numpy()[chosen[1024 * i : 1024 * (i + 1)]]
                for i, block in enumerate(self.blocks(read=tf.identity))
            ]
        )
        return HeldExamples(
            f"{len(keys)} labelled examples of {self.name}",
            self.read(tf.constant(keys)),
            labels[chosen],
            self.class_names,
        )

    def mean(self, value_range: str) -> np.ndarray:
        """The mean example, float64; of a set on disk that of its first 10,000."""
        read, n = self._reader(value_range), min(self.size, self.mean_of)
        return sum(np.sum(b, 0, dtype=np.float64) for b in self.blocks(n, read)) / n

    def _reader(self, value_range, labels=False):
        """In a graph: keys -> what networks see, with labels or without."""
        if len(self.shape) == 1 and value_range != "raw":
            raise UsageError(f"{self.name} holds points: they need --value_range=raw")
        convert = RANGES[value_range].to_network
        if not labels:
            return lambda keys: convert(self.read(keys))
        read_labels = self._labels_reader()
        return lambda keys: (convert(self.read(keys)), read_labels(keys))

    def _no_labels(self):
        return f"{self.name} has no labels. Sets that have: {LABELLED}"

    def _labels_reader(self):
        """In a graph: keys -> labels, each of them one of the classes."""
        if not self.classes:
            raise UsageError(self._no_labels())
        self._check_labels()

        def read(keys):
            found = self.read_labels(keys)
            good = tf.reduce_all((found >= 0) & (found < self.classes))
            line = f"{self.name} has a label which is none of its {self.classes} classes"
            tf.debugging.Assert(good, [line])
            return found

        return read

    def _check_labels(self):
        """Of a set on disk the first block's: where labels are withheld, all are."""
        found = self.labels
        if found is None:
            (found,) = self.blocks(1024, self.read_labels)
        bad = np.setdiff1d(found, range(self.classes))
        if bad.size:
            raise UserError(
                f"{self.name} has the label {bad[0]}, which is none of its {self.classes} "
                "classes: a split whose labels are withheld serves without labels only"
            )


class HeldExamples(Examples):
    """In memory as one tensor: uint8 images or float32 points."""

    parallel_calls = None  # a slice is too cheap for two
    mean_of = sys.maxsize

    def __init__(self, name, stored, labels=None, class_names=None):
        super().__init__(name, len(stored), stored.shape[1:], labels, class_names)
        with tf.device("CPU"):
            self.stored = tf.convert_to_tensor(stored)

    def read(self, keys):
        return tf.gather(self.stored, keys)

    def repeated(
        self, batch_size: int, seed: int, value_range: str, first_step: int = 0
    ) -> tf.data.Dataset:
        """Endless batches with labels, as `stream`, of a set that may be smaller than a
        batch: they are cut out of one endless row of it, each time in another order."""
        read, n = self._reader(value_range, labels=True), self.size

        def batch(step):
            first, skipped = step * batch_size // n, step * batch_size % n
            orders = [
                tf.random.experimental.stateless_shuffle(
                    tf.range(n), tf.stack([seed, first + i])
                )
                for i in range((batch_size - 1) // n + 2)
            ]
            return read(tf.concat(orders, 0)[skipped : skipped + batch_size])

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        return _ahead(steps.map(batch))


def fits_in_memory(size: int, shape: Sequence[int]) -> bool:
    """Whether so many uint8 examples are held as one tensor."""
    return size * np.prod(shape) <= IN_MEMORY_BYTES


def _ahead(batches):
    """Two batches are made ahead, and nothing is tuned: the thread that would tune holds up
    the end of an iteration, by up to nine seconds, and there is nothing for it to find."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)


def named(kind, names):
    """The names of things of a kind, the first of many, for a message."""
    shown = ", ".join(map(repr, names[:CLASSES_SHOWN]))
    kind += "" if len(names) == 1 else "es"
    return f"the {kind} {shown}{', ...' if len(names) > CLASSES_SHOWN else ''}"


class Progress:
    """Says in the log how far something is, every 10 seconds and not before."""

    def __init__(self):
        self.said = time.monotonic()

    def __call__(self, line: str, *values):
        if time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            logging.info(line, *values)


def one_line(error):
    """What an error says, on one line, without TensorFlow's frame."""
    where = r"^(Graph execution error:|Detected at node .*|  File .*)$"
    frame = r"\[\[\{\{.*?\}\}\]\]|\{\{.*?\}\}|\[Op:.*|Traceback.*"
    text = re.sub(where, "", str(error), flags=re.MULTILINE)
    text = textwrap.shorten(re.sub(frame, "", text, flags=re.DOTALL), 400)
    return text or type(error).__name__
