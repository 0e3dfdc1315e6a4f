"""What every paper's model guarantees: one test per guarantee, over all of `PAPERS`."""

import functools
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_models
from tests.strategies import two_replicas
from tests.tiny_models import FURTHER, LATENTS, MODELS, compiled, fit, weights
from tfgan_papers import noise
from tfgan_papers.papers import PAPERS, contract
from tfgan_papers.runs import distribution, export
from tfgan_papers.runs.checkpoints import Checkpoints

NAMES = [*MODELS, *FURTHER]
STEPS = 3
# data and samples go through its D as one batch, of which a replica draws other rows
ONE_BATCH = "improved_gan on ImageNet"
every_model = pytest.mark.parametrize("name", NAMES)


def test_every_paper_has_a_tiny_model():
    assert list(MODELS) == list(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_functions_of_a_papers_module_are_those_that_its_runs_call(name):
    """LSGAN's module once had batches of its own that no run took."""
    module = sys.modules[PAPERS[name].create.__module__]
    for field in contract.Paper._fields:
        own = vars(module).get(field)
        if getattr(own, "__module__", None) == module.__name__:
            assert getattr(PAPERS[name], field) is own, field


@pytest.fixture(scope="module")
def uninterrupted():
    """name -> the weights after STEPS steps, and the scalars of the last epoch."""
    found = {}

    def of(name):
        if name not in found:
            model = compiled(name)
            scalars = fit(model, name, STEPS)
            found[name] = weights(model), scalars, model
        return found[name]

    return of


@pytest.fixture(scope="module")
def stopped():
    """name -> the model after STEPS - 1 steps, which no test trains further."""
    return functools.cache(_stopped)


def _stopped(name):
    model = compiled(name)
    fit(model, name, STEPS - 1)
    return model


def assert_equal(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_close(some, others, tolerance):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@every_model
def test_its_scalars_are_those_it_declares_and_finite(name, uninterrupted):
    _, scalars, model = uninterrupted(name)
    assert set(scalars) == set(model.scalars)
    assert all(map(np.isfinite, scalars.values()))


@every_model
def test_training_moves_every_trainable_weight(name, uninterrupted):
    _, _, model = uninterrupted(name)
    fresh = (MODELS | FURTHER)[name]()
    for network, other in zip(model.networks, fresh.networks, strict=True):
        for weight, first in zip(
            network.trainable_weights, other.trainable_weights, strict=True
        ):
            assert not np.array_equal(weight.numpy(), first.numpy()), weight.path


@every_model
def test_restored_from_a_checkpoint_it_trains_on_to_the_bit(
    name, uninterrupted, stopped, tmp_path
):
    Checkpoints(tmp_path, stopped(name)).save(STEPS - 1)
    twin = compiled(name)
    assert Checkpoints(tmp_path, twin).restore() == STEPS - 1
    fit(twin, name, 1, first=STEPS - 1)
    assert_equal(weights(twin), uninterrupted(name)[0])


@every_model
def test_saved_and_loaded_by_keras_it_trains_on_to_the_bit(
    name, uninterrupted, stopped, tmp_path
):
    model = stopped(name)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert type(twin) is type(model)
    fit(twin, name, 1, first=STEPS - 1)
    assert_equal(weights(twin), uninterrupted(name)[0])


@every_model
def test_xla_takes_the_same_steps(name, uninterrupted):
    model = compiled(name, jit_compile=True)
    fit(model, name, STEPS)
    assert_close(weights(model), uninterrupted(name)[0], 2e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != ONE_BATCH])
def test_two_replicas_take_the_steps_of_one(name, uninterrupted):
    strategy = two_replicas()
    with strategy.scope():
        model = compiled(name)
    data = distribution.distribute(strategy, tiny_models.batches(name, STEPS).repeat())
    model.fit(data, steps_per_epoch=STEPS, epochs=1, verbose=0, shuffle=False)
    assert_close(weights(model), uninterrupted(name)[0], 2e-4)


@every_model
def test_it_trains_and_serves_in_mixed_bfloat16(name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = compiled(name)
        scalars = fit(model, name, 1)
        export.export(model, tmp_path / "export", "symmetric", {})
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(map(np.isfinite, scalars.values()))
    served = tf.saved_model.load(str(tmp_path / "export"))
    images = served.generate(tf.zeros((2, LATENTS)))
    assert images.dtype == tf.float32 and np.isfinite(images).all()
    assert served.score(images).dtype == tf.float32


@every_model
def test_its_saved_model_generates_as_it_does(name, uninterrupted, tmp_path):
    model = uninterrupted(name)[2]
    export.export(model, tmp_path / "export", "symmetric", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    z = noise.latents(model.prior_name, tf.constant([4, 0], tf.int64), (6, LATENTS))
    np.testing.assert_allclose(served.generate(z), model.generate(z), rtol=1e-5, atol=1e-6)


HOST = re.compile("PyFunc|Print|String|Summary|File|Iterator|Lookup")


def host_ops(function, *arguments):
    """The types of the operations in a graph that run on the host: calls of Python,
    printing, summaries, strings and files, and those that are placed on a CPU."""
    graph = tf.function(function).get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes if HOST.search(node.op) or "CPU" in node.device}


@every_model
def test_its_step_stays_on_the_device(name):
    (batch,) = tiny_models.batches(name, 1)
    assert host_ops(compiled(name).train_step, batch) == set()


def test_what_does_not_stay_on_the_device_is_found():
    def step(x):
        with tf.device("CPU:0"):
            x = tf.math.xlog1py(x, x)
        tf.print(x)
        return tf.numpy_function(np.sqrt, [x], tf.float32)

    found = host_ops(step, tf.ones(3))
    assert found >= {"Xlog1py", "PrintV2", "PyFunc"}


@pytest.mark.parametrize("name", PAPERS)
def test_it_says_where_replicas_differ_from_one(name):
    """A batch's statistics are a replica's own: so it is with batch normalization in the
    paper's networks, with feature matching, and with the pull-away term."""
    declared = PAPERS[name].batch_dependent
    depends = name in ("dcgan", "lsgan", "ebgan", "improved_gan")
    assert bool(declared) == depends
