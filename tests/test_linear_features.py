"""A linear SVM on D's features, by scikit-learn on features computed here."""

import keras
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from tests import launch
from tfgan_papers import layers
from tfgan_papers.data import HeldExamples
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import linear_features


def discriminator():
    """Two convolutional layers, 8x8x3 and 2x2x5."""
    x = images = keras.Input((8, 8, 1))
    for i, (channels, stride) in enumerate(((3, 1), (5, 4))):
        kernel = keras.initializers.RandomNormal(stddev=0.5, seed=i)
        x = keras.layers.Conv2D(channels, 3, stride, "same", kernel_initializer=kernel)(x)
        x = keras.layers.LeakyReLU(0.2)(x)
    return keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


@pytest.fixture
def examples(monkeypatch):
    """Two classes that differ in the brightness of one half, with few images."""
    monkeypatch.setattr(linear_features, "PER_CLASS", 20)
    monkeypatch.setattr(linear_features, "VALIDATION", 30)
    draw = np.random.default_rng(0)
    labels = np.arange(300) % 2
    images = draw.normal(size=(300, 8, 8, 1)).astype("float32")
    images[labels == 1, :4] += 0.3
    return linear_features.Reference(images[:200], labels[:200], images[200:], labels[200:])


def test_features_are_the_activations_max_pooled_to_a_grid(examples):
    model = discriminator()
    found = linear_features.network(model)(examples.test[:7]).numpy()
    layers = [x.output for x in model.layers if isinstance(x, keras.layers.LeakyReLU)]
    first, second = (x.numpy() for x in keras.Model(model.input, layers)(examples.test[:7]))
    pooled = first.reshape(7, 4, 2, 4, 2, 3).max((2, 4))
    expected = np.concatenate([pooled.reshape(7, -1), second.reshape(7, -1)], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.shape == (7, 4 * 4 * 3 + 2 * 2 * 5)


def test_the_error_is_that_of_scikit_learns_svm(examples):
    model = discriminator()
    found = linear_features.score(model, examples)
    assert (found.labels, found.draws, found.test_examples) == (40, 10, 100)
    assert 0 < found.value < 40 and found.standard_deviation > 0
    network = linear_features.network(model)
    train, test = (network(x).numpy() for x in (examples.train, examples.test))
    errors = []
    for seed in range(10):
        rows = np.random.RandomState(seed).permutation(np.arange(30, 200))
        labels = examples.train_labels
        rows = np.concatenate([rows[labels[rows] == c][:20] for c in (0, 1)])
        svm = LinearSVC(C=found.penalty, random_state=0).fit(train[rows], labels[rows])
        errors.append(100 * (svm.predict(test) != examples.test_labels).mean())
    assert found.value == pytest.approx(np.mean(errors))
    assert found.standard_deviation == pytest.approx(np.std(errors, ddof=1))
    assert linear_features.selection(model, examples) == -found.value


@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.WeightNormalization])
def test_features_of_a_dense_d_are_the_input_of_its_last_layer(wrap, examples):
    x = images = keras.Input((8, 8, 1))
    x = hidden = keras.layers.Dense(6, "relu")(keras.layers.Flatten()(x))
    model = keras.Model(images, wrap(keras.layers.Dense(1, use_bias=False))(x))
    found = linear_features.network(model)(examples.test[:5])
    expected = keras.Model(images, hidden)(examples.test[:5])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_activations_may_be_those_of_convolutions_and_of_maxout(examples):
    x = images = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, 2, "same")(x)  # linear
    x = elu = keras.layers.Conv2D(3, 3, 1, "same", activation="elu")(x)
    x = maxout = layers.MaxoutConv2D(2, 2, 3, 1)(x)
    model = keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    found = linear_features.network(model)(examples.test[:5])
    parts = keras.Model(images, [elu, maxout])(examples.test[:5])
    expected = np.concatenate([np.reshape(part, (5, -1)) for part in parts], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_code_of_a_dense_autoencoder_is_its_features(examples):
    """Its last layer has images as input."""
    x = images = keras.Input((8, 8, 1))
    x = code = keras.layers.Dense(6, "relu", name="code")(keras.layers.Flatten()(x))
    copies = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(x))
    found = linear_features.network(keras.Model(images, copies))(examples.test[:5])
    expected = keras.Model(images, code)(examples.test[:5])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(UsageError, match="none named code"):
        linear_features.network(keras.Model(code, copies))


def test_too_few_labels_and_a_d_with_labels_are_refused():
    few = HeldExamples("few", np.zeros((50, 8, 8, 1), np.uint8), np.arange(50) % 2, "ab")
    with pytest.raises(UsageError, match="100 labelled images per class, and few"):
        linear_features.reference("unit", few, few)
    exact = np.zeros((200, 8, 8, 1), np.uint8)
    none_left = HeldExamples("exact", exact, np.arange(200) % 2, "ab")
    with pytest.raises(UsageError, match="has no more, which would choose C"):
        linear_features.reference("unit", none_left, none_left)
    x, label = keras.Input((8, 8, 1)), keras.Input((1,))
    both = keras.layers.Concatenate()([keras.layers.Flatten()(x), label])
    with pytest.raises(UsageError, match="takes images only"):
        linear_features.network(keras.Model([x, label], keras.layers.Dense(1)(both)))


def test_a_run_is_scored_and_a_model_without_d_is_refused(tmp_path):
    short = ("--steps=2", "--report_steps=2", "--batch_size=8", "--jit_compile=false")
    run = ("--metrics=linear_features", f"--logdir={tmp_path / 'run'}")
    ended = launch.within("--model=dcgan", "--width=4", *short, *run)
    assert ended.code == 0, ended.err
    assert "error of a linear SVM on D's features at step 2" in ended.out
    ended = launch.within("--model=vae", *short, *run[:1], f"--logdir={tmp_path / 'vae'}")
    assert ended.code == 2 and "needs a discriminator" in ended.err
