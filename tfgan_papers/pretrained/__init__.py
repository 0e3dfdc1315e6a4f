"""Loads trained generators by name or from a folder.

    import tfgan_papers

    generator = tfgan_papers.load("gan_digits")
    images = generator.sample(n=16, seed=7)  # uint8 (16, 8, 8, 1)

Each folder beside this file is one generator of the package. README.md says how to add one.
"""

import pathlib

import keras
import tensorflow as tf

from tfgan_papers import files
from tfgan_papers.errors import UserError
from tfgan_papers.models.generator import Generator
from tfgan_papers.runs import export, formats, summary
from tfgan_papers.runs.run import open_run

HERE = pathlib.Path(__file__).parent


def names() -> list[str]:
    """Returns the names of the generators of this package."""
    return sorted(path.parent.name for path in HERE.glob("*/manifest.json"))


def load(name: str | pathlib.Path) -> Generator:
    """Loads a trained generator.

    Args:
        name: a name from `names()`, a run folder, or the folder of an export as SavedModel
            or weights.

    Returns:
        A `Generator`: `sample(n, seed)` returns uint8 images, `generate(z)` returns float32
        images in the value range, and `manifest` describes both.

    Raises:
        UserError: there is no such generator, or its files are damaged.
    """
    folder = HERE / name if name in names() else pathlib.Path(name).expanduser()
    if (folder / "manifest.json").is_file():
        return _exported(folder)
    if (folder / "run.json").is_file():
        return _of_run(folder)
    raise UserError(
        f"{name} is not a pretrained generator ({', '.join(names())}), a run folder or an "
        "export"
    )


def _exported(folder):
    manifest = files.read_json(folder / "manifest.json")
    if "weights" in manifest.get("formats", ()):
        network = formats.read_weights(folder)
    elif (folder / "saved_model.pb").is_file():
        with files.without_wildcards(folder) as plain:
            served = tf.saved_model.load(str(plain))

        def network(inputs, training=False):
            parts = inputs if manifest["classes"] else [inputs]
            return served.generate(*parts)
    else:
        raise UserError(f"{folder} has no SavedModel and no weights")
    return Generator(
        network,
        manifest["endpoints"]["generate"]["z"][1],
        manifest["latent_law"],
        manifest["value_range"],
        manifest["classes"],
        manifest,
    )


def _of_run(folder):
    run, policy = open_run({"logdir": str(folder)}), keras.config.dtype_policy()
    try:
        model, step = run.restored()
        endpoints = export.Endpoints(model, run.values.data.value_range)
    finally:
        keras.config.set_dtype_policy(policy)  # `restored` sets that of the run
    there = {"weights": formats.GENERATOR}
    endpoints.manifest = endpoints.describe(there) | summary.manifest(run, model, step)
    return endpoints
