"""The public callbacks in a user's own `fit`."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.spatial.distance import cdist

from tests.tiny_models import MODELS, SHAPE, batches, compiled, fit, weights
from tfgan_papers import callbacks
from tfgan_papers.metrics import functional
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.lsgan import LSGAN
from tfgan_papers.runs import collapse


@pytest.fixture
def images(rng):
    return rng.uniform(-1, 1, (96, *SHAPE)).astype("float32")


def test_a_sheet_is_written_each_epoch_and_shows_the_samples(images, tmp_path):
    model = compiled("gan")
    sheets = callbacks.SampleSheets(tmp_path / "sheets")
    model.fit(images, batch_size=32, epochs=2, verbose=0, callbacks=[sheets])
    names = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert names == ["latest.png", "step-000000003.png", "step-000000006.png"]
    with Image.open(tmp_path / "sheets" / "latest.png") as picture:
        page = np.asarray(picture)
    samples = sheets.draw(model)[0]
    assert samples.shape == (64, *SHAPE) and samples.dtype == np.uint8
    assert len(np.unique(samples)) > 10
    assert set(np.unique(page)) - {255} == set(np.unique(samples)) - {255}
    with Image.open(tmp_path / "sheets" / "step-000000006.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), page)


@pytest.mark.parametrize(
    ("last", "grey"), [("sigmoid", 128), ("tanh", 128), ("linear", 128)]
)
def test_a_sheet_takes_the_range_of_the_last_activation(last, grey, images, tmp_path):
    """The middle of each range is shown as the same grey."""
    z = keras.Input((3,))
    middle = keras.layers.Dense(16, last, kernel_initializer="zeros")(z)
    generator = keras.Model(z, keras.layers.Reshape(SHAPE)(middle))
    model = GAN(generator, compiled("gan").discriminator)
    model.compile("sgd", keras.optimizers.SGD(0.0))
    sheets = callbacks.SampleSheets(tmp_path)
    model.fit(images[:8], verbose=0, callbacks=[sheets])
    assert set(np.unique(sheets.draw(model)[0])) == {grey}


def test_no_callback_makes_keras_read_the_scalars_of_each_step():
    """Keras waits for the device if a callback has one of these methods."""

    def below(of):
        return {of}.union(*map(below, of.__subclasses__()))

    ours = [c for c in below(keras.callbacks.Callback) if "tfgan" in c.__module__]
    assert len(ours) >= 8
    for name in ("on_batch_end", "on_train_batch_end"):
        inherited = getattr(keras.callbacks.Callback, name)
        assert {getattr(each, name) for each in ours} == {inherited}


def test_points_are_drawn_over_the_data(rng, tmp_path):
    points = rng.normal(size=(64, 2)).astype("float32")
    z, x = keras.Input((3,)), keras.Input((2,))
    model = GAN(
        keras.Model(z, keras.layers.Dense(2)(z)), keras.Model(x, keras.layers.Dense(1)(x))
    )
    model.compile("sgd", "sgd")
    sheets = callbacks.SampleSheets(tmp_path, points=points)
    model.fit(points, verbose=0, callbacks=[sheets])
    assert np.load(tmp_path / "step-000000002.npy").shape[1] == 2
    assert (tmp_path / "step-000000002.png").is_file()


def constant(model):
    """Makes every sample the same."""
    for weight in model.generator.trainable_weights:
        weight.assign(tf.zeros_like(weight))


def test_training_ends_at_the_first_scalar_that_is_not_finite(images, caplog):
    model = compiled("gan")
    model.compile(keras.optimizers.SGD(1e30), keras.optimizers.SGD(1e30))
    stop = callbacks.TerminateOnNaN()
    model.fit(images, batch_size=8, epochs=9, verbose=0, callbacks=[stop])
    assert model.steps_done < 9 * (len(images) // 8)
    assert "training ends" in caplog.text


def test_the_collapse_watch_measures_warns_and_stops(images, caplog):
    model = compiled("gan")
    watch = callbacks.CollapseWatch(images, stop=True)
    assert watch.verdict == "unknown"
    options = {"batch_size": 32, "verbose": 0}
    history = model.fit(images, epochs=3, callbacks=[watch], **options).history
    assert watch.verdict in ("healthy", "low_diversity", "saturated")
    assert {"diversity", "coverage", "d_auc"} <= set(history)
    real = watch.real[: collapse.EXAMPLES].reshape(-1, 16)
    fake = model.generator(watch.variety.z, training=False).numpy()[: len(real)]
    between = [
        cdist(flat, flat)[np.triu_indices(len(flat), 1)].mean()
        for flat in (fake.reshape(-1, 16), real)
    ]
    np.testing.assert_allclose(history["diversity"][-1], between[0] / between[1], 1e-5)
    watch.reports[:] = [{"step": i, "diversity": 1.0, "coverage": 1.0} for i in (1, 2, 3)]
    constant(model)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    history = model.fit(images, epochs=9, callbacks=[watch], **options).history
    assert len(history["diversity"]) == 3 and watch.verdict == "collapsed"
    (line,) = [text for text in caplog.messages if text.startswith("collapse: ")]
    assert "vary 0.00 times as much as the data" in line


def test_the_collapse_watch_takes_labels_and_models_without_an_adversary(images):
    labels = np.arange(len(images)) % 3
    watch = callbacks.CollapseWatch(images, labels)
    history = compiled("vae").fit(images, verbose=0, callbacks=[watch]).history
    assert "diversity" in history and "d_auc" not in history


def test_scores_are_in_the_history_and_keras_callbacks_see_them(images):
    seen = []

    def brightness(samples):
        seen.append(samples)
        return samples.mean()

    model = compiled("gan")
    scores = callbacks.Scores(
        {
            "diversity": functools.partial(functional.diversity, images),
            "bright": brightness,
        },
        samples=250,
    )
    stop = keras.callbacks.EarlyStopping("bright", 9.0, patience=2, mode="max")
    history = model.fit(
        images, batch_size=32, epochs=9, verbose=0, callbacks=[scores, stop]
    ).history
    assert len(history["diversity"]) == 3  # the first and two without a gain of 9
    assert seen[0].shape == (250, *SHAPE) and (seen[0] != seen[1]).any()
    np.testing.assert_allclose(history["bright"][-1], seen[-1].mean(), 1e-6)
    again = callbacks.Scores({"bright": brightness}, samples=250)
    again.set_model(model)
    again.on_epoch_end(0)
    np.testing.assert_array_equal(seen[-1], seen[-2])  # always the same latents


def test_training_goes_on_from_an_exact_checkpoint_to_the_bit(tmp_path):
    uninterrupted = compiled("gan")
    fit(uninterrupted, "gan", 4)
    model = compiled("gan")
    keep = callbacks.ExactCheckpoint(tmp_path)
    assert keep.restore(model) == 0
    model.fit(batches("gan", 2), epochs=1, verbose=0, callbacks=[keep])
    twin = compiled("gan")
    keep = callbacks.ExactCheckpoint(tmp_path)
    done = keep.restore(twin)
    assert done == 2
    twin.fit(batches("gan", 2, first=done), verbose=0, callbacks=[keep])
    for found, expected in zip(weights(twin), weights(uninterrupted), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert keep.restore(compiled("gan")) == 4


def test_restoring_a_model_that_is_not_compiled_is_refused(tmp_path):
    with pytest.raises(ValueError, match="compile the model first"):
        callbacks.ExactCheckpoint(tmp_path).restore(MODELS["gan"]())


def conditional():
    """An LSGAN of two classes: samples of class 0 are black, those of class 1 are white."""
    layers = keras.layers
    z, x = keras.Input((3,)), keras.Input(SHAPE)
    of_image, of_score = (keras.Input((), dtype="int32") for _ in range(2))
    grey = layers.Embedding(2, 1)
    pixels = layers.Add()([layers.Dense(16, kernel_initializer="zeros")(z), grey(of_image)])
    both = layers.Concatenate()([layers.Flatten()(x), layers.Embedding(2, 1)(of_score)])
    generator = keras.Model([z, of_image], layers.Reshape(SHAPE)(pixels))
    model = LSGAN(generator, keras.Model([x, of_score], layers.Dense(1)(both)), classes=2)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    grey.set_weights([np.array([[-1.0], [1.0]])])
    return model


def test_a_model_with_classes_is_sampled_with_labels(images, tmp_path):
    labels = (np.arange(len(images)) % 2).astype("int32")
    model, seen = conditional(), []
    sheets = callbacks.SampleSheets(tmp_path)
    watch = callbacks.CollapseWatch(images, labels)
    scores = callbacks.Scores({"mean": lambda x: seen.append(x) or x.mean()}, samples=6)
    history = model.fit(
        images, labels, verbose=0, callbacks=[sheets, watch, scores]
    ).history
    np.testing.assert_array_equal(seen[0][:, 0, 0, 0], [-1, 1, -1, 1, -1, 1])
    assert set(sheets.draw(model)[0][:, 0, 0, 0]) == {0, 255}
    assert 0 < history["diversity"][0] and "d_auc" in history
