"""Devices, the choice of XLA by measurement, and errors before a run starts."""

import contextlib
import json
import re
import signal
import socket
import time
import urllib.request

import pytest
import tensorflow as tf

from tests import factories, launch
from tests.strategies import two_replicas
from tfgan_papers import optimizers
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan, gan_networks
from tfgan_papers.runs import callbacks, distribution, settings, tensorboard
from tfgan_papers.runs.distribution import MachineOptions
from tfgan_papers.runs.folder import RunFolder


class Sleeper:
    """Stands for a model whose step takes `seconds`, XLA or not."""

    jit_compile = False

    def __init__(self, seconds):
        self.seconds = seconds

    def train_step(self, batch):
        tf.numpy_function(lambda: time.sleep(self.seconds), [], [])
        return {"d_loss": tf.reduce_sum(batch)}


def test_auto_takes_the_faster_way_and_says_by_how_much(monkeypatch):
    seconds = {False: 0.03, True: 0.002}
    for faster in (True, False):
        seconds = {jit: seconds[not jit] for jit in seconds} if not faster else seconds
        steps = {jit: Sleeper(seconds[jit]) for jit in seconds}
        # XLA cannot compile a sleep; only the choice is under test here
        monkeypatch.setattr(tf, "function", lambda f, **options: f, raising=True)
        options, facts = distribution.compile_options(
            tf.distribute.get_strategy(),
            MachineOptions(),
            steps.__getitem__,
            lambda model: tf.zeros(3),
            period=9,
            total=distribution.TIMED_FROM,
        )
        assert options["jit_compile"] is faster
        assert options["steps_per_execution"] in (3, 9)  # divides 9, in 0.1 s
        why = facts["jit_compile_why"]
        plain, compiled = map(float, re.findall(r"([\d.]+) ms", why))
        assert facts["timed_ms_per_step"] == pytest.approx(min(plain, compiled), abs=0.1)
        assert plain == pytest.approx(1e3 * seconds[False], abs=10)
        assert compiled == pytest.approx(1e3 * seconds[True], abs=10)


@pytest.mark.parametrize(
    "ms, period, steps", [(9, 1000, 10), (9, 25, 5), (9, 7, 7), (40, 1000, 2), (300, 8, 1)]
)
def test_as_many_steps_a_call_as_take_a_tenth_of_a_second(ms, period, steps):
    assert distribution.steps_per_execution(ms / 1e3, period) == steps


def test_auto_measures_the_real_step_both_ways():
    def model_of(jit_compile):
        model = gan.GAN(*gan_networks.point_networks((2,), None, Draw(0)))
        rates = [optimizers.HeavyBall(0.1, 10) for _ in range(2)]
        model.compile(*rates, jit_compile=jit_compile)
        return model

    options, facts = distribution.compile_options(
        *(tf.distribute.get_strategy(), MachineOptions(), model_of),
        *(lambda model: tf.zeros((8, 2)), 7, distribution.TIMED_FROM),
    )
    assert options["steps_per_execution"] in (1, 7)
    plain, compiled = map(float, re.findall(r"([\d.]+) ms", facts["jit_compile_why"]))
    assert 0 < plain < 1e3 and 0 < compiled < 1e3
    assert plain == compiled or options["jit_compile"] is (compiled < plain)


def test_auto_is_off_when_deterministic():
    machine = MachineOptions(deterministic=True)
    options, facts = distribution.compile_options(
        tf.distribute.get_strategy(), machine, None, None, 7, 1000
    )
    assert options["jit_compile"] is False
    assert "deterministic" in facts["jit_compile_why"]
    assert options["steps_per_execution"] == 1  # nothing was timed


THREADS = """
import numpy, tensorflow as tf, threadpoolctl
from tfgan_papers.runs import distribution

machine = distribution.MachineOptions(threads=1, cpu_devices=2)
distribution.configure(machine)
tf.io.encode_png(tf.zeros((1, 1, 1), tf.uint8))  # as tensorflow-datasets does it
distribution.start(1, machine)
assert float(tf.reduce_sum(tf.ones(4))) == 4
print(tf.config.threading.get_intra_op_parallelism_threads())
print(tf.config.threading.get_inter_op_parallelism_threads())
numpy.ones((9, 9)) @ numpy.ones((9, 9))
of = {pool["user_api"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
print(of["blas"])
"""


def test_threads_are_those_of_tensorflow_and_of_numpy_and_stay_with_the_run(tmp_path):
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    ended = launch.fork(script=str(script))
    assert ended.out.split() == ["1", "1", "1"], ended.err
    folder = RunFolder(tmp_path)
    folder.write_text("flags.txt", settings.lines(factories.values("gan", threads=3), 1))
    stored = folder.stored_options()
    assert settings.resolve({"logdir": "run"}, stored).machine.threads == 3
    with pytest.raises(UsageError, match=r"--threads=2 \(there: 3\)"):
        settings.resolve({"logdir": "run", "threads": 2}, stored)


