"""Runs as processes of their own, on this machine or on a Dask cluster.

The workers of a cluster import this module, so it imports neither TensorFlow nor Keras.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs.folder import RunFolder

POLL_SECONDS = 0.2  # between two looks at a process and at its permit
CONNECT_SECONDS = 10
RETRIES = 3  # of a run on a cluster whose process is killed


@contextlib.contextmanager
def permit(path: pathlib.Path):
    """A file that lets processes run, until the context ends."""
    path.touch()
    try:
        yield str(path.absolute())
    finally:
        path.unlink()


def _holds(permit):
    try:  # to open it asks the server of a shared disk, to look at its name may not
        with open(permit):
            return True
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def interruptible():
    """SIGINT and SIGTERM exit from the context, once: its end is waited for."""
    usual = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def stop(signum, frame):
        for each in usual:
            signal.signal(each, signal.SIG_IGN)
        print("interrupted: the same command continues from there", flush=True)
        sys.exit(128 + signum)

    try:
        for signum in usual:
            signal.signal(signum, stop)
        yield
    finally:
        for signum, handler in usual.items():
            signal.signal(signum, handler)


def execute(folder: str, arguments: list[str], permit: str) -> int | None:
    """Run `main.py *arguments` in a process, in a folder that keeps its output in log.txt.

    The process gets SIGTERM when the permit ends, and so keeps a checkpoint. This function
    waits for its end in any case.

    Returns:
        The exit code; None without a permit, where nothing was started.

    Raises:
        ChildProcessError: a signal has ended the process while the permit held.
    """
    if not _holds(permit):
        return None
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tfgan_papers", *arguments, f"--logdir={folder}"]
    # it finds the package where this process has found it
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with RunFolder(folder).open_log() as log:
        process = subprocess.Popen(  # Ctrl-C on the terminal is not for it
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        while (held := _holds(permit)) and process.poll() is None:
            time.sleep(POLL_SECONDS)
        process.terminate()  # does nothing to a process that has ended
        code = process.wait()
    if held and (code < 0 or code > 128):
        raise ChildProcessError(f"signal {abs(code) % 128} ended the process")
    return code


@contextlib.contextmanager
def executor(jobs: int, cluster: str | None):
    """An executor, and the exceptions of a future whose process or worker was killed.

    Args:
        jobs: the number of tasks at a time without a cluster.
        cluster: the address of a Dask scheduler, or None: this machine.

    Raises:
        UsageError: Dask is not installed, or no scheduler answers.
        UserError: the cluster is lost, or cannot import this package.
    """
    if cluster is None:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            yield pool, ChildProcessError
        return
    try:
        import distributed
    except ImportError as error:
        raise UsageError("--cluster needs Dask: pip install -e '.[cluster]'") from error
    try:
        client = distributed.Client(cluster, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster={cluster}: no Dask scheduler answers there") from error
    workers = len(client.scheduler_info()["workers"])
    print(f"{workers} Dask workers, progress at {client.dashboard_link}", flush=True)
    killed = ChildProcessError, distributed.KilledWorker
    try:
        with client, client.get_executor(pure=False, retries=RETRIES) as pool:
            yield pool, killed
    except concurrent.futures.CancelledError as error:
        raise UserError(
            f"the Dask scheduler at {cluster} has gone: start it again, and the same "
            "command continues"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"the Dask cluster at {cluster} lacks {error.name}: install the same version "
            "of this package for its scheduler and its workers"
        ) from error
