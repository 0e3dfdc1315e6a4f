"""Scores as plain functions on arrays.

    from tfgan_papers.metrics import functional
    functional.frechet_distance(real, fake, features=network)

`real` and `fake` are images (n, height, width, channels) of the same size and range. The
scores of features apply `features` to both: a function or Keras model from images to
features (n, d), which gets the images as they are, 200 at a time. Without `features`, the
arrays are features (n, d) themselves.

docs/scores.md says what each score means and how many samples the command line takes. A
score of few images is biased, so compare scores of equal counts only. Images may be sorted
by class: where a score uses some of them, it chooses them at random, always the same ones.
"""

from collections.abc import Callable

import numpy as np

from tfgan_papers.metrics import coverage as _coverage
from tfgan_papers.metrics import diversity as _diversity
from tfgan_papers.metrics import frechet_distance as _frechet_distance
from tfgan_papers.metrics import kernel_distance as _kernel_distance
from tfgan_papers.metrics import precision_recall as _precision_recall
from tfgan_papers.metrics import subsets as _subsets
from tfgan_papers.metrics import two_sample as _two_sample
from tfgan_papers.metrics.features import Activations

__all__ = [
    *("coverage", "diversity", "frechet_distance", "kernel_distance"),
    *("precision_recall", "two_sample"),
]
BLOCK = 200  # images that `features` sees at once


def frechet_distance(real, fake, features: Callable | None = None) -> float:
    """Frechet distance between normal distributions fitted to the features, at least 0;
    lower is better. With Inception features this is FID (Heusel et al. 2017).

    Raises:
        UserError: there are not more images than features.
    """
    return _score(_frechet_distance, real, fake, features).value


def kernel_distance(real, fake, features: Callable | None = None) -> float:
    """Unbiased squared MMD with a cubic kernel; lower is better, and 0 is expected of equal
    distributions. With Inception features this is KID (Binkowski et al. 2018).
    """
    return _score(_kernel_distance, real, fake, features).value


def precision_recall(real, fake, features: Callable | None = None) -> tuple[float, float]:
    """Precision and recall by nearest neighbours, each 0 to 1 (Kynkaanniemi et al. 2019).
    All images are used, where the command compares with 10,000 at most; the time grows with
    the square of their number.

    Raises:
        UserError: there are fewer than 30 images of either.
    """
    real, fake = _seen(real, fake, features)
    found = _precision_recall.score(fake, _precision_recall.manifold(real.features))
    return found.value, found.recall


def two_sample(real, fake, features: Callable | None = None) -> float:
    """Accuracy of a leave-one-out nearest-neighbour classifier of real and fake, 0 to 1;
    0.5 is best (Lopez-Paz and Oquab 2017).
    """
    return _score(_two_sample, real, fake, features).value


def diversity(real, fake) -> float:
    """Mean distance between two fake images as a ratio to that between two real ones: 1 is
    as varied as the data, 0 is one image only. Also for points (n, dimensions). At most
    2,000 images of either are used.

    Raises:
        ValueError: the real images are fewer than two, all equal, or not finite.
    """
    real, fake = (_some(images, _diversity.SAMPLES) for images in (real, fake))
    distance = _diversity.mean_distance(real) if len(real) > 1 else 0.0
    if not distance > 0.0:  # nor if it is not a number
        raise ValueError("the real images are fewer than two, all equal, or not finite")
    return _diversity.score(fake, _diversity.Reference(distance, len(real))).value


def coverage(real, fake, labels: np.ndarray | None = None) -> float:
    """The share of the kinds of real images that the fake ones show: 1 is all of them as
    often as the data, 0 is one kind only. At most 1,000 images of either are used.

    Args:
        real: images (n, height, width, channels), at least 40; some hundred suffice.
        fake: images of the same size.
        labels: classes of the real images, int (n,) or (n, 1), which are the kinds. They
            are ignored if almost all images are of one class, or if the nearest neighbours
            of an image do not predict its class; the kinds are then clusters.

    Raises:
        ValueError: the real images are fewer than 40, almost all alike, or not finite, or
            the labels are not one for each.
    """
    if labels is not None:
        labels = np.reshape(labels, -1)
        if len(labels) != len(real):
            raise ValueError(f"{len(labels)} labels for {len(real)} real images")
        labels = _some(labels, _coverage.EXAMPLES)
    real, fake = (_some(images, _coverage.EXAMPLES) for images in (real, fake))
    if not np.isfinite(real).all():
        raise ValueError("the real images are not finite")
    kinds = _coverage.kinds(_coverage.small(real), labels)
    if kinds is None:
        raise ValueError("the real images are fewer than 40, or almost all alike")
    return _coverage.score(fake, kinds).value


def _some(rows, limit=None):
    """Rows of an array in the order of `subsets.spread`, at most `limit` of them."""
    rows = np.asarray(rows)
    return rows[_subsets.spread(len(rows), limit)]


def _score(metric, real, fake, features):
    real, fake = _seen(real, fake, features)
    return metric.score(fake, metric.reference(real))


def _seen(real, fake, features):
    """The `Activations` of both."""
    seen = (_some(_features(images, features)) for images in (real, fake))
    return [Activations(each, np.empty((len(each), 0))) for each in seen]


def _features(images, network):
    if network is not None:
        blocks = (images[i : i + BLOCK] for i in range(0, len(images), BLOCK))
        images = np.concatenate([np.asarray(network(block)) for block in blocks])
    images = np.asarray(images)
    if images.ndim != 2:
        raise ValueError(
            f"features have the shape {images.shape}, not (n, d): give features=, a "
            "function from images to features"
        )
    return images
