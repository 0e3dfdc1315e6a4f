"""A run that is killed, interrupted, extended or damaged and then resumed ends with exactly
the weights of an uninterrupted run.

Each run here is a process of its own, which gets real signals.
"""

import contextlib
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import tempfile
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing import plugin_event_accumulator

import tfgan_papers
from tests import launch

SEED = int(os.environ.get("MOMENTS_SEED") or random.SystemRandom().randrange(10**6))
LATEST_KILL = launch.STEPS - launch.CHECKPOINT_STEPS  # so that there is time to be killed

SHORT = ("--model=gan", "--deterministic", "--batch_size=20", "--report_steps=5")
ONE_PERIOD = (  # any interruption comes in mid period
    *("--model=gan", "--deterministic", "--batch_size=20", "--fidelity=code"),
    *("--report_steps=1000", "--steps=200"),
)


fork = functools.partial(launch.fork, export=False)  # where no test looks at the export


def assert_same(found, expected):
    """The tensors are bit for bit those that are expected."""
    assert set(found) == set(expected)
    differing = [
        name
        for name, array in expected.items()
        if (found[name].dtype, found[name].shape) != (array.dtype, array.shape)
        or found[name].tobytes() != array.tobytes()
    ]
    assert not differing


def kills(folder):
    """Kill a run at three moments drawn from SEED and while it writes a checkpoint, and
    let it end: (the process, the newest checkpoint it left) each time."""
    draw = random.Random(SEED)
    moments = sorted(
        (draw.randint(1, LATEST_KILL), draw.uniform(0.0, 0.3)) for _ in range(3)
    )
    stops = []
    writing = "checkpoints/*/writing/*"  # of which a kill may leave some
    for moment in [*moments, "writing"]:
        before = set(folder.glob(writing))
        arguments = (f"--logdir={folder}", *launch.BASE)
        process = launch.Launched(*arguments, fresh=not stops)
        if moment == "writing":
            process.wrote(folder, writing, before)
        else:
            process.reported(moment[0])
            time.sleep(moment[1])
        process.signal(signal.SIGKILL)
        stops.append((process.ended(), max(launch.kept_steps(folder), default=0)))
    ended = launch.fork(f"--logdir={folder}", *launch.BASE)
    return moments, [*stops, (ended, launch.kept_steps(folder)[-1])]


def interruptions(folder):
    """SIGINT, SIGTERM, to the end: the processes."""
    processes = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        process = launch.Launched(f"--logdir={folder}", *ONE_PERIOD, fresh=False)
        process.reported(1)
        if signum == signal.SIGINT:  # the picture of step 1 takes longer than a step
            process.wrote(folder, "samples/step-000000001.png")
            time.sleep(random.Random(SEED).uniform(0.0, 0.15))
        process.signal(signum)
        processes.append((process.ended(), launch.kept_steps(folder)))
    ended = fork(f"--logdir={folder}", *ONE_PERIOD)
    return [*processes, (ended, launch.kept_steps(folder))]


def extension(folder):
    """Seven steps of two minibatches for D, then the same command to twelve."""
    arguments = (f"--logdir={folder}", *SHORT, "--k=2")
    ended = [fork(*arguments, "--steps=7"), fork(*arguments, "--steps=12")]
    fork(f"--logdir={folder}-straight", *SHORT, "--k=2", "--steps=12")
    return ended


@pytest.fixture(scope="module")
def chains():
    """name -> the folder of a run in pieces, and what becomes of its processes."""
    with tempfile.TemporaryDirectory() as root:
        folders = {
            chain: pathlib.Path(root, chain.__name__)
            for chain in (kills, interruptions, extension)
        }
        straight = f"--logdir={root}/interruptions-straight"
        futures = {c: launch.POOL.submit(c, folder) for c, folder in folders.items()}
        others = [launch.POOL.submit(fork, straight, *ONE_PERIOD)]
        yield {c.__name__: (folders[c], future) for c, future in futures.items()} | {
            "straight": (f"{root}/interruptions-straight", others[0])
        }
        for future in [*futures.values(), *others]:
            future.exception()  # the folder is theirs until they have ended


