"""Which modes of a mixture a reader of LSGAN's Fig. 7 sees: the peaks of the density
estimate that the figure draws, matched to the centres.

The figure is a Gaussian kernel estimate of 5,120 samples on [-4, 4]^2 with Scott's rule,
whose bandwidth of .17 is 17 times the standard deviation of a mode. So a mode is seen where
samples gather within about .25 of its centre, and not only within three standard
deviations, which is what `mode_coverage` asks. A peak counts if it is at least a tenth as
high as the data's highest and nearer to a centre than a quarter of the way to the next
centre. In float64.

There is no public implementation to match; tests compare with mixtures of known modes, and
the estimate with SciPy's gaussian_kde.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import mode_coverage

NAME, UNIT = "modes in the density estimate", "modes"
OF = "samples"
SAMPLES = mode_coverage.SAMPLES
SPLITS = mode_coverage.SPLITS
GRID = np.linspace(-4, 4, 401)  # the figure's clip
LEAST_PEAK = 0.1  # of the data's highest; ours: four of the figure's 30 levels
REFERENCE_SEED = 7  # of the points of the mixture with which the data's peak is measured


class Reference(NamedTuple):
    modes: object  # `Modes`
    highest: float  # of the data's own estimate
    reach: float  # from a peak to its centre


class Score(NamedTuple):
    value: float  # modes with a peak
    modes: int  # that there are
    peaks: int  # all of them, at centres or elsewhere
    covered: float  # modes by `mode_coverage`
    high_quality: float  # share of samples within three deviations, 0 to 1
    samples: int


def density(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A product kernel estimate of points (n, 2) at (x_j, x_i), for each i, j. The width is
    Scott's for each axis, but a grid step at least, so that points that coincide show."""
    points = np.asarray(points, np.float64)
    widths = points.std(0) * len(points) ** (-1 / 6)
    widths = np.maximum(widths, x[1] - x[0])
    across, up = (
        np.exp(-0.5 * ((x[:, None] - points[:, axis]) / widths[axis]) ** 2)
        / (widths[axis] * np.sqrt(2 * np.pi))
        for axis in (0, 1)
    )
    return up @ across.T / len(points)


def reference(value_range: str, train) -> Reference:
    """The mixture behind the data, in the plane.

    Raises:
        UsageError: the data are no mixture of known modes.
    """
    modes = mode_coverage.reference(value_range, train)
    return of_modes(modes)


def of_modes(modes) -> Reference:
    """`reference` of a mixture."""
    draw = np.random.default_rng(REFERENCE_SEED)
    of = draw.choice(len(modes.centres), SAMPLES, p=modes.weights)
    points = modes.centres[of] + modes.std * draw.standard_normal((SAMPLES, 2))
    distances = np.linalg.norm(modes.centres[:, None] - modes.centres, axis=-1)
    nearest = distances[~np.eye(len(distances), dtype=bool)].min()
    return Reference(modes, density(points, GRID).max(), nearest / 4)


def score(samples: np.ndarray, real: Reference) -> Score:
    """
    Args:
        samples: (n, 2) points.

    Raises:
        UserError: a sample is not finite.
    """
    coverage = mode_coverage.score(samples, real.modes)
    if samples.shape[1] != 2:
        raise UserError("a density estimate is of points in the plane")
    estimate = density(samples, GRID)
    peaks = (estimate == maximum_filter(estimate, 3)) & (
        estimate >= LEAST_PEAK * real.highest
    )
    rows, columns = np.nonzero(peaks)
    places = np.stack([GRID[columns], GRID[rows]], 1)
    distances = np.linalg.norm(places[:, None] - real.modes.centres, axis=-1)
    seen = (
        set(distances.argmin(1)[distances.min(1) <= real.reach]) if len(places) else set()
    )
    return Score(
        value=float(len(seen)),
        modes=len(real.modes.centres),
        peaks=len(places),
        covered=coverage.value,
        high_quality=coverage.high_quality,
        samples=len(samples),
    )


def selection(samples: np.ndarray, real: Reference) -> float:
    """Modes with a peak, and among equals the share of high-quality samples."""
    found = score(samples, real)
    return found.value + found.high_quality
