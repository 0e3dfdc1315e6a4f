"""Kills runs at random moments and checks that resuming them gives the same result.

    python -m tests.kill_campaign --kills=100 --record=results/kill_campaign.json

Each trial starts a short run, kills it with SIGKILL at a random moment of its training, or
every fifth time while it writes a checkpoint, and starts the same command again. At the
end, every tensor of the newest checkpoint must equal, bit for bit, that of an
uninterrupted run. The models take turns: gan, lsgan with rollbacks after a collapse, began,
improved_gan. It is not part of the test suite because a trial takes several seconds.
"""

import argparse
import concurrent.futures
import functools
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import numpy as np

from tests import launch
from tfgan_papers.runs import records

STEPS, REPORT_STEPS = 60, 10
COMMON = (
    *("--deterministic", f"--steps={STEPS}", f"--report_steps={REPORT_STEPS}"),
    "--checkpoint_steps=10",
)
MODELS = {  # name -> arguments, script, environment
    "gan": (("--model=gan", "--batch_size=20"), "main.py", {}),
    "lsgan": (  # its samples count as collapsed until the second rollback
        *(("--model=lsgan", "--dataset=ring", "--on_collapse=rollback"),),
        *("tests/collapsing.py", {"COLLAPSING": "2"}),
    ),
    "began": (
        *(("--model=began", "--dataset=digits", "--width=4", "--batch_size=8"),),
        *("main.py", {}),
    ),
    "improved_gan": (("--model=improved_gan", "--batch_size=20"), "main.py", {}),
}
WITHIN_WRITE = 5  # every fifth kill


def started(name, folder):
    arguments, script, environment = MODELS[name]
    return launch.Launched(
        *(*arguments, *COMMON, f"--logdir={folder}"),
        fresh=False,
        export=False,
        script=script,
        environment=environment,
    )


def seconds_of_training(process):
    """Returns the time from the first report to the end."""
    process.reported(1)
    begin = time.monotonic()
    ended = process.ended()
    assert ended.code == 0, ended.err
    return time.monotonic() - begin


def kill(process, folder, draw, seconds, within_write):
    """Sends SIGKILL at a random moment. Returns whether the process was still running."""
    process.reported(1)
    time.sleep(draw.uniform(0, seconds))
    writing = pathlib.Path(folder, "checkpoints", "last", "writing")
    if within_write and not process.wait(writing.is_dir):
        return False
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has just ended
        return False
    return process.ended().code == -signal.SIGKILL


def equal(folder, whole):
    """Returns whether the newest checkpoints of two runs are equal, bit for bit."""
    resumed, expected = (launch.tensors(run, STEPS) for run in (folder, whole))
    return resumed.keys() == expected.keys() and all(
        np.array_equal(resumed[name], expected[name]) for name in resumed
    )


def trial(name, root, draw, seconds, within_write):
    """Kills a run, resumes it and compares its end with that of an uninterrupted run.

    Returns:
        Whether they are equal, or None if the run ended before the kill.
    """
    folder = root / "killed"
    if not kill(started(name, folder), folder, draw, seconds, within_write):
        return None
    ended = started(name, folder).ended()
    return ended.code == 0 and equal(folder, root.parent / name)


def result(number, root, seed, seconds):
    """Makes trials until a kill, number `number`, has hit a running process."""
    draw = random.Random(f"{seed} {number}")
    name = list(MODELS)[number % len(MODELS)]
    within = number % WITHIN_WRITE == WITHIN_WRITE - 1
    same = None
    while same is None:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            same = trial(name, pathlib.Path(folder), draw, seconds[name], within)
    print(f"kill {number + 1}, {name}: {same}", flush=True)
    return {"model": name, "within_write": within, "equal": same}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--record")
    own = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        seconds = {name: seconds_of_training(started(name, root / name)) for name in MODELS}
        with concurrent.futures.ThreadPoolExecutor(own.jobs) as pool:
            job = functools.partial(result, root=root, seed=own.seed, seconds=seconds)
            results = list(pool.map(job, range(own.kills)))
    failed = sum(not result["equal"] for result in results)
    print(f"{len(results)} kills, {failed} results differ from the uninterrupted run")
    if own.record:
        records.write_value(
            own.record,
            dataset="digits and ring",
            seeds=[own.seed],
            quantity="ends that equal those of the uninterrupted run, bit for bit",
            unit="of all kills",
            value=len(results) - failed,
            steps=STEPS,
            run_id="kill_campaign",
            kills=results,
            command=records.command(),
        )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
