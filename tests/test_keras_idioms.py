"""What Keras users do with any model: it has its effect here, or is refused in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.tiny_models import (
    CLASSES,
    LATENTS,
    MODELS,
    SHAPE,
    autoencoder,
    compiled,
    critic,
    generator,
)
from tfgan_papers import layers
from tfgan_papers.optimizers import HeavyBall
from tfgan_papers.papers.began import BEGAN
from tfgan_papers.papers.ebgan import EBGAN
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.improved_gan import ImprovedGAN

Z = np.ones((4, LATENTS), "float32")


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (32, *SHAPE)).astype("float32")


def discriminator(*ending, **options):
    """A D whose last layers are `ending`, or a dense layer with options."""
    return keras.Sequential(
        [
            *(keras.Input(SHAPE), keras.layers.Flatten()),
            *(ending or [keras.layers.Dense(1, **options)]),
        ]
    )


def conditional(**options):
    """A GAN with classes, whose networks embed their labels."""
    z, x = keras.Input((LATENTS,)), keras.Input(SHAPE)
    of_g, of_d = (keras.Input((), dtype="int32") for _ in range(2))
    embed = keras.layers.Embedding
    h = keras.layers.Concatenate()([z, embed(CLASSES, 4)(of_g)])
    image = keras.layers.Reshape(SHAPE)(keras.layers.Dense(16)(h))
    h = keras.layers.Concatenate()([keras.layers.Flatten()(x), embed(CLASSES, 4)(of_d)])
    networks = keras.Model([z, of_g], image), keras.Model([x, of_d], critic_of(h))
    model = GAN(*networks, classes=CLASSES, **options)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    return model


def critic_of(features):
    return keras.layers.Dense(1)(features)


def with_add_loss():
    class Added(keras.layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x))
            return x

    return discriminator(Added(), keras.layers.Dense(1))


@pytest.mark.parametrize(
    ("d", "given", "words"),
    [
        (lambda: discriminator(kernel_regularizer="l2"), {}, "has a regularizer or add_l"),
        (lambda: discriminator(activity_regularizer="l2"), {}, "has a regularizer or add"),
        (with_add_loss, {}, "has a regularizer or add_loss"),
        (discriminator, {"metrics": ["mae"]}, "metrics has no effect, because GAN has its"),
        (discriminator, {"loss": "mse"}, "loss has no effect, because GAN has its own"),
    ],
)
def test_what_the_steps_do_not_use_is_refused(d, given, words, images):
    """Before training, or where `call` adds the loss, in the first step."""
    model = GAN(generator(), d())
    with pytest.raises(ValueError, match=words):
        model.compile("adam", "adam", **given)
        model.fit(images, verbose=0)


def squared_error():
    return keras.losses.MeanSquaredError()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda g: GAN(g, discriminator(activation="sigmoid")),
            "the discriminator ends in a",
        ),
        (
            lambda g: GAN(
                g,
                discriminator(
                    keras.Sequential(
                        [keras.layers.Dense(1), keras.layers.Activation("sigmoid")]
                    )
                ),
            ),
            "the discriminator ends in a sigmoid",
        ),
        (
            lambda g: ImprovedGAN(
                g,
                discriminator(keras.layers.Dense(CLASSES, activation="softmax")),
                matching=None,
            ),
            "the discriminator ends in a softmax",
        ),
        (lambda g: GAN(g, critic(), loss=squared_error()), "is not an AdversarialLoss"),
        (lambda g: GAN(g, critic(), matching="mse"), "'mse' is none of squared, mean"),
        (lambda g: BEGAN(g, autoencoder(), loss="mse"), "'mse' is none of l1, l2"),
        (
            lambda g: EBGAN(g, autoencoder(), loss=squared_error()),
            r"the loss of two images has the shape \(\)",
        ),
        (
            lambda g: BEGAN(g, autoencoder(), loss=keras.losses.mean_squared_error),
            r"the loss of two images has the shape \(2, 4, 4\)",
        ),
    ],
)
def test_losses_that_would_train_something_else_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make(generator())


def test_a_discriminator_that_ends_in_a_sigmoid_suits_least_squares():
    GAN(generator(), discriminator(activation="sigmoid"), loss="least_squares")


@pytest.mark.parametrize("name", ["began", "vae", "autoencoder", "ebgan"])
def test_images_without_channels_are_refused(name, images):
    """They would be broadcast against their reconstructions."""
    with pytest.raises(ValueError, match=r"shape \(4, 4\), and the .* takes \(4, 4, 1\)"):
        compiled(name).fit(images[..., 0], batch_size=4, verbose=0)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"improved_gan"}))
def test_images_in_float64_train_as_in_float32(name, images):
    found = []
    for dtype in ("float32", "float64"):
        batches = tf.data.Dataset.from_tensor_slices(images.astype(dtype)).batch(8)
        found.append(compiled(name).fit(batches, verbose=0).history)
    assert found[0] == found[1]


class Watched(GAN):
    """With a metric of its own."""

    def __init__(self, *networks, **options):
        super().__init__(*networks, **options)
        self.seen = keras.metrics.Sum("seen")

    def train_step(self, data):
        logs = super().train_step(data)
        self.seen.update_state(1.0)
        return {**logs, "seen": self.seen.result()}


def test_a_metric_of_a_subclass_is_reset_at_each_epoch(images):
    model = Watched(generator(), critic())
    model.compile("adam", "adam")
    history = model.fit(images, batch_size=8, epochs=3, verbose=0).history
    assert history["seen"] == [4.0, 4.0, 4.0]


class Penalized(GAN):
    def discriminator_loss(self, *args, **kwargs):
        d_loss, scalars, scores = super().discriminator_loss(*args, **kwargs)
        return d_loss, {**scalars, "penalty": d_loss}, scores


def test_a_scalar_that_the_class_does_not_declare_is_refused(images):
    model = Penalized(generator(), critic())
    model.compile("adam", "adam")
    with pytest.raises(ValueError, match="penalty is not in Penalized.scalars"):
        model.fit(images, batch_size=8, verbose=0)


class Lambdas(GAN):
    def train_step(self, data):
        images, _, noise = self.start_step(data)
        low = self.run_compiled(lambda x: ops.mean(x), noise, images)
        high = self.run_compiled(lambda x: ops.mean(x) + 100.0, noise, images)
        return self.report(d_real=low, d_fake=high)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_two_functions_of_one_name_stay_two_under_xla(jit_compile, images):
    model = Lambdas(generator(), critic())
    model.compile("adam", "adam", jit_compile=jit_compile)
    logs = model.train_on_batch(images, return_dict=True)
    assert logs["d_fake"] - logs["d_real"] == pytest.approx(100.0, abs=1e-4)


def test_learning_rates_that_would_have_half_an_effect_are_refused():
    model = compiled("gan")
    with pytest.raises(AttributeError):
        model.optimizer.learning_rate.assign(1e-5)  # of D alone
    model.compile(HeavyBall(0.1, 4), HeavyBall(0.1, 4))
    with pytest.raises(ValueError, match="HeavyBall computes its own learning rate"):
        model.g_optimizer.learning_rate = 0.0
    assert float(model.g_optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize("make", [lambda: compiled("gan"), conditional])
def test_keras_describes_and_exports_the_model(make, tmp_path):
    model = make()
    lines = []
    model.summary(print_fn=lines.append)
    assert "Optimizer params" in "".join(lines)
    assert set(model.get_state_tree()) >= {"trainable_variables", "optimizer_variables"}
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export"))
    labels = np.array([0, 1, 1, 0], "int32") if model.classes else None
    given = Z if labels is None else [Z, labels]
    np.testing.assert_allclose(served.serve(given), model.generate(Z, labels), atol=1e-6)


def test_tensorboard_counts_the_steps_of_the_generator(images, tmp_path):
    model = compiled("gan")
    board = keras.callbacks.TensorBoard(tmp_path, write_steps_per_second=True)
    model.fit(images, batch_size=8, verbose=0, callbacks=[board])
    assert int(model.optimizer.iterations) == 4


def test_a_model_that_xla_compiled_is_exported(images, tmp_path):
    model = compiled("gan", jit_compile=True)
    model.fit(images, batch_size=8, verbose=0)
    signature = [keras.InputSpec(shape=(4, LATENTS), dtype="float32")]
    model.export(tmp_path / "keras", "tf_saved_model", False, signature)
    tf.saved_model.save(model, str(tmp_path / "tensorflow"))
    served = tf.saved_model.load(str(tmp_path / "keras"))
    np.testing.assert_allclose(served.serve(Z), model.generate(Z), atol=1e-6)


def test_a_closure_that_xla_compiles_in_each_step_is_not_kept(images):
    model = Lambdas(generator(), critic())
    model.compile("adam", "adam", jit_compile=True, run_eagerly=True)
    model.fit(images, batch_size=8, verbose=0)
    assert len(model.compiled_functions.by_code) == 2


def test_a_discriminator_may_end_in_a_model_of_your_own(images):
    class Head(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    model = GAN(generator(), discriminator(Head()))
    model.compile("adam", "adam", metrics=[])
    model.fit(images, batch_size=8, verbose=0)


@pytest.mark.parametrize("labels", [[0, CLASSES, 0, 1], [0, -1, 0, 1], [0.7, 1.0, 0, 0]])
def test_samples_of_a_label_that_is_not_a_class_are_refused(labels):
    with pytest.raises(tf.errors.InvalidArgumentError, match="one of the classes 0 to 1"):
        conditional().generate(Z, labels)


def test_samples_with_labels_too_many_or_too_few_are_refused():
    with pytest.raises(ValueError, match="this generator has the classes 0 to 1"):
        conditional().generate(Z)
    with pytest.raises(ValueError, match="this generator has no classes"):
        compiled("gan").generate(Z, [0, 1, 0, 1])


@pytest.mark.parametrize("options", [{}, {"history": 0.1}, {"generator_average": 0.1}])
def test_embeddings_train(options, images):
    model = conditional(**options)
    before = model.get_weights()
    model.fit(images, np.arange(32) % CLASSES, batch_size=8, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    embeddings = [i for i, w in enumerate(model.weights) if "embed" in w.path]
    assert len(embeddings) >= 2
    after = model.get_weights()
    assert all(np.abs(after[i] - before[i]).max() > 0 for i in embeddings)


def test_historical_averaging_trains_what_is_not_frozen(images):
    model = GAN(generator(), critic(), history=0.1)
    frozen = model.discriminator.get_layer("features")
    frozen.trainable = False
    before = model.discriminator.get_weights()
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    model.fit(images, batch_size=8, verbose=0)
    moved = [
        np.abs(after - old).max() > 0
        for after, old in zip(model.discriminator.get_weights(), before, strict=True)
    ]
    assert moved == [False, False, True, True]  # kernel and bias of two layers
    late = critic()
    late.get_layer("features").trainable = False
    model = GAN(generator(), late, history=0.1)
    model.discriminator.get_layer("features").trainable = True
    model.compile("adam", "adam")
    with pytest.raises(ValueError, match="set `trainable` before"):
        model.fit(images, batch_size=8, verbose=0)


@pytest.mark.parametrize("options", [{"strides": 1}, {"groups": 3}])
def test_strided_layers_of_another_form_are_refused(options):
    with pytest.raises(ValueError, match="has stride 2 and no groups"):
        layers.DownConv2D(3, 3, **options)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("filters", [3, 5])
def test_weight_normalization_of_transposed_convolutions_is_by_filter(rank, filters, rng):
    kind = getattr(keras.layers, f"Conv{rank}DTranspose")
    base = kind(filters, 3, use_bias=False)
    x = rng.normal(size=(2, *[4] * rank, 3)).astype("float32")
    found = layers.WeightNormalization(base)(x)
    others = (*range(rank), rank + 1)  # the kernel is (..., filters, channels)
    norms = np.sqrt(np.square(base.kernel.numpy()).sum(others))
    np.testing.assert_allclose(found, base(x) / norms, rtol=1e-4, atol=1e-5)
