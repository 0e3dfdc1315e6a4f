"""Modes of the density estimate, on mixtures with known peaks."""

import numpy as np
import pytest

from tests.test_mode_coverage import RING
from tfgan_papers.metrics import kde_modes

N = kde_modes.SAMPLES


@pytest.fixture(scope="module")
def real():
    return kde_modes.of_modes(RING)


def ring(rng, smear, modes=8):
    """N points about the first modes, smeared by a Gaussian."""
    of = np.arange(N) % modes
    return RING.centres[of] + smear * rng.standard_normal((N, 2))


@pytest.mark.parametrize("smear", [0.01, 0.1, 0.2])
def test_smeared_modes_are_seen_although_few_samples_are_within_three_deviations(
    smear, rng, real
):
    found = kde_modes.score(ring(rng, smear), real)
    assert (found.value, found.modes) == (8.0, 8)
    # P(|x| <= .03) of a Gaussian of deviation `smear` in the plane
    assert found.high_quality == pytest.approx(
        1 - np.exp(-((0.03 / smear) ** 2) / 2), abs=0.02
    )


@pytest.mark.parametrize("modes", [1, 3, 8])
def test_the_modes_that_are_there_are_counted(modes, rng, real):
    assert kde_modes.score(ring(rng, 0.02, modes), real).value == modes


def test_a_peak_between_the_centres_is_no_mode(rng, real):
    found = kde_modes.score(0.1 * rng.standard_normal((N, 2)), real)
    assert found.value == 0.0 and found.peaks > 0


@pytest.mark.parametrize(("shift", "modes"), [(0.3, 8), (0.45, 7)])
def test_a_ring_that_is_not_quite_in_place_is_seen(shift, modes, rng, real):
    """The reach is .38. Of a ring moved by more, a mode falls between two centres, or is
    beyond the outermost."""
    found = kde_modes.score(ring(rng, 0.01) + [shift, 0.0], real)
    assert found.value == 8 if modes == 8 else found.value <= modes
    assert found.peaks == 8


def test_a_few_samples_make_no_peak(rng, real):
    points = ring(rng, 0.01, modes=7)
    points[:20] = RING.centres[7]
    assert kde_modes.score(points, real).value == 7.0
