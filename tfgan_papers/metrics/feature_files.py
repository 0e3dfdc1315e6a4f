"""Feature networks from the user's own files: ONNX or Keras.

Images are resized to the network's input, bilinear without antialiasing, and scaled to one
of `RANGES`. The file's sha256, its layer and the range are part of every score. These
networks give no probabilities. They serve the Frechet distance, the kernel distance, and
precision and recall.
"""

import hashlib
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics.features import Network

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision's weights; DINOv2 has the same
IMAGENET_STD = (0.229, 0.224, 0.225)
RANGES = {  # name -> pixels in [0, 1] as the network expects them
    "unit": lambda pixels: pixels,
    "symmetric": lambda pixels: 2.0 * pixels - 1.0,
    "bytes": lambda pixels: 255.0 * pixels,
    "imagenet": lambda pixels: (pixels - IMAGENET_MEAN) / IMAGENET_STD,
}


def load(kind: str, file: str | None, layer: str, scale: str, sha256: str | None):
    """A feature network from a file.

    Args:
        kind: "onnx" or "keras".
        file: path of the file.
        layer: name of the output (ONNX) or layer (Keras) with the features; "" is the last.
        scale: name in `RANGES`.
        sha256: the hash that the file must have; None accepts any.

    Returns:
        A `features.Network`.

    Raises:
        UsageError: no file is given, it has another hash, the layer does not exist, or
            the input does not fit the range; from the network, the images have other
            channels.
        UserError: the file cannot be read, or onnxruntime is not installed.
    """
    if not file:
        raise UsageError(f"--features={kind} needs --feature_file, the path of the network")
    path = pathlib.Path(file).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"--feature_file={file} cannot be read: {error.strerror}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256.lower():
        raise UsageError(f"--feature_file={file} has the sha256 {found}, not {sha256}")
    load_file = {"onnx": _onnx, "keras": _keras}[kind]
    run, shape, channels_first, layer = load_file(path, content, layer)
    height, width, channels = shape
    if scale == "imagenet" and channels != 3:
        raise UsageError(
            f"--feature_range=imagenet is for 3 channels, and --feature_file={file} takes 1"
        )

    def apply(images):
        x = tf.cast(images, tf.float32) / 255.0
        if x.shape[-1] == 1 and channels == 3:
            x = tf.repeat(x, 3, axis=-1)
        if x.shape[-1] != channels:
            raise UsageError(
                f"--feature_file={file} takes images of 1 channel, and these have "
                f"{x.shape[-1]}: use a network of colour images"
            )
        x = RANGES[scale](tf.image.resize(x, (height, width)))
        x = tf.transpose(x, (0, 3, 1, 2)) if channels_first else x
        features = np.asarray(run(x), np.float32).reshape(len(images), -1)
        return features, np.ones((len(images), 1), np.float32)

    facts = {"feature_layer": layer, "feature_range": scale}
    resize = f"bilinear to {height}x{width}, not antialiased"
    return Network(kind, found, resize, apply, facts)


def _image_size(shape, file):
    """(height, width, channels) of an input of shape (batch, height, width, channels).

    Raises:
        UsageError: the number of images is fixed, or their size is not, or these are not
            colour or grey images.
    """
    batch, shape = shape[:1], shape[1:]
    if any(isinstance(n, int) for n in batch):
        raise UsageError(
            f"--feature_file={file} takes exactly {batch[0]} images at once: export it "
            "with a dynamic batch size"
        )
    fixed = len(shape) == 3 and all(isinstance(n, int) for n in shape)
    if not fixed or shape[2] not in (1, 3):
        raise UsageError(
            f"--feature_file={file} has an input of shape {tuple(shape)}: it must be "
            "images of a fixed size with 1 or 3 channels"
        )
    return tuple(shape)


def _onnx(path, content, layer):
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "--features=onnx needs onnxruntime: pip install -e '.[onnx]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise UserError(
            f"--feature_file={path} is not an ONNX network: {one_line(error)}"
        ) from error
    source, *others = session.get_inputs()
    if others:
        raise UsageError(f"--feature_file={path} has {len(others) + 1} inputs, not one")
    outputs = [output.name for output in session.get_outputs()]
    layer = layer or outputs[-1]
    _check_layer(path, layer, outputs)
    shape = source.shape
    channels_first = len(shape) == 4 and shape[1] in (1, 3)
    if channels_first:
        shape = [shape[0], *shape[2:], shape[1]]

    def run(x):
        return session.run([layer], {source.name: np.asarray(x, np.float32)})[0]

    return run, _image_size(shape, path), channels_first, layer


def _keras(path, content, layer):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # not the policy of the run
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"--feature_file={path} is not a Keras model: {one_line(error)}"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    names = [each.name for each in model.layers]
    layer = layer or names[-1]
    _check_layer(path, layer, names)
    part = keras.Model(model.input, model.get_layer(layer).output)
    run = tf.function(lambda x: part(x, training=False), reduce_retracing=True)
    return run, _image_size(part.input_shape, path), False, layer


def _check_layer(path, layer, names):
    if layer not in names:
        shown = ", ".join(names[-8:])
        raise UsageError(f"--feature_layer={layer} is not in {path}; it has {shown}")
