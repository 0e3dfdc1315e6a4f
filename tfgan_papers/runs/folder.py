"""A run folder: the one class that reads and writes it.

flags.txt       the options of the run; --flagfile=FOLDER/flags.txt repeats it
run.json        what the run is of (data, classes, commit, command) and its times
summary.json    the end: steps, speed, sizes, last scalars, versions
scores.json     a list of scores
collapse.json   what the collapse watch has seen
failure.json    why a training failed for good
checkpoints/  export/  samples/  tensorboard/
"""

import atexit
import pathlib

from absl import logging

from tfgan_papers import files
from tfgan_papers.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class RunFolder:
    """The files of one run.

    Args:
        path: of the folder, which need not be there.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path).expanduser()

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    def __str__(self):
        return str(self.path)

    def read(self, name: str):
        """The value in one of its JSON files, or None if there is no such file."""
        return files.read_json(self.path / name)

    def write(self, name: str, content):
        """Write one of its JSON files."""
        files.write_json(self.path / name, content)

    def write_text(self, name: str, text: str):
        """Write one of its text files."""
        files.write_text(self.path / name, text)

    def lock(self):
        """Reserve the folder for training in this process, until it ends.

        Raises:
            UserError: another process trains there, or the folder cannot be written.
        """
        path = self.path / "lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        atexit.register(file.close)  # to close any file of it gives the lock back
        if fcntl is None:
            logging.warning(
                "this system has no file locks: let one process at a time train in %s",
                self.path,
            )
            return
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(
                f"another process trains in {self.path}: wait for its end, or choose "
                "another --logdir"
            ) from error

    def open_log(self):
        """log.txt, open for appending. It waits while a process writes there to whom it
        was given as output, from that process's first moment on: a killed study may have
        left one at work, which has not yet come to `lock`."""
        file = (self.path / "log.txt").open("ab")
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # unlike lockf, it is inherited
        return file

    def stored_options(self) -> dict[str, str]:
        """Option -> its text, as flags.txt has it; empty without that file.

        Raises:
            UserError: it cannot be read.
        """
        path = self.path / "flags.txt"
        if not path.is_file():
            return {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {error}") from error
        pairs = (line[2:].partition("=") for line in lines if line.startswith("--"))
        return {name: text for name, _, text in pairs}

    def steps(self) -> int:
        """Steps of the finished run; 0 before its end."""
        return (self.read("summary.json") or {}).get("steps", 0)

    def scores(self) -> dict[str, dict]:
        """Metric -> its newest score of the last step."""
        entries, steps = self.read("scores.json") or [], self.steps()
        return {entry["metric"]: entry for entry in entries if entry["step"] == steps}

    def sheets(self, suffix: str = "png") -> dict[int, pathlib.Path]:
        """Step -> the sheet, or with "npy" the points, that its report has left."""
        paths = sorted((self.path / "samples").glob(f"step-*.{suffix}"))
        return {int(path.stem.removeprefix("step-")): path for path in paths}
