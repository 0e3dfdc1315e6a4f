"""The data-copying test C_T (Meehan, Chaudhuri and Dasgupta 2020, Sec. 4).

The test compares two distances to the nearest training image, by features: that of
samples and that of held-out data. In each cell of a partition of the space, it counts how
often a sample is farther away than a test image, and standardizes this count as Mann and
Whitney do. C_T is the mean over the cells, weighted by their shares of the test images. It
is

    far below 0   if samples are closer to the training images than new data are: copies,
    about 0       if samples are as far away as new data,
    far above 0   if samples are farther away than new data: they do not fit the data.

A generator that copies some images and misses others can have any value, and a blurred copy
is farther away than its original. A value above 0 therefore excludes only copying of most
training images. The command compares with 50,000 training images at most, and warns that
copies of others seem new. It is computed in float64.

Differs: METRICS-4 | data-copying test | cells with a share of samples above tau | the
    same, and half a pair is added to U for continuity | none | a cell counts if it has 20
    samples and 20 test images; no correction, because ties count half.
Tests compare with SciPy's mannwhitneyu and with the formula on scikit-learn's distances.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.cluster import KMeans

from tfgan_papers.errors import UserError
from tfgan_papers.metrics import neighbours

NAME, UNIT = "data-copying test C_T", "(below -3: copies)"
OF = "features"
SAMPLES = 5000  # ours
SPLITS = ("train", "test")
# At most so many cells, and so many images of each kind per cell (20: Sec. 4, tau)
CELLS, OF_A_CELL = 10, 20
SEED = 0  # of k-means


class Reference(NamedTuple):
    train: np.ndarray  # features (n, d)
    train_cells: np.ndarray  # the cell of each, int (n,)
    test: np.ndarray  # features (m, d)
    cells: KMeans


class Score(NamedTuple):
    value: float  # C_T
    cells: int  # cells with enough samples and test images
    unjudged: float  # share of the test images in the other cells
    samples: int
    training_examples: int
    reference_examples: int


def reference(train, test) -> Reference:
    """Partitions the space of features by k-means of the training examples.

    Args:
        train, test: `features.Activations`.

    Raises:
        UserError: there are fewer than 20 training or test examples.
    """
    train, test = (neighbours.flat(np.asarray(seen.features)) for seen in (train, test))
    _check(train, test)
    k = max(1, min(CELLS, min(len(train), len(test)) // (2 * OF_A_CELL)))
    cells = KMeans(k, n_init=1, random_state=SEED).fit(train)
    return Reference(train, cells.labels_, test, cells)


def score(samples, against: Reference) -> Score:
    """Computes C_T.

    Args:
        samples: `features.Activations`, whose features (n, d) are used.
        against: `reference`.

    Raises:
        UserError: a feature is not finite, or no cell has 20 samples and 20 test examples.
    """
    fake = neighbours.flat(np.asarray(samples.features))
    _check(fake)
    fake_cells, test_cells = (against.cells.predict(x) for x in (fake, against.test))
    scores, weights = [], []
    for cell in range(against.cells.n_clusters):
        train = against.train[against.train_cells == cell]
        distances = [
            _nearest(x[cells == cell], train)
            for x, cells in ((fake, fake_cells), (against.test, test_cells))
        ]
        if min(map(len, distances)) >= OF_A_CELL:
            scores.append(standardized(*distances))
            weights.append(len(distances[1]) / len(against.test))
    if not scores:
        raise UserError(
            f"no part of the data has {OF_A_CELL} samples and {OF_A_CELL} test examples: "
            "score more samples, or use a larger test split"
        )
    value = float(np.average(scores, weights=weights))
    sizes = len(fake), len(against.train), len(against.test)
    return Score(value, len(scores), 1 - sum(weights), *sizes)


def standardized(fake: np.ndarray, test: np.ndarray) -> float:
    """Standardizes the number of pairs in which `fake` is larger; ties count half.

    Args:
        fake: (m,).
        test: (n,).

    Returns:
        (U - m n / 2) / sqrt(m n (m + n + 1) / 12), about N(0, 1) if both have the same
        distribution.
    """
    m, n = len(fake), len(test)
    u = rankdata(np.concatenate([fake, test]))[:m].sum() - m * (m + 1) / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def selection(samples, against: Reference) -> float:
    """Returns the negative distance of C_T from 0."""
    return -abs(score(samples, against).value)


def _nearest(x, train):
    """Squared distance from each x to the nearest of `train`, float64 (len(x),)."""
    nearest = [squares.min(1) for _, squares in neighbours.blocks(x, train)]
    return np.concatenate([np.empty(0), *nearest])


def _check(*groups):
    for features in groups:
        if len(features) < OF_A_CELL or not np.isfinite(features).all():
            raise UserError(
                f"there are fewer than {OF_A_CELL} images, or their features are not "
                "finite: check the images"
            )
