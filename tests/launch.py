"""Runs the command line in a new process, in a fork, or within the test process.

Importing TensorFlow takes seconds. A fork of a process that has imported the package, and
done nothing else, saves this time. It executes main.py with its own arguments, exit code,
output files and limits. A command that does not configure TensorFlow can run within the
test process, which is faster still.
"""

import atexit
import concurrent.futures
import contextlib
import functools
import io
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple
from unittest import mock

import keras
import tensorflow as tf
from absl import logging
from absl.testing import flagsaver

from tfgan_papers import cli

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
ENVIRONMENT |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
PATIENCE = 600  # seconds for one process, enough on a busy machine

POOL = concurrent.futures.ThreadPoolExecutor(2)  # processes at a time

# The run that several test files examine and compare interrupted runs with. It trains on
# the embedded digits, reports at steps 1, 5, 10, 15, 20 and keeps checkpoints 10, 15, 20.
STEPS, REPORT_STEPS, CHECKPOINT_STEPS, BATCH_SIZE = 20, 5, 5, 20
LEARNING_RATE = 2.0  # changes both networks visibly in few steps
BASE = (
    "--model=gan",
    "--deterministic",
    f"--batch_size={BATCH_SIZE}",
    f"--learning_rate={LEARNING_RATE}",
    f"--steps={STEPS}",
    f"--report_steps={REPORT_STEPS}",
    f"--checkpoint_steps={CHECKPOINT_STEPS - 1}",  # rounded up to whole report periods
)


class Ended(NamedTuple):
    """The exit code and the output of a process."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        """The lines of stderr with an error message."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def restarted_from(self):
        """The step from which the process resumed according to its log, or 0."""
        found = re.findall(r"^resuming from step (\d+)", self.err, re.MULTILINE)
        assert len(found) <= 1
        return int(found[0]) if found else 0


def refusal(ended):
    """Returns the one line in which the process says what is wrong."""
    assert ended.code in (1, 2), ended.err
    assert "Traceback" not in ended.out + ended.err, ended.err
    starts = ("error: ", "FATAL Flags parsing error: ")
    lines = ended.err.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith(starts)]
    hint = "Pass --helpshort or --helpfull to see help on flags."  # absl's
    assert [line for line in lines[place + 1 :] if line] in ([], [hint])
    assert len(lines[place]) < 500
    return lines[place]


class Launched:
    """A process that runs `main.py *arguments`.

    Args:
        fresh: True starts `python main.py`, False a fork. The others are for forks.
        environment: dict, additional environment variables.
        largest_file: int, the maximum size in bytes of a file that the process writes.
        script: str, the script to run instead of main.py.
        folder: str, the working directory.
        export: bool; False writes no SavedModel, which takes as long as a short run.
    """

    def __init__(
        self,
        *arguments,
        fresh=True,
        environment=None,
        largest_file=None,
        script="main.py",
        folder=None,
        export=True,
    ):
        self.outputs = tempfile.TemporaryDirectory()
        self.out, self.err = (pathlib.Path(self.outputs.name, n) for n in ("out", "err"))
        arguments = [str(argument) for argument in arguments]
        with self.out.open("w") as out, self.err.open("w") as err:
            if fresh:
                process = subprocess.Popen(
                    [sys.executable, "main.py", *arguments],
                    stdout=out,
                    stderr=err,
                    env=ENVIRONMENT,
                    cwd=ROOT,
                )
                self.pid, self.poll = process.pid, process.poll
        if not fresh:
            self.pid, self.poll = _forks().start(
                arguments=arguments,
                out=str(self.out),
                err=str(self.err),
                environment=environment or {},
                largest_file=largest_file,
                script=script,
                folder=folder,
                export=export,
            )
        self.deadline = time.monotonic() + PATIENCE

    def wait(self, met):
        """Waits until `met()`. Returns False if the process ends before."""
        while not met():
            if self.poll() is not None:
                return met()
            if time.monotonic() > self.deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"no end after {PATIENCE} s: {self.err.read_text()}")
            time.sleep(0.001)
        return True

    def reported(self, step):
        """Waits for the first report at `step` or later."""

        def met():
            lines = self.out.read_text().splitlines(keepends=True)
            steps = [re.match(r"step +(\d+)/.*\n", line) for line in lines]
            return any(found and int(found[1]) >= step for found in steps)

        assert self.wait(met), f"no report of step {step}: {self.ended()}"

    def wrote(self, folder, pattern, before=()):
        """Waits for a file that matches `pattern` and is not in `before`."""
        folder = pathlib.Path(folder)
        appeared = self.wait(lambda: set(folder.glob(pattern)).difference(before))
        assert appeared, self.ended()

    def signal(self, signum):
        assert self.poll() is None, f"ended too early: {self.ended()}"
        os.kill(self.pid, signum)

    def ended(self):
        self.wait(lambda: self.poll() is not None)
        return Ended(self.poll(), self.out.read_text(), self.err.read_text())


def main(*arguments):
    """Runs a new process to its end and returns its `Ended`."""
    return Launched(*arguments).ended()


