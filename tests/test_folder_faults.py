"""Files and folders that something else has touched: another process, an earlier version of
a run, a clock that is wrong, a link, a shared cache."""

import errno
import io
import os
import pathlib
import re
import stat
import subprocess
import tempfile
import threading
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from tests import factories, launch
from tests.tiny_models import compiled
from tfgan_papers import cli, files
from tfgan_papers.commands import report, sample, subjects
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import features
from tfgan_papers.runs import distribution, export, records, summary, tensorboard
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.folder import RunFolder, named_folders


def test_a_second_process_of_a_study_is_refused(tmp_path):
    """It once ended the runs of the first."""
    RunFolder(tmp_path).lock()
    flags = ("--mode=study", "--grid=k=1,2", "--seeds=1", "--steps=1")
    ended = launch.fork(*flags, f"--logdir={tmp_path}")
    assert ended.code == 1
    (line,) = ended.errors
    assert "another process trains in" in line and "Traceback" not in ended.err


def test_entries_that_are_appended_at_once_are_all_there(tmp_path):
    folder, start = RunFolder(tmp_path), threading.Barrier(8)

    def append(i):
        start.wait()
        for j in range(5):
            folder.append("scores.json", [i, j])

    threads = [threading.Thread(target=append, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [[i, j] for i in range(8) for j in range(5)]
    assert sorted(folder.read("scores.json")) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_the_best_checkpoint_may_be_of_an_earlier_step_than_the_one_before(tmp_path):
    """A run that was set back reaches steps before that of its best checkpoint."""
    checkpoints = Checkpoints(tmp_path, compiled("gan"))
    for step in (8000, 7000):
        checkpoints.save(step, "best", keep=1)
        assert [path.name for path in checkpoints.all("best")] == [f"step-{step:09d}"]
    for step in (5, 6, 7):
        checkpoints.save(step, keep=2)
    assert [path.name[-1] for path in checkpoints.all("last")] == ["6", "7"]


def test_checkpoints_by_the_clock_do_not_displace_regular_ones(tmp_path):
    """A rollback goes to a regular one, so that it does not depend on the clock."""
    checkpoints = Checkpoints(tmp_path, compiled("gan"), every=1000)
    for step in (1000, 2000, 3000, 3100, 3200, 4000, 4100, 4500, 4900):
        checkpoints.save(step)
    kept = [int(path.name[5:]) for path in checkpoints.all()]
    assert kept == [2000, 3000, 4000, 4900]
    assert checkpoints.rewind(4950) == 4000
    assert [int(path.name[5:]) for path in checkpoints.all()] == [2000, 3000, 4000]


def steps_kept(folder, *steps, every, saved_with=None):
    checkpoints = Checkpoints(folder, compiled("gan"), saved_with or every)
    for step in steps:
        checkpoints.save(step)
    checkpoints.every = every
    return checkpoints, lambda: [int(path.name[5:]) for path in checkpoints.all()]


def test_before_the_first_regular_checkpoint_there_are_three_others(tmp_path):
    checkpoints, kept = steps_kept(tmp_path, 300, 700, 1900, 3700, every=5000)
    assert kept() == [700, 1900, 3700]
    assert checkpoints.rewind(3000) == 1900


def test_a_run_that_goes_on_with_another_interval_keeps_its_checkpoints(tmp_path):
    steps = 1000, 2000, 3000
    checkpoints, kept = steps_kept(tmp_path, *steps, every=700, saved_with=1000)
    checkpoints.save(0, "history", keep=None)
    checkpoints.save(3100)
    assert kept() == [2000, 3000, 3100]
    assert checkpoints.rewind(3400) == 3100


def test_a_rollback_passes_over_a_damaged_checkpoint(tmp_path):
    checkpoints, kept = steps_kept(tmp_path, 1000, 1500, every=1000)
    for path in tmp_path.rglob("step-000001000.data*"):
        path.write_bytes(b"damaged")
    assert checkpoints.rewind(1600) == 1500
    assert kept() == [1000, 1500]


def test_too_little_memory_does_not_make_a_checkpoint_a_damaged_one(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, compiled("gan"))
    checkpoints.save(5)

    def read(path):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(checkpoints.checkpoint, "read", read)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        checkpoints.restore()


@pytest.mark.parametrize("method", ["write", "write_text"])
def test_a_run_with_one_of_its_first_files_begins_again(method, tmp_path, monkeypatch):
    """If run.json came before flags.txt, it would look like a run on other data."""
    arguments = (*launch.BASE, "--steps=1", f"--logdir={tmp_path}")
    write = getattr(RunFolder, method)

    def full(self, name, content):
        if name in ("run.json", "flags.txt"):
            raise UserError(f"{name} cannot be written: No space left on device")
        write(self, name, content)

    monkeypatch.setattr(RunFolder, method, full)
    deterministic = [a for a in arguments if a != "--deterministic"]
    assert "No space left" in launch.refusal(launch.within(*deterministic))
    monkeypatch.undo()
    ended = launch.within(*deterministic)
    assert ended.code == 0, ended.err


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def broken(endpoints, folder):
        raise UserError("this format cannot be written")

    monkeypatch.setitem(export.formats.FORMATS, "broken", broken)
    with pytest.raises(UserError, match="this format"):
        export.export(
            compiled("gan"), tmp_path / "export", "unit", {}, ("saved_model", "broken")
        )
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_of_temporary_files_is_named(monkeypatch):
    class Full(io.RawIOBase):
        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: Full())
    scores = types.SimpleNamespace(score_batch_size=2, score_seed=0)
    drawn = subjects.Drawn(compiled("gan"), 3, None, scores)
    network = types.SimpleNamespace(name="n", apply=lambda x: (x, x))
    for store in (
        lambda: np.asarray(drawn),
        lambda: features.activations(network, [np.ones((2, 3))]),
    ):
        with pytest.raises(UserError, match="No space.*: set the environment .* TMPDIR"):
            store()


def test_an_unbuffered_file_that_takes_a_part_gets_the_rest():
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, content):
            self.taken += bytes(content[:5])
            return len(content[:5])

    file = Slow()
    files.write_temporary(file, np.arange(6, dtype=np.int16))
    assert file.taken == np.arange(6, dtype=np.int16).tobytes()


