"""Reads and writes files. A file is written completely or not at all."""

import contextlib
import json
import pathlib
import tempfile

from tfgan_papers.errors import UserError


def write_bytes(path: str | pathlib.Path, content: bytes):
    """Writes a temporary file, moves it to `path`, and creates the folders above it.

    Raises:
        UserError: the disk is full, or the path cannot be written.
    """
    path = pathlib.Path(path).expanduser()
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def save_keras(model, path: str | pathlib.Path):
    """Saves a Keras model as the file `path`, which ends in .keras."""
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.stem}.partial.keras")
    model.save(partial)
    partial.replace(path)


def write_temporary(file, array):
    """Writes an array to an unbuffered temporary file.

    Raises:
        UserError: the disk of temporary files is full.
    """
    content = memoryview(array.tobytes())
    try:
        while content:  # an unbuffered file may take less than all
            content = content[file.write(content) :]
    except OSError as error:
        raise UserError(
            f"{tempfile.gettempdir()} cannot hold the temporary files "
            f"({error.strerror or error}): set the environment variable TMPDIR to a folder "
            "with more space"
        ) from error


def write_text(path: str | pathlib.Path, text: str):
    """Writes text as UTF-8, see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | pathlib.Path, content):
    """Writes a value as JSON, see `write_bytes`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | pathlib.Path):
    """Returns the value in a JSON file, or None if there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = pathlib.Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def is_pattern(path: str | pathlib.Path) -> bool:
    """Returns whether TensorFlow takes a path for a pattern."""
    return any(character in str(path) for character in "[]*?\\")


@contextlib.contextmanager
def without_wildcards(folder: pathlib.Path):
    """Yields a path of `folder` without the special characters of patterns.

    TensorFlow treats the path of a checkpoint or a SavedModel as a pattern. If it contains
    brackets, stars, question marks or backslashes, the result is a temporary symbolic link.
    """
    if not is_pattern(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as aside:
        link = pathlib.Path(aside, "link")
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link
