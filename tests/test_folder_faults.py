"""Files and folders that something else has touched: another process, an earlier version of
a run, a clock that is wrong, a link, a shared cache."""

import os
import re
import stat
import subprocess
import threading
import time

import numpy as np
import pytest

from tests import factories, launch
from tests.tiny_models import compiled
from tfgan_papers import cli
from tfgan_papers.commands import report, sample
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.metrics import features
from tfgan_papers.runs import distribution, export, records, summary, tensorboard
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.folder import RunFolder


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


def test_an_id_of_a_run_has_no_slash():
    values = factories.values("gan", dataset="imagenet_resized/64x64", seed=3)
    run_id = summary.run_id(values)
    assert re.fullmatch(r"gan-imagenet_resized-64x64-\d{8}-\d{6}-seed3", run_id)


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
