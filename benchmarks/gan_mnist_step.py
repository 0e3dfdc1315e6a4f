"""The GAN-MNIST training step against plain PyTorch, and against the machine's own GEMM.

    python benchmarks/gan_mnist_step.py [--rounds=5] [--steps=60]

Each contestant runs in a process of its own, in turn, `rounds` times; the table has the
median step and the ratios within a round. Needs `pip install torch` (extra `bench`) for
the PyTorch row. Nothing else should run on the machine meanwhile.

- `ours plain`, `ours XLA`: `GAN.fit` as a user gets it, input included: mnist.yaml, the
  simultaneous update (--fidelity=code), batch 100, float32.
- `pytorch`: the same networks, losses, dropout and momentum as a user would write them in
  eager PyTorch: fakes made and judged twice, once for each network's update.
- GEMM: 2048 x 2048 float32 `tf.matmul`, timed in our process beside the step. The step's
  arithmetic counts its matrix products alone, at two operations a multiply-add.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BATCH = 100
G_LAYERS = [(100, 1200), (1200, 1200), (1200, 784)]
D_LAYERS = [(784, 1200), (240, 1200), (240, 1)]


def step_gflop():
    """Matrix products of one simultaneous step, 10^9 operations."""

    def products(layers, passes):
        return sum(passes * inputs * outputs for inputs, outputs in layers)

    multiply_adds = (
        products(G_LAYERS, 2)  # forward, weight gradients
        + products(G_LAYERS[1:], 1)  # gradients to the layer below
        + 2 * products(D_LAYERS, 2)  # the same on data and on fakes
        + 2 * products(D_LAYERS[1:], 1)
        + products(D_LAYERS, 1)  # G's loss through D, down to the fakes
    )
    return 2 * BATCH * multiply_adds / 1e9


def ours(steps, jit_compile):
    """Milliseconds a step of `fit`, and the GEMM rate beside it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    import tensorflow as tf

    from tfgan_papers.data import HeldExamples
    from tfgan_papers.papers import gan

    matrix = tf.random.normal((2048, 2048))
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)[:1]))
    gemm = 2 * 2048**3 / median_seconds(lambda: float(multiply()), 20) / 1e9
    draw = np.random.default_rng(0)
    examples = HeldExamples("noise", draw.integers(0, 256, (50_000, 28, 28, 1), np.uint8))
    mean = np.full(784, 0.5)
    model = gan.GAN(
        *gan.mnist_networks((28, 28, 1), mean, gan.Draw(0)),
        simultaneous=True,
        prior="uniform_sqrt3",
    )
    rates = [gan.HeavyBall(0.1, 500) for _ in range(2)]
    model.compile(*rates, jit_compile=jit_compile)
    periods = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            periods.append((time.perf_counter() - self.begin) / 10)

    stream = examples.stream(BATCH, 0, "unit")
    model.fit(
        stream, steps_per_epoch=10, epochs=1 + steps // 10, verbose=0, callbacks=[Clock()]
    )
    return {"ms": 1e3 * statistics.median(periods[1:]), "gemm": gemm}


def pytorch(steps):
    """Milliseconds a step in eager PyTorch."""
    import torch
    from torch import nn
    from torch.nn.functional import softplus

    class Maxout(nn.Module):
        def __init__(self, inputs, units, pieces):
            super().__init__()
            self.linear, self.shape = nn.Linear(inputs, units * pieces), (-1, units, pieces)

        def forward(self, x):
            return self.linear(x).view(self.shape).amax(-1)

    torch.set_num_threads(os.cpu_count())
    generator = nn.Sequential(
        nn.Linear(100, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(),
        nn.Linear(1200, 784), nn.Sigmoid(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Dropout(0.2), Maxout(784, 240, 5), nn.Dropout(0.5), Maxout(240, 240, 5),
        nn.Dropout(0.5), nn.Linear(240, 1),
    )  # fmt: skip
    optimizers = [
        torch.optim.SGD(network.parameters(), 0.1, momentum=0.5)
        for network in (generator, discriminator)
    ]
    images = torch.rand(50_000, 784)

    def latents():
        return (torch.rand(BATCH, 100) * 2 - 1) * 3**0.5

    def step():
        real = images[torch.randint(0, len(images), (BATCH,))]
        with torch.no_grad():
            fake = generator(latents())
        d_loss = (
            softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
        )
        optimizers[1].zero_grad(set_to_none=True)
        (d_loss / 2).backward()
        optimizers[1].step()
        g_loss = softplus(-discriminator(generator(latents()))).mean()
        optimizers[0].zero_grad(set_to_none=True)
        g_loss.backward()
        optimizers[0].step()

    return {"ms": 1e3 * median_seconds(step, steps)}


def median_seconds(call, times):
    seconds = []
    for _ in range(times + 5):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[5:])


CONTESTANTS = {
    "ours plain": lambda steps: ours(steps, False),
    "ours XLA": lambda steps: ours(steps, True),
    "pytorch": pytorch,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only", choices=CONTESTANTS, help="run one, print its JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(CONTESTANTS[options.only](options.steps)))
        return
    rounds = []
    for _ in range(options.rounds):
        rounds.append({})
        for name in CONTESTANTS:
            command = [
                sys.executable,
                __file__,
                "--only",
                name,
                "--steps",
                str(options.steps),
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rounds[-1][name] = json.loads(done.stdout.splitlines()[-1])
    for line in table(rounds):
        print(line)


def table(rounds):
    """Markdown rows: median step, times as fast as PyTorch, share of the GEMM rate."""
    gflop = step_gflop()
    yield f"Arithmetic of a step: {gflop:.2f} GFLOP; {len(rounds)} rounds."
    yield ""
    yield "| step | ms (median) | times as fast as PyTorch | share of the GEMM rate |"
    yield "|---|---|---|---|"
    for name in CONTESTANTS:
        ms = statistics.median(r[name]["ms"] for r in rounds)
        ratio = statistics.median(r["pytorch"]["ms"] / r[name]["ms"] for r in rounds)
        shares = [
            gflop / r[name]["ms"] * 1e3 / r[name]["gemm"]
            for r in rounds
            if "gemm" in r[name]
        ]
        share = f"{statistics.median(shares):.0%}" if shares else "-"
        yield f"| {name} | {ms:.1f} | {ratio:.2f} | {share} |"
    rates = [r[n]["gemm"] for r in rounds for n in r if "gemm" in r[n]]
    yield ""
    yield f"GEMM rate: {statistics.median(rates):.0f} GFLOP/s (median of {len(rates)})."


if __name__ == "__main__":
    main()
