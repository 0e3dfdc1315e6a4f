"""Docstrings that name every argument of a class, those of its base classes too."""

import inspect
import re

INHERITED = re.compile(r"^( *)\*\*kwargs: see `(\w+)`\.\n", re.MULTILINE)
ARGUMENTS = re.compile(r"^Args:\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^    (\*{0,2}\w+):.*\n(?:(?:        .*)?\n)*", re.MULTILINE)


def arguments(cls: type) -> dict[str, str]:
    """Name -> entry, as the section Args of the docstring has them."""
    section = ARGUMENTS.search(inspect.cleandoc(cls.__doc__ or "") + "\n")
    entries = ENTRY.finditer(section[1]) if section else ()
    return {entry[1]: entry[0].rstrip() + "\n" for entry in entries}


def complete(cls: type):
    """Replaces "**kwargs: see `Base`." by the entries of that base class which the
    docstring does not have itself."""
    found = INHERITED.search(cls.__doc__ or "")
    if not found:
        return
    base = next(base for base in cls.__mro__ if base.__name__ == found[2])
    # A class names the partner of the generator itself.
    own = arguments(cls).keys() - {"**kwargs"} | {"partner"}
    text = "".join(v for name, v in arguments(base).items() if name not in own)
    indented = re.sub(r"^(?=.)", found[1][4:], text, flags=re.MULTILINE)
    cls.__doc__ = cls.__doc__.replace(found[0], indented)
