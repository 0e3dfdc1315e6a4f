"""Splits, written as tensorflow-datasets writes them."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.data.images import Fitting
from tfgan_papers.errors import UsageError


def parts(name, split, infos: Mapping[str, tfds.core.SplitInfo]):
    """What `split` takes of `infos`: a list of (splitname, from_, to)."""
    try:
        found = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
        if all(range(infos[p.splitname].num_examples)[p.from_ : p.to] for p in found):
            return found
    except (AssertionError, KeyError, ValueError):
        pass
    there = ", ".join(f"{key} ({infos[key].num_examples:,} examples)" for key in infos)
    raise UsageError(
        f"{name} has nothing in the split {split!r}: there is {there}, and parts such as "
        "train[:50000] or train[90%:]"
    )


def taken(name, split, splits: Mapping[str, Sequence]) -> list[Sequence]:
    """What `split` takes of `splits`, arrays or lists by name, piece by piece."""
    infos = {
        key: tfds.core.SplitInfo(name=key, shard_lengths=[len(examples)], num_bytes=0)
        for key, examples in splits.items()
    }
    return [splits[p.splitname][p.from_ : p.to] for p in parts(name, split, infos)]


def held(name, split, options, splits, labels=None, class_names=None):
    """In memory: arrays by split, and their labels likewise."""
    stored = np.concatenate(taken(name, split, splits))
    if labels is not None:
        labels = np.concatenate(taken(name, split, labels))
    if stored.ndim == 4:
        fit = Fitting.of(options)
        stored = np.stack([fit(Image.fromarray(image[..., 0])) for image in stored])
    return HeldExamples(name, stored, labels, class_names)
