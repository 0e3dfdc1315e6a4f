"""Fixed pseudo-random subsets, and labels in the proportions of the data.

Data may be sorted by class, so that their first examples do not represent them. Code that
needs fewer examples therefore chooses them by `spread`, in the same way in every run.
"""

import numpy as np
import tensorflow as tf

from tfgan_papers.data.disk import RecordExamples
from tfgan_papers.data.examples import Examples

SEED = 2014
LABELS = 200_000  # at most so many labels are counted: the error of a share is about .1%


def spread(n: int, limit: int | None = None, seed: int = SEED) -> np.ndarray:
    """Returns 0, ..., n - 1 in a fixed pseudo-random order.

    Args:
        n: int.
        limit: int, returns only the first `limit` numbers; all by default.
        seed: int.

    Returns:
        int64 (min(n, limit),). A smaller limit gives the beginning of the same order.
    """
    return np.random.RandomState(seed).permutation(n)[:limit]  # frozen by NumPy's policy


class Subset(Examples):
    """Examples `first`, ..., `last` - 1 of other examples in the order of `spread`.

    Records of tensorflow-datasets, and subsets of them, keep their order, because they are
    read in sequence and were written in the order of a hash.
    """

    def __init__(self, examples: Examples, first: int, last: int):
        of, last = examples, min(last, examples.size)
        super().__init__(of.name, last - first, of.shape, class_names=of.class_names)
        self.read, self.read_labels, self.remedy = of.read, of.read_labels, of.remedy
        self.parallel_calls, self.window = of.parallel_calls, min(of.window, self.size)
        self.of, self.first, self.numbers = of, first, _numbers(of, first, last)

    def keys(self):
        if self.numbers is None:
            return self.of.keys().skip(self.first).take(self.size)
        return tf.data.Dataset.from_tensor_slices(self.numbers)


def _numbers(of, first, last):
    """The keys of the chosen examples; None for records, whose keys are not numbers."""
    if isinstance(of, RecordExamples):
        return None
    chosen = np.int64(spread(of.size)[first:last])
    if not isinstance(of, Subset):
        return chosen
    return None if of.numbers is None else of.numbers[chosen]


def some(examples: Examples, limit: int | None = None) -> Subset:
    """Returns `limit` examples, or all by default, in a fixed random order."""
    return Subset(examples, 0, limit or examples.size)


def class_shares(examples: Examples) -> np.ndarray:
    """Returns the share of each class among the examples, float64 (classes,), with sum 1.

    Raises:
        UsageError: the examples have no labels.
        UserError: a label is not one of the classes.
    """
    few = some(examples, LABELS)
    labels = np.concatenate([*few.blocks(read=few._labels_reader())])
    return np.bincount(labels, minlength=examples.classes) / len(labels)


def proportionate(n: int, shares: np.ndarray) -> np.ndarray:
    """Returns n labels in the proportions of `shares`, each class exact to one label.

    Class c of k has its label number j at the time (j + (c + 1/2) / k) / share, so that the
    first labels of many are in proportion too. Equal shares give 0, ..., k - 1, 0, 1, ...

    Args:
        n: int.
        shares: (classes,), with sum 1.

    Returns:
        int32 (n,).
    """
    k = len(shares)
    due, labels = [], []
    for label in np.flatnonzero(shares):
        turns = np.arange(int((n + k) * shares[label]) + 2)
        due.append((turns + (label + 0.5) / k) / shares[label])
        labels.append(np.full(len(turns), label, np.int32))
    return np.concatenate(labels)[np.argsort(np.concatenate(due), kind="stable")[:n]]