def test_a_batch_that_does_not_divide_is_refused():
    strategy = two_replicas()
    distribution.check(strategy, 100, 1)
    with pytest.raises(UsageError, match="101 is not divisible by 2 replicas"):
        distribution.check(strategy, 101, 1)


LOST = """Graph execution error:

Detected at node CollectiveReduceV2 defined at (most recent call last):

Collective ops is aborted by: Task /job:worker/replica:0/task:1 heartbeat timeout. This
indicates that the remote task has failed, got preempted, or crashed unexpectedly.
The error could be from a previous operation. Restart your program to reset.
"""  # as TensorFlow 2.21 says it


def test_a_lost_worker_is_one_line_and_other_errors_are_not_taken_for_it():
    said = distribution.describe_lost_worker(tf.errors.AbortedError(None, None, LOST))
    assert "start all workers again" in said and "\n" not in said
    other = tf.errors.InvalidArgumentError(None, None, "Graph execution error:")
    assert distribution.describe_lost_worker(other) == ""


def cluster(task, jobs):
    of_jobs = {job: ["localhost:1"] for job in jobs}
    return json.dumps({"cluster": of_jobs, "task": {"type": task, "index": 0}})


@pytest.mark.parametrize(
    "value",
    [
        *(None, "{", '{"cluster": {}}', '{"task": {"index": 9}}'),
        *(cluster(task, ("chief", "worker")) for task in ("chief", "worker")),
        cluster("worker", ("worker", "evaluator")),
    ],
)
def test_multi_worker_without_a_cluster_says_how_to_name_one(monkeypatch, value):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if value is not None:
        monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(UserError, match="needs TF_CONFIG in the environment"):
        distribution._multi_worker()


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_a_busy_tensorboard_port_is_one_clear_line(tmp_path):
    with socket.socket() as busy:
        busy.bind(("localhost", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            tensorboard.serve(tmp_path, port)


def test_tensorboard_shows_the_run_while_it_trains(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path / "tensorboard")).as_default(1):
        tf.summary.scalar("d_loss", 0.5)
    address = tensorboard.serve(tmp_path, free_port())
    for _ in range(120):
        try:
            tags = f"{address}/data/plugin/scalars/tags"
            shown = json.load(urllib.request.urlopen(tags, timeout=5))
            if shown:
                break
        except OSError:
            pass  # not up yet
        time.sleep(0.5)
    assert "d_loss" in shown["tensorboard"]


def test_a_ctrl_c_of_which_tensorflow_makes_another_error_is_one():
    usual = signal.getsignal(signal.SIGINT)
    for replaced in (None, ValueError):
        with pytest.raises(KeyboardInterrupt), callbacks.ended_by_ctrl_c():
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            if replaced:
                raise replaced
        assert signal.getsignal(signal.SIGINT) is usual
    with pytest.raises(ValueError), callbacks.ended_by_ctrl_c():
        raise ValueError


def test_a_timed_run_continues_on_two_devices():
    """Which take one step per call."""
    with launch.copy_of_trained() as folder:
        path = folder / "run.json"
        facts = json.loads(path.read_text())
        facts |= {"jit_compile_why": "measured 2.0 ms plain, 3.0 ms XLA"}
        path.write_text(json.dumps(facts | {"steps_per_execution": 5}))
        two = ("--strategy=mirrored", "--cpu_devices=2", f"--steps={launch.STEPS + 5}")
        ended = launch.fork(*launch.BASE, *two, f"--logdir={folder}", export=False)
        assert ended.code == 0, ended.err
        assert json.loads(path.read_text())["steps_per_execution"] == 1


def test_a_sheet_is_there_before_the_step_is_timed_and_a_stop_then_costs_nothing(tmp_path):
    command = ("--model=gan", "--steps=100", "--batch_size=20", f"--logdir={tmp_path}/run")
    process = launch.Launched(*command, fresh=False)
    process.wrote(tmp_path, "run/samples/step-000000000.png")
    process.signal(signal.SIGINT)
    ended = process.ended()
    assert ended.code == 130 and "Traceback" not in ended.err
    assert not (tmp_path / "run" / "run.json").exists()  # nothing but the sheet
    ended = launch.fork(*command, "--steps=2", export=False)
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["jit_compile"] is False
    assert facts["jit_compile_why"] == "fewer than 100 steps: not timed"
    latest, run_json = (tmp_path / "run" / n for n in ("samples/latest.png", "run.json"))
    written = latest.stat().st_mtime_ns
    process = launch.Launched(*command, fresh=False)  # now it is worth the time
    assert process.wait(lambda: "ms plain" in run_json.read_text())
    process.signal(signal.SIGKILL)
    process.ended()
    assert latest.stat().st_mtime_ns == written  # not drawn of new weights
