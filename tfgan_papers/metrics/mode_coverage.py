"""Modes of a mixture of Gaussians that the samples cover, and how evenly.

A sample is of high quality if it lies within three standard deviations of its nearest
centre. A mode is covered if at least one such sample is nearest to it (VEEGAN: Srivastava
et al. 2017, Sec. 4). Reverse KL is the divergence of the shares of the modes among the
high-quality samples from the weights of the mixture (as in PacGAN: Lin et al. 2018, Sec.
4). It is computed in float64.

Not even the data are all of high quality: in the plane, the share is 1 - exp(-9/2) = .9889.

Tests compare with closed forms, not with a public implementation.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.errors import UsageError, UserError

NAME, UNIT = "mode coverage", "modes"
OF = "samples"
SAMPLES = 5120  # LSGAN, mixture_gaussian/: 10 batches of 512
SPLITS = ("train",)
RADIUS = 3  # standard deviations


class Score(NamedTuple):
    value: float  # number of modes covered
    modes: int  # number of modes of the mixture
    weight_covered: float  # total weight of the covered modes, 0 to 1
    high_quality: float  # share of the samples, 0 to 1
    reverse_kl: float | None  # nats; None if no sample is of high quality
    samples: int


def reference(value_range: str, train):
    """Returns the mixture of the data: `centres` (k, d), `std` and `weights` (k,).

    Raises:
        UsageError: the data are no mixture with known modes.
    """
    if train.modes is None:
        raise UsageError(
            f"--metrics=mode_coverage: {train.name} has no known modes; use --dataset=ring"
        )
    return train.modes


def score(samples: np.ndarray, modes) -> Score:
    """Counts the covered modes.

    Args:
        samples: points (n, d) in the coordinates of the data.
        modes: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if not np.isfinite(samples).all():
        raise UserError("the samples are not finite: train with a lower learning rate")
    weights = np.asarray(modes.weights, np.float64)
    squares = ((samples[:, None] - np.asarray(modes.centres, np.float64)) ** 2).sum(-1)
    good = squares.min(1) <= (RADIUS * modes.std) ** 2
    counts = np.bincount(squares.argmin(1)[good], minlength=len(weights))
    covered = counts > 0
    shares = counts[covered] / max(1, good.sum())
    reverse_kl = float((shares * np.log(shares / weights[covered])).sum())
    return Score(
        value=float(covered.sum()),
        modes=len(weights),
        weight_covered=float(weights[covered].sum()),
        high_quality=float(good.mean()),
        reverse_kl=reverse_kl if good.any() else None,
        samples=len(samples),
    )


def selection(samples: np.ndarray, modes) -> float:
    """Returns the number of covered modes, plus the share of high-quality samples."""
    result = score(samples, modes)
    return result.value + result.high_quality
