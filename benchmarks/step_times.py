"""Compares training steps with eager PyTorch and with a matrix product on the same machine.

    python benchmarks/step_times.py gan_mnist [--rounds=20] [--seconds=0.5] [--record=FILE]
    python benchmarks/step_times.py gan_mnist --before=CHECKOUT [--record=FILE]
    python benchmarks/step_times.py gan_mnist --device=gpu [--record=FILE]
    python benchmarks/step_times.py     (writes the tables of the records into README.md)

Each contestant is a process that runs as long as the benchmark. In a round, each trains in
turn for about `seconds` while the others wait, so that other load on the machine affects
all of them equally. Ratios are computed within a round. The table has their medians, with
quartiles in brackets. The benchmark also measures the processor time that goes to other
processes or to the host in each round: it runs twice `rounds` and keeps the half with the
least. It needs the extra `bench`.

- `plain`, `XLA`: `fit` as a user calls it, input included.
- `one batch`: `plain` on one repeated batch, which shows the share of the input. Only for
  short steps.
- `PyTorch`: the same networks and losses in an eager two-pass step (pytorch_steps.py).
  Only on the processor.
- `plain before`, `XLA before`: the same of another version, with --before, which names its
  checkout. They take the place of PyTorch and `one batch`.
- GEMM: a 2048 x 2048 `tf.matmul` in the precision of the step, in the same process and
  round. The arithmetic of a step counts only its matrix products and convolutions, with two
  operations per multiply-add.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from timed_settings import SETTINGS, layer_counts

HERE = pathlib.Path(__file__)
BURST = 20  # steps that are timed together
SHORT_BURSTS = {"lsgan_dcgan64": 4, "began32": 4, "began64": 4}  # long steps
ENVIRONMENT = {  # of the contestants on a device; those on a GPU share its memory
    "cpu": {"CUDA_VISIBLE_DEVICES": "-1"},
    "gpu": {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
}
SHORT_BURSTS |= dict.fromkeys(
    ("improved_gan_cifar10", "gan_cifar10", "gan_cifar10_convolutional", "gan_tfd"), 2
)


# The contestants: each answers every line on its standard input with a number.


def serve(commands):
    """Answers each input line with `commands[line]()` until the input ends."""
    for line in sys.stdin:
        print("answer", commands[line.strip()](), flush=True)


def ours(name, kind, precision):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    from tfgan_papers.runs import distribution

    keras.config.set_dtype_policy(precision)
    setting, burst = SETTINGS[name](), SHORT_BURSTS.get(name, BURST)
    model = setting.model(kind == "XLA")
    dtype = keras.config.dtype_policy().compute_dtype
    matrix = tf.cast(tf.random.normal((2048, 2048)), dtype)
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[:1]))
    counts = [layer_counts(n) for n in (model.generator, model.discriminator)]
    gflop = 2 * setting.batch_size * setting.multiply_adds(*counts) / 1e9

    def gemm():
        seconds = []
        for _ in range(6):
            begin = time.perf_counter()
            float(multiply())
            seconds.append(time.perf_counter() - begin)
        return 2 * 2048**3 / statistics.median(seconds[1:]) / 1e9

    class Served(keras.callbacks.Callback):
        """Waits for the line `step` before an epoch, and answers with its time per step."""

        def on_epoch_begin(self, epoch, logs=None):
            for line in sys.stdin:
                if line.strip() == "step":
                    self.begin = time.perf_counter()
                    return
                print("answer", {"gemm": gemm, "gflop": lambda: gflop}[line.strip()]())
                sys.stdout.flush()
            sys.exit()

        def on_epoch_end(self, epoch, logs=None):
            print("answer", (time.perf_counter() - self.begin) / burst, flush=True)

    stream = setting.stream()
    if kind == "one batch":
        stream = stream.take(1).cache().repeat()
    for steps in (2, burst):  # the first call compiles, the second is timed
        begin = time.perf_counter()
        model.fit(stream, steps_per_epoch=steps, verbose=0)
    seconds = (time.perf_counter() - begin) / burst
    model.steps_per_execution = distribution.steps_per_execution(
        seconds, burst
    )  # as the command line
    model.make_train_function(force=True)
    model.fit(stream, steps_per_epoch=burst, epochs=10**9, verbose=0, callbacks=[Served()])


def pytorch(name, precision):
    import pytorch_steps

    step, burst = getattr(pytorch_steps, name)(), SHORT_BURSTS.get(name, BURST)

    def steps():
        begin = time.perf_counter()
        for _ in range(burst):
            step()
        return (time.perf_counter() - begin) / burst

    serve({"step": steps})


class Contestant:
    """A process that runs training steps on request."""

    def __init__(self, name, kind, precision, checkout, device):
        options = [name, "--serve", kind, "--precision", precision]
        script = checkout / "benchmarks" / HERE.name
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, str(script), *options],
            env={**os.environ, "PYTHONPATH": str(checkout), **ENVIRONMENT[device]},
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        import psutil  # from the extra `bench`, which the tables do not need

        self.cpu_times = psutil.cpu_times
        self.bursts, self.usage = 1, psutil.Process(self.process.pid)

    def ask(self, question):
        """Sends a line and returns the number in the answer."""
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                return float(line.split()[1])
        sys.exit(f"a contestant ended: {' '.join(self.process.args)}")

    def step(self):
        """(seconds per step over `bursts` bursts, others' share of the processor time)."""
        before, own_before = self.cpu_times(), self.usage.cpu_times()
        seconds = statistics.median(self.ask("step") for _ in range(self.bursts))
        spent = [b - a for a, b in zip(before, self.cpu_times(), strict=True)]
        spent = dict(zip(before._fields, spent, strict=True))
        own = sum(self.usage.cpu_times()[:2]) - sum(own_before[:2])
        idle, every = spent["idle"] + spent.get("iowait", 0), sum(spent.values())
        return seconds, (every - idle - own) / every


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", choices=SETTINGS, nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", choices=ENVIRONMENT, default="cpu")
    parser.add_argument("--record", help="write the table's numbers to this JSON file")
    parser.add_argument("--before", type=pathlib.Path, help="checkout to compare with")
    parser.add_argument("--serve", choices=["plain", "one batch", "XLA", "PyTorch"])
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: quartiles need two or more")
    if options.setting is None:
        readme = HERE.with_name("README.md")
        readme.write_text(with_tables(readme.read_text(), readme.parent))
        return
    if options.serve == "PyTorch":
        return pytorch(options.setting, options.precision)
    if options.serve:
        return ours(options.setting, options.serve, options.precision)
    where = machine() if options.device == "cpu" else f"{gpu()}, {machine()}"
    kinds = {kind: (kind, HERE.parents[1]) for kind in ("plain", "XLA")}
    if options.before:
        kinds |= {f"{kind} before": (kind, options.before.resolve()) for kind in kinds}
    else:
        if options.setting not in SHORT_BURSTS:
            kinds["one batch"] = ("one batch", HERE.parents[1])
        theirs = f"def {options.setting}():"
        compared = theirs in HERE.with_name("pytorch_steps.py").read_text()
        if compared and options.device == "cpu":
            kinds["PyTorch"] = ("PyTorch", HERE.parents[1])
    check_extra("psutil", *(["torch"] if "PyTorch" in kinds else []))
    contestants = {
        name: Contestant(options.setting, kind, options.precision, checkout, options.device)
        for name, (kind, checkout) in kinds.items()
    }
    for contestant in contestants.values():
        contestant.ask("step")  # compiles
        seconds = SHORT_BURSTS.get(options.setting, BURST) * contestant.ask("step")
        contestant.bursts = max(1, round(options.seconds / seconds))
    gflop = contestants["plain"].ask("gflop")
    rounds = []
    for _ in range(2 * options.rounds):
        turns = {kind: contestant.step() for kind, contestant in contestants.items()}
        times = {kind: seconds for kind, (seconds, _) in turns.items()}
        times["GEMM"] = contestants["plain"].ask("gemm")
        times["others' share"] = max(share for _, share in turns.values())
        rounds.append(times)
    rounds = sorted(rounds, key=lambda r: r["others' share"])[: options.rounds]
    for contestant in contestants.values():
        contestant.process.stdin.close()
    content = {
        "command": f"python benchmarks/step_times.py {options.setting} "
        f"--rounds={options.rounds} --precision={options.precision}"
        + (" --device=gpu" if options.device == "gpu" else "")
        + (" --before=CHECKOUT" if options.before else ""),
        "setting": options.setting,
        "precision": options.precision,
        "machine": where,
        "device": options.device,
        "date": time.strftime("%Y-%m-%d"),
        "gflop_per_step": gflop,
        **({"before": _commit(options.before)} if options.before else {}),
        "rounds": rounds,
    }
    if options.record:
        with open(options.record, "w") as file:
            json.dump(content, file, indent=1)
    print(table(content))


