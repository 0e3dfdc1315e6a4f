"""Mode coverage against closed forms."""

import types

import numpy as np
import pytest

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import mode_coverage

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = types.SimpleNamespace(
    centres=np.stack([np.sin(ANGLES), np.cos(ANGLES)], 1),
    std=0.01,
    weights=np.full(8, 1 / 8),
)


def test_the_centres_themselves_are_full_and_even_coverage():
    found = mode_coverage.score(np.repeat(RING.centres, 5, 0), RING)
    assert (found.value, found.modes, found.samples) == (8.0, 8, 40)
    assert (found.weight_covered, found.high_quality) == (1.0, 1.0)
    assert found.reverse_kl == pytest.approx(0.0, abs=1e-15)


def test_one_mode_is_log_eight_nats_from_all_eight():
    found = mode_coverage.score(np.tile(RING.centres[3], (100, 1)), RING)
    assert (found.value, found.weight_covered, found.high_quality) == (1.0, 1 / 8, 1.0)
    assert found.reverse_kl == pytest.approx(np.log(8), rel=1e-12)


def test_uneven_samples_of_uneven_modes_have_the_sum_by_hand():
    modes = types.SimpleNamespace(
        centres=np.array([[0.0], [10.0], [20.0]]), std=1.0, weights=[0.5, 0.3, 0.2]
    )
    samples = np.array([[0.0]] * 6 + [[10.0]] * 2 + [[15.0]] * 2)  # the last two between
    found = mode_coverage.score(samples, modes)
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.3)
    assert found.reverse_kl == pytest.approx(expected, rel=1e-12)
    assert (found.value, found.high_quality) == (2.0, 0.8)
    assert found.weight_covered == pytest.approx(0.8)


@pytest.mark.parametrize(("distance", "covered"), [(0.0299, 1.0), (0.0301, 0.0)])
def test_three_standard_deviations_are_the_edge_in_every_direction(distance, covered):
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 50)
    offsets = distance * np.stack([np.cos(angle), np.sin(angle)], 1)
    assert mode_coverage.score(RING.centres[0] + offsets, RING).value == covered


def test_a_single_sample_covers_its_mode():
    far = np.full((999, 2), 3.0)
    found = mode_coverage.score(np.concatenate([far, RING.centres[:1]]), RING)
    assert (found.value, found.high_quality) == (1.0, 0.001)


def test_without_a_good_sample_nothing_is_covered_and_there_is_no_divergence():
    found = mode_coverage.score(np.zeros((10, 2)), RING)
    assert (found.value, found.weight_covered, found.high_quality) == (0.0, 0.0, 0.0)
    assert found.reverse_kl is None


def test_the_data_themselves_score_as_a_normal_law_in_the_plane_says():
    draw = np.random.default_rng(1)
    points = RING.centres[draw.integers(8, size=200_000)]
    points = points + 0.01 * draw.standard_normal(points.shape)
    found = mode_coverage.score(np.float32(points), RING)
    assert found.value == 8.0
    assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.001)
    # 2 n KL is chi-square with 7 degrees of freedom, of mean 7
    assert 0 < found.reverse_kl < 30 / (2 * 200_000)


def test_selection_prefers_modes_and_then_quality():
    def mixed(modes, far):
        return np.concatenate([RING.centres[:modes], np.full((far, 2), 3.0)])

    order = [mixed(7, 0), mixed(8, 1000), mixed(8, 1), mixed(8, 0)]
    selections = [mode_coverage.selection(samples, RING) for samples in order]
    assert selections == sorted(set(selections))


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(UserError, match="not finite"):
        mode_coverage.score(np.full((3, 2), np.nan), RING)
    digits = types.SimpleNamespace(name="digits", modes=None)
    with pytest.raises(UsageError, match="digits has no known modes"):
        mode_coverage.reference("raw", train=digits)
