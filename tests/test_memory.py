"""Memory stays constant over a long run."""

import pathlib

import keras
import numpy as np
import pytest

from tfgan_papers import optimizers
from tfgan_papers.data import HeldExamples
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import began, gan, gan_networks

STATUS = pathlib.Path("/proc/self/statm")
pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="needs /proc to read resident memory"
)


def resident(model, stream, steps, epochs):
    """MiB after each epoch of so many steps."""
    found = []

    class Meter(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(int(STATUS.read_text().split()[1]) * 4096 / 2**20)

    model.fit(stream, steps_per_epoch=steps, epochs=epochs, verbose=0, callbacks=[Meter()])
    assert model.steps_done == steps * epochs
    return found


def test_ten_thousand_steps_do_not_grow_the_process():
    networks = gan_networks.point_networks((2,), None, Draw(0))
    model = gan.GAN(*networks, simultaneous=True)
    model.compile(
        optimizers.HeavyBall(0.01, 100), optimizers.HeavyBall(0.01, 100), jit_compile=False
    )
    points = np.random.default_rng(0).normal(size=(4096, 2)).astype(np.float32)
    stream = HeldExamples("points", points).stream(32, 0, "raw")
    found = resident(model, stream, 1000, 11)
    # Ten thousand leaks of 1 KiB would be 10 MiB.
    assert found[-1] - found[0] < 8, found


def test_images_of_64_pixels_do_not_grow_the_process():
    style = began.NETWORKS["authors"]._replace(width=2)
    model = began.BEGAN(*began.networks((64, 64, 3), style, Draw(0), 4, 4))
    model.compile(*(keras.optimizers.Adam(1e-4) for _ in range(2)), jit_compile=False)
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
    stream = HeldExamples("images", images).stream(4, 0, "symmetric")
    found = resident(model, stream, 50, 6)
    # A leak of one image a step, 48 KiB, would be 12 MiB.
    assert found[-1] - found[0] < 8, found
