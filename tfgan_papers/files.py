"""Files that are written whole or not at all."""

import contextlib
import json
import pathlib
import tempfile

from tfgan_papers.errors import UserError


def write_bytes(path: str | pathlib.Path, content: bytes):
    """Write a file aside and move it into place, with the folders above it.

    Raises:
        UserError: the disk is full, or the path cannot be written.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def write_text(path: str | pathlib.Path, text: str):
    """`write_bytes` of text as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | pathlib.Path, content):
    """`write_text` of a value that JSON can hold."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | pathlib.Path):
    """The value in a JSON file, or None if there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = pathlib.Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


@contextlib.contextmanager
def without_wildcards(path: pathlib.Path):
    """A name of the checkpoint `path` that TensorFlow, which takes a path for a pattern,
    reads as it stands: through a link where the path has brackets, stars, question marks
    or backslashes."""
    if not any(character in str(path) for character in "[]*?\\"):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, "checkpoints")
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        yield str(link / path.name)
