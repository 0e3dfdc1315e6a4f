"""How many kinds of images the samples are of, over how many the data are of.

Kinds are the classes, where examples can be told apart by those nearest to them, otherwise
clusters of the examples. A sample is of the kind that most of its nearest examples have, by
the correlation of small pictures, so that neither brightness nor contrast nor pixel noise
counts. exp(entropy) of the shares of the kinds is their effective number, and the score is

    (effective number - 1) / (that of the examples, named the same way - 1):

1 where samples are of all kinds as often as the data, 0 where all are of one kind.

It says nothing of the quality of an image, nor of the variety within a kind. There is no
public implementation to match: the score is ours.
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
EXAMPLES = 1000  # that samples are compared with; all these figures are ours
LEAST = 40  # examples: of fewer there are no two clusters
SIDE = 16  # pixels of the small pictures, at most
NEAREST = 5
SURE = 0.75  # share of the examples whose class their nearest have: of MNIST .92
CLUSTERS, OF_A_CLUSTER, ROUNDS = 20, 20, 20  # so many at most; examples each; of k-means
SEED = 0  # of k-means


class Kinds(NamedTuple):
    """Examples, and what each is."""

    pictures: np.ndarray  # float32 (n, d), of `small`
    kinds: np.ndarray  # int (n,)
    effective: float  # number of kinds
    are: str  # "classes" or "clusters"


class Score(NamedTuple):
    value: float
    effective_kinds: float  # of the samples
    kinds: int
    kinds_are: str
    samples: int
    reference_examples: int


def small(images: np.ndarray) -> np.ndarray:
    """Images (n, height, width, channels) -> float32 (n, d): means over squares of pixels,
    at most SIDE of them a side, less the image's mean, and of norm 1; of one colour near 0.
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
    """What examples are of, from their `small` pictures and, if there are, their labels;
    None if they are all of one kind, or too few to say."""
    if len(pictures) < LEAST:
        return None
    if labels is not None:
        found = _of_others(pictures, labels)
        if (found == labels).mean() >= SURE:
            return _kinds(pictures, labels, found, "classes")
    k = min(CLUSTERS, len(pictures) // OF_A_CLUSTER)
    clusters = _clusters(pictures, k)
    return _kinds(pictures, clusters, _of_others(pictures, clusters), "clusters")


def _kinds(pictures, of, named, are):
    number = effective_number(named)
    return Kinds(pictures, of, number, are) if number > 1 else None


def _of_others(pictures, of):
    """The kind of each example by those nearest to it, itself left out."""
    alike = pictures @ pictures.T
    np.fill_diagonal(alike, -np.inf)
    return _most_common(alike, of)


def _most_common(alike, of):
    """The kind that most of the NEAREST examples have, of several the nearest's: (n,) of
    likenesses (n, examples)."""
    places = np.argpartition(-alike, NEAREST, axis=1)[:, :NEAREST]
    order = np.argsort(-np.take_along_axis(alike, places, 1), axis=1)
    nearest = of[np.take_along_axis(places, order, 1)]
    votes = (nearest[:, :, None] == nearest[:, None]).sum(2)
    return nearest[np.arange(len(nearest)), votes.argmax(1)]


def _clusters(x, k):
    """Which of k clusters each row is in, of k-means on vectors of norm 1, begun as
    k-means++ does. In NumPy: scikit-learn's sums depend on its threads."""
    draw, centres = np.random.RandomState(SEED), x[:1]
    for _ in range(k - 1):
        far = np.maximum(1 - np.float64(x @ centres.T).max(1), 0)  # half the square
        if far.sum() < 1e-6:
            break  # no further row differs
        centres = np.append(centres, x[[draw.choice(len(x), p=far / far.sum())]], 0)
    for _ in range(ROUNDS):
        nearest = (x @ centres.T).argmax(1)
        centres = _unit(np.eye(len(centres), dtype=np.float32)[nearest].T @ x)
    return nearest


def named(samples: np.ndarray, real: Kinds) -> np.ndarray:
    """The kind of each sample."""
    return _most_common(small(samples) @ real.pictures.T, real.kinds)


def effective_number(of: np.ndarray) -> float:
    """exp(entropy) of the shares: k of k kinds that are equally frequent."""
    shares = np.unique(of, return_counts=True)[1] / len(of)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def of_examples(examples: Examples, value_range: str) -> Kinds | None:
    """The kinds of EXAMPLES examples; None if there are none to tell apart, or points."""
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
    """
    Raises:
        UsageError: the data are points.
        UserError: the examples are too few, or all alike.
    """
    if len(train.shape) != 3:
        raise UsageError(f"{train.name} holds points, and --metrics=coverage is of images")
    if (found := of_examples(train, value_range)) is None:
        raise UserError(f"{train.name} has fewer than {LEAST} images, or only like ones")
    return found


def score(samples: np.ndarray, real: Kinds) -> Score:
    """
    Args:
        samples: images (n, height, width, channels), in any range.

    Raises:
        UserError: a sample is not finite.
    """
    if not np.isfinite(samples).all():
        raise UserError("the generator's samples are not finite: there is nothing to score")
    number = effective_number(named(samples, real))
    value = (number - 1) / (real.effective - 1)
    there = len(np.unique(real.kinds))
    return Score(value, number, there, real.are, len(samples), len(real.kinds))


def selection(samples: np.ndarray, real: Kinds) -> float:
    """The more kinds, the better."""
    return score(samples, real).value
