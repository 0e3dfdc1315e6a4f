"""The machine's side of a run: devices, precision, XLA, determinism."""

import contextlib
import json
import os
import statistics
import time

import keras
import tensorflow as tf
from absl import flags

from tfgan_papers.errors import UsageError, UserError

EXECUTION_SECONDS = 0.1  # of a call into the graph: short enough to interrupt at once

_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "one",
    ["one", "mirrored", "multi_worker"],
    "one device, all devices of this machine, or those of the machines in $TF_CONFIG.",
)
_JIT_COMPILE = flags.DEFINE_enum(
    "jit_compile",
    "auto",
    ["auto", "true", "false"],
    "Compile the step with XLA. auto times both ways on this network and machine and "
    "keeps the faster; the run folder remembers which.",
)
_MIXED_PRECISION = flags.DEFINE_enum(
    "mixed_precision",
    "float32",
    ["float32", "mixed_bfloat16"],
    "Precision of the networks' arithmetic; losses, scores and images stay float32.",
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "The same command gives the same weights, bit for bit (turns XLA off).",
)
_STEPS_PER_EXECUTION = flags.DEFINE_integer(
    "steps_per_execution",
    0,
    "Steps a call into the graph; one device only. 0 is as many as take "
    f"{EXECUTION_SECONDS} s by what --jit_compile=auto times, else 1.",
    lower_bound=0,
)
_CPU_DEVICES = flags.DEFINE_integer(
    "cpu_devices", 1, "Split the CPU into so many devices, to try mirrored.", lower_bound=1
)

TIMED_STEPS = 7  # of each way, by --jit_compile=auto


def start(seed: int) -> tf.distribute.Strategy:
    """Configure TensorFlow from the flags, before its first operation; the strategy."""
    keras.utils.set_random_seed(seed)
    if _DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()
        if _JIT_COMPILE.value == "true":
            raise UsageError("--deterministic and --jit_compile=true exclude each other")
    keras.config.set_dtype_policy(_MIXED_PRECISION.value)
    if _CPU_DEVICES.value > 1:
        device = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * _CPU_DEVICES.value
        tf.config.set_logical_device_configuration(device, parts)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if _STRATEGY.value == "multi_worker":
        return _multi_worker()
    if _STRATEGY.value == "mirrored":
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


def check(strategy: tf.distribute.Strategy, batch_size: int):
    """Refuse what the strategy cannot run.

    Raises:
        UsageError: the batch does not divide, or several steps a call on replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(
            f"--batch_size={batch_size} is not divisible by {replicas} replicas"
        )
    if replicas > 1 and _STEPS_PER_EXECUTION.value > 1:
        raise UsageError("--steps_per_execution works on one device only")


def check_standing(strategy: tf.distribute.Strategy, done: int):
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


def compile_options(strategy, model_of, batch_of, period):
    """How to compile: Keras' options, and one line that says why.

    Args:
        period: steps between two reports, which the steps a call must divide.
        model_of: jit_compile -> a fresh compiled model, for timing alone.
        batch_of: model -> what it takes in one step.
    """
    steps = _STEPS_PER_EXECUTION.value or 1
    chosen, why = _JIT_COMPILE.value == "true", "as --jit_compile says"
    if _JIT_COMPILE.value == "auto":
        if _DETERMINISTIC.value:
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
            if not _STEPS_PER_EXECUTION.value:
                steps = steps_a_call(min(plain, compiled), period)
    return {"steps_per_execution": steps, "jit_compile": chosen}, why


def steps_a_call(seconds: float, period: int) -> int:
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
