"""Scores as plain functions on arrays, against closed forms and independent libraries."""

import keras
import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import accuracy_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import functional
from tfgan_papers.metrics import precision_recall as of_neighbours

D = 4


@pytest.fixture
def features(rng):
    """Two sets of features (n, D)."""
    return rng.normal(size=(60, D)), rng.normal(0.5, 1.3, size=(70, D))


def test_frechet_distance_is_the_formula_with_scipys_root(features):
    real, fake = features
    of_means = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    c, d = np.cov(real.T), np.cov(fake.T)
    expected = of_means + np.trace(c + d - 2 * scipy.linalg.sqrtm(c @ d).real)
    assert functional.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_images_go_through_the_given_features(rng):
    images = [rng.uniform(0, 255, (n, 6, 6, 3)).astype("uint8") for n in (230, 40)]
    network = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(D)]
    )
    kernel, bias = network.get_weights()
    by_numpy = [x.reshape(len(x), -1) @ kernel + bias for x in images]
    found = functional.frechet_distance(*images, features=network)
    assert found == pytest.approx(functional.frechet_distance(*by_numpy), rel=1e-3)


def test_images_without_features_are_refused_in_one_line(rng):
    images = rng.normal(size=(9, 4, 4, 1))
    with pytest.raises(ValueError, match=r"shape \(9, 4, 4, 1\), not \(n, d\): give feat"):
        functional.frechet_distance(images, images)


def test_few_images_are_refused(rng):
    with pytest.raises(UserError, match="too few for a covariance"):
        functional.frechet_distance(rng.normal(size=(3, 5)), rng.normal(size=(3, 5)))


def test_kernel_distance_of_all_is_the_unbiased_formula(rng):
    real, fake = rng.normal(size=(40, D)), rng.normal(1.0, size=(40, D))

    def kernel(x, y):
        return np.array([[(a @ b / D + 1) ** 3 for b in y] for a in x])

    def within(x):
        return (kernel(x, x).sum() - np.trace(kernel(x, x))) / (40 * 39)

    expected = within(real) + within(fake) - 2 * kernel(real, fake).mean()
    assert functional.kernel_distance(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("of_the_command", [40, 10_000])
def test_precision_and_recall_are_those_of_pairwise_distances_of_all(
    of_the_command, features, monkeypatch
):
    monkeypatch.setattr(of_neighbours, "SAMPLES", of_the_command)
    real, fake = features

    def share(points, of):
        radii = np.sort(cdist(of, of), 1)[:, 3]
        return (cdist(points, of) <= radii).any(1).mean()

    found = functional.precision_recall(real, fake)
    assert found == pytest.approx((share(fake, real), share(real, fake)))


def test_two_sample_accuracy_is_scikit_learns(features):
    real, fake = (each[:50] for each in features)
    x, y = np.concatenate([real, fake]), np.repeat([0, 1], 50)
    predicted = cross_val_predict(KNeighborsClassifier(1), x, y, cv=LeaveOneOut())
    assert functional.two_sample(real, fake) == pytest.approx(accuracy_score(y, predicted))


def test_diversity_is_a_ratio_of_distances(rng):
    real = rng.normal(size=(50, 4, 4, 1))
    assert functional.diversity(real, 0.5 * real + 3.0) == pytest.approx(0.5)
    broken = np.where(np.arange(16).reshape(4, 4, 1) == 5, np.nan, real)
    for useless in (np.ones((5, 4, 4, 1)), real[:1], broken):
        with pytest.raises(ValueError, match="fewer than two, all equal, or not finite"):
            functional.diversity(useless, real)


def by_class(n, rng):
    """Features (n, D), the first half of one class and the second half of another."""
    return rng.normal(size=(n, D)) + 50.0 * (np.arange(n) >= n // 2)[:, None]


def test_two_sample_accuracy_does_not_depend_on_the_order_of_more_examples(rng):
    real, fake = by_class(600, rng), by_class(300, rng)
    assert functional.two_sample(real, fake) == pytest.approx(0.5, abs=0.08)


def test_diversity_is_of_2000_images_at_most(rng):
    real, fake = rng.normal(size=(2100, 1)), rng.normal(size=(2050, 1)) ** 3
    some = (
        pdist(x[np.random.RandomState(2014).permutation(len(x))[:2000]]).mean()
        for x in (fake, real)
    )
    expected = next(some) / next(some)
    assert functional.diversity(real, fake) == pytest.approx(expected, rel=1e-9)


def test_coverage_counts_the_classes_that_are_shown(rng):
    of_class = rng.normal(size=(4, 6, 6, 1))
    labels = np.arange(200) % 4
    real = of_class[labels] + 0.1 * rng.normal(size=(200, 6, 6, 1))
    noise = 0.1 * rng.normal(size=(60, 6, 6, 1))
    for shown, expected in ((4, 1.0), (2, 1 / 3), (1, 0.0)):
        fake = of_class[np.arange(60) % shown] + noise
        assert functional.coverage(real, fake, labels) == pytest.approx(expected)
        assert functional.coverage(real, fake, labels[:, None]) == pytest.approx(expected)
    with pytest.raises(ValueError, match="fewer than 40"):
        functional.coverage(real[:30], real[:30])
    with pytest.raises(ValueError, match="199 labels for 200 real images"):
        functional.coverage(real, real, labels[1:])
    real[7, 0, 0] = np.nan
    with pytest.raises(ValueError, match="the real images are not finite"):
        functional.coverage(real, fake, labels)


def test_coverage_is_of_1000_images_at_most(rng):
    of_class, labels = rng.normal(size=(4, 6, 6, 1)), np.arange(1100) // 275
    real = of_class[labels] + 0.1 * rng.normal(size=(1100, 6, 6, 1))
    fake = of_class[np.arange(1100) ** 2 // 302_501] + 0.0 * real
    rows = np.random.RandomState(2014).permutation(1100)[:1000]
    expected = functional.coverage(real[rows], fake[rows], labels[rows])
    assert 0.5 < expected < 0.99
    assert functional.coverage(real, fake, labels) == pytest.approx(expected, rel=1e-9)