def test_a_run_killed_at_any_moment_ends_with_the_weights_of_the_uninterrupted(chains):
    folder, future = chains["kills"]
    moments, stops = future.result()
    print(f"MOMENTS_SEED={SEED}: killed at (step, seconds after it) {moments}")
    assert [process.code for process, _ in stops] == [-signal.SIGKILL] * 4 + [0]
    for (_, kept), (next_process, _) in zip(stops, stops[1:], strict=False):
        assert next_process.restarted_from == kept  # neither from the start, nor later
    assert_same(launch.tensors(folder), launch.tensors(launch.trained().folder))
    assert not list(folder.glob("checkpoints/*/writing"))


def test_its_sample_sheets_and_export_are_those_of_the_uninterrupted_too(chains):
    folder, future = chains["kills"]
    future.result()
    straight = launch.trained().folder
    sheets = launch.contents(straight / "samples")
    reported = 1 + launch.STEPS // launch.REPORT_STEPS
    assert len(sheets) == reported + 2  # latest.png and real.png
    assert launch.contents(folder / "samples") == sheets  # none of a step in between
    found, expected = (
        launch.tensors_of(run / "export" / "variables" / "variables").values()
        for run in (folder, straight)
    )  # by names that change from export to export
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected))


def events(folder):
    """tag -> the steps after 0 that TensorBoard shows of a run."""
    limits = {plugin_event_accumulator.TENSORS: 0}  # shows all
    path = str(folder / "tensorboard")
    found = plugin_event_accumulator.EventAccumulator(path, limits).Reload()
    tags = found.Tags()["tensors"]
    return {tag: [e.step for e in found.Tensors(tag) if e.step] for tag in tags}


def test_its_tensorboard_has_the_tags_of_the_uninterrupted_and_each_step_once(chains):
    folder, future = chains["kills"]
    future.result()
    assert events(folder) == events(launch.trained().folder)


def test_every_tensor_moves_so_that_to_be_equal_means_something():
    folder = launch.trained().folder
    early, late = launch.tensors(folder, 10), launch.tensors(folder, 20)
    still = [name for name in late if early[name].tobytes() == late[name].tobytes()]
    assert all("_learning_rate" in name for name in still)  # the schedule's start
    assert len(late) - len(still) == 2 * 12 + 3  # weights, momenta; step and iterations


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_period_leaves_a_checkpoint_and_its_exit_code(chains, number):
    _, future = chains["interruptions"]
    process, kept = future.result()[[signal.SIGINT, signal.SIGTERM].index(number)]
    assert process.code == 128 + number
    assert "Traceback" not in process.err
    step = kept[-1]
    assert 0 < step < 200
    line = f"interrupted at step {step}: run the same command to continue"
    assert process.out.splitlines()[-1] == line


def test_an_interrupted_run_goes_on_to_the_weights_of_the_uninterrupted(chains):
    """Here with --fidelity=code; the kills above are with --fidelity=paper."""
    folder, future = chains["interruptions"]
    (_, after_int), (terminated, after_term), (last, _) = future.result()
    assert terminated.restarted_from == after_int[-1]
    assert last.restarted_from == after_term[-1] > after_int[-1]
    straight, other = chains["straight"]
    assert other.result().code == last.code == 0
    assert_same(launch.tensors(folder), launch.tensors(straight))


