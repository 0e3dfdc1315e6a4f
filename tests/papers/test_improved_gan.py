"""Improved GAN: its counts, its losses, its step against one written out, its runs."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from tests import factories
from tests.factories import options_of
from tests.strategies import two_replicas
from tfgan_papers import layers, losses, noise
from tfgan_papers.data import HeldExamples
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.metrics import classification_error
from tfgan_papers.models import surgery
from tfgan_papers.papers import (
    improved_gan,
    improved_gan_data,
    improved_gan_experiments,
    improved_gan_networks,
)


def settings_of(shape=(16, 16, 3), **given):
    given = {"classes": 10, "batch_size": 4, "steps_per_epoch": 10, **given}
    return factories.settings("improved_gan", shape, **{"learning_rate": 3e-4, **given})


def counts(networks):
    return [sum(int(np.prod(w.shape)) for w in n.trainable_weights) for n in networks]


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("mnist", (28, 28, 1), [694_568, 1_538_770]),
        ("cifar10", (32, 32, 3), [4_933_382, 1_406_804]),
        ("minibatch", (32, 32, 3), [4_933_382, 1_406_804]),
        ("svhn", (32, 32, 3), [4_933_382, 626_580]),
    ],
)
def test_networks_have_the_authors_number_of_weights(name, shape, expected):
    networks = improved_gan.EXPERIMENTS[name].networks(shape, 10, Draw(0))
    assert counts(networks) == expected
    if name == "minibatch":
        wider = surgery.with_minibatch_discrimination(
            networks[1], improved_gan_experiments.KERNELS
        )
        assert counts([wider]) == [1_504_404]


# Sec. 5: K + 1 classes, the last logit fixed at zero.


def test_d_is_the_softmax_over_k_plus_1_logits_of_which_the_last_is_zero(rng):
    logits = rng.normal(size=(6, 10)) * 5
    log_p = log_softmax(np.concatenate([logits, np.zeros((6, 1))], 1), axis=1)
    of_sample = log_p[:, 10:]  # log p(K + 1 | x)
    of_data = np.log1p(-np.exp(of_sample))
    scores, loss = improved_gan.score(logits), losses.LOSSES["minimax"]
    np.testing.assert_allclose(loss.real(scores), -of_data, rtol=1e-9)
    np.testing.assert_allclose(loss.fake(scores), -of_sample, rtol=1e-9)
    np.testing.assert_allclose(loss.to_probability(scores), np.exp(of_data), rtol=1e-9)


def test_the_supervised_loss_is_the_softmax_over_k_classes_alone(rng):
    logits, labels = rng.normal(size=(6, 10)) * 5, rng.integers(0, 10, 6)
    expected = -log_softmax(logits, axis=1)[np.arange(6), labels]
    found = improved_gan.supervised(tf.constant(logits), tf.constant(labels))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1e3, -1e3])
def test_losses_are_finite_at_any_logit(size):
    logits = tf.constant([[size, 0.0, -size]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        scores, loss = improved_gan.score(logits), losses.LOSSES["minimax"]
        total = loss.real(scores) + loss.fake(scores)
        total += improved_gan.supervised(logits, tf.constant([1]))
    assert np.isfinite(total).all()
    assert np.isfinite(tape.gradient(total, logits)).all()


# The step against one written without the kernel, D in three passes.


def small_networks(minibatch_features=False):
    def dense(units, seed):
        kernel = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
        return keras.layers.Dense(units, use_bias=False, kernel_initializer=kernel)

    def normalized(units, seed, **kwargs):
        return layers.WeightNormalization(dense(units, seed), **kwargs)

    z, x = keras.Input((3,)), keras.Input((4,))
    fake = dense(4, 2)(keras.layers.Activation("softplus")(dense(8, 1)(z)))
    features = normalized(8, 3, activation="relu", name="features")(x)
    if minibatch_features:
        kernel = keras.initializers.RandomNormal(stddev=0.05, seed=5)
        similar = layers.MinibatchDiscrimination(3, 2, kernel_initializer=kernel)
        features = similar(features)
    logits = normalized(3, 4, trainable_gain=True)(features)
    return keras.Model(z, fake), keras.Model(x, logits)


def compiled(model, rate=0.1, **kwargs):
    model.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate), **kwargs)
    return model


def draws_of_step(model, rows):
    """The latents of D's turn and of G's."""
    stream = noise.Stream.of_step(model.seed, model.step.value, 0)
    return [
        noise.latents("uniform_01", stream.branch(), (rows, model.latent_dim))
        for _ in range(2)
    ]


def by_hand(networks, batch, draws, matching, weight, rate=0.1):
    """Sec. 5 and 3.1 with SGD: what both networks' weights become."""
    generator, discriminator = networks
    (labelled, unlabelled, others), labels = batch
    with tf.GradientTape() as tape:
        of_labelled = discriminator(labelled)
        d_loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, of_labelled)
        )
        zero = tf.zeros((len(labels), 1))
        of_real, of_fake = (
            tf.nn.log_softmax(tf.concat([discriminator(x), zero], 1))
            for x in (unlabelled, generator(draws[0]))
        )
        real = -tf.math.log(1 - tf.exp(of_real[:, -1]))
        d_loss += weight * tf.reduce_mean(real - of_fake[:, -1])
    variables = discriminator.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(d_loss, variables), strict=True):
        variable.assign_sub(rate * gradient)
    with tf.GradientTape() as tape:
        fake = generator(draws[1])
        if matching:
            features = discriminator.get_layer("features")
            gap = tf.reduce_mean(features(others), 0) - tf.reduce_mean(features(fake), 0)
            g_loss = tf.reduce_sum(gap**2)
        else:
            logits = tf.concat([discriminator(fake), zero], 1)
            g_loss = tf.reduce_mean(tf.nn.log_softmax(logits)[:, -1])
    variables = generator.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(g_loss, variables), strict=True):
        variable.assign_sub(rate * gradient)
    return float(d_loss), float(g_loss)


