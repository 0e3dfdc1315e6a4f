"""Options: frozen dataclasses whose fields have a type, default, range and help text.

    @dataclasses.dataclass(frozen=True)
    class BEGANOptions(Options):
        gamma: float = option(0.5, "Diversity ratio (Eq. 4).", low=0.0, high=1.0)

Python passes an `Options` object as an argument, a run folder stores its fields as text,
and the command line derives its flags from it (`cli.py`). No other module reads a flag.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Sequence

from tfgan_papers.errors import UsageError

LARGEST = 2**63 - 1  # of int64, in which TensorFlow counts


def option(
    default,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Sequence[str] = (),
):
    """Defines a field of an `Options` class.

    Args:
        default: the default of the code; papers and data sets may have another.
        help: str, one sentence that says what the option does.
        low, high: the closed range of a number.
        above: the exclusive lower bound of a number.
        choices: the allowed values of a str.
    """
    bounds = {"low": low, "high": high, "above": above, "choices": tuple(choices)}
    if isinstance(default, (list, tuple)):
        default = tuple(default)
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of the option classes. The constructor raises UsageError for a bad value."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))


def fields(*classes: type[Options]) -> dict[str, dataclasses.Field]:
    """Returns the fields of several option classes by name. Classes may share a field."""
    return {field.name: field for cls in classes for field in dataclasses.fields(cls)}


def kind(field: dataclasses.Field) -> type:
    """Returns bool, int, float, str or tuple, the type of a field's values except None."""
    annotation = field.type
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(t for t in typing.get_args(annotation) if t is not type(None))
    return typing.get_origin(annotation) or annotation


def check(field: dataclasses.Field, value):
    """Checks that a value is in the range of a field.

    Raises:
        UsageError: the value is out of range.
    """
    if value is None or not field.metadata:
        return
    low, high, above = (field.metadata[name] for name in ("low", "high", "above"))
    if choices := field.metadata["choices"]:
        if value not in choices:
            raise UsageError(f"--{field.name}={value}: choose one of {', '.join(choices)}")
    elif kind(field) in (int, float):
        whole = kind(field) is int
        number = value if whole else float(value)
        inside = whole or not math.isnan(number)
        inside &= (low is None or number >= low) and (high is None or number <= high)
        inside &= above is None or number > above
        if not inside:
            raise UsageError(f"--{field.name}={value}: give a number{_range(field)}")
        if whole and number > LARGEST:
            raise UsageError(f"--{field.name}={value}: give a number up to {LARGEST}")


def _range(field):
    low, high, above = (field.metadata[name] for name in ("low", "high", "above"))
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if above is not None:
        return f" above {above}" + ("" if high is None else f" and up to {high}")
    if low is None and high is None:
        return ""
    return f" of {low} or more" if low is not None else f" of {high} or less"


def to_text(value) -> str:
    """Returns the text of a value after `--name=`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(value)
    return str(value)


def from_text(field: dataclasses.Field, text: str):
    """Returns the value of `--name=text`.

    Raises:
        UsageError: the text does not have the field's type, or the value is out of range.
    """
    of = kind(field)
    if of is bool:
        value = {"true": True, "false": False}.get(text.lower())
        if value is None:
            raise UsageError(f"--{field.name}={text}: give true or false")
    elif of is tuple:
        value = tuple(part for part in text.split(",") if part)
    elif text == "None" and field.default is None:
        value = None
    else:
        try:
            value = of(text)
        except ValueError as error:
            names = {int: "a whole number", float: "a number"}
            raise UsageError(f"--{field.name}={text}: give {names[of]}") from error
    check(field, value)
    return value


def build(of: type[Options], values: dict) -> Options:
    """Creates an object of the class `of` from the entries of `values` that it has."""
    names = {field.name for field in dataclasses.fields(of)}
    return of(**{name: value for name, value in values.items() if name in names})


def defaults(classes: Iterable[type[Options]]) -> dict[str, object]:
    """Returns name -> default of the code."""
    return {name: field.default for name, field in fields(*classes).items()}