def test_an_extended_run_is_one_of_that_length(chains):
    """Here with --k=2, from the end of a run in mid period."""
    folder, future = chains["extension"]
    first, second = future.result()
    assert (first.code, second.code) == (0, 0)
    assert second.restarted_from == 7
    assert_same(launch.tensors(folder), launch.tensors(f"{folder}-straight"))
    assert launch.tensors(folder)["step/.ATTRIBUTES/VARIABLE_VALUE"] == 12


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def test_unreadable_checkpoints_are_named_passed_over_and_written_anew():
    with launch.copy_of_trained("export", "history") as folder:
        last = folder / "checkpoints" / "last"
        truncate(last / "step-000000020.data-00000-of-00001")
        truncate(last / "step-000000015.index")
        # What a kill in the middle of a write leaves behind.
        (last / "step-000000025.data-00000-of-00001").write_bytes(bytes(1000))
        (last / "writing").mkdir()
        (last / "writing" / "step-000000025.index").write_bytes(b"")
        ended = fork(f"--logdir={folder}", *launch.BASE)
        assert ended.code == 0, ended.err
        said = [line for line in ended.err.splitlines() if "cannot be read" in line]
        assert ["step-000000020" in said[0], "step-000000015" in said[1]] == [True, True]
        assert len(said) == 2 and ended.restarted_from == 10
        assert_same(launch.tensors(folder), launch.tensors(launch.trained().folder))
        for step in (15, 20):
            assert launch.tensors(folder, step)  # readable again


def test_if_none_can_be_read_it_says_so_and_touches_nothing():
    with launch.copy_of_trained("export", "history") as folder:
        for path in folder.glob("checkpoints/last/*.data-*"):
            truncate(path)
        before = launch.contents(folder)
        ended = launch.fork(f"--logdir={folder}", *launch.BASE)
        assert ended.code == 1 and "Traceback" not in ended.err
        (error,) = ended.errors
        assert "none of the 3 checkpoints" in error and str(folder) in error
        assert launch.contents(folder) == before


# TensorFlow takes the path of a checkpoint for a pattern.
@pytest.mark.parametrize("name", ["a[1]", "b\\c", "d*?", "ein Lauf ü"])
def test_a_run_in_a_folder_of_any_name_goes_on_and_is_loaded(name, tmp_path):
    folder = shutil.copytree(launch.trained().folder, tmp_path / name)
    longer = f"--steps={launch.STEPS + 1}"
    ended = fork(f"--logdir={folder}", *launch.BASE, longer)
    assert ended.code == 0, ended.err
    assert ended.restarted_from == launch.STEPS
    ended = launch.within("--mode=sample", f"--logdir={folder}")
    assert ended.code == 0, ended.err
    formats = "--formats=saved_model,litert"
    ended = launch.within("--mode=export", formats, f"--logdir={folder}")
    assert ended.code == 0, ended.err
    of_run, of_export = (tfgan_papers.load(f) for f in (folder, folder / "export"))
    z = np.zeros((2, of_run.latent_dim), np.float32)
    np.testing.assert_allclose(of_run.generate(z), of_export.generate(z), atol=1e-6)


# Checkpoints by time.


EAGER = """
from tfgan_papers.runs import callbacks
from tfgan_papers.__main__ import run

callbacks.FIRST_CHECKPOINT_SECONDS = 0
run()
"""


def test_a_run_killed_in_its_first_period_goes_on_from_a_checkpoint_by_time(tmp_path):
    script, folder = tmp_path / "eager.py", tmp_path / "run"
    script.write_text(EAGER)
    command = (*ONE_PERIOD, f"--logdir={folder}")
    process = launch.Launched(*command, fresh=False, script=str(script))
    process.wrote(folder, "checkpoints/last/step-*.index")
    process.signal(signal.SIGKILL)
    process.ended()
    (kept,) = launch.kept_steps(folder)
    ended = fork(*command, "--steps=200")
    assert ended.code == 0 and ended.restarted_from == kept < 200, ended.err


def test_a_run_killed_before_its_first_checkpoint_says_that_it_starts_again(tmp_path):
    command = (*ONE_PERIOD, f"--logdir={tmp_path}")
    process = launch.Launched(*command, fresh=False)
    process.reported(1)
    process.signal(signal.SIGKILL)
    process.ended()
    assert not launch.kept_steps(tmp_path)
    ended = fork(*command, "--steps=2")
    assert ended.code == 0, ended.err
    assert f"there is no checkpoint in {tmp_path} yet: starting again" in ended.err
    assert events(tmp_path)["losses/d_loss"] == [1, 2]


