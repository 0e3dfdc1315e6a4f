"""Scores on given features, against closed forms, SciPy's matrix root, scikit-learn, plain
loops, and torch-fidelity if it is installed."""

import importlib.util
import json
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist
from scipy.special import rel_entr
from scipy.stats import mannwhitneyu
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tfgan_papers.data import HeldExamples
from tfgan_papers.errors import UserError
from tfgan_papers.metrics import (
    blocks,
    classifier_score,
    data_copying,
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_class,
    precision_recall,
    subsets,
    two_sample,
)
from tfgan_papers.metrics.features import Activations


def seen(features=None, probabilities=None):
    n = len(probabilities if features is None else features)
    given = (features, probabilities)
    return Activations(*(np.empty((n, 0)) if each is None else each for each in given))


@pytest.fixture(scope="module")
def pair():
    """float32 features of two correlated laws, (700, 8) and (600, 8)."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(700, 8)) @ draw.normal(size=(8, 8)) + draw.normal(size=8)
    y = draw.normal(size=(600, 8)) @ draw.normal(size=(8, 8))
    return np.float32(x), np.float32(y)


def probabilities(n, k, seed=1):
    logits = np.random.default_rng(seed).normal(size=(n, k)) * 2
    return np.float32(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


# Classifier score.


def definition(p, blocks):
    """exp of the mean divergence from the block's own marginal, example by example."""
    found = []
    for block in np.array_split(np.float64(p)[subsets.spread(len(p))], blocks):
        marginal = block.mean(0)
        found.append(np.exp(np.mean([(q * np.log(q / marginal)).sum() for q in block])))
    return np.mean(found), np.std(found)


def test_the_score_equals_the_definition_within_ten_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 7)  # more than one pass a block
    p = probabilities(200, 6)
    found = classifier_score.score(seen(None, p))
    np.testing.assert_allclose(found[:2], definition(p, 10), rtol=1e-10)
    assert (found.samples, found.splits) == (200, 10)


def test_the_score_equals_scipys_relative_entropy():
    p = probabilities(500, 30)
    blocks = np.float64(p[subsets.spread(500)]).reshape(10, 50, 30)
    each = np.exp(rel_entr(blocks, blocks.mean(1, keepdims=True)).sum(2).mean(1))
    found = classifier_score.score(seen(None, p))
    np.testing.assert_allclose(found[:2], (each.mean(), each.std()), rtol=1e-9)


@pytest.mark.parametrize("k", [2, 10, 1008])
def test_uniform_predictions_score_one_and_even_sure_ones_their_number(k):
    uniform = np.full((k * 10, k), 1 / k, np.float32)
    assert classifier_score.score(seen(None, uniform)).value == pytest.approx(1, rel=1e-6)
    sure = np.empty((10 * k, k), np.float32)
    sure[subsets.spread(10 * k)] = np.tile(np.eye(k), (10, 1))  # each class once a block
    assert classifier_score.score(seen(None, sure)).value == pytest.approx(k, rel=1e-12)


def test_blocks_have_marginals_of_their_own():
    one_class_a_block = np.empty((200, 10), np.float32)
    one_class_a_block[subsets.spread(200)] = np.repeat(np.eye(10), 20, axis=0)
    found = classifier_score.score(seen(None, one_class_a_block))
    assert found.value == pytest.approx(1, rel=1e-12)  # of all at once it would be 10


@pytest.mark.parametrize("order", ["class by class", "one of each in turn"])
def test_the_order_of_the_samples_makes_no_difference_to_the_score(order):
    """That of 500 of ten classes at random falls short by a factor of exp(-9 / 1000)."""
    sure = np.eye(10, dtype=np.float32)
    many = np.repeat(sure, 500, 0) if order == "class by class" else np.tile(sure, (500, 1))
    found = classifier_score.score(seen(None, many))
    assert found.value == pytest.approx(10 * np.exp(-9 / 1000), abs=0.05)
    assert found.standard_deviation < 0.1


# Frechet distance.


