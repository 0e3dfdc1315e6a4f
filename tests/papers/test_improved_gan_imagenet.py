"""Improved GAN on ImageNet: layers against NumPy, counts, the step; on tiny networks."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from tests import factories, launch
from tests.factories import build
from tests.papers.test_improved_gan import counts, settings_of
from tests.test_techniques import assert_gradients
from tfgan_papers import losses, noise
from tfgan_papers.errors import UsageError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.metrics import classification_error
from tfgan_papers.models import surgery
from tfgan_papers.papers import improved_gan
from tfgan_papers.papers import improved_gan_imagenet as imagenet
from tfgan_papers.runs import export
from tfgan_papers.runs.train import train

LATENT_DIM, WIDTH, KERNELS, KERNEL_SIZE, CLASSES = 6, 8, 3, 2, 5
MAPS = [(1, 8), (2, 8), (4, 4), (8, 2), (16, 1), (32, 1)]  # side and channels


@pytest.fixture(scope="module")
def networks():
    return imagenet.networks(
        (32, 32, 3), CLASSES, Draw(0), LATENT_DIM, WIDTH, KERNELS, KERNEL_SIZE
    )


def test_cross_batch_norm_has_half_of_the_channels_by_each_source(rng):
    layer = imagenet.CrossBatchNormalization(dtype="float64")
    x = rng.normal(2, 3, size=(8, 3, 3, 4))
    layer.build(x.shape)
    beta = rng.normal(size=4)
    layer.beta.assign(beta)
    gamma = layer.gamma.numpy()
    for channel in range(4):
        source = x[:4] if channel < 2 else x[4:]
        values = source[..., channel]
        expected = (x[..., channel] - values.mean()) / np.sqrt(values.var() + 1e-5)
        expected = expected * gamma[channel] + beta[channel]
        found = layer(x, training=True)[..., channel]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    means = [x[:4, ..., :2].mean((0, 1, 2)), x[4:, ..., 2:].mean((0, 1, 2))]
    kept = 1 - 0.9**4  # four passes
    np.testing.assert_allclose(layer.mean.numpy(), kept * np.concatenate(means))
    alone = [layer(one[None])[0] for one in x]
    np.testing.assert_allclose(layer(x), alone, rtol=1e-9)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 4)])
def test_cross_batch_norm_differentiates_through_its_statistics(shape, rng):
    layer = imagenet.CrossBatchNormalization(dtype="float64")
    layer.build((None, *shape))

    def numpy_form(x, gamma, beta):
        sources = x[:3, ..., :2], x[3:, ..., 2:]
        axes = tuple(range(len(shape)))
        mean, variance = (
            np.concatenate([moment(source, axes) for source in sources])
            for moment in (np.mean, np.var)
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    weights = [w.numpy() for w in layer.trainable_variables]
    x = rng.normal(2, 3, size=(6, *shape))
    assert_gradients(layer, x, numpy_form, weights, training=True)


def joint_features(m):
    n = len(m) // 2
    features = np.zeros((2 * n, 6))
    for i in range(2 * n):
        for j in range(2 * n):
            if i != j:
                group = 0 if j < n else 3
                similar = np.exp(-np.abs(m[i] - m[j]).sum(-1))
                features[i, group : group + 3] += similar / (n * (2 * n - 1))
    return features


def test_joint_minibatch_features_compare_with_data_and_with_samples(rng):
    m = rng.normal(size=(6, 3, 2))
    layer = imagenet.JointMinibatchFeatures(3, dtype="float64")
    flat = m.reshape(6, 6)
    np.testing.assert_allclose(layer(flat, training=True), joint_features(m), rtol=1e-9)
    assert np.isfinite(layer(flat[:1])).all()

    def numpy_form(x):
        return joint_features(x.reshape(6, 3, 2))

    assert_gradients(layer, flat, numpy_form, [], training=True)


def test_counts_of_weights(networks):
    w, convolutions = WIDTH, ((1, 2), (2, 4), (4, 4), (4, 4), (4, 8), (8, 8))
    filters = [8 * w, 4 * w, 2 * w, w, w, w]
    g = (LATENT_DIM + 1 + 2) * filters[0]
    for below, (_, maps), above in zip(filters, MAPS, filters[1:], strict=False):
        g += 25 * (below + maps) * above + 3 * above
    g += 25 * (filters[-1] + MAPS[-1][1]) * 3 + 3
    d = 9 * 3 * w + 3 * w
    d += sum(9 * a * w * b * w + 3 * b * w for a, b in convolutions)
    d += 8 * w * 40 * w + 3 * 40 * w + (40 * w + 1) * KERNELS * KERNEL_SIZE
    d += (40 * w + 2 * KERNELS + 1) * (CLASSES + 1)
    assert counts(networks) == [g, d]


def test_noise_maps_reach_the_image_and_vbn_takes_their_reference(networks, rng):
    generator, _ = networks
    size = LATENT_DIM + sum(side * side * maps for side, maps in MAPS)
    assert generator.input_shape == (None, size)
    z = np.float32(rng.uniform(-1, 1, (2, size)))
    other = z.copy()
    other[:, -1] += 1  # the last pixel of the last map
    change = np.abs(generator(other) - generator(z)).sum((0, 3))
    assert change[-1, -1] > 0 and change[:28].sum() == change[:, :28].sum() == 0
    reference = np.float32(rng.uniform(-1, 1, (3, size)))
    virtual = surgery.with_virtual_batch_normalization(generator, reference)
    np.testing.assert_allclose(virtual(z)[:1], virtual(z[:1]), rtol=1e-3, atol=1e-5)


def test_the_step_moves_both_networks_by_one_joint_pass(networks, rng):
    generator, discriminator = (keras.models.clone_model(n) for n in networks)
    for copy, network in zip((generator, discriminator), networks, strict=True):
        copy.set_weights(network.get_weights())
    loss = losses.one_sided(losses.equilibrium(0.25), 0.75)
    model = imagenet.ImageNetGAN(generator, discriminator, loss=loss, seed=4)
    model.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0), jit_compile=False)
    real = tf.constant(rng.uniform(-1, 1, (4, 32, 32, 3)), tf.float32)
    labels = np.array([0, 4, 2, 2])
    base = noise.Stream.of_step(4, tf.constant(0, tf.int64), 0).branch()
    d_weights, g_weights = (n.trainable_weights for n in (networks[1], networks[0]))
    with noise.use(noise.Stream(base, 0)) as stream, tf.GradientTape(True) as tape:
        z = stream.latents("uniform", (4, model.latent_dim))
        joint = tf.concat([real, networks[0](z, training=True)], 0)
        logits = networks[1](joint, training=True)
        p_fake = tf.nn.softmax(logits)[:, -1]  # 1 - D(x)
        chance = tf.math.log(1 - p_fake), tf.math.log(p_fake)
        d_loss = -tf.reduce_mean(0.75 * chance[0][:4] + 0.25 * chance[1][:4])
        d_loss -= tf.reduce_mean(chance[1][4:])
        of_label = tf.gather(tf.nn.log_softmax(logits[:4]), labels, axis=1, batch_dims=1)
        d_loss -= tf.reduce_mean(of_label)
        g_loss = -tf.reduce_mean(0.375 * chance[0][4:] + 0.625 * chance[1][4:])
    logs = model.train_step((real, tf.constant(labels)))
    np.testing.assert_allclose(logs["d_loss"], d_loss, rtol=1e-4)
    np.testing.assert_allclose(logs["g_loss"], g_loss, rtol=1e-4)
    for weights, copy, value in (
        (d_weights, discriminator, d_loss),
        (g_weights, generator, g_loss),
    ):
        wanted = tape.gradient(value, weights)
        for old, new, gradient in zip(weights, copy.trainable_weights, wanted, strict=True):
            np.testing.assert_allclose(new, old - gradient, rtol=1e-3, atol=1e-4)


def test_the_first_k_logits_classify(networks, tmp_path, rng):
    model = imagenet.ImageNetGAN(*networks, loss=losses.equilibrium(0.25))
    images = np.float32(rng.uniform(-1, 1, (4, 32, 32, 3)))
    logits = networks[1](images, training=False).numpy()
    np.testing.assert_array_equal(model.classifier(images), logits[:, :CLASSES])
    labels = logits[:, :CLASSES].argmax(-1)
    labels[0] = (labels[0] + 1) % CLASSES
    reference = classification_error.Reference(images, labels)
    assert classification_error.score(model.classifier, reference).value == 1
    export.export(model, tmp_path / "export", "symmetric", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    found = served.classify(tf.constant(images))
    np.testing.assert_allclose(found, softmax(logits[:, :CLASSES], 1), rtol=1e-4)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert set(manifest["depend_on_batch_mates"]) == {"score", "classify"}


def test_the_score_is_the_logit_of_the_first_k_classes(rng):
    logits = rng.normal(size=(5, 4)) * 3
    log_p = log_softmax(logits, 1)
    expected = np.log1p(-np.exp(log_p[:, -1:])) - log_p[:, -1:]
    np.testing.assert_allclose(imagenet.score(logits), expected, rtol=1e-9)


def test_at_equilibrium_g_has_nothing_to_gain():
    """The best D is .375 where p_g = p_data and data's target is .75."""
    scores = tf.Variable(np.log([0.375 / 0.625]))
    with tf.GradientTape() as tape:
        g_loss = losses.equilibrium(0.25).generator(scores)
    np.testing.assert_allclose(tape.gradient(g_loss, scores), 0, atol=1e-12)