# Two workers.


def launched(*folders, steps, options=((), ())):
    """A worker for each folder, on loopback: their processes."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in folders]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in probes]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    tasks = [{"type": "worker", "index": index} for index in range(len(folders))]
    return [
        launch.Launched(
            *(*SHORT, "--strategy=multi_worker", "--checkpoint_steps=5"),
            *(f"--steps={steps}", f"--logdir={folder}", *more),
            fresh=False,
            export=False,
            environment={"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})},
        )
        for folder, task, more in zip(folders, tasks, options, strict=True)
    ]


def workers(*folders, **options):
    """The same when they have ended."""
    return [process.ended() for process in launched(*folders, **options)]


@pytest.mark.parametrize("option", ["learning_rate", "report_steps"])
def test_workers_with_other_options_are_refused_before_their_first_step(option, tmp_path):
    given = [(f"--{option}=1",), (f"--{option}=2",)]
    for ended in workers(tmp_path / "run", tmp_path / "run", steps=4, options=given):
        assert ended.code == 1 and "Traceback" not in ended.err
        assert "the workers differ in their options or their data" in ended.errors[0]
    assert not launch.kept_steps(tmp_path / "run")


def test_two_workers_continue_a_run_of_one_device_with_several_steps_a_call(tmp_path):
    alike = ("--report_steps=2", "--jit_compile=false")
    several = (*alike, "--steps=2", "--steps_per_execution=2", f"--logdir={tmp_path}")
    ended = fork(*SHORT, *several)
    assert ended.code == 0, ended.err
    given = [alike] * 2
    for ended in workers(tmp_path, tmp_path, steps=6, options=given):
        assert ended.code == 0, ended.err
    assert launch.kept_steps(tmp_path)[-1] == 6


def test_two_workers_go_on_together_and_refuse_to_go_on_from_different_steps(tmp_path):
    shared, own = tmp_path / "shared", tmp_path / "own"
    for steps, before in ((2, 0), (4, 2)):
        for ended in workers(shared, shared, steps=steps):
            assert ended.code == 0, ended.err
            assert ended.restarted_from == before
            assert "WARNING" not in ended.err
        assert launch.kept_steps(shared)[-1] == steps
        summary = json.loads((shared / "summary.json").read_text())
        assert (summary["steps"], summary["replicas"]) == (steps, 2)
    for ended in workers(shared, own, steps=6):
        assert ended.code == 1 and "Traceback" not in ended.err
        assert "the workers resume from the steps 0, 4: use the same" in ended.errors[0]
    assert launch.kept_steps(shared)[-1] == 4 and not own.exists()


def test_a_killed_worker_ends_the_other_and_both_go_on_to_the_same_weights(tmp_path):
    straight, killed, kept = tmp_path / "straight", tmp_path / "killed", 0
    for lost in (1, 0):  # 0 leads the cluster and writes the folder
        pair = launched(killed, killed, steps=10**6)
        before = set(killed.glob("checkpoints/last/*.index"))
        pair[lost].wrote(killed, "checkpoints/last/step-*.index", before)
        pair[lost].signal(signal.SIGKILL)
        left = pair[1 - lost].ended()
        assert left.code == 1 and "Traceback" not in left.err
        assert left.restarted_from == kept
        assert left.err.splitlines()[-1] == (
            "error: another worker has stopped or does not answer: start all workers "
            "again, and the run continues from its last checkpoint"
        )
        kept = launch.kept_steps(killed)[-1]
    steps = kept + 3
    for folder, before in ((killed, kept), (straight, 0)):
        for ended in workers(folder, folder, steps=steps):
            assert ended.code == 0 and ended.restarted_from == before, ended.err
    assert_same(launch.tensors(killed), launch.tensors(straight))
