"""Modes of a mixture that are visible in LSGAN's Fig. 7.

They are the peaks of the density estimate of the figure, matched to the centres of the
modes. The estimate is a Gaussian kernel estimate of 5,120 samples on [-4, 4]^2 with Scott's
rule, whose bandwidth of .17 is 17 times the standard deviation of a mode. A peak counts if
its height is at least a tenth of the data's highest peak. It belongs to the nearest centre,
if its distance is at most half of that between the two nearest centres, because a picture
shows a ring that is not quite in place as well; `mode_coverage` requires three standard
deviations. It is computed in float64.

The figure's program uses SciPy's rule, or if it is installed that of statsmodels, whose
bandwidth is a fifth smaller.

No public implementation exists to compare with. Tests use mixtures with known modes, and
compare the estimate with scikit-learn's.
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
SELECTION = 2  # version of `selection`; of the first the reach was half as long
GRID = np.linspace(-4, 4, 401)  # the figure's clip
LEAST_PEAK = 0.1  # of the data's highest; ours: four of the figure's 30 levels
REFERENCE_SEED = 7  # of the points of the mixture from which the data's peak is measured


class Reference(NamedTuple):
    modes: object  # `Modes`
    highest: float  # the highest density of the data's estimate
    reach: float  # largest distance of a peak from its centre


class Score(NamedTuple):
    value: float  # number of modes with a peak
    modes: int  # number of modes of the mixture
    peaks: float  # number of peaks, at centres or elsewhere
    covered: float  # number of modes covered, by `mode_coverage`
    high_quality: float  # share of samples within three deviations, 0 to 1
    samples: int


def density(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Estimates the density with a product of Gaussian kernels.

    Args:
        points: (n, 2).
        x: (k,), equidistant coordinates in both directions.

    Returns:
        (k, k): element (i, j) is the density at (x_j, x_i). The bandwidth is Scott's per
        axis, but at least one step of the grid, so that coinciding points are visible.
    """
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
    """Returns the `Reference` of the mixture that generates the data.

    Raises:
        UsageError: the data are no mixture with known modes.
    """
    modes = mode_coverage.reference(value_range, train)
    return of_modes(modes)


def of_modes(modes) -> Reference:
    """Returns the `Reference` of a mixture, `Modes` in the plane."""
    draw = np.random.default_rng(REFERENCE_SEED)
    of = draw.choice(len(modes.centres), SAMPLES, p=modes.weights)
    points = modes.centres[of] + modes.std * draw.standard_normal((SAMPLES, 2))
    distances = np.linalg.norm(modes.centres[:, None] - modes.centres, axis=-1)
    nearest = distances[~np.eye(len(distances), dtype=bool)].min()
    return Reference(modes, density(points, GRID).max(), nearest / 2)


def score(samples: np.ndarray, real: Reference) -> Score:
    """Counts the modes with a peak.

    Args:
        samples: points (n, 2).
        real: `reference`.

    Raises:
        UserError: a sample is not finite, or the points are not in the plane.
    """
    coverage = mode_coverage.score(samples, real.modes)
    if samples.shape[1] != 2:
        raise UserError("kde_modes needs points in the plane: use --metrics=mode_coverage")
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
        peaks=float(len(places)),
        covered=coverage.value,
        high_quality=coverage.high_quality,
        samples=len(samples),
    )


def selection(samples: np.ndarray, real: Reference) -> float:
    """Returns the number of modes with a peak, plus the share of high-quality samples."""
    result = score(samples, real)
    return result.value + result.high_quality
