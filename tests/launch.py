"""The command line as processes: `main.py` itself, and forks of one that has imported.

Importing TensorFlow takes several seconds, so what does not depend on a fresh start runs
as a fork of one process that has imported the package and done nothing else. A fork
executes main.py with its own argv, exit code, files and limits.
"""

import atexit
import concurrent.futures
import functools
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
from typing import NamedTuple

import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[1]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
ENVIRONMENT |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
PATIENCE = 300  # seconds for one process, on a machine that is busy otherwise

POOL = concurrent.futures.ThreadPoolExecutor(2)  # processes at a time


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
    """A process of `python main.py *arguments`, stdout and stderr piped into files."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=ENVIRONMENT,
            text=True,
        )
        self.lines = []
        self.alarm = threading.Timer(PATIENCE, self.process.kill)
        self.alarm.start()

    def reported(self, step):
        """Wait for the first report of a step that is not before `step`; its step."""
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.match(r"step +(\d+)/", line)
            if found and int(found[1]) >= step:
                return int(found[1])
        raise AssertionError(f"no report of step {step}: {self.ended()}")

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

orders, running = {}, {}
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
        alive, held = os.pipe()
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
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
        )
        self.lock, self.waiting = threading.Lock(), {}
        atexit.register(self.process.kill)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            number, code = json.loads(line)
            self.waiting[number].put(code)

    def run(self, arguments, environment, largest_file):
        answer = queue.Queue()
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: os.path.join(folder, name) for name in ("out", "err")}
            with self.lock:
                number = len(self.waiting)
                self.waiting[number] = answer
                order = {
                    "number": number,
                    "arguments": [str(a) for a in arguments],
                    "environment": environment,
                    "largest_file": largest_file,
                    **paths,
                }
                self.process.stdin.write(json.dumps(order) + "\n")
                self.process.stdin.flush()
            code = answer.get(timeout=PATIENCE)
            texts = (pathlib.Path(path).read_text() for path in paths.values())
            return Ended(code, *texts)


@functools.cache
def forks():
    return Forks()


def fork(*arguments, environment=None, largest_file=None):
    """A fork that runs main.py, to its end; `largest_file` in bytes it may write."""
    return forks().run(arguments, environment or {}, largest_file)


def tensors(folder, step=None):
    """name -> array of a run's newest checkpoint, or that of `step`."""
    kept = sorted(pathlib.Path(folder, "checkpoints", "last").glob("step-*.index"))
    if step is not None:
        kept = [path for path in kept if path.stem == f"step-{step:09d}"]
    reader = tf.train.load_checkpoint(str(kept[-1].with_suffix("")))
    names = reader.get_variable_to_dtype_map()
    return {
        name: reader.get_tensor(name)
        for name, dtype in names.items()
        if dtype != tf.string  # the graph of the objects
    }