def by_matrix_root(x, y):
    """As the definition has it, with SciPy's root of the product."""
    x, y = np.float64(x), np.float64(y)
    c, d = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    of_means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return of_means + np.trace(c + d - 2 * scipy.linalg.sqrtm(c @ d).real)


def test_frechet_distance_equals_the_one_by_scipys_matrix_root(pair, monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 64)
    x, y = pair
    found = frechet_distance.score(seen(x), frechet_distance.reference(seen(y)))
    assert found.value == pytest.approx(by_matrix_root(x, y), rel=1e-6)
    assert (found.samples, found.reference_examples) == (700, 600)
    other = frechet_distance.score(seen(y), frechet_distance.reference(seen(x)))
    assert other.value == pytest.approx(found.value, rel=1e-9)


def test_identical_features_are_no_distance_apart_and_a_shift_its_square(pair):
    x, _ = pair
    reference = frechet_distance.reference(seen(x))
    scale = np.trace(reference.moments.covariance)
    assert frechet_distance.score(seen(x), reference).value == pytest.approx(
        0, abs=1e-9 * scale
    )
    shifted = np.float64(x)
    shifted[:, 2] += 3.0
    found = frechet_distance.score(seen(shifted), reference)
    assert found.value == pytest.approx(9.0, rel=1e-6)
    assert found.of_means == pytest.approx(9.0, rel=1e-6)


def test_another_scale_is_the_difference_of_deviations_squared():
    x = np.random.default_rng(3).normal(size=(500, 4))
    found = frechet_distance.score(seen(3 * x), frechet_distance.reference(seen(x)))
    mean, variance = x.mean(0), x.var(0, ddof=1)
    expected = 4 * (mean**2).sum() + (2**2) * variance.sum()
    assert found.value == pytest.approx(expected, rel=1e-9)


def test_features_that_never_vary_leave_no_noise(pair):
    """As dead units do: the covariance has no inverse."""
    dead = [np.concatenate([each, np.ones((len(each), 5))], 1) for each in pair]
    found = frechet_distance.score(
        seen(np.float32(dead[0])), frechet_distance.reference(seen(np.float32(dead[1])))
    )
    assert found.value == pytest.approx(by_matrix_root(*pair), rel=1e-6)


# Kernel distance.


def test_squared_mmd_equals_the_definition_by_scikit_learns_kernel(pair):
    x, y = pair[0][:90], pair[1][:90]
    kernel = {"degree": 3, "coef0": 1}  # and gamma 1 / d
    xx, yy, xy = (polynomial_kernel(*ab, **kernel) for ab in ((x, x), (y, y), (x, y)))
    apart = ~np.eye(90, dtype=bool)
    expected = xx[apart].mean() + yy[apart].mean() - 2 * xy.mean()
    assert kernel_distance.squared_mmd(x, y) == pytest.approx(expected, rel=1e-5)


def test_kernel_distance_is_the_mean_over_subsets_of_the_definition(pair, monkeypatch):
    """In float64, x . y from SciPy's distances and norms."""
    monkeypatch.setattr(kernel_distance, "SUBSETS", 4)
    monkeypatch.setattr(kernel_distance, "SUBSET_SIZE", 50)
    x, y = map(np.float64, pair)

    def kernel(a, b):
        norms = (a**2).sum(1)[:, None] + (b**2).sum(1)
        return ((norms - cdist(a, b, "sqeuclidean")) / 2 / 8 + 1) ** 3

    draw, apart, found = np.random.RandomState(2020), ~np.eye(50, dtype=bool), []
    for _ in range(4):
        a, b = (each[draw.choice(len(each), 50, replace=False)] for each in (x, y))
        own = kernel(a, a)[apart].mean() + kernel(b, b)[apart].mean()
        found.append(own - 2 * kernel(a, b).mean())
    score = kernel_distance.score(seen(pair[0]), pair[1])
    assert score.value == pytest.approx(np.mean(found), rel=1e-9)
    assert score.standard_deviation == pytest.approx(np.std(found), rel=1e-9)


