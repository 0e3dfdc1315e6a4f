"""Descriptions of a run: lines at its start and end, run.json and summary.json."""

import secrets
import shlex
import sys
import time

import numpy as np
import tensorflow as tf

from tfgan_papers import data
from tfgan_papers.runs import records
from tfgan_papers.runs.callbacks import clock

try:
    import resource
except ImportError:  # Windows
    resource = None


def run_id(values) -> str:
    """Returns an id for a new run: model, data set, UTC, four random digits and seed.

    It has no "/", which Weights & Biases does not allow, and the names of some sets have.
    """
    now = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    chance = secrets.token_hex(2)  # runs of a study begin at the same time
    dataset = values.data.dataset.replace("/", "-")
    return f"{values.model}-{dataset}-{now}-{chance}-seed{values.training.seed}"


def manifest(run, model, step: int) -> dict:
    """Returns further entries for the export's manifest.json."""
    of = run.values.data
    facts = {
        "model": run.values.model,
        "run_id": run.facts["run_id"],
        "step": step,
        "command": run.facts.get("command"),
        "commit": run.facts.get("commit"),
        "data": {name: value for name, value in vars(of).items() if name != "data_dir"},
        "data_licence": data.LICENCES.get(of.dataset, "not recorded"),
    }
    if scores := scores_of(run, model.sampling_generator_name, step):
        facts["scores"] = scores
    if names := run.facts.get("class_names"):
        facts["class_names"] = names
    return {**facts, "versions": records.versions()}


def scores_of(run, generator: str, step: int) -> dict[str, float]:
    """Returns metric -> value of the run's scores of this generator at this step."""
    return {
        metric: entry["value"]
        for metric, entry in run.folder.scores(step, generator).items()
    }


def counted(n: int, noun: str) -> str:
    """A number and its noun, in the singular or the plural."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def opening(run, model, examples, strategy, done: int):
    """Yields lines that describe the model, the data, the machine and the duration."""
    values = run.values
    training, machine = values.training, values.machine
    form = "x".join(map(str, examples.shape))
    kind = "image" if len(examples.shape) == 3 else "point"
    labels = f", {examples.classes} classes" if examples.classes else ""
    network = f" --network={training.network}" if training.network else ""
    sizes = ", ".join(f"{net.name} {trainable(net):,} weights" for net in model.networks)
    yield (
        f"{values.model}{network} on {values.data.dataset}: "
        f"{counted(examples.size, kind)} of {form}{labels}"
    )
    yield sizes
    devices = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    replicas = strategy.num_replicas_in_sync
    compiled = "XLA" if run.facts["jit_compile"] else "no XLA"
    yield (
        f"{replicas} {devices}{'s' if replicas > 1 else ''}, {machine.mixed_precision}, "
        f"{compiled} ({run.facts['jit_compile_why']})"
    )
    left = training.steps - done
    measured = run.facts.get("measured", {}).get("ms_per_step")
    ms = measured or run.facts.get("timed_ms_per_step")
    takes = f", about {clock(left * ms / 1e3)}" if ms and left > 0 else ""
    since = f" from step {done:,}" if done else ""
    yield (
        f"{counted(max(0, left), 'step')}{since} with "
        f"{counted(training.batch_size, kind)} each{takes}; run folder {run.folder}"
    )


def closing(run, model):
    """Yields lines that name the results and the next commands."""
    folder = shlex.quote(str(run.folder))
    took = run.facts["measured"]["ms_per_step"] * model.steps_done / 1e3
    newest = max(run.folder.sheets(), default=None)
    yield f"{counted(model.steps_done, 'step')}, {clock(took)} of training"
    if newest is not None:
        yield f"newest sheet   {run.folder.sheets()[newest]}"
    yield f"watch          tensorboard --logdir={folder}"
    yield f"more samples   python main.py --mode=sample --logdir={folder}"
    export = shlex.quote(str(run.folder / "export"))
    server = "uvicorn --app-dir=examples serve_fastapi:app"
    yield f"serve          GENERATOR={export} {server}"


def trainable(network) -> int:
    """Returns the number of trainable weights, as in papers."""
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def measure(run, reporter, images_per_step: int):
    """Writes the speed and the scalars of the run to run.json.

    The times are those of the process that has timed the most steps.
    """
    measured = run.facts.setdefault("measured", {})
    if not measured or reporter.timed_steps > measured.get("timed_steps", 0):
        ms_per_step = reporter.ms_per_step()
        measured |= {
            "images_per_second": 1e3 * images_per_step / ms_per_step,
            "ms_per_step": ms_per_step,
            "timed_steps": reporter.timed_steps,
            "compile_seconds": reporter.compile_seconds(),
            "reporting_share": reporter.reporting_share(),
            "peak_memory_mb": peak_memory_mb(),
        }
    measured["scalars"] = reporter.scalars
    run.folder.write("run.json", run.facts)


def peak_memory_mb() -> float | None:
    """Returns the largest memory of this process so far, or None if the system does not
    count it."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def write(run, model, watch, strategy):
    """Writes summary.json."""
    training, machine = run.values.training, run.values.machine
    run.folder.write(
        "summary.json",
        {
            "run_id": run.facts["run_id"],
            "command": run.facts["command"],
            "last_command": records.command(),
            "model": run.values.model,
            "loss": training.loss,
            "dataset": run.values.data.dataset,
            "steps": model.steps_done,
            "batch_size": training.batch_size,
            "seed": training.seed,
            **run.facts["measured"],
            "parameters": {net.name: trainable(net) for net in model.networks},
            "generator": model.sampling_generator_name,
            "collapse": watch.summary(),
            "jit_compile": run.facts["jit_compile"],
            "jit_compile_why": run.facts["jit_compile_why"],
            "mixed_precision": machine.mixed_precision,
            "strategy": machine.strategy,
            "replicas": strategy.num_replicas_in_sync,
            "threads": machine.threads,
            "machine": records.machine(),
            "versions": records.versions(),
        },
    )
