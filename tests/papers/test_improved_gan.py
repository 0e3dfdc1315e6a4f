"""Improved GAN: its counts, its losses, its step against one written out, its runs."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver
from scipy.special import log_softmax, softmax

from tests import launch
from tests.test_distribution import two
from tfgan_papers import layers, losses, noise, optimizers, techniques
from tfgan_papers.data import HeldExamples
from tfgan_papers.errors import UsageError
from tfgan_papers.initializers import Draw
from tfgan_papers.metrics import test_error
from tfgan_papers.papers import improved_gan


def test_networks_have_the_authors_number_of_weights():
    networks = improved_gan.mnist_networks((28, 28, 1), 10, Draw(0))
    found = [
        sum(int(np.prod(w.shape)) for w in network.trainable_weights)
        for network in networks
    ]
    assert found == [694_568, 1_538_770]


# Sec. 5: K + 1 classes, the last logit fixed at zero.


def test_d_is_the_softmax_over_k_plus_1_logits_of_which_the_last_is_zero(rng):
    logits = rng.normal(size=(6, 10)) * 5
    log_p = log_softmax(np.concatenate([logits, np.zeros((6, 1))], 1), axis=1)
    of_sample = log_p[:, 10:]  # log p(K + 1 | x)
    of_data = np.log1p(-np.exp(of_sample))
    scores, loss = improved_gan.score(logits), losses.LOSSES["minimax"]
    np.testing.assert_allclose(loss.real(scores), -of_data, rtol=1e-9)
    np.testing.assert_allclose(loss.fake(scores), -of_sample, rtol=1e-9)
    np.testing.assert_allclose(loss.verdict(scores), np.exp(of_data), rtol=1e-9)


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
        return techniques.WeightNormalization(dense(units, seed), **kwargs)

    z, x = keras.Input((3,)), keras.Input((4,))
    fake = dense(4, 2)(keras.layers.Activation("softplus")(dense(8, 1)(z)))
    features = normalized(8, 3, activation="relu", name="features")(x)
    if minibatch_features:
        kernel = keras.initializers.RandomNormal(stddev=0.05, seed=5)
        similar = techniques.MinibatchDiscrimination(3, 2, kernel_initializer=kernel)
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


def test_the_corrected_average_is_a_weighted_mean_of_what_there_was(rng):
    model = compiled(
        improved_gan.ImprovedGAN(*small_networks(), average_rate=0.1, corrected=True)
    )
    model.initialize(rng.normal(size=(50, 4)).astype("float32"))
    past = []
    for _ in range(4):
        model.train_step(batch_of(rng))
        past.append([w.numpy() for w in model.discriminator.weights])
    shares = 0.9 ** np.arange(4)[::-1]
    for i, weight in enumerate(model.averaged.weights):
        values = np.stack([weights[i] for weights in past])
        expected = np.average(values, 0, shares)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_two_replicas_take_the_step_of_one(rng):
    """Noise and all, but for feature matching, whose means are a replica's own."""

    def networks():
        x = keras.Input((4,))
        noisy = keras.Model(x, small_networks()[1](layers.GaussianNoise(0.3)(x)))
        return small_networks()[0], noisy

    (labelled, unlabelled, others), labels = batch_of(rng)
    weights = []
    for replicas in (1, 2):
        strategy = two() if replicas == 2 else tf.distribute.get_strategy()
        with strategy.scope():
            model = compiled(
                improved_gan.ImprovedGAN(*networks(), matching=None, seed=3),
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


def test_the_stream_goes_on_where_it_was_and_g_reads_other_images(rng):
    examples = examples_of(rng)
    with flagsaver.flagsaver(labels=8):
        whole = improved_gan.stream(examples, 10, 3, "unit")
        later = improved_gan.stream(examples, 10, 3, "unit", 5)
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
    [(10, None, "the same number of each of 4"), (16, 2, "has 2 of class class 2")],
)
def test_labels_that_cannot_be_had_are_refused(labels, rare, words, rng):
    with flagsaver.flagsaver(labels=labels):
        with pytest.raises(UsageError, match=words):
            improved_gan.stream(examples_of(rng, rare=rare), 10, 3, "unit")