def batch_of(rng, rows=12):
    images = [tf.constant(rng.normal(size=(rows, 4)), tf.float32) for _ in range(3)]
    return tuple(images), tf.constant(rng.integers(0, 3, rows), tf.int32)


@pytest.mark.parametrize("minibatch_features", [False, True])
@pytest.mark.parametrize("matching", [False, True])
def test_step_is_one_of_d_and_then_one_of_g(matching, minibatch_features, rng):
    networks, twin = small_networks(minibatch_features), small_networks(minibatch_features)
    kwargs = {} if matching else {"matching": None}
    model = improved_gan.ImprovedGAN(*networks, unsupervised_weight=0.5, seed=5, **kwargs)
    compiled(model)
    averages = [np.zeros(w.shape) for w in twin[1].trainable_weights]
    for _ in range(3):
        batch = batch_of(rng)
        draws = draws_of_step(model, 12)
        logs = model.train_step(batch)
        expected = by_hand(twin, batch, draws, matching, 0.5)
        np.testing.assert_allclose(
            [logs["d_loss"], logs["g_loss"]], expected, rtol=1e-4, atol=1e-6
        )
        model.reset_metrics()
        for average, weight in zip(averages, twin[1].trainable_weights, strict=True):
            average += 1e-4 * (weight.numpy() - average)
    for network, other in zip(networks, twin, strict=True):
        for mine, theirs in zip(network.weights, other.weights, strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-5)
    for mine, theirs in zip(model.averaged.trainable_weights, averages, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-3, atol=1e-8)


def test_g_moves_as_often_in_a_step_as_it_is_told(rng):
    model = compiled(improved_gan.ImprovedGAN(*small_networks(), matching=None, g_steps=3))
    model.train_step(batch_of(rng))
    assert (int(model.d_optimizer.iterations), int(model.g_optimizer.iterations)) == (1, 3)


