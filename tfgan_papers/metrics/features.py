"""Feature networks by name, and their outputs for images.

    classifier      a small convolutional classifier, trained here once for each data set.
                    Its scores are comparable only with those of the same network, and
                    they are no Inception Scores.
    inception_2015  the graph of the Inception Score's authors (classify_image_graph_def.pb
                    in inception-2015-12-05.tgz): 2048 features, 1008 classes, softmax
                    without the bias (openai/improved-gan, inception_score/).
    tfgan           TF-GAN's frozen copy of it (inceptionv1_for_inception_score.pb in
                    frozen_inception_v1_2015_12_05.tar.gz), with the graph's own logits.
    inception_v3    keras.applications' InceptionV3: other weights and 1000 classes. Its
                    scores are not comparable with those of any paper.

A network takes uint8 images, the form in which samples are stored.
"""

import contextlib
import hashlib
import os
import pathlib
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgan_papers.data.examples import Examples, Progress, one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.files import write_temporary
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.metrics import subsets

FEATURES = 64  # of the classifier: fewer than the examples of small test splits
WIDTHS = (16, 32, 64)  # channels of its convolutions; each halves the size
STEPS, EPOCHS = 2000, 30  # of its training, whichever is less; ours
BATCH_SIZE, LEARNING_RATE = 128, 1e-3  # ours
SKILL = 0.1  # least share of the errors of chance that the classifier must avoid; ours
HELD_OUT = 0.1  # share of the data, if train and test are the same split; ours
RECIPE = (1, FEATURES, WIDTHS, STEPS, EPOCHS, BATCH_SIZE, LEARNING_RATE)  # 1: its version
WITHOUT_CLASSIFIER = (
    "use --features=inception_v3, or a score that needs no features, for example "
    "--metrics=diversity"
)


class Network(NamedTuple):
    """A feature network.

    Attributes:
        name: str, the value of --features.
        sha256: str, the hash of its file or weights.
        resize: str, how images are scaled to its input size.
        apply: function from uint8 images (n, height, width, channels) to features (n, d)
            and probabilities of the classes (n, k), both float32.
        facts: dict, further entries for the records of its scores.
    """

    name: str
    sha256: str
    resize: str
    apply: Callable
    facts: dict


class Activations(NamedTuple):
    """The outputs of a feature network, one row per image, as arrays or memory maps.

    The rows are in random order, so that the first rows represent all.
    """

    features: np.ndarray  # float32 (n, d)
    probabilities: np.ndarray  # float32 (n, k); each row sums to 1

    def first(self, n: int) -> "Activations":
        """Returns the first n rows."""
        return Activations(self.features[:n], self.probabilities[:n])


def activations(
    network: Network,
    batches: Iterable[np.ndarray],
    folder: pathlib.Path | None = None,
) -> Activations:
    """Applies a network to batches of images and stores the outputs on disk.

    Memory is therefore bounded by the batch.

    Args:
        network: `Network`.
        batches: uint8 arrays (n, height, width, channels); not read if `folder` contains
            the outputs.
        folder: cache folder for the outputs; None stores them in temporary files.

    Raises:
        UserError: a feature or a probability is not finite.
    """
    if folder and (folder / "features.npy").is_file():
        return Activations(
            *(
                np.load(folder / f"{name}.npy", mmap_mode="r")
                for name in Activations._fields
            )
        )
    files = [tempfile.TemporaryFile(buffering=0) for _ in Activations._fields]
    widths, n = None, 0
    for images in batches:
        outputs = [np.asarray(part, np.float32) for part in network.apply(images)]
        if not all(np.isfinite(part).all() for part in outputs):
            raise UserError(
                f"--features={network.name} gives values that are not finite for these "
                "images: use another network"
            )
        for file, part in zip(files, outputs, strict=True):
            write_temporary(file, part)
        widths, n = [part.shape[1] for part in outputs], n + len(images)
    result = Activations(
        *(
            np.memmap(file, np.float32, "r", shape=(n, width))
            for file, width in zip(files, widths, strict=True)
        )
    )
    if folder:
        # features.npy is written last: its presence marks the folder as complete.
        for name, array in reversed(list(result._asdict().items())):
            written(folder / f"{name}.npy", lambda f, array=array: np.save(f, array))
    return result


def written(path: pathlib.Path, write: Callable):
    """Writes a file of the cache atomically, or logs a warning if it cannot be written."""
    name = f".{path.name}.{os.getpid()}.{threading.get_ident()}"
    partial = path.with_name(name)  # not of tempfile, which others could not read
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
        partial.replace(path)
    except OSError as error:
        logging.warning(
            "%s cannot be written to the cache: %s", path, error.strerror or error
        )
        with contextlib.suppress(OSError):
            partial.unlink()


def of_examples(network: Network, examples: Examples, limit: int, size: int, cache):
    """Computes the `activations` of examples in random order.

    They are cached by the hashes of the examples and of the network.

    Args:
        network: `Network`.
        examples: images.
        limit: int, the largest number of examples.
        size: int, the batch size.
        cache: path of the cache.

    Returns:
        (`Activations`, hash of the examples).

    Raises:
        UsageError: the examples are points.
    """
    if len(examples.shape) != 3:
        raise UsageError(
            f"{examples.name} contains points, but --features need images: use another "
            "score"
        )
    examples = subsets.some(examples, limit)
    digest = examples.digest()
    blocks = (
        block[i : i + size]
        for block in map(np.asarray, examples.blocks())
        for i in range(0, len(block), size)
    )
    seen_by = repr((network.sha256, network.resize, sorted(network.facts.items())))
    key = hashlib.sha256(seen_by.encode()).hexdigest()
    folder = cache / "activations" / f"{key[:16]}-{digest[:16]}"
    return activations(network, blocks, folder), digest


