"""Runs as processes of their own, on this machine or on a Dask cluster.

The workers of a cluster import this module, so it imports neither TensorFlow nor Keras.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

from absl import logging

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option
from tfgan_papers.runs.folder import RunFolder

POLL_SECONDS = 0.2  # between two looks at a process and at its permit
CONNECT_SECONDS = 10
ATTEMPT = "-- the run is started --\n"  # the line of log.txt before each attempt
RETRIES = 3  # of a task on a cluster whose process is killed


@dataclasses.dataclass(frozen=True)
class ClusterOptions(Options):
    """The cluster that executes the runs of a study, or computes scores."""

    cluster: str | None = option(
        None,
        "Address of a Dask scheduler, as tcp://host:8786. Its workers execute the runs of "
        "a study, or with --mode=evaluate parts of the scores that can be divided. All of "
        "them need the --logdir on a shared disk.",
    )


@contextlib.contextmanager
def permit(path: pathlib.Path):
    """A file that allows a process of a study to run, until it is deleted or the context
    ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield str(path.absolute())
    finally:
        path.unlink(missing_ok=True)


def _holds(permit):
    try:  # opening the file asks the server of a shared disk; looking up its name may not
        with open(permit):
            return True
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def interruptible():
    """Makes the first SIGINT or SIGTERM exit from the context, and ignores later ones."""
    usual = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def stop(signum, frame):
        for each in usual:  # a handler, because processes inherit signals that are ignored
            signal.signal(each, lambda *_: None)
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
    """Executes `main.py *arguments` in a process and waits for its end.

    The output goes to log.txt in the folder. When the permit ends, the process gets SIGTERM
    and keeps a checkpoint.

    Returns:
        The exit code, or None if there is no permit, so that nothing was started.

    Raises:
        ChildProcessError: a signal ended the process, and the permit exists.
    """
    if not _holds(permit):
        return None
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tfgan_papers", *arguments, f"--logdir={folder}"]
    # The process finds the package in the same places as this one.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with RunFolder(folder).open_log(lambda: _holds(permit)) as log:
        if not _holds(permit):
            return None
        log.write(ATTEMPT.encode())
        log.flush()
        process = subprocess.Popen(  # a new session does not get the terminal's Ctrl-C
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        while (held := _holds(permit)) and process.poll() is None:
            time.sleep(POLL_SECONDS)
        process.terminate()  # has no effect on a process that has ended
        code = process.wait()
    if held and (code < 0 or code > 128):
        raise ChildProcessError(f"signal {abs(code) % 128} ended the process")
    return code


@contextlib.contextmanager
def executor(jobs: int, cluster: str | None):
    """Yields an executor, and the exceptions of tasks whose process or worker was killed.

    Args:
        jobs: the number of tasks at a time without a cluster.
        cluster: the address of a Dask scheduler; None is this machine.

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
    if jobs > 1:
        logging.warning(
            "--jobs=%d is not used with --cluster, whose workers have --nthreads", jobs
        )
    workers = len(client.scheduler_info()["workers"])
    print(f"{workers} Dask workers, progress at {client.dashboard_link}", flush=True)
    killed = ChildProcessError, distributed.KilledWorker
    try:
        with client, client.get_executor(pure=False, retries=RETRIES) as pool:
            yield pool, killed
    except concurrent.futures.CancelledError as error:
        raise UserError(
            f"the Dask scheduler at {cluster} has gone: start it, and then the same "
            "command again"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"the Dask cluster at {cluster} lacks {error.name}: install the same version "
            "of this package for its scheduler and its workers"
        ) from error
