"""The models as Keras users call them. Guarantees of all models are in test_contract.py."""

import math
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import launch
from tests.strategies import two_replicas
from tests.tiny_models import (
    CLASSES,
    LATENTS,
    MODELS,
    SHAPE,
    autoencoder,
    compiled,
    critic,
    decoder,
    encoder,
    generator,
)
from tfgan_papers import keras_internals, losses
from tfgan_papers.optimizers import HeavyBall
from tfgan_papers.papers.autoencoders import VAE, Autoencoder
from tfgan_papers.papers.began import BEGAN
from tfgan_papers.papers.ebgan import EBGAN
from tfgan_papers.papers.gan import GAN
from tfgan_papers.papers.improved_gan import ImprovedGAN, UnlabelledGAN
from tfgan_papers.papers.improved_gan_imagenet import ImageNetGAN


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (32, *SHAPE)).astype("float32")


def tiny():
    return GAN(generator(), critic(), seed=1)


def chain(inputs, outputs, name):
    """A Sequential with one hidden layer of this name."""
    return keras.Sequential(
        [
            *(keras.Input(inputs), keras.layers.Flatten()),
            keras.layers.Dense(6, activation="tanh", name=name),
            *(keras.layers.Dense(math.prod(outputs)), keras.layers.Reshape(outputs)),
        ]
    )


SEQUENTIAL = {
    "matching": lambda g: GAN(g, chain(SHAPE, (1,), "features"), matching="squared"),
    "began": lambda g: BEGAN(g, chain(SHAPE, SHAPE, "code")),
    "ebgan": lambda g: EBGAN(g, chain(SHAPE, SHAPE, "code")),
    "autoencoder": lambda g: Autoencoder(g, chain(SHAPE, (LATENTS,), "hidden")),
}


@pytest.mark.parametrize("make", SEQUENTIAL.values(), ids=SEQUENTIAL)
def test_networks_may_be_sequential(make, images, tmp_path):
    model = make(chain((LATENTS,), SHAPE, "hidden"))
    model.compile("adam", "adam")
    logs = model.fit(images, batch_size=8, verbose=0).history
    assert np.isfinite(list(logs.values())).all()
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    z = tf.ones((2, LATENTS))
    np.testing.assert_array_equal(twin(z), model(z))


def test_the_private_parts_of_keras_are_those_of_the_version_that_was_looked_at():
    """With another version: look at keras_internals.py, then name it there."""
    assert keras.__version__.startswith(keras_internals.SEEN_IN)
    model = compiled("gan")
    variable = model.generator.trainable_variables[1]
    momentum, velocity = keras_internals.moments(model.g_optimizer, variable)
    assert momentum.shape == velocity.shape == variable.shape
    names = {type(layer).__name__ for layer in keras_internals.layers(model.generator)}
    assert {"Dense", "Reshape"} <= names


def test_optimizers_may_be_names(images):
    model = tiny()
    model.compile("adam", "sgd")
    model.fit(images, batch_size=8, verbose=0)
    assert isinstance(model.d_optimizer, keras.optimizers.Adam)
    assert isinstance(model.g_optimizer, keras.optimizers.SGD)


def test_one_optimizer_for_both_networks_is_refused():
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="d_optimizer and g_optimizer are one object"):
        tiny().compile(adam, adam)


def test_learning_rates_may_be_schedules_which_callbacks_then_do_not_set(images):
    model = tiny()
    fall = keras.optimizers.schedules.ExponentialDecay(1e-3, 2, 0.5, staircase=True)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(fall))
    model.fit(images, batch_size=8, verbose=0)  # four steps
    np.testing.assert_allclose(float(model.g_optimizer.learning_rate), 2.5e-4, 1e-6)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(ValueError, match="g_optimizer, Adam, computes its own learning"):
        model.fit(images, batch_size=8, verbose=0, callbacks=[halve])
    assert float(model.d_optimizer.learning_rate) == pytest.approx(1e-3)  # as it was


def test_an_optimizer_with_a_formula_of_its_own_is_named():
    model = tiny()
    model.compile(HeavyBall(0.1, 10), keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="d_optimizer, HeavyBall, computes its own"):
        model.optimizer.learning_rate = 0.05


def test_rates_keep_their_proportion_over_a_rate_of_zero():
    model = tiny()
    model.compile(keras.optimizers.SGD(0.2), keras.optimizers.SGD(0.1))
    for rate in (0.0, 0.4):
        model.optimizer.learning_rate = rate
    rates = [float(o.learning_rate) for o in (model.d_optimizer, model.g_optimizer)]
    np.testing.assert_allclose(rates, [0.4, 0.2], rtol=1e-6)


def test_began_refuses_a_schedule_beside_its_own_halving():
    model = BEGAN(generator(None), autoencoder(), stall_steps=10)
    fall = keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.5)
    with pytest.raises(ValueError, match="stall_steps halves .* d_optimizer computes its"):
        model.compile(keras.optimizers.Adam(fall), "adam")


