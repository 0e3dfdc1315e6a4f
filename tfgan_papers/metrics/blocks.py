"""Scores of any number of samples in bounded memory.

The module of such a score has three functions besides `score`:

    of_block(samples, reference, place)    the state of a block of samples; `Place`
    merge(first, then)                     one state of two
    of_state(state, reference, n)          the score of n samples, whose state is given

The blocks are fixed, BLAS has one thread, and the states are merged in the order of the
blocks, so the score is the same to the last bit wherever the states were computed.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import threadpoolctl

from tfgan_papers.errors import UserError

ROWS = 2000  # of a block, whatever --score_batch_size is


class Place(NamedTuple):
    """Where a block is among the samples, for scores of random parts of them."""

    first: int  # number of the block's first sample
    n: int  # number of all samples


def starts(n: int) -> range:
    """The number of the first sample of each block of n samples."""
    return range(0, n, ROWS)


def part(samples, first: int, rows: int = 0):
    """The block of ROWS samples, or of `rows`, that begins with sample `first`.

    Args:
        samples: an array (n, ...), or what draws samples by slices, or a tuple of these.
    """
    if isinstance(samples, tuple):
        return tuple(part(each, first, rows) for each in samples)
    return samples[first : first + (rows or ROWS)]


def of(samples, rows: int = 0) -> Iterator:
    """The blocks of ROWS samples, or of `rows`; see `part`."""
    n = len(samples[0] if isinstance(samples, tuple) else samples)
    for first in range(0, n, rows or ROWS):
        yield part(samples, first, rows)


def state(of_block: Callable, merge: Callable, samples, reference):
    """The state of all samples; see `part`.

    Raises:
        UserError: there are none.
    """
    n = len(samples[0] if isinstance(samples, tuple) else samples)
    if not n:
        raise UserError("there are no samples to score")
    with one_thread():
        places = (Place(first, n) for first in starts(n))
        states = (of_block(part(samples, at.first), reference, at) for at in places)
        return functools.reduce(merge, states)


class _OneThread:
    """The context of `one_thread`.

    BLAS has one number of threads for the whole process. The first thread that enters the
    context therefore sets it, and the last one that leaves restores it.
    """

    def __init__(self):
        self.lock, self.entered, self.limits = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if not self.entered:
                self.limits = threadpoolctl.threadpool_limits(1, "blas")
            self.entered += 1

    def __exit__(self, *error):
        with self.lock:
            self.entered -= 1
            if not self.entered:
                self.limits.restore_original_limits()


_ONE_THREAD = _OneThread()


def one_thread():
    """The context in which states are computed: with more threads, BLAS sums in another
    order. Several threads may be in it at once."""
    return _ONE_THREAD


def finite(samples: np.ndarray) -> np.ndarray:
    """The samples.

    Raises:
        UserError: one is not finite.
    """
    if not np.isfinite(samples).all():
        raise UserError("the samples are not finite: train with a lower learning rate")
    return samples