def test_kernel_distance_has_the_closed_form_of_two_points():
    """k(x, x) drops out: of a and -a, k = (1 - a.a / d)^3 within, and between the same or
    the other point."""
    a = np.array([[1.0, 2.0, 2.0]])
    both = np.concatenate([a, -a])
    found = kernel_distance.squared_mmd(both, both)
    assert found == pytest.approx((1 - 3) ** 3 - (1 + 3) ** 3, rel=1e-12)


def test_kernel_distance_of_one_law_is_zero_in_the_mean_and_seeded(monkeypatch):
    monkeypatch.setattr(kernel_distance, "SUBSETS", 10)
    draw = np.random.default_rng(4)
    x, y = draw.normal(size=(2, 400, 4))
    found = kernel_distance.score(seen(x), y)
    assert abs(found.value) < 0.05 * kernel_distance.score(seen(x + 1), y).value
    assert found == kernel_distance.score(seen(x), y)
    assert (found.subsets, found.subset_size) == (10, 400)


# Precision and recall, two samples, nearest class, diversity.


def test_precision_and_recall_equal_the_definition(pair, monkeypatch):
    monkeypatch.setattr(precision_recall.neighbours, "ROWS", 64)
    fake, real = np.float64(pair[0][:, :3]), np.float64(pair[1][:, :3])
    found = precision_recall.score(seen(fake), precision_recall.reference(seen(real)))

    def share(inside, of):
        radii = np.sort(cdist(of, of), axis=1)[:, 3]  # place 0 is its own
        return (cdist(inside, of) <= radii).any(1).mean()

    assert 0 < share(real, fake) < 1
    assert found.value == pytest.approx(share(fake, real), abs=1e-12)
    assert found.recall == pytest.approx(share(real, fake), abs=1e-12)


def test_half_the_modes_have_full_precision_and_half_the_recall():
    draw = np.random.default_rng(5)
    real = draw.normal(size=(400, 2)) + np.repeat([[0, 0], [1000, 0]], 200, axis=0)
    found = precision_recall.score(
        seen(real[:200].copy()), precision_recall.reference(seen(real))
    )
    assert (found.value, found.recall) == (1.0, 0.5)


def test_two_sample_accuracy_equals_scikit_learns_leave_one_out(pair, monkeypatch):
    monkeypatch.setattr(two_sample.neighbours, "ROWS", 64)
    fake, real = np.float64(pair[0][:100]), np.float64(pair[1][:100])
    found = two_sample.score(seen(fake), two_sample.reference(seen(real)))
    both, kind = np.concatenate([real, fake]), np.repeat([0, 1], 100)
    guess = cross_val_predict(KNeighborsClassifier(1), both, kind, cv=LeaveOneOut())
    assert 0.5 < found.value < 1
    assert found.value == pytest.approx((guess == kind).mean(), abs=1e-12)
    assert found.of_examples == pytest.approx((guess == kind)[:100].mean(), abs=1e-12)


def test_two_sample_accuracy_is_half_of_one_law_one_apart_and_zero_of_copies():
    x, y = np.random.default_rng(6).normal(size=(2, 800, 3))
    assert two_sample.score(seen(x), y).value == pytest.approx(0.5, abs=0.05)
    assert two_sample.score(seen(x + 100), y).value == 1.0
    assert two_sample.score(seen(y + 1e-9), y).value == 0.0
    ranked = [two_sample.selection(seen(a), y) for a in (x, x + 1, x + 100)]
    assert ranked == sorted(ranked, reverse=True)


def test_two_sample_accuracy_of_exact_copies_is_zero_and_ties_count_by_their_share():
    y = np.random.default_rng(6).normal(size=(300, 3))
    found = two_sample.score(seen(np.float32(y)), np.float32(y))
    assert (found.value, found.of_examples, found.of_samples) == (0.0, 0.0, 0.0)
    twice = np.repeat(y, 2, axis=0)  # beside each lie one of its kind and two others
    assert two_sample.score(seen(twice), twice).value == pytest.approx(1 / 3)
    one = np.ones((50, 3))  # 49 of its kind, 50 others
    assert two_sample.score(seen(one), one).value == pytest.approx(49 / 99)


