"""Squared Euclidean distances in float64, computed for blocks of rows."""

from collections.abc import Iterator

import numpy as np

ROWS = 500  # per block: bounds the memory and does not change the value


def flat(examples: np.ndarray) -> np.ndarray:
    """Reshapes (n, ...) to (n, d)."""
    return np.reshape(examples, (len(examples), -1))


def blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (rows of x, their squared distances to all y: float64 (len(rows), m)).

    Args:
        x: (n, d).
        y: (m, d).
    """
    for rows, some in _in_double(x):
        squares, norms = np.empty((len(some), len(y))), (some**2).sum(1)[:, None]
        for columns, others in _in_double(y):
            squares[:, columns] = (-2.0 * some) @ others.T
            squares[:, columns] += (others**2).sum(1)
        squares += norms
        yield rows, np.maximum(squares, 0, out=squares)  # rounding may leave -1e-13


def _in_double(x):
    """Yields (rows, x[rows] in float64)."""
    for first in range(0, len(x), ROWS):
        rows = slice(first, first + ROWS)
        yield rows, x[rows].astype(np.float64)
