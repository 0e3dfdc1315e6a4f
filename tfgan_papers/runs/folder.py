"""The run folder. All its files are read and written here.

flags.txt       the options of the run; --flagfile=FOLDER/flags.txt repeats the run
run.json        the data, classes, commit, command and machines of the run, and its times
summary.json    written at the end: steps, speed, sizes, last scalars, versions
scores.json     a list of scores
collapse.json   the reports of the collapse watch
failure.json    the reason why training failed
checkpoints/  export/  samples/  tensorboard/
"""

import atexit
import contextlib
import os
import pathlib
import time
from collections.abc import Sequence

from absl import logging

from tfgan_papers import files
from tfgan_papers.errors import UsageError, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WAIT_SECONDS = 0.2  # between two attempts to get a lock


def named_folders(parts: Sequence[str]) -> list[str]:
    """Returns the folders in a list of names with commas between them.

    A study names its folders by settings with commas, such as "loss=minimax,k=2", so that
    the parts of the list can be parts of a name. Of several readings, the one with the
    shortest existing folders counts.
    """
    parts, found = list(parts), []
    while parts:
        names = (",".join(parts[:n]) for n in range(1, len(parts) + 1))
        exists = (name for name in names if pathlib.Path(name).expanduser().is_dir())
        name = next(exists, parts[0])
        found.append(name)
        del parts[: name.count(",") + 1]
    return found


class RunFolder:
    """The files of a run.

    Args:
        path: the folder, which need not exist.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path).expanduser()

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    def __str__(self):
        return str(self.path)

    def read(self, name: str):
        """Returns the content of a JSON file of the folder; None if it is absent."""
        return files.read_json(self.path / name)

    def write(self, name: str, content):
        """Writes a JSON file in the folder."""
        files.write_json(self.path / name, content)

    def append(self, name: str, entry):
        """Appends an entry to the list in a JSON file. Another process that appends at the
        same time waits."""
        with self._reserved():
            self.write(name, [*(self.read(name) or []), entry])

    @contextlib.contextmanager
    def _reserved(self):
        if fcntl is None:
            yield
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def write_text(self, name: str, text: str):
        """Writes a text file in the folder."""
        files.write_text(self.path / name, text)

    def lock(self):
        """Reserves the folder of a run or a study for this process, until it ends.

        Raises:
            UserError: another process trains in it, or it is not writable.
        """
        path = self.path / "lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): choose another --logdir"
            ) from error
        atexit.register(file.close)  # closing any file of this path releases the lock
        if fcntl is None:
            logging.warning(
                "this system has no file locks: run only one process at a time in %s",
                self.path,
            )
            return
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(
                f"another process trains in {self.path}: wait until it ends, or choose "
                "another --logdir"
            ) from error
        except OSError as error:  # some network disks
            logging.warning(
                "the disk of %s has no file locks (%s): run only one process at a time in "
                "it",
                *(self.path, error.strerror),
            )

    def check_export(self):
        """Checks that export/ is a run's own, because training replaces it.

        Raises:
            UsageError: it is not.
        """
        folder = self.path / "export"
        aside = folder.resolve().with_name(folder.resolve().name + ".partial")
        ours = (folder, aside)  # of a run killed at its end
        if folder.exists() and not any((f / "manifest.json").is_file() for f in ours):
            raise UsageError(
                f"{folder} is there and is not an export of a run: choose another --logdir"
            )

    def open_log(self, waits=lambda: True):
        """Opens log.txt for appending, and waits for a process that still writes to it.

        A killed study may have left a process that trains but has not yet called `lock`. It
        holds log.txt as its output from its first moment.

        Args:
            waits: a function that says whether to wait on.
        """
        file = (self.path / "log.txt").open("ab")
        said = False
        while fcntl is not None and waits():
            try:  # unlike lockf's, this lock is inherited
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    print(f"waiting for the process that writes {file.name}", flush=True)
                said = True
                time.sleep(WAIT_SECONDS)
            except OSError:  # some network disks have no locks
                break
        return file

    def stored_options(self) -> dict[str, str]:
        """Reads flags.txt.

        Returns:
            Option -> text; empty if the file does not exist.

        Raises:
            UserError: the file is not readable.
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
        """Returns the number of steps of a finished run, or 0 for an unfinished one."""
        return (self.read("summary.json") or {}).get("steps", 0)

    def scores(
        self, step: int | None = None, generator: str | None = None
    ) -> dict[str, dict]:
        """Returns metric -> its newest score at a step, by default the last.

        Args:
            step: int.
            generator: "raw" or "averaged" leaves out the samples of the other one.
        """
        entries, step = self.read("scores.json") or [], step or self.steps()
        return {
            entry["metric"]: entry
            for entry in entries
            if entry["step"] == step
            and generator in (None, entry.get("generator", generator))
        }

    def sheets(self, suffix: str = "png") -> dict[int, pathlib.Path]:
        """Returns step -> path of the sheet of samples; with "npy", of the points."""
        paths = sorted((self.path / "samples").glob(f"step-*.{suffix}"))
        return {int(path.stem.removeprefix("step-")): path for path in paths}
