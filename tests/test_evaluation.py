"""Keras' `evaluate` and `validation_data`: losses of held-out data in inference mode."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_models import (
    CLASSES,
    FURTHER,
    LABELLED,
    LATENTS,
    MODELS,
    SHAPE,
    compiled,
    critic,
    decoder,
    generator,
)
from tfgan_papers import noise
from tfgan_papers.papers.autoencoders import VAE, cross_entropy, divergence
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.gan_inpainting import InpaintingGAN


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (32, *SHAPE)).astype("float32")


def test_evaluate_gives_the_losses_by_numpy_and_moves_nothing(images):
    model = compiled("gan")
    last = model.generator.layers[-1 if model.generator.layers[-1].weights else -2]
    last.set_weights([0 * w for w in last.get_weights()])  # all samples are alike
    before = [np.array(w) for w in model.get_weights()]
    found = model.evaluate(images, batch_size=32, verbose=0, return_dict=True)
    scores = model.discriminator(images, training=False).numpy()
    np.testing.assert_allclose(found["d_real"], (1 / (1 + np.exp(-scores))).mean(), 1e-5)
    of_data = np.log1p(np.exp(-scores)).mean()
    of_samples = -np.log(1 - found["d_fake"])  # the mean over equal samples
    assert found["d_loss"] == pytest.approx(of_data + of_samples, rel=1e-5)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("name", [*MODELS, *FURTHER])
def test_every_model_evaluates_held_out_data_and_moves_nothing(name, images):
    model = compiled(name)
    before = [np.array(w) for w in model.get_weights()]
    labels = np.arange(len(images)) % CLASSES
    with_labels = name in ("improved_gan", *LABELLED)
    given = (images, labels) if with_labels else (images,)
    found = model.evaluate(*given, batch_size=32, verbose=0, return_dict=True)
    assert found and set(found) <= set(model.scalars)
    assert all(map(np.isfinite, found.values()))
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def stochastic_vae():
    """With dropout and batch normalization in the encoder."""
    x = keras.Input((4, 4, 1))
    h = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    h = keras.layers.BatchNormalization()(h)
    codes = [keras.layers.Dense(LATENTS)(h) for _ in range(2)]
    return VAE(decoder(), keras.Model(x, codes))


def inpainting():
    images = keras.Input((4, 4, 1))
    drawn = keras.layers.Dense(16, "tanh")(keras.layers.Flatten()(images))
    g = keras.Model(images, keras.layers.Reshape((4, 4, 1))(drawn))
    return InpaintingGAN(g, critic())


@pytest.mark.parametrize("make", [stochastic_vae, inpainting])
def test_evaluation_is_in_inference_mode_and_repeats(make, images):
    model = make()
    model.compile("adam", "adam")
    before = [np.array(w) for w in model.get_weights()]
    first, second = (model.evaluate(images, batch_size=8, verbose=0) for _ in range(2))
    assert first == second
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_the_bound_of_a_stochastic_encoder_is_in_inference_mode(images):
    vae, seed = stochastic_vae(), tf.constant([1, 2], tf.int64)
    mean, log_variance = vae.encoder(images[:8], training=False)
    z = mean + tf.exp(0.5 * log_variance) * noise.normal(seed, (8, LATENTS))
    error, kl = cross_entropy(images[:8], vae.generator(z)), divergence(mean, log_variance)
    np.testing.assert_allclose(vae.bound(images[:8], seed), -(error + kl), rtol=1e-4)


def test_the_batches_of_an_evaluation_have_latents_of_their_own(images):
    model = compiled("gan")
    alike = np.concatenate([images[:8]] * 2)
    one, two = (
        model.evaluate(x, batch_size=8, verbose=0, return_dict=True)["d_fake"]
        for x in (images[:8], alike)
    )
    assert abs(one - two) > 1e-6  # the mean over both batches, else equal to the first


def test_evaluations_after_other_steps_draw_the_same_latents(images):
    model = GAN(generator(), critic(), seed=1)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    scores = []
    for _ in range(2):
        scores.append(model.evaluate(images, batch_size=8, verbose=0))
        model.fit(images, batch_size=8, verbose=0)
    assert scores[0] == scores[1]


@pytest.mark.parametrize("options", [{"simultaneous": True}, {"matching": "squared"}])
def test_held_out_losses_are_those_of_training(options, images):
    """With networks that do not change and have no dropout."""
    x = keras.Input((4, 4, 1))
    h = keras.layers.Dense(6, "relu", name="features")(keras.layers.Flatten()(x))
    model = GAN(generator(), keras.Model(x, keras.layers.Dense(1)(h)), **options)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    many = np.concatenate([images] * 8)
    history = model.fit(
        many, batch_size=8, verbose=0, validation_data=(many,), validation_batch_size=8
    )
    found = {name: values[0] for name, values in history.history.items()}
    for name in ("d_loss", "g_loss"):  # of other latents
        np.testing.assert_allclose(found[f"val_{name}"], found[name], rtol=0.15)


def test_validation_data_are_in_the_history(images):
    model = compiled("gan")
    history = model.fit(
        images, batch_size=8, verbose=0, validation_data=(images,), validation_batch_size=8
    )
    assert {"d_loss", "g_loss", "val_d_loss", "val_g_loss"} <= set(history.history)


def test_a_short_last_batch_weighs_as_its_examples(images):
    model = compiled("gan")
    whole, parts = (
        model.evaluate(images[:12], batch_size=n, verbose=0, return_dict=True)["d_real"]
        for n in (12, 8)
    )
    assert parts == pytest.approx(whole, rel=1e-6)
    halves = (model.evaluate(images[a:b], verbose=0)[2] for a, b in ((0, 8), (8, 12)))
    assert abs(sum(halves) / 2 - whole) > 1e-4  # what equal weights would give


@pytest.mark.parametrize("name", ["improved_gan", *LABELLED])
def test_labels_may_be_a_column(name, images):
    model = compiled(name)
    if name == "improved_gan":  # its average starts at 0, which gives all one class
        model.averaged.set_weights(model.discriminator.get_weights())
    images = 8.0 * images - 4.0
    predicted = model.classifier(images, training=False).numpy().argmax(1)
    labels = np.where(np.arange(len(images)) < 4, 1 - predicted, predicted)
    assert (predicted != labels[:, None]).mean() > 0.2  # what broadcasting would give
    found = model.evaluate(images, labels[:, None], verbose=0, return_dict=True)
    assert found["train_error"] == pytest.approx(4 / len(images))
