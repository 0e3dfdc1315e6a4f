"""Fixed pseudo-random subsets, and labels in the proportions of the data.

Data may lie class by class, so that the first of them are no fair part of the whole.
Whatever takes fewer examples than there are takes them by `spread`, the same in every run.
"""

import numpy as np
import tensorflow as tf

from tfgan_papers.data.disk import RecordExamples
from tfgan_papers.data.examples import Examples

SEED = 2014
LABELS = 200_000  # examples at most whose labels are counted: .1% of a share


def spread(n: int, limit: int | None = None, seed: int = SEED) -> np.ndarray:
    """The numbers 0, ..., n - 1 in a fixed pseudo-random order, or the first `limit` of
    it: int64 (min(n, limit),). A smaller limit gives the beginning of a larger one's."""
    return np.random.RandomState(seed).permutation(n)[:limit]  # frozen by NumPy's policy


class Subset(Examples):
    """Examples `first`, ..., `last` - 1 of others in the order of `spread`.

    Records of tensorflow-datasets keep their own order: they are read in sequence, and they
    were written in the order of a hash.
    """

    def __init__(self, examples: Examples, first: int, last: int):
        of, last = examples, min(last, examples.size)
        super().__init__(of.name, last - first, of.shape, class_names=of.class_names)
        self.read, self.read_labels, self.remedy = of.read, of.read_labels, of.remedy
        self.parallel_calls, self.window = of.parallel_calls, min(of.window, self.size)
        self.of, self.first, self.last = of, first, last

    def keys(self):
        if isinstance(self.of, RecordExamples):
            return self.of.keys().skip(self.first).take(self.size)
        numbers = spread(self.of.size)[self.first : self.last]
        return tf.data.Dataset.from_tensor_slices(np.int64(numbers))


def some(examples: Examples, limit: int | None = None) -> Subset:
    """All examples, or `limit` of them, in a random order."""
    return Subset(examples, 0, limit or examples.size)


def class_shares(examples: Examples) -> np.ndarray:
    """Share of each class among the examples, float64 (classes,), of sum 1.

    Raises:
        UsageError: there are no labels.
        UserError: a label is not one of the classes.
    """
    few = some(examples, LABELS)
    labels = np.concatenate([*few.blocks(read=few._labels_reader())])
    return np.bincount(labels, minlength=examples.classes) / len(labels)


def proportionate(n: int, shares: np.ndarray) -> np.ndarray:
    """n labels of which each class has its share, up to one, int32 (n,).

    Class c of k has its turn number j at the time (j + (c + 1/2) / k) / share, so that the
    first labels of many are in proportion too. Equal shares give 0, ..., k - 1, 0, 1, ...
    """
    k = len(shares)
    due, labels = [], []
    for label in np.flatnonzero(shares):
        turns = np.arange(int((n + k) * shares[label]) + 2)
        due.append((turns + (label + 0.5) / k) / shares[label])
        labels.append(np.full(len(turns), label, np.int32))
    return np.concatenate(labels)[np.argsort(np.concatenate(due), kind="stable")[:n]]
