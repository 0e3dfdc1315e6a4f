"""Test error of a linear SVM on D's features (DCGAN, 2015, Sec. 5).

The features of an image are the activations of all convolutional layers of D, each
max-pooled to a grid of 4x4 and flattened. Of a D without such layers they are the input of
its last layer or, if it is an autoencoder, its code (GAN, 2014, Sec. 7, item 4). An L2-SVM
is trained on 100 labelled images per class, ten times on different images, as in the
paper's study of SVHN (Sec. 5.2). Its C is the best of seven on other labelled images of the
train split. The value is the mean error on the test split, in per cent.

Differs: METRICS-5 | features of D | of all layers of a D trained on other data | SVHN: of
    three layers, 100 draws, C from 1e-4 to 1e-2 (svhn/) | none | of all layers of the D of
    the run; 10 draws; as many labels on every data set; the code's values of C.
The SVM is scikit-learn's LinearSVC.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from sklearn.svm import LinearSVC

from tfgan_papers import layers
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import subsets

NAME, UNIT = "error of a linear SVM on D's features", "% (lower is better)"
OF = "discriminator"
SPLITS = ("train", "test")
SELECTION = 2  # version; the first read fewer layers of some networks
PER_CLASS, DRAWS = 100, 10  # Sec. 5.2: 1,000 labels; ours
PENALTIES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)  # svhn/: C
VALIDATION = 1000  # images for the choice of C, or half of those that are left; ours
GRID = 4  # Sec. 5.1: 4x4
LIMIT = 20_000  # labelled images from which the draws are taken; ours
BATCH_SIZE = 200
ACTIVATIONS = (
    *(keras.layers.LeakyReLU, keras.layers.ReLU, keras.layers.ELU),
    keras.layers.Activation,
)


class Reference(NamedTuple):
    """Images in the range of the networks, with labels."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


class Score(NamedTuple):
    value: float  # per cent, the mean over draws
    standard_deviation: float  # over draws, percentage points
    penalty: float  # C
    features: int
    labels: int  # of a draw
    draws: int
    test_examples: int


def reference(value_range: str, train, test) -> Reference:
    """Reads the labelled images of both splits, in random order.

    Raises:
        UsageError: a split has no labels, or the train split has too few of them.
    """
    some, some_labels = subsets.some(train, min(LIMIT, train.size)).labelled(value_range)
    rows = _pool(len(some), train.classes)
    least = np.bincount(some_labels[rows], minlength=train.classes).min()
    if least < PER_CLASS:
        raise UsageError(
            f"the SVM takes {PER_CLASS} labelled images per class, and {train.name} has "
            f"only {least} of one class beside those that choose C: use another score"
        )
    if not rows.start:
        raise UsageError(
            f"the SVM takes {PER_CLASS} labelled images per class, and {train.name} has "
            "no more, which would choose C: use another score"
        )
    return Reference(some, some_labels, *subsets.some(test).labelled(value_range))


def network(discriminator: keras.Model) -> Callable:
    """The features of D: images (batch, height, width, channels) -> (batch, n).

    Raises:
        UsageError: D takes labels, or has no such layers.
    """
    if len(discriminator.inputs) != 1:
        raise UsageError("this score needs a D that takes images only, without labels")
    outputs = [
        layer.output
        for layer in discriminator.layers
        if _activates(layer) and len(layer.output.shape) == 4
    ]
    last = discriminator.layers[-1]
    dense = isinstance(getattr(last, "layer", last), keras.layers.Dense)  # or in a wrapper
    if not outputs and dense:
        outputs = [last.input]
    if not outputs:  # a dense autoencoder
        outputs = [each.output for each in discriminator.layers if each.name == "code"]
    if not outputs:
        raise UsageError(
            "this D has no convolutions, no dense layer at its end and none named code: "
            "use another score"
        )
    activations = keras.Model(discriminator.inputs, outputs)

    @tf.function(reduce_retracing=True)
    def features(images):
        outputs = tf.nest.flatten(activations(images, training=False))
        return tf.concat([pooled(tf.cast(x, tf.float32)) for x in outputs], 1)

    return features


def _activates(layer):
    """Whether the output of a layer is that of an activation function, or of maxout."""
    own = getattr(layer, "activation", keras.activations.linear)
    convolution = isinstance(layer, keras.layers.Conv2D)
    kinds = (*ACTIVATIONS, layers.MaxoutConv2D)
    return isinstance(layer, kinds) or convolution and own is not keras.activations.linear


def pooled(activation: tf.Tensor) -> tf.Tensor:
    """Max-pools (batch, height, width, channels) to at most 4x4 and flattens it. Vectors
    (batch, n) stay as they are."""
    if len(activation.shape) == 2:
        return activation
    sizes = [-(-side // GRID) for side in activation.shape[1:3]]
    x = tf.nn.max_pool2d(activation, sizes, sizes, "SAME")
    return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def score(discriminator: keras.Model, examples: Reference) -> Score:
    """Trains the SVMs and counts their errors."""
    features = network(discriminator)
    train, test = (_apply(features, x) for x in (examples.train, examples.test))
    labels = examples.train_labels
    pool = _pool(len(train), len(np.unique(labels)))
    validation = np.arange(pool.start)
    draws = [_draw(labels, np.arange(len(train))[pool], seed) for seed in range(DRAWS)]

    def error(penalty, rows, x, y):
        svm = LinearSVC(C=penalty, random_state=0).fit(train[rows], labels[rows])
        return 100.0 * float((svm.predict(x) != y).mean())

    chosen = min(
        PENALTIES,
        key=lambda c: error(c, draws[0], train[validation], labels[validation]),
    )
    errors = [error(chosen, rows, test, examples.test_labels) for rows in draws]
    sizes = train.shape[1], len(draws[0]), DRAWS, len(test)
    return Score(float(np.mean(errors)), float(np.std(errors, ddof=1)), chosen, *sizes)


def selection(discriminator: keras.Model, examples: Reference) -> float:
    """Returns the negative error."""
    return -score(discriminator, examples).value


def _apply(features, images):
    parts = (images[i : i + BATCH_SIZE] for i in range(0, len(images), BATCH_SIZE))
    return np.concatenate([features(tf.constant(part)).numpy() for part in parts])


def _pool(n, classes):
    """The rows from which the draws are taken; those before choose C."""
    return slice(max(0, min(VALIDATION, (n - PER_CLASS * classes) // 2)), n)


def _draw(labels, pool, seed):
    """PER_CLASS rows of each class, from the rows `pool`."""
    pool = np.random.RandomState(seed).permutation(pool)
    classes = np.unique(labels)
    return np.concatenate([pool[labels[pool] == c][:PER_CLASS] for c in classes])
