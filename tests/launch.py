"""The command line as processes: `main.py` itself, and forks of one that has imported.

Importing TensorFlow takes seconds, so what does not need a fresh process runs as a fork of
one that has imported the package and done nothing else. A fork executes main.py with its
own arguments, exit code, output files and limits.
"""

import atexit
import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
ENVIRONMENT |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
PATIENCE = 600  # seconds for one process, on a machine that is busy otherwise

POOL = concurrent.futures.ThreadPoolExecutor(2)  # chains of processes at a time

# The run that several files look at, and that runs in pieces are compared with: it trains
# on the embedded digits, reports at 1, 3, 6, ..., 24 and keeps 12, 18 and 24.
STEPS, REPORT_STEPS, CHECKPOINT_STEPS, BATCH_SIZE = 24, 3, 6, 20
BASE = (
    "--model=gan",
    "--deterministic",
    f"--batch_size={BATCH_SIZE}",
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


class Launched:
    """A process of `python main.py *arguments`, its stdout a pipe."""

    def __init__(self, *arguments):
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "main.py", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
        )
        self.lines = []
        self.alarm = threading.Timer(PATIENCE, self.process.kill)
        self.alarm.daemon = True
        self.alarm.start()

    def reported(self, step):
        """Wait for the first report that is not before `step`."""
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.match(r"step +(\d+)/", line)
            if found and int(found[1]) >= step:
                return
        raise AssertionError(f"no report of step {step}: {self.ended()}")

    def wrote(self, folder, pattern):
        """Wait for a file or folder to appear."""
        while not list(pathlib.Path(folder).glob(pattern)):
            assert self.process.poll() is None, f"no {pattern}: {self.ended()}"
            time.sleep(0.0005)

    def signal(self, signum):
        assert self.process.poll() is None, f"ended too early: {self.ended()}"
        self.process.send_signal(signum)

    def ended(self):
        self.lines += self.process.stdout
        code = self.process.wait()
        self.alarm.cancel()
        self.stderr.seek(0)
        return Ended(code, "".join(self.lines), self.stderr.read())


def main(*arguments):
    """A fresh process, to its end."""
    return Launched(*arguments).ended()


SERVER = """
import atexit, json, os, resource, runpy, select, sys, traceback

import tfgan_papers.__main__

running = {}
while True:
    for ready in select.select([0, *running], [], [])[0]:
        if ready:
            os.close(ready)
            number, pid = running.pop(ready)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(json.dumps([number, code]), flush=True)
            continue
        line = sys.stdin.buffer.raw.readline()
        if not line:
            sys.exit()
        order = json.loads(line)
        alive, held = os.pipe()  # the end that the fork holds closes with it
        pid = os.fork()
        if pid:
            os.close(held)
            running[alive] = order["number"], pid
            continue
        for other in (alive, *running):
            os.close(other)
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT), fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["environment"])
        if order["largest_file"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
        sys.argv = ["main.py", *order["arguments"]]
        code = 0
        try:
            runpy.run_path("main.py", run_name="__main__")
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
        self.lock, self.answers = threading.Lock(), []
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
        )
        atexit.register(self.process.kill)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            number, code = json.loads(line)
            self.answers[number].put(code)

    def run(self, arguments, environment, largest_file):
        with tempfile.TemporaryDirectory() as folder:
            order = {
                "arguments": [str(argument) for argument in arguments],
                "environment": environment,
                "largest_file": largest_file,
                "out": f"{folder}/out",
                "err": f"{folder}/err",
            }
            with self.lock:
                order["number"] = len(self.answers)
                self.answers.append(queue.Queue())
                self.process.stdin.write(json.dumps(order) + "\n")
                self.process.stdin.flush()
            code = self.answers[order["number"]].get(timeout=PATIENCE)
            out, err = (pathlib.Path(order[name]).read_text() for name in ("out", "err"))
            return Ended(code, out, err)


@functools.cache
def _forks():
    return Forks()


_FORKS_LOCK = threading.Lock()


def fork(*arguments, environment=None, largest_file=None):
    """A fork that runs main.py, to its end.

    Args:
        environment: dict, further environment variables.
        largest_file: int, bytes that a file it writes may have.
    """
    with _FORKS_LOCK:
        forks = _forks()
    return forks.run(arguments, environment or {}, largest_file)


class Trained(NamedTuple):
    folder: pathlib.Path
    arguments: tuple[str, ...]
    ended: Ended


@functools.cache
def _training():
    folder = pathlib.Path(tempfile.mkdtemp(), "run")
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    arguments = (f"--logdir={folder}", *BASE)
    return folder, arguments, POOL.submit(main, *arguments)


def trained():
    """The run of `BASE`, trained once a session by a fresh process. Do not change it."""
    folder, arguments, future = _training()
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
    but the score of the best one, and the strings."""
    step = kept_steps(folder)[-1] if step is None else step
    prefix = pathlib.Path(folder, "checkpoints", "last", f"step-{step:09d}")
    reader = tf.train.load_checkpoint(str(prefix))
    return {
        name: reader.get_tensor(name)
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype != tf.string and not name.startswith("best_score")
    }


def contents(folder):
    """relative path -> bytes of every file below a folder."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
