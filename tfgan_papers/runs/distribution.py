"""The machine of a run: devices, precision, XLA, determinism."""

import contextlib
import dataclasses
import hashlib
import json
import os
import statistics
import time

import keras
import tensorflow as tf
import threadpoolctl
from absl import logging

from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.options import Options, option

EXECUTION_SECONDS = 0.1  # per call of the graph, so that a signal is handled soon
TIMED_FROM = 100  # steps; a shorter run usually takes less time than the measurement
NOT_TIMED = f"fewer than {TIMED_FROM} steps: not timed"


@dataclasses.dataclass(frozen=True)
class MachineOptions(Options):
    """Devices, precision and compilation."""

    strategy: str = option(
        "one",
        "one device; mirrored over all devices of this machine; or multi_worker over the "
        "machines in $TF_CONFIG.",
        choices=("one", "mirrored", "multi_worker"),
    )
    jit_compile: str = option(
        "auto",
        "Compile the step with XLA. auto times both ways on this network and machine, uses "
        "the faster one and stores the choice in the run folder; a run of fewer than "
        f"{TIMED_FROM} steps is not timed and does without.",
        choices=("auto", "true", "false"),
    )
    mixed_precision: str = option(
        "float32",
        "Precision of the networks' arithmetic; losses, scores and images stay float32.",
        choices=("float32", "mixed_bfloat16"),
    )
    deterministic: bool = option(
        False, "Make the same command give the same weights, bit for bit; turns XLA off."
    )
    steps_per_execution: int = option(
        0,
        "Training steps per call of the graph, on one device only. 0: as many as take "
        f"{EXECUTION_SECONDS} s if --jit_compile=auto has timed the step, otherwise 1.",
        low=0,
    )
    cpu_devices: int = option(
        1, "Number of devices into which the CPU is split, for --strategy=mirrored.", low=1
    )
    sync_batch_norm: bool = option(
        False,
        "Batch normalization by the statistics of the global batch, where several replicas "
        "use those of their shares by default; turns XLA off on replicas.",
    )
    threads: int = option(
        0,
        "Threads of TensorFlow's and NumPy's operations on a CPU; 0 leaves the number to "
        "them. It may change the last bits of a sum, so training goes on with that with "
        "which it began.",
        low=0,
    )


TIMED_STEPS = 7  # for each way, with --jit_compile=auto


def grow_memory():
    """Makes TensorFlow take the memory of GPUs as it needs it."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def configure(machine: MachineOptions):
    """Sets TensorFlow's threads, devices and memory. It must be called before TensorFlow's
    first operation, and may be called again with the same options."""
    if machine.threads:
        tf.config.threading.set_intra_op_parallelism_threads(machine.threads)
        tf.config.threading.set_inter_op_parallelism_threads(machine.threads)
        threadpoolctl.threadpool_limits(machine.threads)
    if machine.cpu_devices > 1:
        device = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * machine.cpu_devices
        tf.config.set_logical_device_configuration(device, parts)
    grow_memory()


def start(seed: int, machine: MachineOptions) -> tf.distribute.Strategy:
    """Prepares TensorFlow for training, and returns the strategy.

    Raises:
        UsageError: the options contradict each other.
        UserError: TF_CONFIG is missing or invalid.
    """
    for name in ("deterministic", "sync_batch_norm"):
        if getattr(machine, name) and machine.jit_compile == "true":
            raise UsageError(
                f"--{name} and --jit_compile=true exclude each other: leave one out"
            )
    configure(machine)
    keras.utils.set_random_seed(seed)
    if machine.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(machine.mixed_precision)
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
        if jobs != {"worker"}:  # task 0 of each other job would be a chief too
            raise ValueError(f"its jobs are {', '.join(sorted(jobs))}")
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(
            "--strategy=multi_worker needs TF_CONFIG in the environment, with workers "
            "only: "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            '"index": 0}}'
        ) from error
    return tf.distribute.MultiWorkerMirroredStrategy()


def check(strategy: tf.distribute.Strategy, batch_size: int, steps_per_execution: int):
    """Checks that the strategy supports the batch size and the steps per execution.

    Raises:
        UsageError: the batch size is not divisible by the number of replicas, or there are
            several steps per execution on several replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(
            f"--batch_size={batch_size} is not divisible by {replicas} replicas: use a "
            "multiple"
        )
    if replicas > 1 and steps_per_execution > 1:
        raise UsageError(
            "--steps_per_execution works only on one device: leave it out on several"
        )


