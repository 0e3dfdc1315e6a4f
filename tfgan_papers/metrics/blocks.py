"""Scores of any number of samples in bounded memory.

A score of this kind computes a state of each block of samples, `of_block`, and makes one
state of two, `merge`. The blocks are fixed and the states are merged in the order of the
blocks, so the score is the same to the last bit wherever the states were computed.
"""

from collections.abc import Iterator

import numpy as np

from tfgan_papers.errors import UserError

ROWS = 2000  # of a block, whatever --score_batch_size is


def of(samples, rows: int = 0) -> Iterator:
    """Slices of ROWS samples, or of `rows`; `samples` is an array (n, ...), or is drawn by
    slices."""
    rows = rows or ROWS
    for first in range(0, len(samples), rows):
        yield samples[first : first + rows]


def finite(samples: np.ndarray) -> np.ndarray:
    """The samples.

    Raises:
        UserError: one is not finite.
    """
    if not np.isfinite(samples).all():
        raise UserError("the samples are not finite: train with a lower learning rate")
    return samples
