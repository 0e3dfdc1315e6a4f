"""N replicas compute the same as one, on two logical CPU devices and in two processes."""

import functools
import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories, launch
from tests.strategies import two_replicas
from tfgan_papers import layers, noise
from tfgan_papers.models import adversarial, surgery
from tfgan_papers.papers.dcgan import DCGAN
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.lsgan import LSGAN
from tfgan_papers.runs import distribution

STEPS, BATCH, SHAPE, LATENT = 5, 12, (4, 4, 1), 6


def networks(dropout):
    """Small G and D; the weights are functions of fixed seeds."""

    def dense(units, seed, activation=None):
        initializer = keras.initializers.RandomNormal(stddev=0.4, seed=seed)
        return keras.layers.Dense(units, activation, kernel_initializer=initializer)

    z = keras.Input((LATENT,))
    fake = keras.layers.Reshape(SHAPE)(dense(16, 2, "sigmoid")(dense(9, 1, "relu")(z)))
    x = keras.Input(SHAPE)
    hidden = dense(10, 3, "tanh")(keras.layers.Flatten()(x))
    hidden = layers.Dropout(dropout)(hidden)
    return keras.Model(z, fake), keras.Model(x, dense(1, 4)(hidden))


def data():
    return np.random.default_rng(0).random((STEPS * BATCH, *SHAPE), np.float32)


@functools.cache  # tests look, none trains on
def trained(strategy, dropout=0.0, jit_compile=False, cls=GAN, rate=0.5, **kwargs):
    """All weights after `STEPS` steps of SGD on the same global batches."""
    with distribution.scope(strategy):
        model = cls(*networks(dropout), prior="normal", seed=3, **kwargs)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.5),
            keras.optimizers.SGD(rate, momentum=0.5),
            jit_compile=jit_compile,
        )
    stream = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH, drop_remainder=True)
    dataset = distribution.distribute(strategy, stream.repeat())
    history = model.fit(dataset, steps_per_epoch=STEPS, verbose=0)
    return model, history.history


def largest_difference(a, b):
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return max(np.abs(x - y).max() for x, y in pairs)


MODES = [
    {"simultaneous": True},
    {"k": 2},
    {"loss": "minimax"},
    {"cls": LSGAN, "rate": 0.1},  # least squares diverges at .5, and roundings with it
    {"cls": LSGAN, "rate": 0.1, "simultaneous": True},
    {"cls": DCGAN, "weight_decay": 0.01},
    {"cls": DCGAN, "rate": 0.1, "port": True, "loss": "least_squares"},
]


@pytest.mark.parametrize("options", MODES, ids=str)
def test_two_mirrored_replicas_give_the_weights_of_one(options):
    one, history_one = trained(tf.distribute.get_strategy(), **options)
    both, history_two = trained(two_replicas(), **options)
    start = GAN(*networks(0.0))
    assert largest_difference(start, one) > 0.01  # it did move
    assert largest_difference(one, both) < 1e-6
    for name, values in history_one.items():
        np.testing.assert_allclose(values, history_two[name], atol=1e-6)


def test_two_mirrored_replicas_give_the_weights_of_one_with_dropout():
    one, _ = trained(tf.distribute.get_strategy(), dropout=0.5, simultaneous=True)
    both, _ = trained(two_replicas(), dropout=0.5, simultaneous=True)
    without, _ = trained(two_replicas(), simultaneous=True)
    assert largest_difference(one, both) < 1e-6
    assert largest_difference(both, without) > 1e-3  # the masks did something


@pytest.mark.parametrize("cls", [GAN, LSGAN], ids=lambda cls: cls.__name__)
def test_xla_on_two_replicas_changes_no_more_than_rounding(cls):
    options = {"dropout": 0.5, "cls": cls, "rate": 0.1}
    plain, _ = trained(two_replicas(), **options)
    compiled, _ = trained(two_replicas(), **options, jit_compile=True)
    assert largest_difference(plain, compiled) < 1e-5


class Unscaled(GAN):
    """The mistake that Keras invites: each replica's own mean, summed."""

    def apply_gradients(self, network, gradients):
        self.replicas, replicas = 1, self.replicas
        super().apply_gradients(network, gradients)
        self.replicas = replicas


class Unfolded(GAN):
    """The other one: every replica draws the same noise."""

    def start_step(self, data):
        images, _, stream = super().start_step(data)
        return images, None, noise.Stream(stream.base, 0)


@pytest.mark.parametrize("mistake", [Unscaled, Unfolded])
def test_a_kernel_without_scaling_or_replica_is_found_out(mistake):
    one, _ = trained(tf.distribute.get_strategy(), simultaneous=True)
    both, _ = trained(two_replicas(), simultaneous=True, cls=mistake)
    assert largest_difference(one, both) > 1e-4


class NoiseProbe(adversarial.AdversarialModel):
    """Reports what each replica draws."""

    scalars = ("d_loss",)

    def train_step(self, data):
        images, _, stream = self.start_step(data)

        def draw(images):
            kept = self.discriminator.layers[-1](tf.ones_like(images), training=True)
            return self.prior(images), kept

        z, kept = self.run_compiled(draw, stream, images)
        self.report(d_loss=tf.reduce_mean(z))
        return z, kept


