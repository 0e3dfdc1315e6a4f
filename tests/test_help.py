"""`help(BEGAN)` and the like: every argument is there, and the example runs."""

import inspect
import re
import textwrap

import keras
import numpy as np
import pytest

import tfgan_papers
from tfgan_papers.models import docstrings

PUBLIC = [getattr(tfgan_papers, name) for name in tfgan_papers.__all__]
CLASSES = [each for each in PUBLIC if inspect.isclass(each)]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
NAMED = {  # defaults that are objects, by the name that the docstring gives
    "function": lambda value: f'"{value.__name__}"',
    "AdversarialLoss": lambda value: f'"{value.config["name"]}"',
}
ALIASES = {'"feature_matching"': '"squared"'}


def parameters(cls):
    """Name -> parameter of the class and of its base classes in this package."""
    found = {}
    for base in cls.__mro__:
        if base.__module__.startswith("tfgan_papers") and "__init__" in vars(base):
            for name, each in inspect.signature(base.__init__).parameters.items():
                found.setdefault(name, each)
    own = {"self", "kwargs", "partner"}
    return {name: each for name, each in found.items() if name not in own}


def written(value):
    """A default as the docstring writes it."""
    name = NAMED.get(type(value).__name__)
    text = name(value) if name else f'"{value}"' if isinstance(value, str) else str(value)
    return ALIASES.get(text, text)


def is_same(text, value):
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return text == written(value)


@every_class
def test_every_argument_is_described_with_its_default(cls):
    entries = docstrings.arguments(cls)
    expected = parameters(cls)
    assert set(expected) == entries.keys() - {"**kwargs"}
    assert "**kwargs: see" not in cls.__doc__
    for name, parameter in expected.items():
        entry = " ".join(entries[name].split())
        default = re.search(r'Default: ("?[\w.-]+?"?|\(\))\.$', entry)
        if parameter.default is inspect.Parameter.empty:
            assert default is None and "functional model" in entry, entry
        else:
            assert default and is_same(default[1], parameter.default), entry


@every_class
def test_the_example_has_ten_lines_and_runs(cls):
    (code,) = re.findall(
        r"^Example:\n\n(.*?)\n\n", inspect.getdoc(cls), re.DOTALL | re.MULTILINE
    )
    assert len(code.splitlines()) <= 11
    names = {"keras": keras, "layers": keras.layers, cls.__name__: cls}
    exec(textwrap.dedent(code), names)
    (shape,) = re.findall(r"samples = .*# (\(.*\))$", code, re.MULTILINE)
    assert str(tuple(names["samples"].shape)) == shape
    logs = names["history"].history
    assert set(logs) == set(cls.scalars)
    assert all(np.isfinite(values).all() for values in logs.values())
    of_history = re.search(r"fit\(.*# (.*)$", code, re.MULTILINE)
    for name in re.findall('"(.*?)"', of_history[1] if of_history else ""):
        assert name in logs
