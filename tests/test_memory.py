"""Memory stays flat over a long run."""

import pathlib

import keras
import numpy as np
import pytest

from tfgan_papers.data import HeldExamples
from tfgan_papers.papers import gan

STATUS = pathlib.Path("/proc/self/statm")


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc to read resident memory")
def test_ten_thousand_steps_do_not_grow_the_process():
    networks = gan.point_networks((2,), None, gan.Draw(0))
    model = gan.GAN(*networks, simultaneous=True)
    model.compile(gan.HeavyBall(0.01, 100), gan.HeavyBall(0.01, 100), jit_compile=False)
    points = np.random.default_rng(0).normal(size=(4096, 2)).astype(np.float32)
    resident = []

    class Meter(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            resident.append(int(STATUS.read_text().split()[1]) * 4096 / 2**20)  # MiB

    stream = HeldExamples("points", points).stream(32, 0, "raw")
    model.fit(stream, steps_per_epoch=1000, epochs=11, verbose=0, callbacks=[Meter()])
    assert model.steps_done == 11_000
    # Ten thousand leaks of 1 KiB would be 10 MiB.
    assert resident[-1] - resident[0] < 8, resident
