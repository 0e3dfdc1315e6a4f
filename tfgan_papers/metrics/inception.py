"""The Inception networks: of 2015, TF-GAN's copy, and that of keras.applications."""

import hashlib
import http.client
import os
import pathlib
import urllib.request

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics.features import Network, written

INCEPTION_SIZE = 299  # pixels, the input size of all Inception networks here
BILINEAR = "bilinear to 299x299, not antialiased"


def frozen(name: str, file: str, sha256: str | None, cache: pathlib.Path) -> Network:
    """Loads inception_2015 or tfgan from a frozen graph.

    Args:
        name: "inception_2015" or "tfgan".
        file: path or URL of the .pb.
        sha256: the required hash; None allows any. The file's hash is part of every record.
        cache: path of the cache for downloads.

    Raises:
        UsageError: no file is given, its hash is wrong, or it contains another graph.
        UserError: it cannot be read.
    """
    content, copy = _content(name, file, cache)
    digest = hashlib.sha256(content).hexdigest()
    given = f"--feature_file={file}"
    if copy and copy.is_file():
        given += f", which is cached in {copy},"
    if sha256 and digest != sha256.lower():
        raise UsageError(f"{given} has the sha256 {digest}, not {sha256}: use another file")
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
            f"{given} is not the graph that --features={name} needs: it does not contain "
            f"{one_line(error)}"
        ) from error
    if copy and not copy.is_file():
        written(copy, lambda partial: partial.write(content))

    with tf.Graph().as_default() as around:  # in a session, because the ops are of 2015
        images = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3))
        x = tf.cast(images, tf.float32)
        if name == "tfgan":
            # aligned to the corners of pixels, not their centres, as in TensorFlow 1
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
    return Network(name, digest, resize, apply, {})


def _content(name, file, cache):
    """The content of a file or URL, and the cache path of a URL or None.

    The caller writes the cache once the content has been checked.
    """
    if not file:
        raise UsageError(
            f"--features={name} needs --feature_file: give a path or URL of its .pb"
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
            f"--feature_file={file} cannot be read: {one_line(error)}"
        ) from error


def _in_colour(images):
    return images if images.shape[-1] == 3 else tf.repeat(images, 3, axis=-1)


def inception_v3(file: str | None = None, sha256: str | None = None) -> Network:
    """Loads keras.applications' InceptionV3.

    Args:
        file: path of an .h5 with its weights; None downloads them with Keras.
        sha256: the required hash of the weights; None allows any.

    Raises:
        UsageError: the hash is wrong.
        UserError: the weights cannot be loaded.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # not the policy of the run
    try:
        model = keras.applications.InceptionV3(
            weights=os.path.expanduser(file) if file else "imagenet",
            classifier_activation=None,
        )
    except Exception as error:  # keras.utils.get_file raises no narrower class
        raise UserError(
            f"the weights of --features=inception_v3 cannot be loaded "
            f"({one_line(error)}): give their file by --feature_file, or use "
            "--features=classifier"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    if sha256 and digest.hexdigest() != sha256.lower():
        raise UsageError(
            f"the weights of --features=inception_v3 have the sha256 "
            f"{digest.hexdigest()}, not {sha256}: use another file"
        )
    both = keras.Model(model.input, [model.get_layer("avg_pool").output, model.output])

    @tf.function(reduce_retracing=True)
    def apply(images):
        x = tf.image.resize(tf.cast(_in_colour(images), tf.float32), [INCEPTION_SIZE] * 2)
        features, logits = both(x / 127.5 - 1.0, training=False)
        return features, tf.nn.softmax(logits)

    facts = {"comparable": "not with published scores: keras.applications' weights"}
    return Network("inception_v3", digest.hexdigest(), BILINEAR, apply, facts)
