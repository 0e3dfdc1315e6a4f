"""One split of a data set, and its batches in the value range of a network.

The order of the examples is a function of (seed, epoch). A resumed run therefore reads the
same batches as an uninterrupted one.

Differs: DATA-1 | last batch of an epoch | not stated | kept, short (pylearn2;
    Newmu/dcgan_code, lib/data_utils.py: iter_data), dropped (openai/improved-gan,
    train_*.py), filled from the next (xudonmao/LSGAN, lsun.py) | none | dropped: static
    shapes for XLA; each epoch is shuffled anew, in memory completely, so that no image is
    lost for good. The labelled images of Improved GAN go on with the next order.
Differs: DATA-2 | order in which MNIST is split | not stated | that of its files: the first
    50,000 train (goodfeli/adversarial, mnist.yaml: start, stop) | none | that of
    tensorflow-datasets, by hashes: as many images train, but not the same ones.
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

# Functions that read have no control flow over tensors. AutoGraph would look for it, which
# takes half a second at the start of a run.
no_autograph = tf.autograph.experimental.do_not_convert

IN_MEMORY_BYTES = 2 << 30  # as uint8; larger sets are read from disk, batch by batch
FINGERPRINTED = 4096  # maximum number of examples in a fingerprint
CLASSES_SHOWN = 12  # in the log
LABELLED = (
    "digits, mnist, fashion_mnist, cifar10, svhn_cropped, imagenet2012, glyphs, strokes, "
    "hwdb, and a folder with all images in two or more subfolders"
)


class Modes(NamedTuple):
    """A mixture of isotropic Gaussians with the same standard deviation."""

    centres: np.ndarray  # (k, dimensions)
    std: float
    weights: np.ndarray  # (k,), the probability of each; the sum is 1


class Examples:
    """One split of a data set. Subclasses define the keys of examples and read them.

    Args:
        name: str, the name in messages.
        size: int, the number of examples.
        shape: (height, width, channels) of an image, or (dimensions,) of a point.
        labels: integers (size,), or None. Ignored if there are fewer than two classes.
        class_names: sequence of str, the names of the labels 0, 1, ..., or None.

    Attributes:
        left_out: dict, reason -> number of files of the set that were left out.
        modes: `Modes`, the distribution of the points, or None if it is unknown.
        window: int, the size of the shuffle buffer in examples; the whole split by default.
    """

    parallel_calls = tf.data.AUTOTUNE  # number of batches that are read in parallel
    mean_of = 10_000  # maximum number of examples that `mean` reads
    modes: Modes | None = None
    left_out: Mapping[str, int] = MappingProxyType({})
    remedy = "start again, which leaves damaged files out"

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
        self.labels = None if labels is None else np.int32(labels)  # by key
        self.class_names = class_names and tuple(class_names)

    @property
    def classes(self) -> int:
        """The number of classes; 0 without labels."""
        return len(self.class_names or ())

    def keys(self) -> tf.data.Dataset:
        """Returns one key per example, in the order of the split; here its index."""
        return tf.data.Dataset.range(self.size)

    def read(self, keys: tf.Tensor) -> tf.Tensor:
        """Reads the stored examples (n, *shape) of keys (n,), in a graph."""
        raise NotImplementedError

    def vary(self, keys: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
        """Reads the examples of a training step, in a graph; here the stored examples."""
        return self.read(keys)

    def read_labels(self, keys: tf.Tensor) -> tf.Tensor:
        """Reads the labels, int32 (n,), of keys (n,), in a graph."""
        return tf.gather(self.labels, keys)

    def check_batch(self, batch_size: int):
        """
        Raises:
            UsageError: the split is smaller than a batch.
        """
        if self.size < batch_size:
            raise UsageError(
                f"{self.name} has {self.size} examples, fewer than a batch of "
                f"{batch_size}: set a smaller --batch_size"
            )

    def stream(
        self,
        batch_size: int,
        seed: int,
        value_range: str,
        first_step: int = 0,
        labels: bool = False,
    ) -> tf.data.Dataset:
        """Returns the endless training batches from step `first_step` on.

        A batch is float32 (batch_size, *shape), or with `labels` a pair of this and int32
        (batch_size,). The last, partial batch of an epoch is dropped.

        Raises:
            UsageError: the split is smaller than a batch, the examples are points and
                `value_range` is for pixels, or there are no labels.
        """
        read = self._reader(value_range, labels, self.vary)
        self.check_batch(batch_size)
        per_epoch = self.size // batch_size
        window = -(-min(self.window, self.size) // batch_size) * batch_size

        @no_autograph
        def epoch(number):
            @no_autograph
            def batches(i, keys):
                order = tf.random.fold_in(tf.stack([seed, number]), i)
                keys = tf.random.experimental.stateless_shuffle(keys, order)
                whole = keys[: tf.size(keys) // batch_size * batch_size]
                whole = tf.reshape(whole, (-1, batch_size))
                return tf.data.Dataset.from_tensor_slices(whole)

            return self.keys().batch(window).prefetch(1).enumerate().flat_map(batches)

        first_epoch, skipped = divmod(first_step, per_epoch)
        return ahead(
            tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            .flat_map(epoch)
            .skip(skipped)
            .enumerate(first_step)
            .map(
                no_autograph(lambda step, keys: read(keys, seed, step)), self.parallel_calls
            )
        )

    def blocks(
        self,
        limit: int | None = None,
        read: Callable | None = None,
        keys: tf.data.Dataset | None = None,
    ) -> Iterator:
        """Yields the results of `read`, by default `self.read`, for blocks of 1024 keys:
        `keys`, by default the first `limit` or all of the split."""
        done, keys = 0, (keys or self.keys().take(limit or self.size)).batch(1024)
        read, progress = no_autograph(read or self.read), Progress()
        try:
            for block in keys.map(read, self.parallel_calls):
                yield block
                done += 1024
                progress("%s: %d examples read", self.name, min(done, self.size))
        except tf.errors.OpError as error:
            raise UserError(
                f"{self.name} cannot be read ({one_line(error)}): {self.remedy}"
            ) from error

    def all(self, value_range: str, limit: int | None = None) -> np.ndarray:
        """Returns the first `limit` or all examples, float32 (n, *shape)."""
        return np.concatenate([*self.blocks(limit, self._reader(value_range))])

    def labelled(
        self, value_range: str, limit: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the same as `all`, and the labels, int32 (n,).

        Raises:
            UsageError: there are no labels.
            UserError: a label is not one of the classes.
        """
        images, labels = zip(*self.labelled_blocks(value_range, limit), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def labelled_blocks(self, value_range: str, limit: int | None = None) -> Iterator:
        """Yields the same as `labelled` in blocks of 1024."""
        return self.blocks(limit, self._reader(value_range, labels=True))

    def digest(self, limit: int | None = None, labels: bool = False) -> str:
        """Returns the sha256 of the first `limit` or all stored examples, in their order,
        and with `labels` also of their labels.

        Raises:
            UsageError: `labels` is set, and there are none.
        """
        digest = hashlib.sha256(repr(self.shape).encode())
        reads = [self.read, self._labels_reader()] if labels else [self.read]
        for block in self.blocks(limit, lambda keys: [read(keys) for read in reads]):
            for part in block:
                digest.update(part.numpy().tobytes())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """Returns the sha256 of size, shape, class names, and contents and labels of at
        most 4096 examples from the whole split. It does not depend on the files' paths."""
        facts = (self.size, self.shape, self.class_names)
        digest = hashlib.sha256(repr(facts).encode())
        for block in self.blocks(read=self.contents, keys=self.spread(FINGERPRINTED)):
            for part in block:
                array = part.numpy()
                content = b"".join(array) if array.dtype == object else array.tobytes()
                digest.update(content)
        return digest.hexdigest()

    def spread(self, count: int) -> tf.data.Dataset:
        """Returns the keys of at most `count` examples at equal intervals."""
        return self.keys().shard(-(-self.size // count), 0)

    def contents(self, keys: tf.Tensor) -> list[tf.Tensor]:
        """Reads what `fingerprint` hashes, tensors (n, ...), for keys (n,), in a graph."""
        labels = [] if self.labels is None else [self.read_labels(keys)]
        return [self.read(keys), *labels]

    def with_classes(self, class_names: Sequence[str]) -> "Examples":
        """Returns the same examples with labels that are indices into `class_names`.

        Raises:
            UsageError: the examples have no labels, or a class that is not in
                `class_names`.
        """
        if not self.classes:
            raise UsageError(self._no_labels())
        if lacking := [name for name in self.class_names if name not in class_names]:
            raise UsageError(
                f"{self.name} has {named('class', lacking)}, which the training data lack: "
                f"they have {named('class', class_names)}"
            )
        names = list(class_names)
        numbers = np.int32([*map(names.index, self.class_names), -1])  # -1: no label

        def renumbered(labels):
            known = (labels >= 0) & (labels < self.classes)
            return tf.gather(numbers, tf.where(known, labels, self.classes))

        examples = copy.copy(self)
        examples.class_names = tuple(class_names)
        examples.read_labels = lambda keys: renumbered(self.read_labels(keys))
        if self.labels is not None:
            examples.labels = renumbered(self.labels).numpy()
        return examples

    def summary(self) -> str:
        """Describes size, shape, classes and omitted files on one line."""
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
        """Lists the first classes, with their numbers of examples if known."""
        shown = self.class_names[:CLASSES_SHOWN]
        if self.labels is not None:
            counts = [np.count_nonzero(self.labels == i) for i in range(len(shown))]
            shown = [f"{name} ({n:,})" for name, n in zip(shown, counts, strict=True)]
        return ", ".join(shown) + (", ..." if self.classes > len(shown) else "")

    def balanced(self, per_class: int, seed: int) -> "HeldExamples":
        """Reads `per_class` examples of each class, chosen by `seed`, into memory.

        Raises:
            ValueError: a class has fewer examples.
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
                    f"{self.name} has {len(of_class)} examples of class {name}, fewer than "
                    f"the {per_class} of each class"
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
        """Returns the mean example, float64; on disk, the mean of the first 10,000."""
        read, n = self._reader(value_range), min(self.size, self.mean_of)
        return sum(np.sum(b, 0, dtype=np.float64) for b in self.blocks(n, read)) / n

    def _reader(self, value_range, labels=False, read=None):
        """In a graph: keys -> what networks see, with labels or without.

        Args:
            read: (keys, ...) -> examples; by default `self.read`. What it takes besides
                keys, the result takes too.
        """
        read = read or self.read
        if len(self.shape) == 1 and value_range != "raw":
            raise UsageError(f"{self.name} holds points: they need --value_range=raw")
        convert = RANGES[value_range].to_network
        if not labels:
            return lambda keys, *more: convert(read(keys, *more))
        read_labels = self._labels_reader()
        return lambda keys, *more: (convert(read(keys, *more)), read_labels(keys))

    def _no_labels(self):
        return f"{self.name} has no labels. Choose a set with labels: {LABELLED}"

    def _labels_reader(self):
        """Returns a graph function keys -> labels that fails on a label without class."""
        if not self.classes:
            raise UsageError(self._no_labels())
        self._check_labels()

        def read(keys):
            labels = self.read_labels(keys)
            good = tf.reduce_all((labels >= 0) & (labels < self.classes))
            line = f"{self.name} has a label which is none of its {self.classes} classes"
            tf.debugging.Assert(good, [line])
            return labels

        return read

    def _check_labels(self):
        """Checks the labels, of a set on disk the first block: all or none are withheld."""
        labels = self.labels
        if labels is None:
            (labels,) = self.blocks(1024, self.read_labels)
        bad = np.setdiff1d(labels, range(self.classes))
        if bad.size:
            raise UserError(
                f"{self.name} has the label {bad[0]}, which is none of its {self.classes} "
                "classes: if its labels are withheld, use it without labels"
            )


class HeldExamples(Examples):
    """Examples in memory, as one tensor of uint8 images or float32 points."""

    parallel_calls = None  # reading a slice is too cheap to run in parallel
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
        """Returns endless batches with labels, as `stream`, of a set that may be smaller
        than a batch: consecutive pieces of an endless sequence of permutations."""
        read, n = self._reader(value_range, labels=True, read=self.vary), self.size

        @no_autograph
        def batch(step):
            first, skipped = step * batch_size // n, step * batch_size % n
            orders = [
                tf.random.experimental.stateless_shuffle(
                    tf.range(n), tf.stack([seed, first + i])
                )
                for i in range((batch_size - 1) // n + 2)
            ]
            keys = tf.concat(orders, 0)[skipped : skipped + batch_size]
            return read(keys, seed, step)

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        return ahead(steps.map(batch))


def fits_in_memory(size: int, shape: Sequence[int]) -> bool:
    """Returns whether `size` uint8 examples of `shape` are held in memory."""
    return size * np.prod(shape) <= IN_MEMORY_BYTES


def ahead(batches):
    """Prefetches two batches, and disables autotuning, whose thread delays the end of an
    iteration by up to nine seconds and has nothing to tune here."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)


def named(kind, names):
    """Returns a list of names, for example "the classes 'a', 'b', ..."."""
    shown = ", ".join(map(repr, names[:CLASSES_SHOWN]))
    kind += "" if len(names) == 1 else "es"
    return f"the {kind} {shown}{', ...' if len(names) > CLASSES_SHOWN else ''}"


class Progress:
    """Logs progress, at most once every 10 seconds."""

    def __init__(self):
        self.logged = time.monotonic()

    def __call__(self, line: str, *values):
        if time.monotonic() - self.logged > 10:
            self.logged = time.monotonic()
            logging.info(line, *values)


def one_line(error):
    """Returns the message of an error on one line, without TensorFlow's node names."""
    where = r"^(Graph execution error:|Detected at node .*|  File .*)$"
    frame = r"\[\[\{\{.*?\}\}\]\]|\{\{.*?\}\}|\[Op:.*|Traceback.*"
    text = re.sub(where, "", str(error), flags=re.MULTILINE)
    text = textwrap.shorten(re.sub(frame, "", text, flags=re.DOTALL), 400)
    return text or type(error).__name__