def test_minibatch_features_beside_its_own_joint_ones_are_refused():
    """They would see data and samples as one batch, and the paper has them apart."""
    settings = settings_of(network="imagenet", shape=(32, 32, 3), batch_size=4)
    with pytest.raises(UsageError, match="kernels: D has minibatch features of its own"):
        build("improved_gan", settings, minibatch_kernels=3)


def test_a_run_on_digits_trains_with_all_labels(monkeypatch, tmp_path):
    """Its networks are small; the rest is as in a run on ImageNet."""
    original = imagenet.networks

    def small(shape, classes, draw):
        return original(shape, classes, draw, *(LATENT_DIM, WIDTH, KERNELS, KERNEL_SIZE))

    monkeypatch.setattr(imagenet, "networks", small)
    experiment = improved_gan.EXPERIMENTS["imagenet"]._replace(networks=small)
    monkeypatch.setitem(improved_gan.EXPERIMENTS, "imagenet", experiment)
    given = {"image_size": 32, "batch_size": 4, "reference_batch": 4, "steps": 2}
    run = factories.run(
        tmp_path / "run", "improved_gan", network="imagenet", jit_compile="false", **given
    )
    train(run)
    summary = run.folder.read("summary.json")
    assert summary["loss"] == "equilibrium" and summary["steps"] == 2
    assert 0 <= summary["scalars"]["train_error"] <= 1
    assert launch.kept_steps(run.folder.path) == [2]