def test_without_an_average_the_classifier_is_d(rng):
    """The options build it, and every step leaves both equal."""
    wanted = factories.settings("improved_gan", (8, 8, 1), classes=2, network="mnist")
    model = factories.build("improved_gan", wanted, labels=2, average="none")
    assert model.average_rate == 1.0
    model.average()
    for mine, theirs in zip(
        model.averaged.weights, model.discriminator.weights, strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("accumulated", [None, 3])
def test_the_corrected_average_is_a_weighted_mean_of_what_there_was(accumulated, rng):
    """With gradient accumulation, of the weights after each move."""
    model = improved_gan.ImprovedGAN(*small_networks(), average_rate=0.1, corrected=True)
    optimizers = (
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=accumulated) for _ in range(2)
    )
    model.compile(*optimizers)
    improved_gan_data.initialize_by_data(model, rng.normal(size=(50, 4)).astype("float32"))
    past = []
    for _ in range(4 * (accumulated or 1)):
        model.train_step(batch_of(rng))
        past.append([w.numpy() for w in model.discriminator.weights])
    past = past[(accumulated or 1) - 1 :: accumulated]
    shares = 0.9 ** np.arange(4)[::-1]
    for i, weight in enumerate(model.averaged.weights):
        values = np.stack([weights[i] for weights in past])
        expected = np.average(values, 0, shares)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_two_replicas_take_the_step_of_one(rng):
    """With noise and historical averaging, but without feature matching, because each
    replica takes means of its own share."""

    def networks():
        x = keras.Input((4,))
        noisy = keras.Model(x, small_networks()[1](layers.GaussianNoise(0.3)(x)))
        return small_networks()[0], noisy

    (labelled, unlabelled, others), labels = batch_of(rng)
    weights = []
    for replicas in (1, 2):
        strategy = two_replicas() if replicas == 2 else tf.distribute.get_strategy()
        with strategy.scope():
            model = compiled(
                improved_gan.ImprovedGAN(*networks(), matching=None, seed=3, history=0.5),
                jit_compile=False,
            )

        def of_replica(context, replicas=replicas):
            i = context.replica_id_in_sync_group
            return tf.nest.map_structure(
                lambda x: tf.split(x, replicas)[i],
                ((labelled, unlabelled, others), labels),
            )

        shares = strategy.experimental_distribute_values_from_function(of_replica)
        for _ in range(2):
            strategy.run(tf.function(model.train_step), (shares,))
        weights.append([w.numpy() for w in model.weights])
    for one, both in zip(*weights, strict=True):
        np.testing.assert_allclose(one, both, rtol=1e-4, atol=1e-6)


def test_features_that_are_not_there_are_refused():
    generator, discriminator = small_networks()
    z, x = generator.inputs[0], keras.Input((4,))
    other = keras.Model(x, keras.layers.Dense(3)(x))
    with pytest.raises(ValueError, match="features"):
        improved_gan.ImprovedGAN(keras.Model(z, generator.output), other)


# Labels.


def examples_of(rng, n=40, classes=4, rare=None):
    images = rng.integers(0, 256, (n, 2, 2, 1)).astype("uint8")
    images[:, 0, 0, 0] = np.arange(n)  # tells which it is
    labels = np.arange(n) % classes
    if rare is not None:
        labels[labels == rare] = (rare + 1) % classes
        labels[:2] = rare
    return HeldExamples("set", images, labels, [f"class {i}" for i in range(classes)])


def numbers(images):
    return np.rint(np.asarray(images)[:, 0, 0, 0] * 255).astype(int)


def test_subsets_are_balanced_and_chosen_by_their_seed_alone(rng):
    examples = examples_of(rng)
    subsets = []
    for seed in (1, 1, 2):
        images, labels = examples.balanced(3, seed).labelled("unit")
        np.testing.assert_array_equal(np.bincount(labels), [3] * 4)
        np.testing.assert_array_equal(numbers(images) % 4, labels)
        assert len(set(numbers(images))) == 12
        subsets.append(list(numbers(images)))
    assert subsets[0] == subsets[1] != subsets[2]


