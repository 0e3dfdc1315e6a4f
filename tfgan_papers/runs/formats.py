"""The file formats of an export.

A function of `FORMATS` writes `Endpoints` to a folder and returns the names of the
endpoints that the format has.
"""

import pathlib
import tempfile
import warnings
import zipfile

import keras
import numpy as np
import tensorflow as tf

from tfgan_papers import files, quiet
from tfgan_papers.errors import UsageError, UserError

# ONNX and LiteRT do not have the operations that draw the noise of `sample`.
NOT_CONVERTED = ("sample",)
GENERATOR = ("generate", "sample")  # the endpoints of a generator alone


def saved_model(endpoints, folder: pathlib.Path) -> list[str]:
    """Writes a SavedModel. Its signatures return named outputs, its functions tensors."""
    module, named = tf.Module(), endpoints.named()
    module.weights = [w.value for n in endpoints.networks() for w in n.variables]
    for name, endpoint in named.items():
        setattr(module, name, endpoint.traced())
    signatures = {
        name: endpoint.signature().get_concrete_function()
        for name, endpoint in named.items()
    }
    signatures["serving_default"] = signatures["generate"]
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return list(named)


def onnx(endpoints, folder: pathlib.Path) -> list[str]:
    """Writes NAME.onnx for each endpoint.

    Keras' exporter converts the `call` of one model and does not name its output.
    Therefore this function calls tf2onnx, as Keras' exporter does.

    Raises:
        UsageError: tf2onnx is not installed, or the networks compute in 16 bits.
    """
    _need_float32(endpoints)
    try:
        import tf2onnx
    except ImportError as error:
        raise UsageError(
            "--formats=onnx needs tf2onnx: pip install -e '.[onnx]'"
        ) from error
    named = _converted(endpoints)
    for name, endpoint in named.items():
        specs = list(endpoint.ways[0].values())
        proto, _ = tf2onnx.convert.from_function(endpoint.signature(), specs)
        files.write_bytes(folder / f"{name}.onnx", proto.SerializeToString())
    return list(named)


def litert(endpoints, folder: pathlib.Path) -> list[str]:
    """Writes model.tflite, with a signature for each endpoint.

    Keras' exporter converts the `call` of one model, and allows TensorFlow operations that
    a LiteRT interpreter does not have. Therefore this function calls TensorFlow's
    converter, as Keras' exporter does.

    Raises:
        UsageError: the networks compute in 16 bits.
    """
    _need_float32(endpoints)
    named = _converted(endpoints)
    with tempfile.TemporaryDirectory() as aside:
        saved = folder
        if not (folder / "saved_model.pb").is_file():
            saved = pathlib.Path(aside)
            saved_model(endpoints, saved)
        with (
            files.without_wildcards(saved) as plain,
            quiet.native_stderr(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            converter = tf.lite.TFLiteConverter.from_saved_model(
                str(plain), signature_keys=list(named)
            )
            content = converter.convert()
    files.write_bytes(folder / "model.tflite", content)
    return list(named)


def _converted(endpoints):
    named = endpoints.named()
    return {name: each for name, each in named.items() if name not in NOT_CONVERTED}


def _need_float32(endpoints):
    policies = {layer.dtype_policy.compute_dtype for layer in endpoints.network.layers}
    if policies != {"float32"}:
        raise UsageError(
            "--formats=onnx and litert need networks that compute in float32, and this run "
            "has --mixed_precision: export a SavedModel"
        )


def weights(endpoints, folder: pathlib.Path) -> list[str]:
    """Writes the generator for `tfgan_papers.load`: generator.json has its architecture,
    as Keras writes it, and generator.npz its weights as float16."""
    network = endpoints.network
    files.write_text(folder / "generator.json", network.to_json(indent=1) + "\n")
    arrays = [half(np.asarray(weight)) for weight in network.get_weights()]
    np.savez_compressed(folder / "generator.npz", *arrays)
    return list(GENERATOR)


def half(weight: np.ndarray) -> np.ndarray:
    """Returns the weight as float16, or as it is if it is out of the range of float16."""
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    return rounded if np.isfinite(rounded).all() else weight


def read_weights(folder: pathlib.Path) -> keras.Model:
    """Reads the generator that `weights` wrote.

    Raises:
        UserError: a file is damaged.
    """
    from tfgan_papers import papers  # noqa: F401  registers the layers of the papers

    try:
        network = keras.models.model_from_json((folder / "generator.json").read_text())
        with np.load(folder / "generator.npz") as arrays:  # which refuses pickles
            network.set_weights([np.float32(array) for array in arrays.values()])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"the generator in {folder} is damaged: {error}") from error
    return network


FORMATS = {"saved_model": saved_model, "onnx": onnx, "litert": litert, "weights": weights}