def test_latents_and_masks_differ_between_replicas_and_are_the_rows_of_one_draw():
    def probe(strategy):
        with distribution.scope(strategy):
            x = keras.Input(SHAPE)
            discriminator = keras.Model(x, layers.Dropout(0.5)(x))
            model = NoiseProbe(networks(0.0)[0], discriminator, seed=5)
            model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
        batch = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
        step = next(iter(distribution.distribute(strategy, batch)))
        drawn = tf.function(lambda x: strategy.run(model.train_step, (x,)))(step)
        return [strategy.experimental_local_results(part) for part in drawn]

    (z_all,), (kept_all,) = probe(tf.distribute.get_strategy())
    z, kept = probe(two_replicas())
    assert not np.array_equal(z[0], z[1])
    assert not np.array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(np.concatenate(z), z_all)
    np.testing.assert_array_equal(np.concatenate(kept), kept_all)


def test_stock_dropout_draws_its_own_noise_on_each_replica():
    strategy = two_replicas()
    with strategy.scope():
        x = keras.Input(SHAPE)
        model = NoiseProbe(networks(0.0)[0], keras.Model(x, keras.layers.Dropout(0.5)(x)))
        model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
    step = tf.function(lambda: strategy.run(model.train_step, (tf.ones((3, *SHAPE)),))[1])
    first, second = step(), step()
    masks = [*strategy.experimental_local_results(first)]
    masks += strategy.experimental_local_results(second)
    assert len({mask.numpy().tobytes() for mask in masks}) == 4


def test_several_steps_a_call_on_replicas_are_refused():
    with (
        two_replicas().scope(),
        pytest.raises(ValueError, match="steps_per_execution must be 1"),
    ):
        GAN(*networks(0.0)).compile(
            keras.optimizers.SGD(), keras.optimizers.SGD(), steps_per_execution=2
        )


def test_several_steps_a_call_on_one_device_change_nothing():
    def run(steps_per_execution):
        model = GAN(*networks(0.5), seed=3)
        model.compile(
            keras.optimizers.SGD(0.5),
            keras.optimizers.SGD(0.5),
            steps_per_execution=steps_per_execution,
        )
        model.fit(data(), batch_size=BATCH, shuffle=False, verbose=0)
        assert model.steps_done == STEPS
        return model

    assert largest_difference(run(1), run(5)) < 1e-6


def conv_trained(name, strategy, synchronized):
    """All weights of a paper's networks with batch normalization after `STEPS` steps."""
    rate = {"dcgan": 0.1, "lsgan": 0.01}[name]  # least squares diverges at .1
    images = np.random.default_rng(2).uniform(-1, 1, (STEPS * BATCH, 16, 16, 1))
    with distribution.scope(strategy):
        model = factories.build(name, factories.settings(name, (16, 16, 1)), width=4)
        if synchronized:
            surgery.synchronize_batch_normalization(*model.networks)
        model.compile(*(keras.optimizers.SGD(rate) for _ in range(2)), jit_compile=False)
    stream = tf.data.Dataset.from_tensor_slices(np.float32(images)).batch(BATCH)
    data = distribution.distribute(strategy, stream.repeat())
    model.fit(data, steps_per_epoch=STEPS, verbose=0)
    return model


@pytest.mark.parametrize("name", ["dcgan", "lsgan"])
def test_synchronized_batch_normalization_makes_two_replicas_take_the_steps_of_one(name):
    one = conv_trained(name, tf.distribute.get_strategy(), False)
    assert surgery.mixes_examples(one.generator)
    both = conv_trained(name, two_replicas(), True)
    apart = conv_trained(name, two_replicas(), False)
    assert largest_difference(one, both) < 1e-5
    assert largest_difference(one, apart) > 1e-3


WORKER = """
import sys
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
from tests import test_distribution as this

for jit_compile in (False, True):
    options = {"jit_compile": jit_compile, "dropout": 0.5, "simultaneous": True}
    model, _ = this.trained(strategy, **options)
    np.savez(sys.argv[1 + jit_compile], *model.get_weights())
"""


def test_the_script_for_slurm_names_all_workers_to_each(tmp_path):
    """With stand-ins for Slurm's commands and for the training."""
    stand_ins = {
        "scontrol": "echo node-1; echo node-2",
        "srun": 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done',
        "python": 'echo "$TF_CONFIG $*"',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    page = (launch.ROOT / "docs" / "distribution.md").read_text()
    script = page.split("```bash\n")[1].split("```")[0]
    path = f"{tmp_path}:{os.environ['PATH']}"
    output = subprocess.check_output(["bash", "-c", script], env={"PATH": path}, text=True)
    lines = [line.split(" main.py ") for line in output.splitlines()]
    cluster = {"worker": ["node-1:2222", "node-2:2222"]}
    assert [json.loads(config) for config, _ in lines] == [
        {"cluster": cluster, "task": {"type": "worker", "index": index}}
        for index in range(2)
    ]
    assert all("--strategy=multi_worker" in flags for _, flags in lines)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def test_two_workers_give_the_weights_of_one_device_with_xla_and_without(tmp_path):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    files = [[tmp_path / f"{i}-{way}.npz" for way in ("plain", "xla")] for i in range(2)]
    processes = []
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        root = os.path.dirname(os.path.dirname(__file__))
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, *map(str, files[index])],
                env={**os.environ, "TF_CONFIG": json.dumps(task), "PYTHONPATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in processes:
        output, _ = process.communicate(timeout=480)
        assert process.returncode == 0, output[-3000:]
    one, _ = trained(tf.distribute.get_strategy(), dropout=0.5, simultaneous=True)
    for file in (*files[0], *files[1]):
        found = np.load(file)
        for i, weight in enumerate(one.get_weights()):
            np.testing.assert_allclose(found[f"arr_{i}"], weight, atol=1e-6)
