"""Mistakes of a user and failures of the machine.

Each gives one clear line and the exit code 1 or 2. Nothing is lost or left behind.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tests.launch import refusal
from tfgan_papers import cli
from tfgan_papers.errors import TrainingFailure, UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.gan_networks import point_networks
from tfgan_papers.runs import callbacks, tensorboard
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.folder import RunFolder

NO_WRITER = tensorboard.Writer(None)
EXTENDED = (*launch.BASE, f"--steps={launch.STEPS + 3}")
CLUSTER = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 1}}


@pytest.fixture(scope="module", autouse=True)
def slow(tmp_path_factory):
    """name -> (folder, its process to be), of what takes long, while the others run."""
    launch.begin_training()
    diverging = f"--learning_rate={3 * launch.LEARNING_RATE}"
    commands = {
        "real": (launch.main, "--loss=wasserstein"),
        "diverging": (launch.fork, *launch.BASE, diverging),
        "diverging at once": (launch.fork, *launch.BASE, "--learning_rate=1e30"),
    }
    folders = {name: tmp_path_factory.mktemp("slow") / "run" for name in commands}
    processes = {
        name: (folders[name], launch.POOL.submit(*command, f"--logdir={folders[name]}"))
        for name, command in commands.items()
    }
    return processes


def test_the_real_command_says_it_too(slow):
    """The others here are forks, or run within the process of the tests."""
    folder, future = slow["real"]
    ended = future.result()
    assert ended.code == 2 and "Traceback" not in ended.err
    assert ended.err.splitlines()[-1].startswith("error: --loss=wasserstein")
    assert not folder.exists()


CTRL_C = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
sys.meta_path.insert(0, Interrupt)
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["keras", "sklearn.datasets"])
def test_ctrl_c_before_training_ends_without_a_traceback(module, tmp_path):
    """During the first imports, and when the digits are read."""
    program = CTRL_C.replace("MODULE", repr(module))
    done = subprocess.run(
        [sys.executable, "-c", program, f"--logdir={tmp_path}/run"],
        cwd=launch.ROOT,
        env=launch.ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr and "KeyboardInterrupt" not in done.stderr
    assert os.listdir(tmp_path) == []


WINDOWS = """
import runpy, sys