def test_the_data_copying_test_is_mann_whitneys_on_scikit_learns_distances(monkeypatch):
    monkeypatch.setattr(data_copying, "CELLS", 1)
    train, test, fake = np.random.default_rng(8).normal(size=(3, 150, 3))
    found = data_copying.score(seen(fake), data_copying.reference(seen(train), seen(test)))
    search = NearestNeighbors(n_neighbors=1).fit(train)
    of_fake, of_test = (search.kneighbors(x)[0][:, 0] for x in (fake, test))
    u = mannwhitneyu(of_fake, of_test).statistic
    assert found.value == pytest.approx((u - 150**2 / 2) / np.sqrt(150**2 * 301 / 12))
    assert (found.cells, found.unjudged) == (1, 0)


def test_the_data_copying_test_knows_copies_new_data_and_poor_samples():
    draw = np.random.default_rng(9)
    middles = np.repeat(50.0 * np.eye(4), 250, axis=0)
    train, test, new = (middles + draw.normal(size=(1000, 4)) for _ in range(3))
    reference = data_copying.reference(seen(train), seen(test))
    copies = train + draw.normal(scale=0.01, size=train.shape)
    poor = middles + draw.normal(scale=3, size=train.shape)
    values = [data_copying.score(seen(x), reference).value for x in (copies, new, poor)]
    assert values[0] < -3 and abs(values[1]) < 2 and values[2] > 3
    ranked = [data_copying.selection(seen(x), reference) for x in (new, copies, poor)]
    assert ranked[0] == max(ranked)
    one_place = np.repeat(train[:1], 100, axis=0)
    found = data_copying.score(seen(one_place), reference)
    assert found.value < -3 and found.unjudged == pytest.approx(0.75, abs=0.2)


def test_the_data_copying_test_refuses_too_few_images():
    few = np.random.default_rng(10).normal(size=(19, 3))
    with pytest.raises(UserError, match="fewer than 20 images"):
        data_copying.reference(seen(few), seen(few))


def test_nearest_class_errors_equal_scikit_learns(monkeypatch):
    monkeypatch.setattr(nearest_class.neighbours, "ROWS", 64)
    monkeypatch.setattr(blocks, "ROWS", 70)
    draw = np.random.default_rng(7)
    labels = draw.integers(3, size=500)
    images = draw.normal(size=(500, 2, 2, 1)) + labels[:, None, None, None]
    real = nearest_class.Reference(images[300:].reshape(200, 4), labels[300:])
    found = nearest_class.score((images[:300], labels[:300]), real)
    neighbour = KNeighborsClassifier(1).fit(images[:300].reshape(300, 4), labels[:300])
    wrong = (neighbour.predict(real.images) != real.labels).sum()
    assert 0 < found.wrong == wrong
    assert (found.value, found.test_examples) == (wrong / 2, 200)
    assert nearest_class.selection((images[:300], labels[:300]), real) == -found.value


def test_diversity_is_the_ratio_of_mean_distances(monkeypatch):
    draw = np.random.default_rng(8)
    images = draw.normal(size=(60, 4, 4, 1))
    real = types.SimpleNamespace(name="made", all=lambda value_range: images)
    monkeypatch.setattr(subsets, "some", lambda examples, limit: examples)
    reference = diversity.reference("unit", test=real)
    pairs = cdist(images.reshape(60, 16), images.reshape(60, 16)).sum() / (60 * 59)
    assert reference.distance == pytest.approx(pairs, rel=1e-12)
    assert diversity.score(images / 2, reference).value == pytest.approx(0.5, rel=1e-12)
    order = [diversity.selection(images * s, reference) for s in (1, 0.5, 3)]
    assert order == sorted(order, reverse=True)