# The classifier.


def classifier(train: Examples, test: Examples, cache: pathlib.Path) -> Network:
    """Returns a classifier trained on `train` with its labels, from the cache if possible.

    It is a function of the data, up to rounding that depends on the machine. Its accuracy
    is measured on `test`; if that is the same split, on a tenth that is held out of
    training.

    Raises:
        UsageError: the data have fewer than two classes, or the classifier is no better
            than chance.
    """
    if train.classes < 2:
        raise UsageError(
            f"{train.name} does not have labels of two classes: {WITHOUT_CLASSIFIER}"
        )
    digests = [split.digest(labels=True) for split in (train, test)]
    if digests[0] == digests[1]:
        first = train.size - int(np.ceil(HELD_OUT * train.size))
        parts = (0, first), (first, train.size)
        train, test = (subsets.Subset(train, *part) for part in parts)
        digests = [split.digest(labels=True) for split in (train, test)]
    model, accuracy = _trained(train, test, (*digests, RECIPE), cache)
    chance = float(subsets.class_shares(test).max())
    _check_skill(train, test, accuracy, chance)
    return _classifier_network(model, train, accuracy, chance)


def _check_skill(train, test, accuracy, chance):
    """Raises UsageError if the classifier is no better than chance on `test`."""
    luck = 3 * np.sqrt(chance * (1 - chance) / test.size)  # three standard errors
    if accuracy < chance + max(luck, SKILL * (1 - chance)):
        raise UsageError(
            f"the classifier of {train.name} has an accuracy of {accuracy:.1%} on "
            f"{test.size} held-out examples, and always naming the largest class "
            f"{chance:.1%}, so its features are meaningless: {WITHOUT_CLASSIFIER}"
        )


def _trained(train, test, key, cache):
    """The classifier and its accuracy on `test`, from the cache if it contains `key`."""
    key = hashlib.sha256(" ".join(map(str, key)).encode()).hexdigest()
    path, model = cache / f"classifier-{key[:16]}.npz", _untrained(train)
    if path.is_file():
        try:
            with np.load(path) as stored:
                accuracy = float(stored["accuracy"])
                model.set_weights([stored[f"w{i}"] for i in range(len(model.weights))])
            return model, accuracy
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning(
                "%s cannot be read (%s): the classifier is trained again",
                path,
                one_line(error),
            )
    logging.info("training a classifier on %s for its features", train.name)
    _train(model, train)
    accuracy = _accuracy(model, test)
    weights = {f"w{i}": weight for i, weight in enumerate(model.get_weights())}
    written(path, lambda file: np.savez(file, accuracy=accuracy, **weights))
    return model, accuracy


def _untrained(train):
    """Builds the model from images in [0, 1] to [features, logits].

    It is in float32 under any policy. It does not draw from Keras' global seed, because a
    run that trains in the same process must not change.
    """
    draw, layers = Draw(0), keras.layers
    x = images = keras.Input(train.shape, name="images")
    for i, width in enumerate(WIDTHS):
        x = layers.Conv2D(
            width, 3, padding="same", activation="relu", dtype="float32",
            kernel_initializer=draw.glorot_uniform(), name=f"convolution_{i}",
        )(x)  # fmt: skip
        if min(x.shape[1:3]) > 4:
            x = layers.MaxPooling2D(2, dtype="float32", name=f"pool_{i}")(x)
    x = layers.Flatten(name="flat", dtype="float32")(x)
    features = layers.Dense(
        FEATURES, "relu", kernel_initializer=draw.glorot_uniform(),
        name="features", dtype="float32",
    )(x)  # fmt: skip
    logits = layers.Dense(
        train.classes, kernel_initializer=draw.glorot_uniform(),
        name="logits", dtype="float32",
    )(features)  # fmt: skip
    return keras.Model(images, [features, logits], name="classifier")


def _train(model, train):
    size = min(BATCH_SIZE, train.size)
    steps = min(STEPS, EPOCHS * train.size // size)
    rate = keras.optimizers.schedules.PolynomialDecay(LEARNING_RATE, steps)  # to 1e-4
    optimizer = keras.optimizers.Adam(rate, name="classifier_adam")
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            _, logits = model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    progress, batches = Progress(), train.stream(size, 0, "unit", labels=True).take(steps)
    for i, (images, labels) in enumerate(batches, 1):
        step(images, labels)
        progress("feature network: step %d of %d", i, steps)


def _accuracy(model, test):
    """Share of the test examples that the classifier gets right, 0 to 1."""
    right = 0
    for images, labels in test.labelled_blocks("unit"):
        predicted = np.argmax(model(images)[1], 1)
        right += int((predicted == labels.numpy()).sum())
    return right / test.size


def _classifier_network(model, train, accuracy, chance):
    sha256 = hashlib.sha256()
    for weight in model.get_weights():
        sha256.update(weight.tobytes())

    @tf.function(reduce_retracing=True)
    def apply(images):
        features, logits = model(tf.cast(images, tf.float32) / 255.0, training=False)
        return features, tf.nn.softmax(logits)

    facts = {
        "classifier_of": train.name,
        "classifier_accuracy": accuracy,
        "chance_accuracy": chance,
    }
    return Network("classifier", sha256.hexdigest(), "none", apply, facts)