sys.modules["fcntl"] = sys.modules["resource"] = None  # so that their import fails
runpy.run_path("main.py", run_name="__main__")
"""


def test_a_disk_without_file_locks_is_trained_on(tmp_path, monkeypatch, caplog):
    def lockf(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", lockf)
    RunFolder(tmp_path / "run").lock()
    assert "has no file locks (No locks available): run only one process" in caplog.text


def test_an_export_folder_of_somebody_else_is_kept(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "thesis.pdf").touch()
    ended = launch.within(*launch.BASE[2:], "--model=gan", f"--logdir={tmp_path}")
    assert ended.code == 2 and "is not an export of a run" in refusal(ended)
    assert launch.contents(tmp_path).keys() == {"export/thesis.pdf"}


def test_a_system_without_file_locks_and_memory_counts_trains(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, *launch.BASE, "--steps=1", f"--logdir={tmp_path}"],
        cwd=launch.ROOT,
        env=launch.ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"run only one process at a time in {tmp_path}" in done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["peak_memory_mb"] is None


@pytest.mark.parametrize(
    "cluster", ["", "worker 3 of 4", "{}", json.dumps(CLUSTER)], ids=str
)
def test_a_cluster_that_is_none_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", cluster)
    ended = launch.within(f"--logdir={tmp_path}/run", "--strategy=multi_worker")
    assert "TF_CONFIG" in refusal(ended)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_the_place_of_the_run_folder_is_named_and_kept(below, tmp_path):
    file = tmp_path / "notes"
    file.write_text("mine")
    ended = launch.fork(f"--logdir={file}{below}", *launch.BASE)
    assert f"{file}{below}" in refusal(ended) and ended.code == 1
    assert launch.contents(tmp_path) == {"notes": b"mine"}


def test_what_only_the_start_of_training_refuses_is_refused_before_the_first_sheet(
    tmp_path, monkeypatch
):
    """Also if the step is timed, before which a sheet is drawn."""

    def refused(*arguments):
        raise UsageError("--init_from does not fit")

    monkeypatch.setitem(PAPERS, "gan", PAPERS["gan"]._replace(initialize=refused))
    ended = launch.within("--model=gan", "--steps=100", f"--logdir={tmp_path}")
    assert "--init_from does not fit" in refusal(ended)
    assert os.listdir(tmp_path) == []


# A run that is there.


def test_options_of_another_mode_are_named_and_threads_are_of_each_command():
    with launch.copy_of_trained("export", "history", "tensorboard") as folder:
        flags = ("--mode=sample", "--score_samples=9", "--threads=1", f"--logdir={folder}")
        ended = launch.fork(*flags)
    assert ended.code == 0, ended.err
    assert "warning: --mode=sample does not read --score_samples\n" in ended.err
    assert "--threads" not in ended.err
    flags = ("--mode=report", "--runs=/nowhere", "--metrics=diversity", "--noflip")
    ended = launch.within(*flags)
    assert "warning: --mode=report does not read --flip, --metrics\n" in ended.err


def test_synchronization_without_batch_normalization_is_said_to_do_nothing(tmp_path):
    contract.warn_of_no_effect.cache_clear()
    flags = ("--steps=1", "--jit_compile=false", "--sync_batch_norm")
    ended = launch.within("--model=gan", *flags, f"--logdir={tmp_path}")
    assert ended.code == 0, ended.err
    assert "--sync_batch_norm has no effect with networks without batch" in ended.err


@pytest.fixture(scope="module")
def folder():
    """A trained run that no test here may leave changed."""
    with launch.copy_of_trained("export", "history", "tensorboard") as folder:
        before = launch.contents(folder)
        yield folder
        assert launch.contents(folder) == before


def test_flags_that_contradict_the_run_are_named_with_what_is_there(folder):
    before = launch.contents(folder)
    ended = launch.within(f"--logdir={folder}", "--batch_size=40", "--fidelity=code")
    line = refusal(ended)
    assert ended.code == 2 and str(folder) in line
    for words in ("--batch_size=40 (there: 20)", "--fidelity=code (there: paper)"):
        assert words in line
    assert "--learning_rate" not in line and "--k=" not in line
    assert launch.contents(folder) == before


def test_a_checkpoint_that_was_never_kept_is_refused(folder):
    ended = launch.within(f"--logdir={folder}", "--mode=export", "--checkpoint=best")
    assert "no checkpoint in checkpoints/best" in refusal(ended) and ended.code == 1
    assert not list(folder.glob("export*"))


def test_a_folder_in_which_another_process_trains_is_refused_and_kept(folder):
    before = launch.contents(folder)
    with (folder / "lock").open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        ended = launch.fork(f"--logdir={folder}", *EXTENDED)
    line = refusal(ended)
    assert ended.code == 1
    assert f"another process trains in {folder}" in line and "another --logdir" in line
    assert launch.contents(folder) == before


def test_a_run_has_its_folder_for_itself_until_it_is_killed(tmp_path):
    process = launch.Launched(f"--logdir={tmp_path}", *launch.BASE, fresh=False)
    process.reported(1)
    with (tmp_path / "lock").open("a") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.signal(signal.SIGKILL)
        process.ended()
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_other_data_than_the_run_began_with_are_named(folder):
    facts = json.loads((folder / "run.json").read_text())
    facts |= {"examples": 1000, "shape": [16, 16, 1]}
    with damaged(folder / "run.json", json.dumps(facts).encode()):
        line = refusal(launch.fork(f"--logdir={folder}", *EXTENDED))
    for words in ("shape [8, 8, 1] (there: [16, 16, 1])", "examples 1617 (there: 1000)"):
        assert words in line
    assert "classes" not in line


@contextlib.contextmanager
def damaged(path, content):
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
        assert path.read_bytes() == content  # not even mended in silence
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("mode", ["train", "sample"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b""),
        ("run.json", b'{"shape": [8, 8'),
        ("run.json", bytes(range(256))),
        ("flags.txt", b"--batch_size=2x\n"),
        ("flags.txt", b"--fidelity=\xff\xfe\n"),
    ],
)
def test_a_damaged_file_of_the_run_is_named(folder, name, content, mode):
    with damaged(folder / name, content):
        ended = launch.within(f"--logdir={folder}", f"--mode={mode}")
        line = refusal(ended)
    assert ended.code == 1
    assert f"{folder / name} is damaged" in line


def test_a_run_that_diverges_stops_and_its_last_good_checkpoint_stays(slow):
    folder, future = slow["diverging"]
    ended = future.result()
    line = refusal(ended)
    assert ended.code == 1
    assert re.match(r"error: [dg]_\w+ is (nan|-?inf) between steps ", line)
    assert "--learning_rate" in line
    kept = launch.kept_steps(folder)
    assert kept and kept[-1] < launch.STEPS
    for step in kept:
        for name, array in launch.tensors(folder, step).items():
            assert np.isfinite(array).all(), (step, name)
    assert not (folder / "summary.json").exists()


def test_a_run_that_diverges_at_once_leaves_no_checkpoint(slow):
    folder, future = slow["diverging at once"]
    ended = future.result()
    assert "between steps 0 and 1" in refusal(ended) and ended.code == 1
    assert launch.kept_steps(folder) == []


def test_weights_that_the_last_step_spoiled_are_not_kept(tmp_path):
    model = GAN(*point_networks((2,), None, Draw(0)))
    model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
    keeper = callbacks.CheckpointCallback(Checkpoints(tmp_path, model), 1, NO_WRITER)
    for spoiled in (model.generator.weights[-1], model.d_optimizer.learning_rate):
        model.step.assign_add(1)
        keeper.keep(model)
        kept, value = keeper.checkpoints.all(), spoiled.numpy()
        assert len(kept) == model.steps_done
        spoiled.assign(value * np.nan)
        model.step.assign_add(1)
        with pytest.raises(TrainingFailure, match=f"{spoiled.path} is not finite at step"):
            keeper.keep(model)
        assert keeper.checkpoints.all() == kept
        spoiled.assign(value)
        keeper.keep(model)


def test_a_run_killed_while_it_writes_its_history_writes_it_when_it_goes_on(tmp_path):
    def begun():
        model = GAN(*point_networks((2,), None, Draw(0)))
        model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
        checkpoints = Checkpoints(tmp_path, model)
        keeper = callbacks.CheckpointCallback(checkpoints, 1, NO_WRITER)
        return model, checkpoints, keeper

    def killed(step, kind="last", keep=None):
        if kind == "history":
            raise KeyboardInterrupt
        return save(step, kind)

    model, checkpoints, keeper = begun()
    save, checkpoints.save = checkpoints.save, killed
    model.step.assign(1)
    with pytest.raises(KeyboardInterrupt):
        keeper.keep(model)
    model, checkpoints, keeper = begun()
    checkpoints.restore()
    model.step.assign(1)
    keeper.keep(model)
    for kind in ("last", "history"):
        assert [path.name for path in checkpoints.all(kind)] == ["step-000000001"]


# What an error is said to be of.


UNREADABLE = tf.errors.UnknownError(None, None, "IteratorGetNext: a.png: Permission denied")
NO_SPACE = tf.errors.ResourceExhaustedError(None, None, "No space left on device")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/records/x.json"),
            "error: /records/x.json: Permission denied",
        ),
        (
            UNREADABLE,
            "error: the data set of the run cannot be read: IteratorGetNext: a.png",
        ),
        (NO_SPACE, "error: the disk: No space left on device"),
        (MemoryError("array of 9 TiB"), "error: the memory is too small: use a smaller"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
            "error: the memory is too small: use a smaller --batch_size",
        ),
    ],
    ids=["a file", "the data", "a disk", "the memory", "the memory of a device"],
)
def test_an_error_in_mid_run_is_said_to_be_of_what_it_is_of(
    error, said, monkeypatch, capsys
):
    assert ended_with(error, {}, monkeypatch, capsys).startswith(said)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UNREADABLE, "error: --dataset=mnist cannot be read: IteratorGetNext: a.png: Perm"),
        (NO_SPACE, "error: the_run: No space left on device"),
    ],
    ids=["the data", "the run folder"],
)
def test_an_error_names_what_the_user_has_named(error, said, monkeypatch, capsys):
    named = {"dataset": "mnist", "logdir": "the_run"}
    assert ended_with(error, named, monkeypatch, capsys).startswith(said)


def ended_with(error, values, monkeypatch, capsys):
    """What the command line says of an error in mid-run, if these options are given."""

    def fail(mode, given):
        raise error

    monkeypatch.setattr(cli, "run_mode", fail)
    monkeypatch.setattr(cli, "given", lambda: values)
    monkeypatch.setattr(cli, "FLAGS", types.SimpleNamespace(mode="train"))
    with pytest.raises(SystemExit) as ending:
        cli.main(["main.py"])
    assert ending.value.code == 1
    return capsys.readouterr().err
