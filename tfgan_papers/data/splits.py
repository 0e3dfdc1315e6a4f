"""Splits of data sets, in the notation of tensorflow-datasets."""

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.data.images import Fitting
from tfgan_papers.errors import UsageError

LARGE = 10**7  # examples that a split is taken to have where its size is unknown


def parts(name, split, infos: Mapping[str, tfds.core.SplitInfo]):
    """Resolves a split.

    Args:
        name: the name of the data set, for messages.
        split: str, for example `train[:50%]+test`.
        infos: name -> `SplitInfo` of the whole splits.

    Returns:
        List of (splitname, from_, to).

    Raises:
        UsageError: the split is malformed or empty.
    """
    try:
        pieces = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
        if all(range(infos[p.splitname].num_examples)[p.from_ : p.to] for p in pieces):
            return pieces
    except (AssertionError, KeyError, ValueError):
        pass
    splits = ", ".join(f"{key} ({infos[key].num_examples:,} examples)" for key in infos)
    raise UsageError(
        f"{name} has no examples in the split {split!r}: choose {splits}, or a part, for "
        "example train[:50000] or train[90%:]"
    )


def overlap(first: str, second: str) -> bool:
    """Whether two splits have examples in common, as far as their texts show it.

    Shares in per cent are compared with shares, numbers from the start with such numbers,
    and numbers from the end with such numbers; otherwise parts are taken to be apart.
    """
    if "all" in (first, second):
        return True
    shares = "%" in first + second
    kinds = {
        ("%" in text, "%" not in text and re.search(r"[\[:]-", text) is not None)
        for text in (first, second)
        if "[" in text
    }
    if len(kinds) > 1:
        return False
    names = set(re.findall(r"(\w+)(?=\[|\+|$)", f"{first}+{second}"))
    size = 100 if shares else LARGE
    infos = {
        name: tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0)
        for name in names
    }
    try:
        pieces, others = (
            tfds.core.ReadInstruction.from_spec(text).to_absolute(infos)
            for text in (first, second)
        )
    except (AssertionError, KeyError, ValueError):  # `parts` reports it
        return False

    def rows(piece):
        return range(size)[piece.from_ : piece.to]

    return any(
        a.splitname == b.splitname
        and max(rows(a).start, rows(b).start) < min(rows(a).stop, rows(b).stop)
        for a, b in itertools.product(pieces, others)
    )


def taken(name, split, splits: Mapping[str, Sequence]) -> list[Sequence]:
    """Returns the pieces of `split`, slices of the arrays or lists in `splits`."""
    infos = {
        key: tfds.core.SplitInfo(name=key, shard_lengths=[len(examples)], num_bytes=0)
        for key, examples in splits.items()
    }
    return [splits[p.splitname][p.from_ : p.to] for p in parts(name, split, infos)]


def held(name, split, options, splits, labels=None, class_names=None):
    """Returns one split in memory, from name -> array and name -> labels of the splits."""
    stored = np.concatenate(taken(name, split, splits))
    if labels is not None:
        labels = np.concatenate(taken(name, split, labels))
    if stored.ndim == 4:
        fit = Fitting.of(options)
        stored = np.stack([fit(Image.fromarray(image[..., 0])) for image in stored])
    return HeldExamples(name, stored, labels, class_names)