@pytest.mark.parametrize("name", MODELS)
def test_a_clone_has_the_same_networks_and_arguments(name):
    model = compiled(name)
    clone = keras.models.clone_model(model)
    assert type(clone) is type(model)
    ours, its = (m.get_config() for m in (model, clone))
    networks = ("generator", model.partner_name)
    for part in networks:
        assert ours.pop(part)["config"]["layers"] == its.pop(part)["config"]["layers"]
    assert ours == its


def test_callbacks_set_the_learning_rate_of_both_in_their_proportion(images):
    model = tiny()
    model.compile(keras.optimizers.Adam(2e-3), keras.optimizers.Adam(1e-3))
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 5e-4)
    model.fit(images, batch_size=8, epochs=2, verbose=0, callbacks=[schedule])
    rates = [float(o.learning_rate) for o in (model.d_optimizer, model.g_optimizer)]
    np.testing.assert_allclose(rates, [5e-4, 2.5e-4], rtol=1e-6)
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="g_loss", mode="min", factor=0.1, patience=1, min_delta=1e9
    )
    model.fit(images, batch_size=8, epochs=3, verbose=0, callbacks=[plateau])
    assert float(model.g_optimizer.learning_rate) < 2.5e-4


def test_a_loss_of_your_own_is_refused_when_the_model_is_saved(tmp_path):
    own = losses.AdversarialLoss(*losses.LOSSES["minimax"][:4])
    for loss in (own, losses.one_sided(own, 0.9)):
        model = GAN(generator(), critic(), loss=loss)
        with pytest.raises(ValueError, match="a loss of your own cannot be saved"):
            model.save(tmp_path / "gan.keras")


def test_an_optimizer_that_expects_a_scaled_loss_is_refused():
    scaled = keras.optimizers.Adam(loss_scale_factor=1024.0)
    for each in (scaled, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())):
        with pytest.raises(ValueError, match="d_optimizer expects a scaled loss"):
            tiny().compile(each, keras.optimizers.Adam())


def test_an_optimizer_with_an_average_of_its_own_is_refused():
    averaging = keras.optimizers.Adam(use_ema=True)
    with pytest.raises(ValueError, match="g_optimizer has use_ema.*generator_average"):
        tiny().compile("adam", averaging)
    with pytest.raises(ValueError, match="g_optimizer has use_ema.*leave it out"):
        MODELS["autoencoder"]().compile("adam", averaging)


def test_networks_in_float16_are_refused():
    """Their gradients vanish without a scaled loss."""
    for policy in ("float16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = tiny()
        finally:
            keras.config.set_dtype_policy("float32")
        with pytest.raises(ValueError, match="float16.*dtype policy mixed_bfloat16"):
            model.compile("adam", "adam")


def test_keras_augmentation_layers_draw_by_step(images):
    """From one step, two copies of a model take the same step."""
    x = keras.Input((4, 4, 1))
    flipped = keras.layers.RandomFlip(seed=3)(x)
    h = keras.layers.Dense(1)(keras.layers.Flatten()(flipped))
    model = GAN(generator(), keras.Model(x, h))
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    found = []
    for _ in range(2):
        model.step.assign(7)
        model.reset_metrics()
        found.append(float(model.train_step((tf.constant(images[:8]),))["d_real"]))
    assert found[0] == found[1]


def test_model_checkpoint_keeps_a_model_that_loads(images, tmp_path):
    model = compiled("gan")
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "gan.keras")
    model.fit(images, batch_size=8, verbose=0, callbacks=[keep])
    z = tf.ones((2, LATENTS))
    twin = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(twin(z), model(z))


def wrong_critic():
    return BEGAN(generator(), critic())


def wrong_energy():
    return EBGAN(generator(), critic())


def unbuilt_generator():
    return GAN(keras.Sequential([keras.layers.Dense(16)]), critic())


def other_size():
    points = keras.Sequential([keras.Input((16,)), keras.layers.Dense(1)])
    return GAN(generator(), points)


def classes():
    return EBGAN(generator(), chain(SHAPE, SHAPE, "code"), classes=2)


def not_compiled():
    tiny().fit(np.zeros((8, *SHAPE), np.float32), verbose=0)


def whole_numbers():
    compiled("gan").fit(np.zeros((8, *SHAPE), np.uint8), verbose=0)


def weighted():
    images = np.zeros((8, *SHAPE), np.float32)
    compiled("gan").fit(images, np.ones(8), sample_weight=np.ones(8), verbose=0)


def weighted_classes():
    images, labels = np.zeros((8, *SHAPE), np.float32), np.arange(8) % 2
    model = compiled("improved_gan on ImageNet")
    model.fit(images, labels, class_weight={0: 1.0, 1: 2.0}, verbose=0)


