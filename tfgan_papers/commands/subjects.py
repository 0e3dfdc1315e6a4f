"""The subjects of scores: the samples of a model, or images on disk."""

import functools
import itertools
import tempfile
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfgan_papers import data, files, noise
from tfgan_papers.data.examples import Progress
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import blocks, subsets
from tfgan_papers.models.adversarial import AdversarialModel


class Drawn:
    """Samples of a model that are drawn when a slice of them is taken.

    Sample i depends only on the seed, on i and on its label.

    Args:
        model: its generator samples in inference mode.
        n: int, the number of samples.
        labels: int32 (n,), or None without classes.
        scores: `ScoreOptions`.
    """

    def __init__(self, model, n, labels, scores):
        self.model, self.n, self.labels, self.scores = model, n, labels, scores
        self.progress = Progress()

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        first, last, _ = rows.indices(self.n)
        return np.concatenate([*self.batches(first, last)])

    def batches(self, first, last):
        """Yields samples first, ..., last - 1 in batches, float32 in the value range."""
        model, size = self.model, self.scores.score_batch_size
        seed = tf.constant([self.scores.score_seed, 0], tf.int64)
        for start in range(first, last, size):
            rows = slice(start, min(last, start + size))
            shape = (rows.stop - start, model.latent_dim)
            z = noise.latents(model.prior_name, seed, shape, start)
            of = None if self.labels is None else tf.constant(self.labels[rows])
            yield np.asarray(model.generate_in_graph(z, of))
            self.progress("%d of %d samples drawn", rows.stop, self.n)

    def __array__(self, dtype=None, copy=None):
        """Returns all samples, float32 (n, ...).

        They are stored in a temporary file, so that the memory is bounded by the batch.
        """
        file = tempfile.TemporaryFile(buffering=0)
        for images in self.batches(0, self.n):
            files.write_temporary(file, images)
        shape = (self.n, *images.shape[1:])
        return np.memmap(file, images.dtype, "r", shape=shape)


@functools.lru_cache(maxsize=1)  # a worker needs the labels of all samples for each block
def _labels(n, class_shares):
    return subsets.proportionate(n, np.array(class_shares))


class GeneratorSamples:
    """The samples and parts of a model, for scoring.

    Args:
        model: its generator samples in inference mode.
        scores: `ScoreOptions`.
        value_range: str, that of the generator's images.
        class_shares: (classes,), the share of each class among the samples; None without
            classes.
        ensemble: further classifiers, whose predictions are averaged with the model's.
    """

    def __init__(
        self, model: AdversarialModel, scores, value_range, class_shares=None, ensemble=()
    ):
        self.model, self.ensemble = model, ensemble
        self.scores, self.value_range = scores, value_range
        self.class_shares = class_shares
        self.facts = {"labels": "as in the data"} if model.classes else {}

    def labels(self, n):
        """Returns the labels of n samples, int32 (n,), or None without classes."""
        return _labels(n, tuple(self.class_shares)) if self.model.classes else None

    def samples(self, n):
        """Returns n samples, `Drawn`."""
        return Drawn(self.model, n, self.labels(n), self.scores)

    def check_classes(self):
        """
        Raises:
            UsageError: the model has no classes.
        """
        if not self.model.classes:
            raise UsageError(
                "this score needs a generator with classes, and the model has none: use "
                "another score"
            )

    def labelled(self, n):
        """Returns (samples, the labels given to the generator).

        Raises:
            UsageError: the model has no classes.
        """
        self.check_classes()
        samples = self.samples(n)
        return samples, samples.labels

    def pixels(self, n, starts=None):
        """Yields n samples in uint8 batches, which begin anew at each block.

        Args:
            starts: the first samples of the blocks to yield, by default all.

        Raises:
            UserError: a sample is not finite.
            UsageError: the samples are points.
        """
        to_pixels = data.RANGES[self.value_range].to_pixels
        samples = self.samples(n)
        for images in itertools.chain.from_iterable(
            samples.batches(first, min(first + blocks.ROWS, n))
            for first in starts or blocks.starts(n)
        ):
            if images.ndim != 4:
                raise UsageError(
                    "scores of features need images, and these samples are points: use "
                    "another score"
                )
            if not np.isfinite(images).all():
                raise UserError(
                    "the samples are not finite: train with a lower learning rate"
                )
            yield to_pixels(images).numpy()

    def component(self, name):
        """Returns the model's part of this name.

        Raises:
            UsageError: the model has none.
        """
        component = getattr(self.model, name, None)
        if component is None:
            raise UsageError(
                f"this score needs a {name}, and the model has none: use another score"
            )
        return _averaged([component, *self.ensemble]) if self.ensemble else component


class ImageFiles:
    """The images of --images, for scoring.

    Args:
        scores: `ScoreOptions`.
        of: `DataOptions`.
        test: the examples of the test split.

    Raises:
        UsageError: the images do not have the size of the data, or the range 0 to 255.
        UserError: they are not readable.
    """

    facts: Mapping[str, str] = MappingProxyType({})

    def __init__(self, scores, of: data.DataOptions, test: data.Examples):
        self.value_range, self.batch_size = of.value_range, scores.score_batch_size
        self.examples, self.test = data.images(scores.images, of), test
        if self.examples.shape != test.shape:
            raise UsageError(
                f"--images={scores.images} have the size {_size(self.examples.shape)} and "
                f"the images of {of.dataset} {_size(test.shape)}: set --image_size and "
                "--channels for both"
            )

    def samples(self, n):
        """Returns n images, or all if there are fewer, float32 in the value range."""
        return subsets.some(self.examples, n).all(self.value_range)

    def labelled(self, n):
        """Returns (images, labels). The labels have the meaning of the test split's."""
        examples = subsets.some(self.examples, n)
        if examples.classes and self.test.classes:
            examples = examples.with_classes(self.test.class_names)
        return examples.labelled(self.value_range)

    def pixels(self, n):
        """Yields n images, or all if there are fewer, in uint8 batches."""
        size = self.batch_size
        for block in map(np.asarray, subsets.some(self.examples, n).blocks()):
            yield from (block[i : i + size] for i in range(0, len(block), size))

    def component(self, name):
        raise UsageError(
            f"this score needs a {name}, and --images has none: use another score"
        )


def _size(shape):
    return "x".join(map(str, shape))


def _averaged(classifiers):
    """A classifier whose output is the mean of the classifiers' probabilities.

    Their logarithm would be infinite if all classifiers are certain.
    """

    def mean(images, training=False):
        outputs = [tf.nn.softmax(each(images, training=training)) for each in classifiers]
        return tf.reduce_mean(outputs, 0)

    return mean
