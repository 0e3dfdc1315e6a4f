"""Feature networks by name, and what they see in images.

    classifier      a small convolutional classifier, trained here once a data set. Its
                    scores compare with those of the same network only, and none is an
                    Inception Score.
    inception_2015  the graph of the Inception Score's authors (classify_image_graph_def.pb
                    of inception-2015-12-05.tgz): 2048 features, 1008 classes, and their
                    softmax without its bias (openai/improved-gan, inception_score/).
    tfgan           TF-GAN's frozen copy of it (inceptionv1_for_inception_score.pb of
                    frozen_inception_v1_2015_12_05.tar.gz), with that graph's own logits.
    inception_v3    keras.applications' InceptionV3: other weights, 1000 classes, so that
                    its scores compare with no paper's.

A network takes uint8 images, as they would be stored; so may a score's.
"""

import hashlib
import http.client
import os
import pathlib
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError

from tfgan_papers.data.examples import Examples, one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.metrics import subsets

FEATURES = 64  # of the classifier: fewer than the examples of small test splits
WIDTHS = (16, 32, 64)  # of its convolutions, each at half the size of the one before
STEPS, EPOCHS = 2000, 30  # of its training, whichever is less; ours
BATCH_SIZE, LEARNING_RATE = 128, 1e-3  # ours
SKILL = 0.1  # of the way from chance to no error: a classifier below has not learned; ours
HELD_OUT = 0.1  # of the data, where train and test are the same split; ours
RECIPE = (1, FEATURES, WIDTHS, STEPS, EPOCHS, BATCH_SIZE, LEARNING_RATE)  # 1: its version
WITHOUT_CLASSIFIER = (
    "take --features=inception_v3, or a score that needs no features, such as "
    "--metrics=diversity"
)
INCEPTION_SIZE = 299  # pixels, of all Inception networks here
BILINEAR = "bilinear to 299x299, not antialiased"


class Network(NamedTuple):
    """A feature network.

    Attributes:
        name: as --features takes it.
        sha256: of its file or weights.
        resize: how images come to its size.
        apply: uint8 (n, height, width, channels) -> features (n, d) and probabilities of
            the classes (n, k), float32.
        facts: what else its scores are to say of it.
    """

    name: str
    sha256: str
    resize: str
    apply: Callable
    facts: dict


class Activations(NamedTuple):
    """What a network sees in images, a row an image, in an order in which the first are a
    fair part of all; arrays, or files read as arrays."""

    features: np.ndarray  # float32 (n, d)
    probabilities: np.ndarray  # float32 (n, k), of sum 1

    def first(self, n: int) -> "Activations":
        return Activations(self.features[:n], self.probabilities[:n])


def activations(
    network: Network,
    batches: Iterable[np.ndarray],
    folder: pathlib.Path | None = None,
) -> Activations:
    """What `network` sees in batches of images, kept on disk, so that memory is bounded by
    the batch; in `folder`, which is read if it is there, or in a file without a name.

    Args:
        batches: uint8 (n, height, width, channels), looked at only if need be.

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
    files = [tempfile.TemporaryFile() for _ in Activations._fields]
    widths, n = None, 0
    for images in batches:
        found = [np.asarray(part, np.float32) for part in network.apply(images)]
        if not all(np.isfinite(part).all() for part in found):
            raise UserError(
                f"--features={network.name} sees values that are not finite in these "
                "images: there is nothing to score"
            )
        for file, part in zip(files, found, strict=True):
            file.write(part.tobytes())
        widths, n = [part.shape[1] for part in found], n + len(images)
    kept = Activations(
        *(
            np.memmap(file, np.float32, "r", shape=(n, width))
            for file, width in zip(files, widths, strict=True)
        )
    )
    if folder:
        for name, array in reversed(list(kept._asdict().items())):  # features.npy at last
            written(folder / f"{name}.npy", lambda f, array=array: np.save(f, array))
    return kept


def written(path: pathlib.Path, write: Callable):
    """Write a file of the cache, whole or not at all; without a cache go on without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            write(partial)
        os.replace(partial.name, path)
    except OSError as error:
        logging.warning("%s is not kept: %s", path, error.strerror)


