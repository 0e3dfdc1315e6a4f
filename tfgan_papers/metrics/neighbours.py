"""Nearest neighbours by Euclidean distance, in float64, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np

ROWS = 500  # at a time: bounds the memory, not the value


def flat(examples: np.ndarray) -> np.ndarray:
    """(n, ...) -> float64 (n, d)."""
    return np.reshape(examples, (len(examples), -1)).astype(np.float64)


def blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of x, and their squared distances to all y: (rows, (n, len(y))). The array is
    used again for the next.

    Args:
        x, y: float64 (n, d), (m, d).
    """
    norms = (y**2).sum(1)
    for first in range(0, len(x), ROWS):
        rows = slice(first, first + ROWS)
        squares = (-2.0 * x[rows]) @ y.T
        squares += norms
        squares += (x[rows] ** 2).sum(1)[:, None]
        yield rows, np.maximum(squares, 0, out=squares)  # rounding may leave -1e-13