# Test error.


def test_test_error_counts_what_the_classifier_gets_wrong(rng):
    logits, labels = rng.normal(size=(1203, 4)), rng.integers(0, 4, 1203)
    reference = test_error.Reference(logits, labels)
    found = test_error.score(lambda images, training: images, reference)
    wrong = int((logits.argmax(1) != labels).sum())
    assert found == (wrong, 100 * wrong / 1203, 1203)
    assert test_error.selection(lambda images, training: images, reference) == -wrong


# Runs from the command line.

RUN = (
    *("--model=improved_gan", "--deterministic", "--labels=50", "--batch_size=20"),
    *("--report_steps=3", "--checkpoint_steps=3"),
)
STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run of six steps, and of one that stopped after three and went on."""
    folders = [tmp_path_factory.mktemp("improved") / name for name in ("whole", "parts")]
    straight = launch.POOL.submit(
        launch.fork, *RUN, "--metrics=test_error", f"--steps={STEPS}",
        f"--logdir={folders[0]}",
    )  # fmt: skip
    for steps in (3, STEPS):
        ended = launch.fork(*RUN, f"--steps={steps}", f"--logdir={folders[1]}")
        assert ended.code == 0, ended.err
    assert straight.result().code == 0, straight.result().err
    return folders, straight.result()


def test_a_run_that_went_on_is_the_uninterrupted_one(run):
    whole, parts = (launch.tensors(folder) for folder in run[0])
    assert whole.keys() == parts.keys()
    assert any(name.startswith("averaged/") for name in whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)


def test_test_error_is_taken_at_the_last_step_of_the_averaged_network(run):
    (folder, _), ended = run
    (line,) = [line for line in ended.out.splitlines() if "test error" in line]
    assert line.startswith(f"test error at step {STEPS}: ") and "images wrong" in line
    served = tf.saved_model.load(str(folder / "export"))
    import sklearn.datasets

    stored = sklearn.datasets.load_digits()
    images = np.float32(np.uint8(np.rint(stored.images * 255 / 16)) / 255)[..., None]
    first = round(0.8 * len(images))
    p = served.classify(tf.constant(images[first:])).numpy()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    wrong = (p.argmax(1) != stored.target[first:]).sum()
    assert f": {wrong:.2f} images wrong" in line


def test_classify_is_of_the_averaged_weights(run, rng):
    folder = run[0][0]
    images = tf.constant(rng.uniform(size=(5, 8, 8, 1)), tf.float32)
    served = tf.saved_model.load(str(folder / "export"))
    logits = served.score(images).numpy()
    assert logits.shape == served.classify(images).shape == (5, 10)
    assert np.abs(softmax(logits, 1) - served.classify(images)).max() > 1e-4
    assert "classify" in (folder / "export" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--labels=95",), "the same number of each of 10 classes"),
        (("--labels=1500",), "150 of each class are wanted"),
        (("--dataset=ring", "--value_range=raw"), "--dataset=ring has none"),
        (("--network=resnet",), "has the networks mnist"),
        (("--loss=least_squares",), "takes minimax, non_saturating"),
    ],
)
def test_runs_that_make_no_sense_are_refused(arguments, words, tmp_path):
    folder = pathlib.Path(tmp_path, "run")
    ended = launch.fork(
        "--model=improved_gan", *arguments, "--jit_compile=false", f"--logdir={folder}"
    )
    assert ended.code == 2, ended.err
    (error,) = ended.errors
    assert words in error
    assert not folder.exists()


def test_the_optimizer_is_the_authors():
    settings = {"learning_rate": improved_gan.LEARNING_RATE, "beta_1": improved_gan.BETA_1}
    optimizer = optimizers.RootAdam(**settings)
    assert optimizer.root_epsilon == improved_gan.EPSILON