def of_examples(network: Network, examples: Examples, limit: int, size: int, cache):
    """`activations` of `limit` examples in random order, `size` at a time, cached by their
    hash and the network's; and that hash.

    Raises:
        UsageError: the examples are points.
    """
    if len(examples.shape) != 3:
        raise UsageError(f"{examples.name} holds points, and --features are of images")
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
    """Trained on `train` with its labels, unless that was done here before; a function of
    the data alone, but for the rounding of the machine. It is judged on `test`; where that
    is the same split, on a tenth that it does not learn from.

    Raises:
        UsageError: there are no two classes, or the classifier has learned nothing.
    """
    if train.classes < 2:
        raise UsageError(f"{train.name} has no labels of two classes: {WITHOUT_CLASSIFIER}")
    digests = [split.digest(labels=True) for split in (train, test)]
    if digests[0] == digests[1]:
        kept = train.size - int(np.ceil(HELD_OUT * train.size))
        ends = (0, kept), (kept, train.size)
        train, test = (subsets.Subset(train, *each) for each in ends)
        digests = [split.digest(labels=True) for split in (train, test)]
    model, accuracy = _trained(train, test, (*digests, RECIPE), cache)
    chance = float(subsets.class_shares(test).max())
    _check_skill(train, test, accuracy, chance)
    return _classifier_network(model, train, accuracy, chance)


def _check_skill(train, test, accuracy, chance):
    """Features of a classifier that is no better than chance say nothing."""
    luck = 3 * np.sqrt(chance * (1 - chance) / test.size)  # three standard errors
    if accuracy < chance + max(luck, SKILL * (1 - chance)):
        raise UsageError(
            f"the classifier of {train.name} is right about {accuracy:.1%} of {test.size} "
            f"examples that it has not seen, and always naming the largest class about "
            f"{chance:.1%}: its features say nothing of these images. {WITHOUT_CLASSIFIER}"
        )


def _trained(train, test, key, cache):
    """The classifier and its accuracy on `test`, by `key` from the cache if it is there."""
    key = hashlib.sha256(" ".join(map(str, key)).encode()).hexdigest()
    path, model = cache / f"classifier-{key[:16]}.npz", _untrained(train)
    if path.is_file():
        try:
            with np.load(path) as stored:
                accuracy = float(stored["accuracy"])
                model.set_weights([stored[f"w{i}"] for i in range(len(model.weights))])
            return model, accuracy
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning("%s cannot be read (%s): once more", path, one_line(error))
    logging.info("training a classifier of %s for its features", train.name)
    _train(model, train)
    accuracy = _accuracy(model, test)
    weights = {f"w{i}": weight for i, weight in enumerate(model.get_weights())}
    written(path, lambda file: np.savez(file, accuracy=accuracy, **weights))
    return model, accuracy


def _untrained(train):
    """Images in [0, 1] -> (features, logits). All in float32, whatever the policy, and
    without a draw from Keras' global seed: a run trained beside it is not to change."""
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

    for images, labels in train.stream(size, 0, "unit", labels=True).take(steps):
        step(images, labels)


def _accuracy(model, test):
    """Share of the test examples it gets right, 0 to 1."""
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


# Inception.


