"""The command line, as a fresh process, as a fork, and within this process.

Importing TensorFlow takes seconds, so what does not need a fresh process runs as a fork of
one that has imported the package and done nothing else. A fork executes main.py with its
own arguments, exit code, output files and limits. A command that needs no configuration of
TensorFlow runs within the process of the tests, which is cheaper still.
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
PATIENCE = 600  # seconds for one process, on a machine that is busy otherwise

POOL = concurrent.futures.ThreadPoolExecutor(2)  # chains of processes at a time

# The run that several files look at, and that runs in pieces are compared with: it trains
# on the embedded digits, reports at 1, 5, 10, 15, 20 and keeps 10, 15 and 20.
STEPS, REPORT_STEPS, CHECKPOINT_STEPS, BATCH_SIZE = 20, 5, 5, 20
LEARNING_RATE = 2.0  # so that both networks have moved far in so few steps
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
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        """The lines of stderr in which the command says what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def restarted_from(self):
        """The step from which the process says that it goes on, or 0."""
        found = re.findall(r"^resuming from step (\d+)", self.err, re.MULTILINE)
        assert len(found) <= 1
        return int(found[0]) if found else 0


class Launched:
    """A process that runs `main.py *arguments`.

    Args:
        fresh: by `python main.py`, else as a fork.
        environment: dict, further environment variables of a fork.
        largest_file: int, bytes that a file which a fork writes may have.
        script: str, what a fork runs instead of main.py.
        folder: str, the working directory of a fork.
    """

    def __init__(
        self,
        *arguments,
        fresh=True,
        environment=None,
        largest_file=None,
        script="main.py",
        folder=None,
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
            )
        self.deadline = time.monotonic() + PATIENCE

    def wait(self, met):
        """Wait until `met()`; False if the process ended before."""
        while not met():
            if self.poll() is not None:
                return met()
            if time.monotonic() > self.deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"no end after {PATIENCE} s: {self.err.read_text()}")
            time.sleep(0.001)
        return True

    def reported(self, step):
        """Wait for the first report that is not before `step`."""

        def met():
            lines = self.out.read_text().splitlines(keepends=True)
            steps = [re.match(r"step +(\d+)/.*\n", line) for line in lines]
            return any(found and int(found[1]) >= step for found in steps)

        assert self.wait(met), f"no report of step {step}: {self.ended()}"

    def wrote(self, folder, pattern, before=()):
        """Wait for a file to appear that was not there `before`."""
        folder = pathlib.Path(folder)
        found = self.wait(lambda: set(folder.glob(pattern)).difference(before))
        assert found, self.ended()

    def signal(self, signum):
        assert self.poll() is None, f"ended too early: {self.ended()}"
        os.kill(self.pid, signum)

    def ended(self):
        self.wait(lambda: self.poll() is not None)
        return Ended(self.poll(), self.out.read_text(), self.err.read_text())


def main(*arguments):
    """A fresh process, to its end."""
    return Launched(*arguments).ended()


def fork(*arguments, **options):
    """A fork, to its end."""
    return Launched(*arguments, fresh=False, **options).ended()


def within(*arguments):
    """`main.py *arguments` in this process, to its end. Not with --deterministic, nor with
    other devices, which are set for a process as a whole."""
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
import atexit, json, os, resource, runpy, select, sys, traceback

import tfgan_papers.cli

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
        alive, held = os.pipe()  # the end that the fork holds closes with it
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
        os._exit(code)  # Python's own dismantling takes seconds
"""


class Forks:
    """The process that has imported, and its forks."""

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
            said = json.loads(line)
            if said["code"] is None:
                code = self.codes[said["pid"]] = concurrent.futures.Future()
                self.begun.put((said["pid"], code))
            else:
                self.codes[said["pid"]].set_result(said["code"])

    def start(self, **order):
        """Begin a fork: its process id, and a function that gives its code, or None."""
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
    """Begin the run of `BASE`, unless that is done."""
    folder = pathlib.Path(tempfile.mkdtemp(), "run")
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    arguments = (f"--logdir={folder}", *BASE)
    return folder, arguments, POOL.submit(main, *arguments)


def trained():
    """The run of `BASE`, trained once a session by a fresh process. Do not change it."""
    folder, arguments, future = begin_training()
    return Trained(folder, arguments, future.result())


@contextlib.contextmanager
def copy_of_trained(*left_out):
    """A copy of its folder, without the names `left_out`, that the test may change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "run")
        shutil.copytree(trained().folder, copy, ignore=shutil.ignore_patterns(*left_out))
        yield copy


def kept_steps(folder):
    """The steps of the checkpoints in last/, ascending."""
    found = pathlib.Path(folder, "checkpoints", "last").glob("step-*.index")
    return sorted(int(path.stem.removeprefix("step-")) for path in found)


def tensors(folder, step=None):
    """name -> array of a run's newest checkpoint, or that of `step`: all that it holds
    but the score of the best one."""
    step = kept_steps(folder)[-1] if step is None else step
    found = tensors_of(pathlib.Path(folder, "checkpoints", "last", f"step-{step:09d}"))
    return {name: a for name, a in found.items() if not name.startswith("best_score")}


def tensors_of(prefix):
    """name -> array of a TensorFlow checkpoint, but for its strings."""
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    return {n: reader.get_tensor(n) for n, dtype in dtypes.items() if dtype != tf.string}


def contents(folder):
    """relative path -> bytes of every file below a folder."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
