"""Which modes of a mixture of Gaussians the samples cover, and how evenly.

A sample within three standard deviations of its nearest centre is of high quality, and a
mode is covered if it is nearest to at least one such sample (VEEGAN: Srivastava et al.
2017, Sec. 4). Reverse KL is between the shares of the modes among the high-quality samples
and the mixture's weights (as in PacGAN: Lin et al. 2018, Sec. 4). In float64.

Even the data are not all of high quality: in the plane a share of 1 - exp(-9/2) = .9889.

Tests compare with closed forms; it was held beside no public implementation.
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
    value: float  # modes covered
    modes: int  # that there are
    weight_covered: float  # total weight of the covered modes, 0 to 1
    high_quality: float  # share of the samples, 0 to 1
    reverse_kl: float | None  # nats; None where no sample is of high quality
    samples: int


def reference(value_range: str, train):
    """The mixture behind the data: its `centres` (k, d), `std`, and `weights` (k,).

    Raises:
        UsageError: the data are no mixture of known modes.
    """
    if train.modes is None:
        raise UsageError(
            f"--metrics=mode_coverage: {train.name} has no known modes, as ring has"
        )
    return train.modes


def score(samples: np.ndarray, modes) -> Score:
    """
    Args:
        samples: (n, d) points in the data's own coordinates.
        modes: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if not np.isfinite(samples).all():
        raise UserError("the generator's samples are not finite: there is nothing to score")
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
    """Modes covered, and among equals the share of high-quality samples."""
    found = score(samples, modes)
    return found.value + found.high_quality
