"""Scores of blocks of samples: the bits do not depend on who computes a block's state, the
memory does not grow with the number of samples."""

import concurrent.futures
import contextlib
import functools
import tracemalloc
import types
from itertools import chain

import numpy as np
import pytest
import threadpoolctl
from scipy.spatial.distance import pdist
from scipy.special import logsumexp, softmax

from tfgan_papers.commands import subjects
from tfgan_papers.errors import UserError
from tfgan_papers.metrics import (
    blocks,
    classifier_score,
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_class,
    parzen_window,
)

OF_FEATURES = (frechet_distance, kernel_distance, classifier_score)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 50)


class Drawn:
    """n samples (d,) that exist only while a slice of them is looked at."""

    def __init__(self, n, d=64):
        self.n, self.d = n, d

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        first, last, _ = rows.indices(self.n)
        draw = np.random.default_rng([7, first])
        return draw.normal(size=(last - first, self.d)).astype(np.float32)

    def whole(self):
        return np.concatenate([*blocks.of(self)])


class Predictions(Drawn):
    """Probabilities of d classes for n samples."""

    def __getitem__(self, rows):
        return softmax(super().__getitem__(rows), axis=1)


def examples(n=90, d=64):
    draw = np.random.default_rng(1)
    return draw.normal(size=(n, d)).astype(np.float32), draw.integers(3, size=n)


def reference(metric):
    real, labels = examples()
    if metric is parzen_window:
        return metric.Reference(real[:40], real[40:])
    if metric is kernel_distance:
        return real
    return metric.Reference(real, labels) if metric is nearest_class else None


def taken(metric, samples):
    if metric in OF_FEATURES:
        return samples, Predictions(len(samples), 5)
    return (samples, np.arange(len(samples)) % 3) if metric is nearest_class else samples


@pytest.mark.parametrize("metric", [*OF_FEATURES, parzen_window, nearest_class])
def test_any_number_of_workers_gives_the_same_bits(metric):
    """Two threads, of which the first gets its blocks last."""
    samples, against = taken(metric, drawn := Drawn(430)), reference(metric)
    alone = blocks.state(metric.of_block, metric.merge, samples, against)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        states = [
            pool.submit(
                metric.of_block,
                blocks.part(samples, first),
                against,
                blocks.Place(first, 430),
            )
            for first in reversed(blocks.starts(430))
        ]
        merged = functools.reduce(metric.merge, (s.result() for s in reversed(states)))
    assert bits(alone) == bits(merged)
    whole = np.float64(drawn.whole())
    check = {
        frechet_distance: lambda: np.testing.assert_allclose(
            alone.scatter / (len(whole) - 1),
            np.cov(whole, rowvar=False),
            rtol=1e-12,
            atol=1e-15,
        ),
        parzen_window: lambda: np.testing.assert_allclose(
            alone,
            [
                logsumexp(-squares(whole) / (2 * sigma**2), axis=1)
                for sigma in parzen_window.SIGMAS
            ],
            rtol=1e-10,
        ),
        nearest_class: lambda: np.testing.assert_array_equal(
            alone.labels, squares(whole).argmin(1) % 3
        ),
        kernel_distance: lambda: np.testing.assert_array_equal(
            np.concatenate([chosen.features for chosen in alone]), whole
        ),  # with 100 subsets of 90 of 430, each is in one
        classifier_score: lambda: np.testing.assert_allclose(
            alone.predictions.sum(0), np.float64(samples[1].whole()).sum(0)
        ),
    }
    check[metric]()


def bits(state):
    arrays = chain.from_iterable(state) if isinstance(state[0], tuple) else state
    return [np.asarray(part).tobytes() for part in arrays]


@pytest.mark.parametrize("metric", [frechet_distance, parzen_window])
def test_the_number_of_threads_does_not_change_the_bits(metric):
    real, _ = examples(d=784)
    against = metric.Reference(real[:40], real[40:]) if metric is parzen_window else None
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads, "blas"):
            drawn = taken(metric, Drawn(300, 784))
            found.append(blocks.state(metric.of_block, metric.merge, drawn, against))
    one, two = map(bits, found)
    assert one == two


def test_blas_has_one_thread_until_the_last_of_several_workers_threads_is_done():
    def threads():
        found = threadpoolctl.threadpool_info()
        return {pool["num_threads"] for pool in found if pool["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2, "blas"):
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        for each in (first, second):
            each.enter_context(blocks.one_thread())
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == {2}
        with pytest.raises(KeyError), blocks.one_thread():
            raise KeyError
        assert threads() == {2}


def squares(samples):
    x = np.float64(examples()[0])
    return ((x[:, None] - samples[None]) ** 2).sum(2)


@pytest.mark.parametrize("metric", [*OF_FEATURES, parzen_window, nearest_class])
def test_no_samples_are_refused(metric):
    with pytest.raises(UserError, match="no samples"):
        metric.score(taken(metric, np.empty((0, 64))), reference(metric))


def test_of_equally_near_samples_the_first_counts_wherever_the_blocks_end():
    test = nearest_class.Reference(np.zeros((1, 2)), np.array([4]))
    images = np.ones((120, 2), np.float32)
    labels = np.r_[4, np.zeros(119, int)]
    assert nearest_class.score((images, labels), test).wrong == 0
    assert nearest_class.score((images, labels[::-1]), test).wrong == 1


def test_the_labels_of_many_samples_are_computed_once_for_all_blocks():
    """Those of ten million take a second, and there are 5,000 blocks."""
    model, shares = types.SimpleNamespace(classes=2), np.array([0.25, 0.75])
    subject = subjects.GeneratorSamples(model, None, "unit", shares)
    first, then = (subject.labelled(4000)[1] for _ in range(2))
    assert first is then and np.bincount(first).tolist() == [1000, 3000]


def peak(score):
    tracemalloc.start()
    score()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("metric", [parzen_window, nearest_class])
def test_ten_times_the_samples_take_no_more_memory(metric):
    real, labels = examples()

    def score(n):
        if metric is parzen_window:
            return metric.score(Drawn(n), metric.Reference(real[:40], real))
        many = np.zeros(n, np.int8)
        return metric.score((Drawn(n), many), metric.Reference(real, labels))

    few, many = peak(lambda: score(500)), peak(lambda: score(5000))
    assert many < 1.2 * few  # all samples would be 5 times as much


def test_the_mean_distance_of_many_samples_is_that_of_all_pairs_in_little_memory():
    few = Drawn(diversity.SAMPLES, 2).whole()
    assert diversity.mean_distance(few) == pdist(few).mean()  # the bits of earlier records
    many = Drawn(3 * diversity.SAMPLES + 1, 2).whole()
    found = peak(lambda: diversity.mean_distance(many))
    assert diversity.mean_distance(many) == pytest.approx(pdist(many).mean(), rel=1e-12)
    assert found < 50 << 20  # the distances of all pairs would be 137 MiB