def no_labels():
    compiled("improved_gan on ImageNet").fit(np.zeros((8, *SHAPE), np.float32), verbose=0)


def one_hot_labels():
    images = np.zeros((8, *SHAPE), np.float32)
    compiled("improved_gan on ImageNet").fit(images, np.ones((8, CLASSES)), verbose=0)


def flipped_points():
    return GAN(chain((LATENTS,), (2,), "hidden"), chain((2,), (1,), "hidden"), flip=True)


def other_prior():
    return VAE(decoder(), encoder(2), prior="uniform")


def unused_matching():
    d = chain(SHAPE, (CLASSES + 1,), "features")
    return ImageNetGAN(generator(), d, matching="squared")


def no_step_of_g():
    return ImprovedGAN(generator(), critic(CLASSES), g_steps=0)


def no_step_of_g_without_labels():
    return UnlabelledGAN(generator(), critic(), g_steps=0)


@pytest.mark.parametrize(
    "mistake, words",
    [
        (wrong_critic, r"D gives \(1,\) for images \(4, 4, 1\): BEGAN's D is an autoenc"),
        (wrong_energy, "EBGAN's D is an autoencoder"),
        (other_size, r"gives \(4, 4, 1\), and the discriminator takes \(16,\)"),
        (classes, "EBGAN takes no classes: GAN, DCGAN and LSGAN do"),
        (not_compiled, "compile"),
        (unbuilt_generator, "the generator has no inputs"),
        (whole_numbers, "images are uint8: cast them to float32"),
        (weighted, "leave out sample_weight and class_weight"),
        (weighted_classes, "leave out sample_weight and class_weight"),
        (no_labels, r"learns from labels: fit takes \(images, labels\)"),
        (one_hot_labels, r"labels have the shape \(.*, 2\): they are integers"),
        (flipped_points, "flip mirrors images, and these networks are for points"),
        (other_prior, "prior is 'uniform': VAE's bound is for 'normal'"),
        (unused_matching, "ImageNetGAN does not match features"),
        (no_step_of_g, "g_steps is 0: it is at least 1"),
        (no_step_of_g_without_labels, "g_steps is 0: it is at least 1"),
    ],
)
def test_a_mistake_gets_one_line(mistake, words):
    with pytest.raises(ValueError, match=words):
        mistake()


@pytest.mark.parametrize("wrong", [-1, CLASSES])
def test_a_label_that_is_not_a_class_is_refused(wrong, images):
    model = compiled("improved_gan on ImageNet")
    labels = np.arange(len(images)) % CLASSES
    labels[5] = wrong
    with pytest.raises(tf.errors.InvalidArgumentError, match="one of the classes 0 to 1"):
        model.fit(images, labels, batch_size=8, verbose=0)


def test_improved_gan_trains_on_a_column_of_labels_as_on_a_row(images):
    labels, found = np.arange(len(images)) % CLASSES, []
    for given in (labels, labels[:, None]):
        model = compiled("improved_gan")
        fit = model.fit((images,) * 3, given, batch_size=8, shuffle=False, verbose=0)
        found.append(fit.history)
    assert found[0] == found[1]


def test_a_last_batch_of_fewer_than_k_examples_trains(images):
    model = GAN(generator(), critic(), k=2)
    model.compile("adam", "adam")
    logs = model.fit(images[:17], batch_size=16, verbose=0).history
    assert np.isfinite(list(logs.values())).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_replica_without_examples_is_refused(images):
    with two_replicas().scope():
        model = compiled("gan")
    with pytest.raises(tf.errors.InvalidArgumentError, match="or one has no examples"):
        model.fit(images[:9], batch_size=8, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_every_call_that_the_page_lists_has_its_test():
    page = (launch.ROOT / "docs" / "keras.md").read_text()
    named = re.findall(r"`tests/(test_\w+\.py)::(\w+)`", page)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 20 and len(named) >= len(rows) - 2  # two are headings
    for file, name in named:
        assert f"def {name}(" in (launch.ROOT / "tests" / file).read_text(), name


def test_classes_are_imported_lazily_and_define_no_flag():
    code = """
import sys
import tfgan_papers
assert "tensorflow" not in sys.modules
from absl import flags
before = set(flags.FLAGS)
from tfgan_papers import (
    BEGAN, DCGAN, EBGAN, GAN, LSGAN, VAE, Autoencoder, ImprovedGAN, callbacks, data,
    layers, losses, metrics
)
import tfgan_papers.metrics.functional
import matplotlib
assert matplotlib.get_backend() == "svg", "the backend is the user's to choose"
others = {f for f in flags.FLAGS if flags.FLAGS.find_module_defining_flag(f)
          .startswith("tfgan_papers")}
assert not others, others
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**launch.ENVIRONMENT, "MPLBACKEND": "svg"},
    )
    assert done.returncode == 0, done.stderr[-500:]