def fork(*arguments, **options):
    """Runs a fork to its end and returns its `Ended`."""
    return Launched(*arguments, fresh=False, **options).ended()


def within(*arguments):
    """Runs `main.py *arguments` within this process and returns its `Ended`.

    It cannot change --deterministic or the devices, which are set once per process.
    """
    if "mode" not in cli.FLAGS:
        cli.define_flags()
    out, err, code = io.StringIO(), io.StringIO(), 0
    command = ["main.py", *map(str, arguments)]
    policy, log = keras.config.dtype_policy(), logging.get_absl_handler().python_handler
    with (
        flagsaver.flagsaver(),
        mock.patch.object(sys, "argv", command),
        mock.patch.object(log, "stream", err),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.run()
        except SystemExit as ending:
            code = ending.code or 0
        finally:
            keras.config.set_dtype_policy(policy)
    return Ended(code, out.getvalue(), err.getvalue())


SERVER = """
import atexit, gc, json, os, resource, runpy, select, sys, traceback

gc.disable()
import sklearn.datasets, tensorboard.summary
from PIL import Image

import tfgan_papers.cli
from tfgan_papers.runs import train

Image.preinit()
gc.freeze()
gc.enable()
running = {}
while True:
    for ready in select.select([0, *running], [], [])[0]:
        if ready:
            os.close(ready)
            pid = running.pop(ready)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(json.dumps({"pid": pid, "code": code}), flush=True)
            continue
        line = sys.stdin.buffer.raw.readline()
        if not line:
            sys.exit()
        order = json.loads(line)
        alive, held = os.pipe()  # `alive` becomes readable when the fork ends
        pid = os.fork()
        if pid:
            os.close(held)
            running[alive] = pid
            print(json.dumps({"pid": pid, "code": None}), flush=True)
            continue
        for other in (alive, *running):
            os.close(other)
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT), fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["environment"])
        if order["folder"]:
            os.chdir(order["folder"])
        if order["largest_file"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
        if not order["export"]:
            train.export.export = lambda *arguments: None
        sys.argv = ["main.py", *order["arguments"]]
        code = 0
        try:
            runpy.run_path(order["script"], run_name="__main__")
        except SystemExit as ending:
            code = ending.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # Python's own shutdown takes seconds
"""


class Forks:
    """A process that has imported the package, and its forks."""

    def __init__(self):
        self.lock, self.begun, self.codes = threading.Lock(), queue.Queue(), {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
        )
        atexit.register(self.end)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            state = json.loads(line)
            if state["code"] is None:
                code = self.codes[state["pid"]] = concurrent.futures.Future()
                self.begun.put((state["pid"], code))
            else:
                self.codes[state["pid"]].set_result(state["code"])

    def start(self, **order):
        """Starts a fork. Returns its process id and a function that returns its exit code,
        or None while it runs."""
        with self.lock:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            pid, code = self.begun.get(timeout=PATIENCE)
        return pid, lambda: code.result() if code.done() else None

    def end(self):
        self.process.stdin.close()
        self.process.wait()


_FORKS_LOCK = threading.Lock()


def _forks():
    with _FORKS_LOCK:
        return _the_forks()


@functools.cache
def _the_forks():
    return Forks()


class Trained(NamedTuple):
    folder: pathlib.Path
    arguments: tuple[str, ...]
    ended: Ended


@functools.cache
def begin_training():
    """Starts the run of `BASE` on the first call.

    Returns:
        (run folder, arguments, future of its `Ended`).
    """
    folder = pathlib.Path(tempfile.mkdtemp(), "run")
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    arguments = (f"--logdir={folder}", *BASE)
    return folder, arguments, POOL.submit(main, *arguments)


def trained():
    """Returns the run of `BASE`, which a new process trains once. Do not change it."""
    folder, arguments, future = begin_training()
    return Trained(folder, arguments, future.result())


@contextlib.contextmanager
def copy_of_trained(*left_out):
    """Yields a copy of the trained run's folder that a test may change.

    Args:
        *left_out: names of files and folders that are not copied.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "run")
        shutil.copytree(trained().folder, copy, ignore=shutil.ignore_patterns(*left_out))
        yield copy


def kept_steps(folder):
    """Returns the steps of the checkpoints in last/, ascending."""
    paths = pathlib.Path(folder, "checkpoints", "last").glob("step-*.index")
    return sorted(int(path.stem.removeprefix("step-")) for path in paths)


def tensors(folder, step=None):
    """Returns name -> array of the newest checkpoint of a run, or that of `step`, without
    the best score."""
    step = kept_steps(folder)[-1] if step is None else step
    arrays = tensors_of(pathlib.Path(folder, "checkpoints", "last", f"step-{step:09d}"))
    return {name: a for name, a in arrays.items() if not name.startswith("best_score")}


def tensors_of(prefix):
    """Returns name -> array of a TensorFlow checkpoint, without its strings."""
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    return {n: reader.get_tensor(n) for n, dtype in dtypes.items() if dtype != tf.string}


def contents(folder):
    """Returns relative path -> bytes of every file below a folder."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
