"""Parzen-window log-likelihood (GAN, 2014, Sec. 5), as in the authors' parzen_ll.py.

The density is a mixture of Gaussians of width sigma around 10,000 samples. The score is the
mean log density of the test examples, in nats. sigma is the one of ten values with the
highest likelihood of the validation examples. The score is computed in float64 on images in
[0, 1], whatever the range of the networks: in [-1, 1] the log density would be lower by
log 2 per pixel.

The measure is weak. With so few kernels in so many dimensions it is far from the true
likelihood, and a generator that copies cluster centres can score better than the data
(Theis et al. 2016, Sec. 3.3). It is here for comparison with the paper.

Differs: METRICS-3 | examples that choose sigma | the validation set | the first 1,000 of
    MNIST's and all of TFD's, and ten sigmas from .1 to 1 (parzen_ll.py) |
    --validation_split | the code's sigmas, and on every data set 1,000 fixed random
    examples: the first ones may be of one class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from tfgan_papers.data import RANGES
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import blocks, neighbours, subsets

SAMPLES = 10_000  # parzen_ll.py: --num_samples
SIGMAS = np.logspace(-1, 0, 10)  # parzen_ll.py: --sigma_start, --sigma_end, --cross_val
VALIDATION_EXAMPLES = 1000  # parzen_ll.py: --limit_size
BATCH_SIZE = 200  # bounds the memory, not the value
NAME, UNIT = "Parzen-window log-likelihood", "nats"
OF = "drawn samples"
SPLITS = ("validation", "test")


class Reference(NamedTuple):
    """Images in [0, 1], or points."""

    validation: np.ndarray  # examples that choose sigma
    test: np.ndarray  # examples whose likelihood is the score
    limits: tuple[float, float] = (0.0, 1.0)  # of the samples, for scaling to [0, 1]


class Score(NamedTuple):
    value: float  # mean log-likelihood of the test examples, nats
    standard_error: float  # over the test examples
    sigma: float
    at_grid_edge: bool  # sigma is the first or last value; a better one may lie outside
    samples: int
    validation_examples: int
    test_examples: int


def log_sums(
    samples: np.ndarray, examples: np.ndarray, sigmas: Sequence[float]
) -> np.ndarray:
    """Computes log sum_j exp(-|x - s_j|^2 / (2 sigma^2)) over a block of samples.

    Args:
        samples: (m, D) kernel centres s_j.
        examples: (n, D).
        sigmas: positive widths.

    Returns:
        float64 (sigmas, n), nats.
    """
    samples = np.asarray(samples, np.float64)
    # -|x - s|^2 / 2 = [x, 1] . [s, -|s|^2 / 2] - |x|^2 / 2; the first term is one product
    kernels = np.concatenate([samples, -0.5 * (samples**2).sum(1, keepdims=True)], 1).T
    products, scaled = np.empty((2, BATCH_SIZE, len(samples)))
    densities = np.empty((len(sigmas), len(examples)))
    for first in range(0, len(examples), BATCH_SIZE):
        x = np.asarray(examples[first : first + BATCH_SIZE], np.float64)
        n, ones = len(x), np.ones((len(x), 1))
        exponents = np.matmul(np.concatenate([x, ones], 1), kernels, out=products[:n])
        largest = exponents.max(1)
        exponents -= largest[:, None]
        nearest = largest - 0.5 * (x**2).sum(1)
        for row, sigma in zip(densities, sigmas, strict=True):
            terms = np.multiply(exponents, sigma**-2, out=scaled[:n])
            log_sum = np.log(np.exp(terms, out=terms).sum(1))
            row[first : first + n] = nearest / sigma**2 + log_sum
    return densities


def of_block(samples: np.ndarray, examples: Reference, place=None) -> np.ndarray:
    """Computes the log sums of a block of samples for SIGMAS and for all examples, first
    those of the validation set, so that samples are drawn once.

    Raises:
        UserError: a sample is not finite.
    """
    both = np.concatenate([examples.validation, examples.test])
    return log_sums(_scaled(samples, examples.limits), neighbours.flat(both), SIGMAS)


merge = np.logaddexp  # of two blocks


def _scaled(samples, limits):
    """Flat samples, scaled so that the limits become 0 and 1."""
    low, high = limits
    return (neighbours.flat(blocks.finite(samples)) - low) / (high - low)


def _densities(log_sums, sigmas, n, dimensions):
    """The log densities under n kernels, from the log sums over these."""
    widths = np.log(np.multiply(sigmas, np.sqrt(2 * np.pi)))
    return log_sums - np.log(n) - dimensions * widths[:, None]


def log_likelihoods(
    samples: np.ndarray,
    examples: np.ndarray,
    sigmas: Sequence[float],
    limits: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Computes the log density of each example for each sigma.

    log p(x) = logmeanexp_j(-|x - s_j|^2 / (2 sigma^2)) - D log(sigma sqrt(2 pi)).

    Args:
        samples: (m, ...) kernel centres, taken in slices.
        examples: (n, ...).
        sigmas: positive widths.
        limits: the values of the samples that become 0 and 1.

    Returns:
        float64 (sigmas, n), nats.

    Raises:
        UserError: a sample is not finite.
    """
    examples = neighbours.flat(examples)

    def of_part(part, against, place):
        return log_sums(_scaled(part, limits), against, sigmas)

    sums = blocks.state(of_part, merge, samples, examples)
    return _densities(sums, sigmas, len(samples), examples.shape[1])


def reference(value_range: str, validation, test) -> Reference:
    """Reads the test split, and VALIDATION_EXAMPLES of the validation split.

    Raises:
        UsageError: samples in this value range cannot be scaled to [0, 1].
    """
    validation = subsets.some(validation, VALIDATION_EXAMPLES)
    if len(test.shape) == 1:
        return Reference(validation.all(value_range), test.all(value_range))
    if (limits := RANGES[value_range].limits) is None:
        raise UsageError(
            f"--metrics=parzen_window needs images in [0, 1], and samples in "
            f"--value_range={value_range} cannot be scaled to it: use another score"
        )
    return Reference(validation.all("unit"), test.all("unit"), limits)


def selection(samples: np.ndarray, examples: Reference) -> float:
    """Returns the mean log-likelihood of the validation examples for the best sigma."""
    likelihoods = log_likelihoods(samples, examples.validation, SIGMAS, examples.limits)
    return float(likelihoods.mean(axis=1).max())


def score(samples: np.ndarray, examples: Reference) -> Score:
    """Computes the paper's score.

    Args:
        samples: images (m, ...) from the generator, in its value range, taken in slices.
        examples: `reference`.

    Raises:
        UserError: a sample is not finite.
    """
    return of_state(
        blocks.state(of_block, merge, samples, examples), examples, len(samples)
    )


def of_state(log_sums: np.ndarray, examples: Reference, n: int) -> Score:
    """Computes the score from the log sums over n samples."""
    chosen = len(examples.validation)
    found = _densities(log_sums, SIGMAS, n, np.prod(examples.test.shape[1:]))
    best = found[:, :chosen].mean(axis=1).argmax()
    if at_grid_edge := bool(best in (0, len(SIGMAS) - 1)):
        logging.warning("sigma is at the edge of its grid: the score is a lower bound")
    likelihoods = found[best, chosen:]
    return Score(
        value=float(likelihoods.mean()),
        standard_error=float(likelihoods.std() / np.sqrt(len(examples.test))),
        sigma=float(SIGMAS[best]),
        at_grid_edge=at_grid_edge,
        samples=n,
        validation_examples=chosen,
        test_examples=len(examples.test),
    )
