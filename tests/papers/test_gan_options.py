"""GAN (2014) by its options: what is built and refused, the second stage on TFD."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import factories
from tests.factories import build, options_of
from tfgan_papers import data
from tfgan_papers.commands import scoring
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan, gan_networks
from tfgan_papers.runs import export
from tfgan_papers.runs.checkpoints import Checkpoints


def settings(dataset="gaussian", shape=(1,), **changes):
    return factories.settings("gan", shape, dataset=dataset, **changes)


def test_built_model_counts_epochs_of_each_network_in_its_own_steps():
    """50 minibatches are 16 steps of a GAN with k = 3: 48 of D and 16 of G."""
    model = build("gan", settings(), k=3)
    assert (model.k, model.simultaneous) == (3, False)
    assert gan.PAPER.minibatches_per_step(options_of("gan", k=3)) == 3
    model.train_step(tf.zeros((6, 1)))
    optimizers = model.d_optimizer, model.g_optimizer
    assert [int(optimizer.iterations.numpy()) for optimizer in optimizers] == [3, 1]
    assert [optimizer.steps_per_epoch for optimizer in optimizers] == [48, 16]


def test_momentum_of_both_networks_rises_with_the_epochs_of_the_data():
    """Four epochs of ten minibatches, read as training reads them."""
    model = build("gan", settings(steps_per_epoch=10), k=5)
    images = data.HeldExamples("made", np.zeros((40, 1), "float32"))
    minibatches = gan.PAPER.minibatches_per_step(options_of("gan", k=5))
    batches = iter(images.stream(4 * minibatches, 0, "raw"))
    for epoch in range(1, 5):
        for optimizer in (model.d_optimizer, model.g_optimizer):
            momentum = float(optimizer.momentum_at(optimizer.iterations))
            assert momentum == pytest.approx(0.5 + 0.2 * (epoch - 1) / 249, abs=1e-6)
        for _ in range(2):
            model.train_step(next(batches))


def test_fidelity_to_the_code_moves_both_networks_at_once():
    assert build("gan", settings(fidelity="code")).simultaneous
    assert not build("gan", settings(fidelity="paper")).simultaneous


def test_fidelity_to_the_code_refuses_k_above_1():
    with pytest.raises(UsageError, match="--k"):
        build("gan", settings(fidelity="code"), k=2)


def test_build_refuses_networks_that_do_not_exist_or_fit():
    with pytest.raises(UsageError, match="mnist, tfd_pretrain"):
        build("gan", settings(network="resnet"))
    unfit = settings("mnist", (28, 28, 1), network="cifar10_convolutional")
    with pytest.raises(UsageError, match="32x32"):
        build("gan", unfit)
    unfit = settings("digits", (8, 8, 1), network="points")
    with pytest.raises(UsageError, match="for points, and the data are images"):
        build("gan", unfit)


def test_a_value_range_that_the_generators_sigmoid_cannot_give_is_refused(tmp_path):
    run = factories.run(tmp_path / "run", "gan", value_range="symmetric")
    run.build(settings(), jit_compile=False)  # points, and no activation
    with pytest.raises(UsageError, match="sigmoid, which needs --value_range=unit"):
        run.build(settings("digits", (8, 8, 1)), jit_compile=False)


# CIFAR-10 in norm 55: pixels depend on the batch.


def test_scores_of_features_are_refused_where_pixels_depend_on_the_batch():
    scores = scoring.ScoreOptions(metrics=("diversity", "frechet_distance"))
    norm55, unit = (data.DataOptions(value_range=name) for name in ("norm55", "unit"))
    with pytest.raises(UsageError, match="--metrics=frechet_distance.*norm55 depend"):
        scoring.check(scores, norm55)
    scoring.check(scores, unit)
    of_files = dataclasses.replace(scores, images="folder")
    scoring.check(of_files, norm55)  # those are pixels already


@pytest.mark.parametrize(
    ("value_range", "returns"),
    [
        ("norm55", ", scaled by the largest magnitude among the n"),
        ("unit", ""),
    ],
)
def test_manifest_says_what_the_pixels_of_samples_depend_on(value_range, returns, tmp_path):
    export.export(first_stage(), tmp_path / "export", value_range, {})
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    form = ", ".join(map(str, manifest["endpoints"]["generate"]["returns"]["images"]))
    samples = manifest["endpoints"]["sample"]["returns"]["images"]
    assert samples == f"uint8 ({form}){returns}"


# The second stage on TFD, GAN-5, in a smaller size.


def body(shape=(2, 2, 1)):
    return [
        keras.layers.Dense(6, "relu"),
        keras.layers.Dense(int(np.prod(shape)), "sigmoid"),
    ]


def stage_of(generator):
    shape = generator.output_shape[1:]
    discriminator = gan_networks.maxout_discriminator(3, 2, Draw(1), shape)
    model = gan.GAN(generator, discriminator)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), jit_compile=False)
    return model


def first_stage(shape=(2, 2, 1)):
    return stage_of(gan_networks.generator_from(body(shape), shape))


def second_stage(shape=(2, 2, 1)):
    pretrained = gan_networks.generator_from(body(shape), shape, name="pretrained")
    front = [keras.layers.Dense(5, "relu"), keras.layers.Dense(100, "sigmoid")]
    return stage_of(gan_networks.generator_from([*front, pretrained], shape))


def keep(model, folder):
    Checkpoints(folder / "checkpoints", model).save(7)


def initialize(model, init_from=None):
    """What precedes step 1, with --init_from or without."""
    options = options_of("gan", init_from=init_from and str(init_from))
    gan.initialize(model, None, settings(), options, "unit")


def test_second_stage_begins_with_the_generator_of_the_first(tmp_path, rng):
    first, second = first_stage(), second_stage()
    first.train_step(tf.constant(rng.uniform(0, 1, (4, 2, 2, 1)), tf.float32))
    front = second.generator.get_weights()[:4]
    d = second.discriminator.get_weights()
    keep(first, tmp_path)
    initialize(second, tmp_path)
    z = tf.constant(rng.normal(size=(3, 100)), tf.float32)
    pretrained = second.generator.get_layer("pretrained")
    np.testing.assert_array_equal(pretrained(z), first.generator(z))
    for mine, before in (
        (second.generator.get_weights()[:4], front),
        (second.discriminator.get_weights(), d),
    ):
        for weight, other in zip(mine, before, strict=True):
            np.testing.assert_array_equal(weight, other)


def test_a_run_that_is_no_first_stage_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint in"):
        initialize(second_stage(), tmp_path)
    keep(first_stage((3, 3, 1)), tmp_path)
    with pytest.raises(UserError, match="does not hold a generator of tfd_pretrain"):
        initialize(second_stage(), tmp_path)


def test_init_from_and_the_second_stage_go_together(tmp_path):
    with pytest.raises(UsageError, match="--network=tfd needs --init_from"):
        initialize(second_stage())
    keep(first_stage(), tmp_path)
    with pytest.raises(UsageError, match="no other network takes it"):
        initialize(first_stage(), tmp_path)
    initialize(first_stage())