def test_a_folder_with_commas_is_one_of_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "loss=x,k=1/seed-1", "loss=x,k=1/seed-2"):
        pathlib.Path(name).mkdir(parents=True)
    given = ["loss=x,k=1/seed-1", "a", "missing", "loss=x,k=1/seed-2"]
    assert named_folders(",".join(given).split(",")) == given


@pytest.mark.parametrize("ahead", [None, 7200])
def test_a_clock_that_is_behind_does_not_hold_up_a_run(ahead, tmp_path):
    """Nor does a folder with other files."""
    future = int(time.time()) + (ahead or 0)
    name = f"events.out.tfevents.{future}.machine.1.0.v2" if ahead else ".DS_Store"
    (tmp_path / name).touch()
    begin = time.monotonic()
    tensorboard._note_restart(tmp_path, 10)
    assert time.monotonic() - begin < 3
    assert len([*tmp_path.glob("events.out.*.-restart")]) == 1


def test_an_export_through_a_link_is_replaced(tmp_path):
    there, link = tmp_path / "disk" / "export", tmp_path / "export"
    model = compiled("gan")
    export.export(model, there, "unit", {})
    link.symlink_to(there, target_is_directory=True)
    export.export(model, link, "unit", {"again": True})
    assert link.is_symlink() and '"again": true' in (there / "manifest.json").read_text()
    assert not (tmp_path / "export.partial").exists()


def test_an_id_of_a_run_has_no_slash_and_is_its_own():
    values = factories.values("gan", dataset="imagenet_resized/64x64", seed=3)
    ids = {summary.run_id(values) for _ in range(3)}
    pattern = r"gan-imagenet_resized-64x64-\d{8}-\d{6}-[0-9a-f]{4}-seed3"
    assert len(ids) > 1 and all(re.fullmatch(pattern, run_id) for run_id in ids)


@pytest.mark.parametrize("mode", ["sample", "evaluate", "export", "infer", "compare"])
def test_every_mode_takes_a_gpus_memory_as_it_needs_it(mode, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(distribution, "grow_memory", lambda: taken.append(mode))
    with pytest.raises(UserError):
        cli.run_mode(mode, {"logdir": str(tmp_path)} if mode != "compare" else {})
    assert taken == [mode]


def test_folders_of_one_name_are_told_apart(tmp_path):
    folders = [tmp_path / name for name in ("a/losses", "b/losses", "b/other")]
    assert report._names(folders) == ["a/losses", "b/losses", "b/other"]
    assert report._names(folders[1:]) == ["losses", "other"]
    assert report._names([]) == []


def test_the_strip_of_points_on_a_line_is_refused(tmp_path):
    run = factories.run(tmp_path, "gan", dataset="gaussian")
    (tmp_path / "samples").mkdir(parents=True)
    np.save(tmp_path / "samples" / "step-000000001.npy", np.zeros((9, 1), np.float32))
    with pytest.raises(UsageError, match="draws points in the plane"):
        sample.strip(run, sample.SampleOptions())


def test_a_cache_that_cannot_be_written_keeps_no_part_of_a_file(tmp_path, caplog):
    def fail(file):
        file.write(b"part")
        raise OSError(28, "No space left on device")

    features.written(tmp_path / "a.npy", fail)
    assert not [*tmp_path.iterdir()]
    assert "cannot be written to the cache: No space left" in caplog.text
    before = os.umask(0o022)
    try:
        features.written(tmp_path / "a.npy", lambda file: file.write(b"whole"))
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert stat.S_IMODE(os.stat(tmp_path / "a.npy").st_mode) == 0o644


def test_a_copy_within_another_projects_repository_has_no_commit(tmp_path, monkeypatch):
    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    copy = tmp_path / "venv" / "records.py"
    copy.parent.mkdir()
    copy.touch()
    git("init")
    git("commit", "--allow-empty", "-m", "other")
    monkeypatch.setattr(records, "__file__", str(copy))
    assert records.commit() is None
    git("add", ".")
    git("commit", "-m", "ours")
    assert records.commit() == git("rev-parse", "HEAD").strip()
