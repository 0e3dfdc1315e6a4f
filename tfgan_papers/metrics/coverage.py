"""Number of kinds of images among the samples, relative to that of the data.

The kinds are the classes, if the nearest neighbours of an example predict its class and
not almost all are of one class, and otherwise clusters of the examples. The kind of a
sample is the most frequent one among its nearest examples, by the correlation of small
pictures, which ignores brightness, contrast and pixel noise. exp(entropy) of the shares of
the kinds is their effective number. The score is

    (effective number - 1) / (effective number of the examples - 1),

where the kinds of the examples are predicted in the same way. It is 1 if the samples have
all kinds as often as the data, and 0 if all samples are of one kind.

It does not measure the quality of an image or the variety within a kind. No public
implementation exists to compare with: the score is ours.
"""

from typing import NamedTuple

import numpy as np

from tfgan_papers.data import RANGES, Examples
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import subsets

NAME, UNIT = "coverage", "of the data's kinds"
OF = "samples"
SAMPLES = 500
SPLITS = ("train",)
SELECTION = 2  # version of `selection`; the first was not bounded by 1
EXAMPLES = 1000  # with which samples are compared; all these numbers are ours
LEAST = 40  # examples: fewer do not make two clusters
SIDE = 16  # pixels, the largest side of the small pictures
NEAREST = 5
SURE = 0.75  # least accuracy with which neighbours predict the class; .92 on MNIST
MIXED = 1.2  # least effective number of the data's kinds; with 97 to 3 of two kinds, 1.14
# At most so many clusters, at least so many examples per cluster, iterations of k-means
CLUSTERS, OF_A_CLUSTER, ROUNDS = 20, 20, 20
SEED = 0  # of k-means


class Kinds(NamedTuple):
    """Examples and their kinds."""

    pictures: np.ndarray  # float32 (n, d), see `small`
    kinds: np.ndarray  # int (n,)
    effective: float  # effective number of kinds
    are: str  # "classes" or "clusters"


class Score(NamedTuple):
    value: float
    effective_kinds: float  # effective number of kinds of the samples
    kinds: int  # number of kinds of the data
    kinds_are: str  # "classes" or "clusters"
    samples: int
    reference_examples: int


def small(images: np.ndarray) -> np.ndarray:
    """Reduces images to small pictures for comparison by correlation.

    Args:
        images: (n, height, width, channels), in any range.

    Returns:
        float32 (n, d): means over squares of pixels, at most SIDE per side, minus the mean
        of the image, scaled to norm 1. An image of a single colour is near 0.
    """
    n, height, width, channels = images.shape
    f = -(-max(height, width) // SIDE)
    rows, columns = height // f, width // f
    squares = np.asarray(images)[:, : rows * f, : columns * f]
    x = np.float32(squares.reshape(n, rows, f, columns, f, channels).mean((2, 4)))
    x = x.reshape(n, -1)
    return _unit(x - x.mean(1, keepdims=True))


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-4)


