"""Times training steps of one process, and of two that share a batch twice as large.

    python benchmarks/weak_scaling.py [gan_mnist ...] [--record=FILE]

Each process is pinned to a core and has the batch of a setting of timed_settings.py. They
train in turns: one alone; two apart, which share nothing but the machine; and two together,
as workers of --strategy=multi_worker. These also sum as many float32 numbers as the
networks have trainable weights, without a step.
"""

import argparse
import functools
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

import step_times
import timed_settings

SETTINGS = ("gan_mnist", "began32", "lsgan_dcgan64")
KINDS = ("alone", "apart", "together", "all-reduce")


def serve(name):
    """Answers with the seconds of a step, or of an all-reduce."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from tfgan_papers.runs import distribution

    kind = "multi_worker" if "TF_CONFIG" in os.environ else "one"
    strategy = distribution.start(1, distribution.MachineOptions(strategy=kind, threads=1))
    setting, replicas = timed_settings.SETTINGS[name](), strategy.num_replicas_in_sync
    with distribution.scope(strategy):
        model = setting.model(False)
    batch = setting.stream().take(1).map(lambda images: tf.concat([images] * replicas, 0))
    batches = iter(distribution.distribute(strategy, batch.cache().repeat()))
    train = tf.function(lambda x: strategy.run(model.train_step, (x,)), autograph=False)
    numbers = [tf.ones(w.shape) for n in model.networks for w in n.trainable_weights]

    def summed():
        return tf.distribute.get_replica_context().all_reduce("SUM", numbers)

    reduce = tf.function(lambda: strategy.run(summed), autograph=False)
    burst = step_times.SHORT_BURSTS.get(name, step_times.BURST)

    def timed(call):
        begin = time.perf_counter()
        for _ in range(burst):  # on a CPU, a call returns after its last operation
            call()
        return (time.perf_counter() - begin) / burst

    step = functools.partial(timed, lambda: train(next(batches)))
    step_times.serve({"step": step, "all-reduce": lambda: timed(reduce)})


def start(name, count, together=False):
    """Starts a process on each of the first `count` cores."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ["{}:{}".format(*port.getsockname()) for port in ports]
    for port in ports:
        port.close()
    processes, pipe = [], subprocess.PIPE
    for core in range(count):
        command = ["taskset", "-c", str(core), sys.executable, __file__, name, "--serve"]
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": core}}
        environment = {"TF_CONFIG": json.dumps(task)} if together else {}
        options = {"env": {**os.environ, **environment}, "stderr": subprocess.DEVNULL}
        options |= {"stdin": pipe, "stdout": pipe, "text": True}
        processes.append(subprocess.Popen(command, **options))
    return processes


def ask(processes, question):
    """Returns the mean answer of processes, which work on it at the same time."""
    for process in processes:
        print(question, file=process.stdin, flush=True)
    lines = [next((x for x in p.stdout if x.startswith("answer ")), "") for p in processes]
    if "" in lines:
        sys.exit(f"a process ended: {' '.join(processes[lines.index('')].args)}")
    return statistics.mean(float(line.split()[1]) for line in lines)


def measured(name, count):
    """Returns the seconds of all kinds in each of `count` rounds."""
    one, two, workers = start(name, 1), start(name, 2), start(name, 2, together=True)
    turns = ((one, "step"), (two, "step"), (workers, "step"), (workers, "all-reduce"))
    rounds = [[ask(*turn) for turn in turns] for _ in range(1 + count)]
    for process in (*one, *two, *workers):
        process.stdin.close()
    return [dict(zip(KINDS, each, strict=True)) for each in rounds[1:]]  # 0 compiles


def table(record):
    """Returns the medians as Markdown. The ratios are of times in the same round."""
    lines = [f"| setting | {' | '.join(KINDS)} | alone / together |", "|---" * 6 + "|"]
    for name, rounds in record["settings"].items():
        ms = [f"{1e3 * statistics.median(r[k] for r in rounds):.1f} ms" for k in KINDS]
        share = statistics.median(r["alone"] / r["together"] for r in rounds)
        lines.append(f"| `{name}` | {' | '.join(ms)} | {share:.0%} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=SETTINGS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--record", help="write the numbers to this JSON file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*options.settings)
    record = {"machine": step_times.machine(), "date": time.strftime("%Y-%m-%d")}
    record["settings"] = {n: measured(n, options.rounds) for n in options.settings}
    if options.record:
        pathlib.Path(options.record).write_text(json.dumps(record, indent=1))
    print(table(record))


if __name__ == "__main__":
    main()
