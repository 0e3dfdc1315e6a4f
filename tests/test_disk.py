"""A disk that is full or cannot be written: one line says so, and no checkpoint is lost."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest

from tests import launch
from tests.launch import refusal

CHECKPOINT_BYTES = 16 << 20  # and a little less, of the run on digits
EXTENDED = (*launch.BASE, f"--steps={launch.STEPS + 3}")


@contextlib.contextmanager
def disk(size):
    """A file system of its own, of so many bytes."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tests", folder]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a file system is not permitted here")
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def size(folder):
    return sum(len(content) for content in launch.contents(folder).values())


def too_large():
    """Go on with a run that may not write a file as large as a checkpoint: the process,
    and the checkpoints before and after."""
    with launch.copy_of_trained("export", "history") as folder:
        before = launch.contents(folder / "checkpoints")
        limit = CHECKPOINT_BYTES // 2
        ended = launch.fork(f"--logdir={folder}", *EXTENDED, largest_file=limit)
        return ended, before, launch.contents(folder / "checkpoints")


def filling_up():
    """Go on with a run on a disk without room for another checkpoint: the same, and then
    with room: the process, and the steps of the checkpoints."""
    with launch.copy_of_trained("export", "history") as original:
        with disk(size(original) + CHECKPOINT_BYTES // 2) as mounted:
            folder = mounted / "run"
            subprocess.run(["cp", "-r", str(original), str(folder)], check=True)
            before = launch.contents(folder / "checkpoints")
            ended = launch.fork(f"--logdir={folder}", *EXTENDED)
            after = launch.contents(folder / "checkpoints")
            remount = ["mount", "-o", "remount,size=1g", str(mounted)]
            subprocess.run(remount, check=True)
            again = launch.fork(f"--logdir={folder}", *EXTENDED, export=False)
            return ended, before, after, again, launch.kept_steps(folder)


@pytest.fixture(scope="module", autouse=True)
def slow():
    """name -> what goes on while the other tests run."""
    launch.begin_training()
    return {f.__name__: launch.POOL.submit(f) for f in (too_large, filling_up)}


@pytest.fixture(scope="module")
def folder():
    """A trained run that no test here changes."""
    with launch.copy_of_trained("export", "history", "tensorboard") as folder:
        yield folder


def test_a_checkpoint_too_large_to_write_leaves_the_older_ones(slow):
    ended, before, after = slow["too_large"].result()
    line = refusal(ended)
    assert ended.code == 1
    for words in ("step 23", "File too large", "newest is step-000000020"):
        assert words in line
    assert after == before


def test_a_disk_that_fills_up_during_a_checkpoint_leaves_the_older_ones_to_go_on_from(slow):
    ended, before, after, again, kept = slow["filling_up"].result()
    line = refusal(ended)
    assert ended.code == 1
    for words in ("step 23", "No space left", "newest is step-000000020"):
        assert words in line
    assert after == before
    assert again.code == 0, again.err
    assert kept[-1] == 23


@pytest.mark.parametrize(("free", "file"), [(0, "flags.txt"), (16 << 10, "")])
def test_a_disk_that_is_full_for_anything_else_is_named_too(free, file):
    """At the start; at the first sample sheet or report."""
    with disk(1 << 20) as mounted:
        folder = mounted / "run"
        folder.mkdir()
        (mounted / "other").write_bytes(bytes((1 << 20) - free - (4 << 10)))
        with contextlib.suppress(OSError), open(mounted / "more", "wb") as more:
            while not free:  # to the brim
                more.write(bytes(512))
                more.flush()
        ended = launch.fork(f"--logdir={folder}", *launch.BASE)
        line = refusal(ended)
        assert ended.code == 1
        assert str(folder / file) in line and "No space left" in line


def test_a_run_folder_that_cannot_be_written_is_named(folder):
    with disk(size(folder) + (1 << 20)) as mounted:
        subprocess.run(["cp", "-r", str(folder), f"{mounted}/run"], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        for mode in ("train", "sample"):
            ended = launch.fork(f"--logdir={mounted}/run", f"--mode={mode}")
            line = refusal(ended)
            assert ended.code == 1
            assert f"{mounted}/run" in line and "Read-only file system" in line