def table(content):
    """A record as Markdown: one row per contestant, and one line on the machine."""

    def spread(values, form):
        low, middle, high = statistics.quantiles(values, n=4)
        return f"{middle:{form}} [{low:{form}}, {high:{form}}]"

    rounds, gflop = content["rounds"], content["gflop_per_step"]
    lines = [
        f"**`{content['setting']}`**, {content['precision']}, {gflop:.2f} GFLOP a step, "
        f"{len(rounds)} rounds; {content['machine']}; {content['date']}"
        + (f"; before: {content['before']}" if "before" in content else ""),
        "",
        "| step | ms | times as fast as PyTorch | share of the GEMM rate |",
        "|---|---|---|---|",
    ]
    names = ("plain", "plain before", "XLA", "XLA before", "PyTorch")
    kinds = [kind for kind in names if kind in rounds[0]]
    for kind in kinds:
        ms = spread([1e3 * r[kind] for r in rounds], ".1f")
        share = spread([gflop / r[kind] / r["GEMM"] for r in rounds], ".0%")
        ratio = "-"
        if "PyTorch" in kinds:
            ratio = spread([r["PyTorch"] / r[kind] for r in rounds], ".2f")
        lines.append(f"| {kind} | {ms} | {ratio} | {'-' if kind == 'PyTorch' else share} |")
    others = statistics.median(r["others' share"] for r in rounds)
    fed = ""
    if "one batch" in rounds[0]:
        share = spread([1 - r["one batch"] / r["plain"] for r in rounds], ".1%")
        fed = f"input {share} of the plain step; "
    for kind in ("plain", "XLA"):
        if f"{kind} before" in rounds[0]:
            ratio = spread([r[kind] / r[f"{kind} before"] for r in rounds], ".3f")
            fed += f"{kind} / {kind} before {ratio}; "
    lines += [
        "",
        f"{fed}XLA / plain {spread([r['XLA'] / r['plain'] for r in rounds], '.2f')}; GEMM "
        f"{spread([r['GEMM'] for r in rounds], '.0f')} GFLOP/s; {others:.0%} of the "
        "processor time went to others.",
        "",
    ]
    return "\n".join(lines)


def with_tables(readme, folder):
    """The text of README.md with the tables of all records between the two marks."""
    before, rest = readme.split("<!-- tables -->\n")
    _, after = rest.split("<!-- /tables -->\n")
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    tables = [table(record) + "\n" for record in records if "setting" in record]
    return f"{before}<!-- tables -->\n{''.join(tables)}<!-- /tables -->\n{after}"


def _commit(checkout):
    """The commit of a checkout."""
    git = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def machine():
    from tfgan_papers.runs import records

    return records.machine()


def check_extra(*modules):
    """Without one of the modules, ends the benchmark with one line."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            sys.exit(f"error: {module} is not installed: pip install -e '.[bench]'")


def gpu():
    """The name of the first GPU. Without one, ends the benchmark with one line."""
    from tfgan_papers import quiet

    with quiet.native_stderr():
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
    if not found:
        sys.exit(
            "error: TensorFlow finds no GPU on this machine: install its driver and "
            "pip install -e '.[gpu]', or leave out --device=gpu"
        )
    details = tf.config.experimental.get_device_details(found[0])
    return details.get("device_name", "unknown GPU")


if __name__ == "__main__":
    main()