def check_alike(strategy: tf.distribute.Strategy, done: int, facts: object):
    """Checks that all workers of a cluster resume from the same step of the same run.

    Args:
        strategy: `tf.distribute.Strategy`.
        done: int, the step from which this worker resumes.
        facts: options and facts that are equal on all workers; their `repr` is compared.

    Raises:
        UserError: they do not.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return

    digest = int(hashlib.sha256(repr(facts).encode()).hexdigest()[:15], 16)

    def own():
        return tf.constant([[done, digest]], tf.int64)

    here = tf.function(lambda: strategy.run(own), autograph=False)()
    steps, digests = map(set, strategy.gather(here, axis=0).numpy().T.tolist())
    steps = sorted(steps)
    if len(steps) == 1 < len(digests):
        raise UserError(
            "the workers differ in their options or their data: start all of them with the "
            "same command and the same data"
        )
    if len(steps) > 1:
        raise UserError(
            f"the workers resume from the steps {', '.join(map(str, steps))}: use the same "
            "--logdir for all of them, on a disk that they share"
        )


def describe_lost_worker(error: Exception) -> str:
    """Says on one line that another worker has stopped; "" for any other error."""
    if "Collective ops is aborted" not in str(error):
        return ""
    return (
        "another worker has stopped or does not answer: start all workers again, and the "
        "run continues from its last checkpoint"
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run folder."""
    resolver = strategy.cluster_resolver
    return not (resolver and resolver.task_id)


def compile_options(strategy, machine, model_of, batch_of, period, total):
    """Decides how to compile the step.

    Args:
        strategy: `tf.distribute.Strategy`.
        machine: `MachineOptions`.
        model_of: function from jit_compile to a new compiled model, used only for timing.
        batch_of: function from the model to the data of one step.
        period: int, steps between reports, which the steps per execution must divide.
        total: int, steps of the run.

    Returns:
        (arguments of `compile`; entries of run.json: `jit_compile_why`, and
        `timed_ms_per_step` if the step was timed).
    """
    steps, timed = machine.steps_per_execution or 1, {}
    chosen, why = machine.jit_compile == "true", "set by --jit_compile"
    if machine.jit_compile == "auto":
        if machine.deterministic:
            why = "--deterministic excludes XLA"
        elif strategy.num_replicas_in_sync > 1 and machine.sync_batch_norm:
            why = "--sync_batch_norm exchanges statistics within the step"
        elif strategy.num_replicas_in_sync > 1:
            chosen = bool(tf.config.list_physical_devices("GPU"))
            why = "several replicas: XLA on GPUs only, not timed"
        elif total < TIMED_FROM:
            why = NOT_TIMED
        else:
            logging.info("timing a step without and with XLA: --jit_compile sets it")
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
    """Returns the number of steps that fit into EXECUTION_SECONDS and divide `period`.

    Args:
        seconds: float, the duration of a step.
        period: int, steps between reports.
    """
    fitting = min(period, int(EXECUTION_SECONDS / seconds))
    return max(n for n in range(1, max(1, fitting) + 1) if period % n == 0)


def _step_seconds(model_of, batch_of, jit_compile):
    """Median time of a training step of a new model."""
    model = model_of(jit_compile)
    batch = batch_of(model)
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)
    seconds = []
    for _ in range(1 + TIMED_STEPS):  # the first one compiles
        start = time.perf_counter()
        float(next(iter(step(batch).values())))  # waits for the step
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def distribute(strategy, stream):
    """Distributes batches of the global size over the replicas.

    Replica r of N gets the rows [r/N, (r+1)/N) of each batch. Unlike sharding by Keras,
    this makes several workers share one batch.
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
    """Enters `strategy.scope()` if there are several replicas."""
    with (
        strategy.scope() if strategy.num_replicas_in_sync > 1 else contextlib.nullcontext()
    ):
        yield
