"""What Keras does wrongly on several replicas is done here, or refused in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import two_replicas
from tests.test_distribution import BATCH, STEPS, data, largest_difference, networks
from tests.tiny_models import CLASSES, LATENTS, SHAPE, compiled, generator
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.lsgan import LSGAN
from tfgan_papers.runs import distribution


def trained(strategy, compile_inside):
    """After `STEPS` steps by Adam, compiled by name in the strategy's scope or outside."""
    with distribution.scope(strategy):
        model = GAN(*networks(0.0), prior="normal", seed=3)
        if compile_inside:
            model.compile("adam", "adam")
    if not compile_inside:
        model.compile("adam", "adam")
    stream = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH, drop_remainder=True)
    batches = distribution.distribute(strategy, stream.repeat())
    model.fit(batches, steps_per_epoch=STEPS, verbose=0)
    return model


def test_a_model_that_is_compiled_outside_the_scope_takes_the_same_steps():
    one = trained(tf.distribute.get_strategy(), True)
    for inside in (True, False):
        assert largest_difference(one, trained(two_replicas(), inside)) < 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clipnorm": 1.0}, "d_optimizer has clipnorm, which clips the part of each rep"),
        ({"clipvalue": 1.0}, "d_optimizer has clipvalue"),
        ({"global_clipnorm": 1.0}, "d_optimizer has global_clipnorm"),
        ({"gradient_accumulation_steps": 2}, "d_optimizer accumulates gradients"),
    ],
)
def test_optimizers_that_keras_applies_to_each_replica_are_refused(options, words):
    with two_replicas().scope():
        model = GAN(*networks(0.0))
        given = keras.optimizers.SGD(0.1, **options)
        with pytest.raises(ValueError, match=words):
            model.compile(given, "sgd")


def test_an_optimizer_of_another_strategy_is_refused():
    foreign = keras.optimizers.Adam()
    with two_replicas().scope():
        model = GAN(*networks(0.0))
    with pytest.raises(ValueError, match="g_optimizer was created outside the scope of"):
        model.compile("adam", foreign)


def test_callbacks_set_learning_rates_on_replicas():
    with two_replicas().scope():
        model = GAN(*networks(0.0))
        model.compile(keras.optimizers.SGD(0.2), keras.optimizers.SGD(0.1))
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    stall = keras.callbacks.ReduceLROnPlateau("d_loss", 0.5, patience=9, mode="min")
    model.fit(data(), batch_size=BATCH, verbose=0, callbacks=[halve, stall])
    rates = [o.learning_rate for o in (model.d_optimizer, model.g_optimizer)]
    np.testing.assert_allclose([*map(tf.convert_to_tensor, rates)], [0.1, 0.05], rtol=1e-6)


def test_evaluation_draws_the_latents_of_one_device():
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        with strategy.scope():
            model = GAN(*networks(0.0), prior="normal", seed=3)
            model.compile("adam", "adam")
        found.append(model.evaluate(data(), batch_size=BATCH, verbose=0, return_dict=True))
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, abs=1e-6)


def test_a_batch_that_the_replicas_share_unevenly_is_refused():
    with two_replicas().scope():
        model = GAN(*networks(0.0))
        model.compile("adam", "adam")
    with pytest.raises(tf.errors.InvalidArgumentError, match="shares of different sizes"):
        model.fit(data()[: BATCH + 3], batch_size=BATCH, shuffle=False, verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_imagenet_trains_on_two_replicas_also_by_xla(jit_compile, rng):
    images = rng.uniform(-1, 1, (16, *SHAPE)).astype("float32")
    with two_replicas().scope():
        model = compiled("improved_gan on ImageNet", jit_compile)
    logs = model.fit(images, np.arange(16) % CLASSES, batch_size=8, verbose=0).history
    assert np.isfinite(list(logs.values())).all()


def test_xla_is_refused_where_replicas_exchange_statistics():
    with two_replicas().scope():
        normalized = keras.Sequential(
            [
                *(keras.Input((LATENTS,)), keras.layers.Dense(6)),
                keras.layers.BatchNormalization(synchronized=True),
                *(keras.layers.Dense(16), keras.layers.Reshape(SHAPE)),
            ]
        )
        _, d = networks(0.0)
        model = GAN(normalized, d)
        model.compile("adam", "adam", jit_compile="auto")
        with pytest.raises(ValueError, match="jit_compile must be False on several rep"):
            model.compile("adam", "adam", jit_compile=True)


@pytest.mark.parametrize("kind", [GAN, LSGAN])
def test_two_replicas_train_an_embedding_in_g(kind, rng):
    def conditional():
        z, x = keras.Input((LATENTS,)), keras.Input(SHAPE)
        of_g, of_d = (keras.Input((), dtype="int32") for _ in range(2))
        embedded = keras.layers.Embedding(CLASSES, LATENTS)(of_g)
        image = generator()(keras.layers.Add()([z, embedded]))
        h = keras.layers.Embedding(CLASSES, 4)(of_d)
        h = keras.layers.Concatenate()([keras.layers.Flatten()(x), h])
        d = keras.Model([x, of_d], keras.layers.Dense(1)(h))
        return keras.Model([z, of_g], image), d

    images = rng.uniform(0, 1, (32, *SHAPE)).astype("float32")
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        with strategy.scope():
            keras.utils.set_random_seed(3)
            model = kind(*conditional(), classes=CLASSES)
            model.compile("sgd", "sgd")
        labels = np.arange(32) % CLASSES
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
        found.append(model)
    assert largest_difference(*found) < 1e-5
