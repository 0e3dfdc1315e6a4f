"""Criteria of claims of Improved GAN (2016)."""

from reproduction.criterion import Criterion, below, scores_of

FULL_MNIST = "3,000 of the authors' 180,000 steps"


def _two_minibatches(record):
    low, _, high = record["quartiles"]
    words = f"{record['value']:.2f} [{low:.2f}, {high:.2f}] times the time"
    return words, low > 1.5


def _techniques(record):
    """Scores without techniques, with feature matching, with minibatch discrimination."""
    cells = ("none", "0"), ("mean", "0"), ("none", "100")
    return [scores_of(record, feature_matching=m, minibatch_kernels=k) for m, k in cells]


def _matching(record):
    plain, matched, _ = _techniques(record)
    errors, better = below(matched, plain, "test_error")
    distances, worse = below(plain, matched)
    return f"errors {errors}, Frechet distance without it {distances}", better and worse


def _minibatch(record):
    _, matched, compared = _techniques(record)
    distances, better = below(compared, matched)
    errors, worse = below(matched, compared, "test_error")
    words = f"Frechet distance {distances}, errors of feature matching {errors}"
    return words, better and worse


IMPROVED_GAN = {
    "improved-vbn-cost": Criterion(
        "virtual_batch_norm",
        "G's forward pass takes at least 1.5 times as long, at the lower quartile",
        _two_minibatches,
    ),
    "improved-feature-matching": Criterion(
        "improved_gan_mnist_techniques",
        "fewer errors and a larger Frechet distance than without it, with 95% intervals "
        "apart",
        _matching,
        FULL_MNIST,
    ),
    "improved-minibatch": Criterion(
        "improved_gan_mnist_techniques",
        "a smaller Frechet distance and more errors than feature matching, with 95% "
        "intervals apart",
        _minibatch,
        FULL_MNIST,
    ),
}