def test_diversity_of_data_that_lie_class_by_class_is_that_of_all_of_them():
    """Two points at a distance of 2, each 4,000 times: half of the pairs are apart."""
    points = np.repeat(np.float32([[-1, 0], [1, 0]]), 4000, axis=0)
    found = diversity.reference("raw", test=HeldExamples("sorted", points))
    assert found.distance == pytest.approx(1.0, abs=0.01) and found.n == 2000


# What cannot be scored.


def references(features):
    return {
        data_copying: data_copying.reference(seen(features), seen(features)),
        frechet_distance: frechet_distance.reference(seen(features)),
        kernel_distance: features,
        precision_recall: precision_recall.reference(seen(features)),
        two_sample: features,
    }


@pytest.mark.parametrize(
    "metric",
    [data_copying, frechet_distance, kernel_distance, precision_recall, two_sample],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(metric, bad):
    good = np.random.default_rng(9).normal(size=(30, 4))
    spoilt = good.copy()
    spoilt[3, 2] = bad
    with np.errstate(invalid="ignore"), pytest.raises(UserError, match="not finite"):
        metric.score(seen(spoilt), references(good)[metric])


def test_probabilities_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="not finite"):
        classifier_score.score(seen(None, np.full((20, 3), np.nan)))


def test_too_few_samples_for_a_covariance_are_refused_and_one_more_is_enough():
    features = np.random.default_rng(10).normal(size=(5, 4))
    with pytest.raises(UserError, match="4 images .* 4 features: it takes at least 5"):
        frechet_distance.moments(seen(features[:4]))
    assert frechet_distance.moments(seen(features)).n == 5


def test_too_few_samples_for_blocks_or_neighbours_are_refused():
    with pytest.raises(UserError, match="9 samples are too few for the 10 blocks"):
        classifier_score.score(seen(None, probabilities(9, 3)))
    few = np.random.default_rng(11).normal(size=(29, 2))  # of five, each ball holds all
    with pytest.raises(UserError, match="29 images are too few .* at least 30"):
        precision_recall.manifold(few)


# A second implementation, where there is one.


THEIRS = """
import json, sys
import numpy as np
import torch
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

x, y, p = (torch.from_numpy(np.load(sys.argv[1])[name]) for name in "xyp")
quiet = {"verbose": False}
found = metric_isc.isc_features_to_metric(torch.log(p), splits=10, shuffle=False)
moments = [metric_fid.fid_features_to_statistics(each) for each in (x, y)]
found |= metric_fid.fid_statistics_to_metric(*moments, **quiet)
x, y = x.double(), y.double()
found |= metric_kid.kid_features_to_metric(
    x, y, kid_subsets=10, kid_subset_size=600, rng_seed=2020, **quiet
)
found |= metric_prc.prc_features_to_metric(x, y, **quiet)
print(json.dumps({name: float(value) for name, value in found.items()}))
"""


def test_all_equal_torch_fidelity(pair, monkeypatch, tmp_path):
    """In a process of its own: beside TensorFlow what it imports may crash."""
    if not importlib.util.find_spec("torch_fidelity"):
        pytest.skip("torch-fidelity is not installed")
    monkeypatch.setattr(kernel_distance, "SUBSETS", 10)
    (x, y), p = pair, probabilities(600, 10)
    np.savez(tmp_path / "given.npz", x=x, y=y, p=p[subsets.spread(600)])
    command = [sys.executable, "-c", THEIRS, str(tmp_path / "given.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    of_classes = classifier_score.score(seen(None, p))
    of_normals = frechet_distance.score(seen(x), frechet_distance.reference(seen(y)))
    of_kernel = kernel_distance.score(seen(x), y)
    of_balls = precision_recall.score(seen(x), precision_recall.reference(seen(y)))
    ours = {
        "inception_score_mean": of_classes.value,
        "inception_score_std": of_classes.standard_deviation,
        "frechet_inception_distance": of_normals.value,
        "kernel_inception_distance_mean": of_kernel.value,
        "kernel_inception_distance_std": of_kernel.standard_deviation,
        "precision": of_balls.value,
        "recall": of_balls.recall,
    }
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert ours == {name: pytest.approx(theirs[name], rel=1e-6) for name in ours}
