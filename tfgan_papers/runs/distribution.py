"""The machine's side of a run: devices, precision, XLA, determinism."""

import contextlib
import dataclasses
import json
import os
import statistics
import time

import keras
import tensorflow as tf

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option

EXECUTION_SECONDS = 0.1  # of a call into the graph: short enough to interrupt at once


@dataclasses.dataclass(frozen=True)
class MachineOptions(Options):
    """Devices, precision and compilation."""

    strategy: str = option(
        "one",
        "one device, mirrored over all devices of this machine, or multi_worker over the "
        "machines in $TF_CONFIG.",
        choices=("one", "mirrored", "multi_worker"),
    )
    jit_compile: str = option(
        "auto",
        "Compile the step with XLA. auto times both ways on this network and machine and "
        "keeps the faster one; the run folder remembers which.",
        choices=("auto", "true", "false"),
    )
    mixed_precision: str = option(
        "float32",
        "Precision of the networks' arithmetic; losses, scores and images stay float32.",
        choices=("float32", "mixed_bfloat16"),
    )
    deterministic: bool = option(
        False, "The same command gives the same weights, bit for bit; turns XLA off."
    )
    steps_per_execution: int = option(
        0,
        "Training steps in one call of the graph, on one device only. 0 takes as many as "
        f"last {EXECUTION_SECONDS} s where --jit_compile=auto has timed them, else 1.",
        low=0,
    )
    cpu_devices: int = option(
        1, "Split the CPU into this number of devices, to try mirrored.", low=1
    )


TIMED_STEPS = 7  # of each way, by --jit_compile=auto


def start(seed: int, machine: MachineOptions) -> tf.distribute.Strategy:
    """Configure TensorFlow, before its first operation; the strategy."""
    if machine.deterministic and machine.jit_compile == "true":
        raise UsageError("--deterministic and --jit_compile=true exclude each other")
    keras.utils.set_random_seed(seed)
    if machine.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(machine.mixed_precision)
    if machine.cpu_devices > 1:
        device = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * machine.cpu_devices
        tf.config.set_logical_device_configuration(device, parts)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if machine.strategy == "multi_worker":
        return _multi_worker()
    if machine.strategy == "mirrored":
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        return tf.distribute.MirroredStrategy(
            [device.name for device in tf.config.list_logical_devices(kind)]
        )
    return tf.distribute.get_strategy()


def _multi_worker():
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        config["cluster"]["worker"][config["task"]["index"]]
        jobs = {*config["cluster"], config["task"]["type"]}
        if jobs != {"worker"}:  # of each job the task 0 would be the chief
            raise ValueError(f"its jobs are {', '.join(sorted(jobs))}")
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(
            "--strategy=multi_worker needs TF_CONFIG in the environment, of workers alone: "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            '"index": 0}}'
        ) from error
    return tf.distribute.MultiWorkerMirroredStrategy()


def check(strategy: tf.distribute.Strategy, batch_size: int, steps_per_execution: int):
    """Refuse what the strategy cannot run.

    Raises:
        UsageError: the batch does not divide, or several steps a call on replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(
            f"--batch_size={batch_size} is not divisible by {replicas} replicas"
        )
    if replicas > 1 and steps_per_execution > 1:
        raise UsageError("--steps_per_execution works on one device only")


def check_same_step(strategy: tf.distribute.Strategy, done: int):
    """
    Raises:
        UserError: the workers of a cluster would go on from different steps.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    here = tf.function(lambda: strategy.run(lambda: tf.constant([done], tf.int64)))()
    steps = sorted({*strategy.gather(here, axis=0).numpy().tolist()})
    if len(steps) > 1:
        raise UserError(
            f"the workers stand at the steps {', '.join(map(str, steps))}: give all of "
            "them one --logdir, on a disk that they share"
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes the run folder."""
    resolver = strategy.cluster_resolver
    return not (resolver and resolver.task_id)


def compile_options(strategy, machine, model_of, batch_of, period):
    """How to compile: Keras' options, and facts for run.json: `jit_compile_why`, and
    `timed_ms_per_step` where the step was timed.

    Args:
        period: steps between two reports, which the steps a call must divide.
        model_of: jit_compile -> a fresh compiled model, for timing alone.
        batch_of: model -> what it takes in one step.
    """
    steps, timed = machine.steps_per_execution or 1, {}
    chosen, why = machine.jit_compile == "true", "as --jit_compile says"
    if machine.jit_compile == "auto":
        if machine.deterministic:
            why = "--deterministic excludes XLA"
        elif strategy.num_replicas_in_sync > 1:
            chosen = bool(tf.config.list_physical_devices("GPU"))
            why = "several replicas: XLA on GPUs only, not timed"
        else:
            plain, compiled = (
                _step_seconds(model_of, batch_of, jit) for jit in (False, True)
            )
            chosen = compiled < plain
            why = f"measured {1e3 * plain:.1f} ms plain, {1e3 * compiled:.1f} ms XLA"
            timed = {"timed_ms_per_step": 1e3 * min(plain, compiled)}
            if not machine.steps_per_execution:
                steps = steps_per_execution(min(plain, compiled), period)
    options = {"steps_per_execution": steps, "jit_compile": chosen}
    return options, {"jit_compile_why": why, **timed}


def steps_per_execution(seconds: float, period: int) -> int:
    """How many steps of so many seconds fit into EXECUTION_SECONDS and divide `period`."""
    fitting = min(period, int(EXECUTION_SECONDS / seconds))
    return max(n for n in range(1, max(1, fitting) + 1) if period % n == 0)


def _step_seconds(model_of, batch_of, jit_compile):
    """Median time of a training step of a model made for the purpose."""
    model = model_of(jit_compile)
    batch = batch_of(model)
    step = tf.function(model.train_step, jit_compile=model.jit_compile)
    seconds = []
    for _ in range(1 + TIMED_STEPS):  # the first one compiles
        start = time.perf_counter()
        float(next(iter(step(batch).values())))  # waits for the step
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def distribute(strategy, stream):
    """`stream`, batches of the global size, as each replica's share of each batch.

    Replica r of N gets rows [r/N, (r+1)/N): sharding them here, not by Keras, is what
    makes two workers read one batch between them.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return stream

    def of_worker(context):
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def share(part):
            return tf.stack(tf.split(part, replicas)[first : first + local])

        def shares(*batch):  # images, or images and labels
            stacked = tf.nest.map_structure(share, batch)
            return tf.data.Dataset.from_tensor_slices(
                stacked if len(stacked) > 1 else stacked[0]
            )

        options = tf.data.Options()
        options.deterministic = True
        return stream.flat_map(shares).prefetch(local).with_options(options)

    return strategy.distribute_datasets_from_function(of_worker)


@contextlib.contextmanager
def scope(strategy):
    """`strategy.scope()`, except that one device needs none."""
    with (
        strategy.scope() if strategy.num_replicas_in_sync > 1 else contextlib.nullcontext()
    ):
        yield