@pytest.mark.parametrize("batch_size", [3, 8, 12, 20, 30])
def test_labelled_batches_show_every_example_equally_often(batch_size, rng):
    subset = examples_of(rng, 12)
    stream = subset.repeated(batch_size, 5, "unit")
    batches = [next(it) for it in [iter(stream)] for _ in range(12)]
    shown = np.concatenate([numbers(images) for images, _ in batches])
    orders = shown[: len(shown) // 12 * 12].reshape(-1, 12)
    np.testing.assert_array_equal(
        np.sort(orders, 1), np.tile(np.arange(12), (len(orders), 1))
    )
    assert len({tuple(order) for order in orders}) == len(orders)
    images, labels = next(iter(subset.repeated(batch_size, 5, "unit", 7)))
    np.testing.assert_array_equal(images, batches[7][0])
    np.testing.assert_array_equal(numbers(images) % 4, labels)


def batches_of(examples, labels, first_step=0):
    return improved_gan_data.batches(
        *(examples, settings_of(), options_of("improved_gan", labels=labels)),
        *(10, 3, "unit", first_step),
    )


def test_the_stream_goes_on_where_it_was_and_g_reads_other_images(rng):
    examples = examples_of(rng)
    whole, later = (batches_of(examples, 8, first_step=first) for first in (0, 5))
    batches = [batch for batch, _ in zip(whole, range(8), strict=False)]
    for (images, labels), expected in zip(later, batches[5:], strict=False):
        for mine, theirs in zip(
            (*images, labels), (*expected[0], expected[1]), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    seen = [np.concatenate([numbers(b[0][i]) for b in batches[:4]]) for i in (1, 2)]
    for each in seen:  # an epoch shows all, the labelled too
        assert sorted(each) == list(range(40))
    assert list(seen[0]) != list(seen[1])
    assert len({*np.concatenate([numbers(b[0][0]) for b in batches])}) == 8


@pytest.mark.parametrize(
    ("labels", "rare", "words"),
    [
        (10, None, "the same number of each of 4"),
        (16, 2, "has 2 examples of class class 2"),
    ],
)
def test_labels_that_cannot_be_had_are_refused(labels, rare, words, rng):
    with pytest.raises(UsageError, match=words):
        batches_of(examples_of(rng, rare=rare), labels)


# Test error.


def test_test_error_counts_what_the_classifier_gets_wrong(rng):
    logits, labels = rng.normal(size=(1203, 4)), rng.integers(0, 4, 1203)
    reference = classification_error.Reference(logits, labels)
    found = classification_error.score(lambda images, training: images, reference)
    wrong = int((logits.argmax(1) != labels).sum())
    assert found == (wrong, 100 * wrong / 1203, 1203)
    assert (
        classification_error.selection(lambda images, training: images, reference) == -wrong
    )


def test_the_first_pass_standardizes_what_weight_normalization_puts_out(rng):
    networks = improved_gan_networks.image_networks((16, 16, 3), 10, Draw(0), filters=4)
    model = types.SimpleNamespace(
        generator=networks[0], discriminator=networks[1], seed=1, prior_name="uniform_01",
        latent_dim=improved_gan_networks.LATENT_DIM,
    )  # fmt: skip
    images = rng.uniform(-1, 1, (60, 16, 16, 3)).astype("float32")
    improved_gan_data.initialize_by_data(model, images, of_generator=True)
    with noise.use(noise.Stream.of_step(1, tf.constant(-1), 0)) as stream:
        logits = networks[1](images, training=True)
        z = stream.latents("uniform_01", (improved_gan_experiments.BATCH_SIZE, 100))
        samples = np.arctanh(networks[0](z, training=True))
    for values in (logits, samples):
        axes = tuple(range(values.ndim - 1)) if hasattr(values, "ndim") else (0,)
        np.testing.assert_allclose(np.mean(values, axes), 0, atol=2e-3)
        np.testing.assert_allclose(np.std(values, axes), 0.1, rtol=2e-2)


def test_the_optimizer_is_the_authors():
    settings = settings_of(learning_rate=3e-3)
    optimizer = improved_gan.adam(settings, options_of("improved_gan"), 1)
    assert (optimizer.root_epsilon, optimizer.beta_1) == (1e-8, 0.5)
    falling = options_of("improved_gan", decay_epochs=400)
    schedule = improved_gan.adam(settings_of(), falling, 3)._learning_rate
    for epoch in (0, 800, 900, 1200):  # of ten steps, of three turns each
        expected = 3e-4 * min(3 - epoch / 400, 1)
        np.testing.assert_allclose(schedule(30 * epoch), expected, rtol=1e-4, atol=1e-9)