def frozen(name: str, file: str, sha256: str | None, cache: pathlib.Path) -> Network:
    """inception_2015 or tfgan, from a frozen graph.

    Args:
        file: path or URL of the .pb.
        sha256: that it must have; None takes any, and its own is in every record.

    Raises:
        UsageError: no file is given, or it has another hash, or holds another graph.
        UserError: it cannot be had.
    """
    content, kept = _content(name, file, cache)
    found = hashlib.sha256(content).hexdigest()
    given = f"--feature_file={file}"
    if kept and kept.is_file():
        given += f", which is kept as {kept},"
    if sha256 and found != sha256.lower():
        raise UsageError(f"{given} has the sha256 {found}, not {sha256}")
    graph, nodes = tf.compat.v1.GraphDef(), {}
    try:
        graph.ParseFromString(content)
        nodes = {node.name: node for node in graph.node}
        if name == "tfgan":
            source, returned = "Mul:0", ["pool_3:0", "logits:0"]
        else:
            source = "ExpandDims:0"
            weights = nodes["softmax/logits/MatMul"].input[1]
            returned = ["pool_3:0", weights if ":" in weights else weights + ":0"]
        missing = [n for n in (source, *returned) if n.partition(":")[0] not in nodes]
        if missing:
            raise KeyError(missing[0])
    except (DecodeError, KeyError) as error:
        raise UsageError(
            f"{given} is not the graph that --features={name} needs "
            f"({one_line(error)} is not in it)"
        ) from error
    if kept and not kept.is_file():
        written(kept, lambda partial: partial.write(content))

    with tf.Graph().as_default() as around:  # a session: its ops are of 2015
        images = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3))
        x = tf.cast(images, tf.float32)
        if name == "tfgan":
            # by the corners of pixels, not their centres, as TensorFlow 1 had it
            x = tf.compat.v1.image.resize_bilinear(x, [INCEPTION_SIZE] * 2)
            x = (x - 128.0) / 128.0
        pool, last = tf.graph_util.import_graph_def(graph, {source: x}, returned, name="")
        features = tf.reshape(pool, [tf.shape(x)[0], -1])
        logits = last if name == "tfgan" else features @ last
        outputs = features, tf.nn.softmax(logits)
    session = tf.compat.v1.Session(graph=around)

    def apply(batch):
        return session.run(outputs, {images: np.asarray(_in_colour(batch))})

    resize = BILINEAR if name == "tfgan" else "by the graph: " + BILINEAR
    return Network(name, found, resize, apply, {})


def _content(name, file, cache):
    """The bytes of a file or URL, and of a URL where in the cache they are, or are to be
    kept once they prove good."""
    if not file:
        raise UsageError(
            f"--features={name} needs --feature_file, a path or URL of its .pb"
        )
    path = pathlib.Path(file).expanduser()
    try:
        if "://" not in file:
            return path.read_bytes(), None
        path = cache / f"download-{hashlib.sha256(file.encode()).hexdigest()[:16]}"
        if path.is_file():
            return path.read_bytes(), path
        with urllib.request.urlopen(file, timeout=60) as answer:
            return answer.read(), path
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"--feature_file={file} cannot be had: {one_line(error)}"
        ) from error


def _in_colour(images):
    return images if images.shape[-1] == 3 else tf.repeat(images, 3, axis=-1)


def inception_v3(file: str | None = None, sha256: str | None = None) -> Network:
    """keras.applications' InceptionV3 with the weights that Keras downloads, or those in
    `file`, an .h5 of the same.

    Raises:
        UserError: the weights cannot be had.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever the run has
    try:
        model = keras.applications.InceptionV3(
            weights=file or "imagenet", classifier_activation=None
        )
    except Exception as error:  # keras.utils.get_file raises no narrower one
        raise UserError(
            f"the weights of --features=inception_v3 cannot be had ({one_line(error)}): "
            "name a file of them with --feature_file, or take --features=classifier"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    found = hashlib.sha256()
    for weight in model.get_weights():
        found.update(weight.tobytes())
    if sha256 and found.hexdigest() != sha256.lower():
        raise UsageError(
            f"the weights of --features=inception_v3 have the sha256 {found.hexdigest()}, "
            f"not {sha256}"
        )
    both = keras.Model(model.input, [model.get_layer("avg_pool").output, model.output])

    @tf.function(reduce_retracing=True)
    def apply(images):
        x = tf.image.resize(tf.cast(_in_colour(images), tf.float32), [INCEPTION_SIZE] * 2)
        features, logits = both(x / 127.5 - 1.0, training=False)
        return features, tf.nn.softmax(logits)

    facts = {"comparable": "not with published scores: keras.applications' weights"}
    return Network("inception_v3", found.hexdigest(), BILINEAR, apply, facts)
