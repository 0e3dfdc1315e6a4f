"""Noise is a pure function of (seed, step, draw number, row of the global batch)."""

import itertools
import threading

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests import draws
from tfgan_papers import noise

ROOT3 = 3**0.5
LAWS = {
    "uniform": stats.uniform(-1, 2),
    "uniform_01": stats.uniform(0, 1),
    "uniform_sqrt3": stats.uniform(-ROOT3, 2 * ROOT3),
    "normal": stats.norm(),
    "spherical": stats.beta(49.5, 49.5, -1, 2),  # an element of a point in 100 dimensions
}
# Rows of the table of seed (0, 0) that begin with a word of 24 leading zeros or ones.
ROW_OF_ZERO, ROW_OF_ONES = 7926043, 2387329


def pair(seed=7, number=0):
    return tf.constant([seed, number], tf.int64)


def test_laws_of_this_file_are_those_of_the_package():
    assert set(LAWS) == set(noise.PRIORS)


@pytest.mark.parametrize("row", [(1,), (3,), (4,), (5,), (64,), (3, 3, 1), (2, 4, 3)])
@pytest.mark.parametrize("draw", [noise.bits, noise.halves, noise.uniform, noise.normal])
def test_any_split_of_the_rows_draws_the_rows_of_the_whole(draw, row):
    whole = draw(pair(), (12, *row)).numpy()
    assert whole.shape == (12, *row)
    for cuts in ((0, 6, 12), (0, 1, 4, 11, 12)):
        parts = [
            draw(pair(), (end - start, *row), first_row=start).numpy()
            for start, end in itertools.pairwise(cuts)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("prior", noise.PRIORS)
def test_replicas_draw_their_share_of_the_global_latents(prior):
    whole = noise.latents(prior, pair(number=1), (12, 5)).numpy()
    shares = []
    for replica in range(3):
        stream = noise.Stream(pair(), tf.constant(replica))
        stream.next_seed()  # draw 0, so that the next is number 1
        shares.append(stream.latents(prior, (tf.constant(4), 5)).numpy())
    np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_stream_draws_uniform_and_normal_by_number_and_replica():
    stream = noise.Stream(pair(), 2)
    first, second = stream.uniform((4, 3)), stream.normal((4, 3))
    np.testing.assert_array_equal(first, noise.uniform(pair(number=0), (12, 3))[8:])
    np.testing.assert_array_equal(second, noise.normal(pair(number=1), (12, 3))[8:])


@pytest.mark.parametrize("row_size", [1, 5, 8])
def test_words_are_tensorflows_philox_padded_to_whole_counts(row_size):
    width = -(-row_size // 4) * 4
    table = tf.random.stateless_uniform(
        (6, width), pair(3, 9), None, None, tf.uint32, alg="philox"
    )
    drawn = noise.bits(pair(3, 9), (6, row_size))
    np.testing.assert_array_equal(drawn, table[:, :row_size])


def test_words_of_a_seed_never_change():
    """A run folder outlives the version that began it."""
    pinned = [
        [2440518107, 3687213324, 2175245777, 3160049364, 3199366136],
        [2058984829, 3060879070, 2758828203, 3878282549, 3164946456],
    ]
    np.testing.assert_array_equal(noise.bits(pair(3, 9), (2, 5), first_row=1000), pinned)


def both_ways(function, *arguments):
    """`function` by TensorFlow's kernels, one by one, and as XLA compiles it."""
    compiled = tf.function(function, jit_compile=True)
    return function(*arguments).numpy(), compiled(*arguments).numpy()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_form_for_xla_draws_the_same_words(jit_compile):
    form = tf.function(noise.bits, jit_compile=jit_compile)
    for shape, first_row in (((5, 7), 0), ((3, 4, 2), 1 << 40)):
        words = form(pair(), shape, tf.constant(first_row, tf.int64), compiled=True)
        np.testing.assert_array_equal(words, noise.bits(pair(), shape, first_row))


@pytest.mark.parametrize("row", [(3,), (8,), (5, 5, 1)])
def test_xla_draws_the_same_words(row):
    plain, compiled = both_ways(
        lambda seed, first: noise.bits(seed, (64, *row), first), pair(), tf.constant(11)
    )
    np.testing.assert_array_equal(plain, compiled)


@pytest.mark.parametrize("prior", noise.PRIORS)
def test_xla_draws_the_same_latents(prior):
    plain, compiled = both_ways(
        lambda seed, first: noise.latents(prior, seed, (1000, 5), first),
        pair(),
        tf.constant(11),
    )
    np.testing.assert_array_equal(plain, compiled)


@pytest.mark.parametrize(("prior", "law"), LAWS.items())
def test_latents_follow_their_law(prior, law):
    z = noise.latents(prior, pair(), (4000, 100)).numpy()
    assert z.dtype == np.float32
    z = z.ravel().astype("float64")
    variance, kurtosis = law.var(), float(law.stats("k"))
    assert z.mean() == pytest.approx(law.mean(), abs=5 * (variance / z.size) ** 0.5)
    spread = variance * ((kurtosis + 2) / z.size) ** 0.5  # of the sample variance
    assert z.var() == pytest.approx(variance, abs=5 * spread)
    assert 1e-3 < stats.kstest(z, law.cdf).pvalue < 1 - 1e-3


def test_spherical_latents_have_norm_one():
    z = noise.latents("spherical", pair(), (200, 7)).numpy()
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-6)
    assert np.abs(z.mean(0)).max() < 0.15


def test_latents_are_moved_onto_the_support_of_their_prior():
    z = np.float32([[3.0, -4.0], [0.3, 0.4]])
    for prior, expected in {
        "normal": z,
        "uniform": [[1, -1], [0.3, 0.4]],
        "uniform_01": [[1, 0], [0.3, 0.4]],
        "spherical": [[0.6, -0.8], [0.6, 0.8]],
    }.items():
        np.testing.assert_allclose(noise.onto_support(prior, z), expected, rtol=1e-6)


@pytest.mark.parametrize("prior", ["uniform", "uniform_01", "uniform_sqrt3"])
def test_uniform_latents_fill_their_interval(prior):
    low, high = (np.float32(end) for end in LAWS[prior].support())
    z = noise.latents(prior, pair(), (4000, 100)).numpy()
    gap = 20 * (high - low) / z.size  # a wider one at an end: probability e^-20
    assert low <= z.min() < low + gap
    assert high - gap < z.max() < high


@pytest.mark.parametrize("prior", ["uniform", "uniform_01", "uniform_sqrt3"])
def test_extreme_words_stay_inside_the_interval(prior):
    """The last of the 2^24 values must not round up to the upper end."""
    low, high = (np.float32(end) for end in LAWS[prior].support())
    first = noise.latents(prior, pair(0, 0), (1, 4), ROW_OF_ZERO)[0, 0]
    last = noise.latents(prior, pair(0, 0), (1, 4), ROW_OF_ONES)[0, 0]
    assert first == low
    assert high - (high - low) * 2.0**-22 < last < high


def test_normals_are_the_quantiles_of_the_16_bit_halves():
    z = noise.normal(pair(), (40, 101)).numpy()
    middles = draws.halves(pair(), (40, 101)) + 2.0**-17
    # the middles of 2^16 intervals have a variance of .99998, made 1
    np.testing.assert_allclose(z, stats.norm.ppf(middles) * 1.0000101, rtol=1e-6)


def test_normals_of_all_words_have_variance_one_and_reach_the_tails():
    z = noise.QUANTILES.astype("float64")
    assert z.std() == pytest.approx(1, abs=1e-7)
    np.testing.assert_array_equal(z, -z[::-1])
    assert stats.norm.ppf(1 - 2.0**-17) == pytest.approx(z.max(), rel=2e-5)
    assert np.mean(z**4) == pytest.approx(3, abs=2e-3)


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_neighbours_are_uncorrelated(prior):
    """Next column, next row, next draw, next seed; values and their squares."""
    z = noise.latents(prior, pair(), (2000, 101)).numpy()
    other_draw = noise.latents(prior, pair(number=1), (2000, 101)).numpy()
    other_seed = noise.latents(prior, pair(8), (2000, 101)).numpy()
    for a, b in (
        (z[:, 1:], z[:, :-1]),
        (z[1:], z[:-1]),
        (z, other_draw),
        (z, other_seed),
    ):
        limit = 5 / a.size**0.5
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < limit
        assert abs(np.corrcoef(a.ravel() ** 2, b.ravel() ** 2)[0, 1]) < limit


def test_every_seed_step_branch_draw_and_row_has_words_of_its_own():
    seen = {}
    for seed, step in itertools.product((0, 1, 2**31), (0, 1, 2, 10**9)):
        root = noise.Stream.of_step(seed, tf.constant(step, tf.int64), 0)
        streams = [root, *(noise.Stream(root.branch(), 0) for _ in range(3))]
        for branch, stream in enumerate(streams):
            for draw in range(3):
                rows = noise.bits(stream.next_seed(), (4, 4)).numpy()
                for row, words in enumerate(rows):
                    place = (seed, step, branch, draw, row)
                    assert seen.setdefault(tuple(words), place) == place
    assert len(seen) == 3 * 4 * 4 * 3 * 4


def test_the_last_draw_of_a_step_comes_before_the_first_of_the_next():
    step = noise.Stream.of_step(7, tf.constant(41, tf.int64), 0)
    branches = [int(step.branch()[1]) for _ in range(255)]
    assert sorted({int(step.base[1]), *branches}) == list(range(41 << 16, 42 << 16, 256))
    last = noise.Stream(pair(number=max(branches)), 0)
    numbers = [int(last.next_seed()[1]) for _ in range(256)]
    assert numbers == list(range((42 << 16) - 256, 42 << 16))
    assert int(noise.Stream.of_step(7, 42, 0).base[1]) == 42 << 16


def test_too_many_branches_or_draws_raise():
    stream = noise.Stream(pair(), 0)
    for _ in range(255):
        stream.branch()
    with pytest.raises(ValueError, match="branches"):
        stream.branch()
    for _ in range(256):
        stream.next_seed()
    with pytest.raises(ValueError, match="draws"):
        stream.next_seed()


def test_foreign_layers_get_another_seed_each_step_replica_and_layer():
    places = list(itertools.product((1, 2), (0, 1, 10**6), (0, 1), (0, 1, 255)))
    states = set()
    for seed, step, replica, index in places:
        stream = noise.Stream.of_step(seed, tf.constant(step, tf.int64), replica)
        states.add(tuple(stream.reseed(index, "int64").numpy()))
    assert len(states) == len(places)


def test_use_ends_with_its_block():
    outer, inner = noise.Stream(pair(), 0), noise.Stream(pair(), 1)
    assert noise.active() is None
    with noise.use(outer) as given:
        assert given is noise.active() is outer
        with pytest.raises(KeyError), noise.use(inner):
            assert noise.active() is inner
            raise KeyError
        assert noise.active() is outer
    assert noise.active() is None


def test_threads_do_not_see_each_others_stream():
    seen = []
    with noise.use(noise.Stream(pair(), 0)):
        thread = threading.Thread(target=lambda: seen.append(noise.active()))
        thread.start()
        thread.join()
    assert seen == [None]