def kinds(pictures: np.ndarray, labels: np.ndarray | None = None) -> Kinds | None:
    """Determines the kinds of examples.

    Args:
        pictures: (n, d), see `small`.
        labels: int (n,), or None.

    Returns:
        `Kinds`, or None if almost all examples are of one kind, or they are fewer than
        LEAST.
    """
    if len(pictures) < LEAST:
        return None
    if labels is not None:
        predicted = _of_others(pictures, labels)
        sure = (predicted == labels).mean() >= SURE
        if sure and (found := _kinds(pictures, labels, predicted, "classes")):
            return found
    k = min(CLUSTERS, len(pictures) // OF_A_CLUSTER)
    clusters = _clusters(pictures, k)
    return _kinds(pictures, clusters, _of_others(pictures, clusters), "clusters")


def _kinds(pictures, of, named, are):
    number = effective_number(named)
    return Kinds(pictures, of, number, are) if number >= MIXED else None


def _of_others(pictures, of):
    """The kind of each example, predicted from the examples nearest to it."""
    similarity = pictures @ pictures.T
    np.fill_diagonal(similarity, -np.inf)
    return _most_common(similarity, of)


def _most_common(similarity, of):
    """The most frequent kind among the NEAREST examples; in a tie, that of the nearest.

    Args:
        similarity: (n, examples).
        of: int (examples,), the kinds.

    Returns:
        int (n,).
    """
    places = np.argpartition(-similarity, NEAREST, axis=1)[:, :NEAREST]
    order = np.argsort(-np.take_along_axis(similarity, places, 1), axis=1)
    nearest = of[np.take_along_axis(places, order, 1)]
    votes = (nearest[:, :, None] == nearest[:, None]).sum(2)
    return nearest[np.arange(len(nearest)), votes.argmax(1)]


def _clusters(x, k):
    """The cluster of each row, int (n,): k-means on vectors of norm 1, initialised by
    k-means++. It uses NumPy, because scikit-learn's sums depend on its threads."""
    draw, centres = np.random.RandomState(SEED), x[:1]
    for _ in range(k - 1):
        far = np.maximum(
            1 - np.float64(x @ centres.T).max(1), 0
        )  # half the squared distance
        if far.sum() < 1e-6:
            break  # all rows are equal to a centre
        centres = np.append(centres, x[[draw.choice(len(x), p=far / far.sum())]], 0)
    for _ in range(ROUNDS):
        nearest = (x @ centres.T).argmax(1)
        centres = _unit(np.eye(len(centres), dtype=np.float32)[nearest].T @ x)
    return nearest


def named(samples: np.ndarray, real: Kinds) -> np.ndarray:
    """Returns the kind of each sample, int (n,)."""
    return _most_common(small(samples) @ real.pictures.T, real.kinds)


def effective_number(of: np.ndarray) -> float:
    """Returns exp(entropy) of the shares: k for k kinds that are equally frequent."""
    shares = np.unique(of, return_counts=True)[1] / len(of)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def of_examples(examples: Examples, value_range: str) -> Kinds | None:
    """Returns the kinds of EXAMPLES images; None for points or if all are of one kind."""
    if len(examples.shape) != 3:
        return None
    some, convert = subsets.some(examples, EXAMPLES), RANGES[value_range].to_network
    images = some.blocks(read=lambda keys: convert(some.read(keys)))
    pictures = np.concatenate([small(block) for block in images])
    if examples.classes < 2:
        return kinds(pictures)
    labels = np.concatenate([*some.blocks(read=some.read_labels)])
    return kinds(pictures, labels)


def reference(value_range: str, train) -> Kinds:
    """Determines the kinds of EXAMPLES examples of the train split.

    Raises:
        UsageError: the data are points.
        UserError: the examples are fewer than LEAST, or all of one kind.
    """
    if len(train.shape) != 3:
        raise UsageError(
            f"{train.name} contains points, but coverage needs images: use "
            "--metrics=mode_coverage"
        )
    if (real := of_examples(train, value_range)) is None:
        raise UserError(
            f"the images of {train.name} are fewer than {LEAST} or almost all alike: use "
            "more data"
        )
    return real


def score(samples: np.ndarray, real: Kinds) -> Score:
    """Computes the score.

    Args:
        samples: images (n, height, width, channels), in any range.
        real: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    if not np.isfinite(samples).all():
        raise UserError("the samples are not finite: train with a lower learning rate")
    number = effective_number(named(samples, real))
    value = (number - 1) / (real.effective - 1)
    classes = len(np.unique(real.kinds))
    return Score(value, number, classes, real.are, len(samples), len(real.kinds))


def selection(samples: np.ndarray, real: Kinds) -> float:
    """Returns the score, less what is above 1: the data have no more variety than that."""
    value = score(samples, real).value
    return min(value, 2 - value)
