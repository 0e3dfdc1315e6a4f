"""The autoencoder and the VAE: losses against scipy and quadrature, the step against a
second implementation, resume, the score, export, pictures and command line."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import expit

from tests import factories, launch
from tfgan_papers import data, noise
from tfgan_papers.commands import sample, scoring, subjects
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.metrics import bound, subsets
from tfgan_papers.papers import autoencoders, gan
from tfgan_papers.runs import collapse, export
from tfgan_papers.runs.run import open_run

SHAPE = (2, 3, 1)
PIXELS = 6


def images(n=8, seed=0):
    draw = np.random.default_rng(seed)
    return tf.constant(draw.uniform(size=(n, *SHAPE)), tf.float32)


def tiny(latent_dim=2, heads=2):
    """A decoder and an encoder of a layer each, with weights far from zero."""

    def dense(units, i):
        kernel = keras.initializers.RandomNormal(0, 0.7, seed=i)
        bias = keras.initializers.RandomNormal(0, 0.3, seed=100 + i)
        return keras.layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias)

    x = keras.Input(SHAPE)
    codes = [dense(latent_dim, i)(keras.layers.Flatten()(x)) for i in range(heads)]
    z = keras.Input((latent_dim,))
    logits = keras.layers.Reshape(SHAPE, name="logits")(dense(PIXELS, 9)(z))
    decoder = keras.Model(z, keras.layers.Activation("sigmoid")(logits))
    return decoder, keras.Model(x, codes if heads > 1 else codes[0])


def compiled(kind=autoencoders.VAE, optimizer=keras.optimizers.SGD, **sizes):
    heads = 2 if kind is autoencoders.VAE else 1
    model = kind(*tiny(heads=heads, **sizes), seed=5)
    model.compile(optimizer(0.1), optimizer(0.1), jit_compile=False)
    return model


# The losses.


def test_cross_entropy_is_that_of_bernoulli_pixels(rng):
    x = rng.integers(0, 2, (4, *SHAPE)).astype("float32")
    logits = rng.normal(size=(4, *SHAPE)).astype("float32")
    expected = -stats.bernoulli(expit(logits)).logpmf(x).sum((1, 2, 3))
    found = autoencoders.cross_entropy(x, expit(logits))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    found = autoencoders.cross_entropy_of_logits(x, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cross_entropy_of_grey_pixels_is_least_at_the_pixels_themselves():
    grey = np.full((1, *SHAPE), 0.3, np.float32)
    expected = PIXELS * stats.bernoulli(0.3).entropy()
    least = autoencoders.cross_entropy(grey, grey)
    np.testing.assert_allclose(least, [expected], rtol=1e-5)
    assert autoencoders.cross_entropy(grey, grey + 0.1)[0] > expected


def test_cross_entropy_of_large_logits_is_finite_and_has_gradients():
    logits = tf.constant(np.full((1, *SHAPE), 200.0), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        error = autoencoders.cross_entropy_of_logits(tf.zeros_like(logits), logits)
    np.testing.assert_allclose(error, [200.0 * PIXELS])
    np.testing.assert_allclose(tape.gradient(error, logits), np.ones((1, *SHAPE)))


def test_squared_error_is_summed_over_pixels(rng):
    x, y = rng.uniform(size=(2, 5, *SHAPE))
    expected = [np.linalg.norm(a - b) ** 2 for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(autoencoders.squared(x, y), expected, rtol=1e-6)


def test_divergence_is_what_monte_carlo_gives(rng):
    mean, log_variance = rng.normal(size=(2, 3, 4))
    found = autoencoders.divergence(np.float32(mean), np.float32(log_variance))
    q = stats.norm(mean, np.exp(log_variance / 2))
    z = q.rvs((40_000, 3, 4), random_state=1)
    ratios = (q.logpdf(z) - stats.norm.logpdf(z)).sum(-1)
    error = ratios.std(0) / 200
    assert (np.abs(found - ratios.mean(0)) < 5 * error).all() and error.max() < 0.05
    zero = np.zeros((1, 4), np.float32)
    np.testing.assert_array_equal(autoencoders.divergence(zero, zero), [0.0])


# The bound.


def quadrature(model, x):
    """log p(x), and KL(q(z|x) || p(z|x)), of one latent, on a fine grid in float64."""
    z = np.linspace(-9, 9, 4001)
    dz = z[1] - z[0]
    logits = model.logits(np.float32(z[:, None])).numpy().astype(float)
    log_joint = stats.norm.logpdf(z) + (x * logits - np.logaddexp(0, logits)).sum((1, 2, 3))
    evidence = np.log(np.exp(log_joint).sum() * dz)
    mean, log_variance = (np.squeeze(v) for v in model.encoder(x[None]))
    log_q = stats.norm.logpdf(z, mean, np.exp(log_variance / 2))
    kl = (np.exp(log_q) * (log_q - (log_joint - evidence))).sum() * dz
    return evidence, kl


def test_bound_is_the_evidence_less_the_divergence_from_the_posterior():
    model, draws = compiled(latent_dim=1), 4000
    for x in images(3).numpy():
        evidence, kl = quadrature(model, x)
        many = np.repeat(x[None], draws, 0)
        bounds = model.bound(many, tf.constant([7, 0], tf.int64)).numpy()
        error = bounds.std() / np.sqrt(draws)
        assert kl > 10 * error  # so that the bound is not the evidence itself
        assert abs(bounds.mean() - (evidence - kl)) < 5 * error


def test_bound_is_tight_where_the_decoder_ignores_the_code():
    model = compiled()
    decoder, encoder = model.generator, model.encoder
    decoder.layers[1].kernel.assign(np.zeros((2, PIXELS)))
    for weight in encoder.weights:
        weight.assign(tf.zeros_like(weight))  # q is N(0, I)
    x, logits = images().numpy(), decoder.layers[1].bias.numpy().reshape(SHAPE)
    evidence = (x * logits - np.logaddexp(0, logits)).sum((1, 2, 3))
    found = model.bound(x, tf.constant([7, 0], tf.int64))
    np.testing.assert_allclose(found, evidence, rtol=1e-5)


def test_the_score_is_the_mean_bound_however_it_is_cut(monkeypatch):
    model, x = compiled(), images(50).numpy()
    whole = bound.score(model.bound, x)
    seed = tf.constant([bound.SEED, 0], tf.int64)
    each = model.bound(x, seed).numpy()
    np.testing.assert_allclose(whole.value, each.mean(), rtol=1e-6)
    np.testing.assert_allclose(whole.standard_error, each.std() / 50**0.5, rtol=1e-5)
    assert whole.test_examples == 50 and bound.selection(model.bound, x) == whole.value
    monkeypatch.setattr(bound, "BATCH_SIZE", 7)
    np.testing.assert_allclose(bound.score(model.bound, x).value, whole.value, rtol=1e-6)


def test_a_bound_that_is_not_finite_is_refused():
    model = compiled()
    model.generator.layers[1].bias.assign(np.full(PIXELS, np.nan))
    with pytest.raises(UserError, match="not finite"):
        bound.score(model.bound, images().numpy())


def test_scores_are_of_what_the_model_has():
    vae, plain = (
        subjects.GeneratorSamples(compiled(kind), scoring.ScoreOptions(), "unit")
        for kind in (autoencoders.VAE, autoencoders.Autoencoder)
    )
    assert vae.component("bound") == vae.model.bound
    with pytest.raises(UsageError, match="needs a bound"):
        plain.component("bound")
    with pytest.raises(UsageError, match="needs a classifier"):
        vae.component("classifier")


# Networks.


@pytest.mark.parametrize(
    ("latent_dim", "heads", "of_g", "of_d"),
    [(20, 2, 403_284, 412_540), (2, 2, 394_284, 394_504), (20, 1, 403_284, 402_520)],
)
def test_networks_have_the_papers_layers(latent_dim, heads, of_g, of_d):
    g, d = autoencoders.networks((28, 28, 1), latent_dim, heads, Draw(0))
    counts = [sum(int(np.prod(w.shape)) for w in n.weights) for n in (g, d)]
    hidden = (784 + 1) * 500
    of_codes = heads * (500 + 1) * latent_dim
    assert counts == [(latent_dim + 1) * 500 + 501 * 784, hidden + of_codes]
    assert counts == [of_g, of_d]
    assert len(d.outputs) == heads and g.output_shape == (None, 28, 28, 1)
    np.testing.assert_allclose(d.layers[2].kernel.numpy().std(), 0.01, rtol=0.01)


# The step.


def test_step_of_the_vae_is_its_equations_in_a_tape_of_its_own():
    model, (decoder, encoder) = compiled(), tiny()
    weights = encoder.trainable_variables + decoder.trainable_variables
    for step in range(3):
        x = images(seed=step)
        base = noise.Stream.of_step(model.seed, model.step.value, 0).branch()
        epsilon = noise.normal(base, (8, 2))
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(x)
            y = decoder(mean + tf.exp(log_variance) ** 0.5 * epsilon)
            error = -tf.reduce_sum(
                x * tf.math.log(y) + (1 - x) * tf.math.log(1 - y), [1, 2, 3]
            )
            kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - 1 - log_variance, 1)
            loss = tf.reduce_mean(error + kl)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.1 * gradient)
        logs = model.train_step(x)
        np.testing.assert_allclose(logs["bound"], -loss, rtol=1e-5)
        np.testing.assert_allclose(logs["divergence"], np.mean(kl), rtol=1e-4)
        model.reset_metrics()
    for mine, other in ((decoder, model.generator), (encoder, model.encoder)):
        for a, b in zip(mine.weights, other.weights, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_step_of_the_autoencoder_descends_the_error_of_its_copies():
    model, (decoder, encoder) = compiled(autoencoders.Autoencoder), tiny(heads=1)
    weights = encoder.trainable_variables + decoder.trainable_variables
    x = images()
    with tf.GradientTape() as tape:
        copies = decoder(encoder(x))
        loss = tf.reduce_mean(tf.reduce_sum((x - copies) ** 2, [1, 2, 3]))
    gradients = tape.gradient(loss, weights)
    logs = model.train_step(x)
    np.testing.assert_allclose(logs["error"], loss, rtol=1e-6)
    found = model.encoder.trainable_variables + model.generator.trainable_variables
    for weight, gradient, moved in zip(weights, gradients, found, strict=True):
        np.testing.assert_allclose(weight - 0.1 * gradient, moved, rtol=1e-5, atol=1e-7)


def adagrad():
    """One of a run's optimizers."""
    return autoencoders.make_optimizers(
        factories.settings("vae", learning_rate=0.02), None, None
    )[0]


def test_adagrad_does_not_see_the_scale_of_the_loss():
    moved = []
    for scale in (1.0, 1000.0):
        weight = keras.Variable([1.0, 2.0, 3.0])
        optimizer = adagrad()
        for step in range(5):
            optimizer.apply([scale * tf.constant([0.1, -0.3 * step, 0.0])], [weight])
        moved.append(weight.numpy())
    np.testing.assert_allclose(*moved, rtol=1e-5)
    assert moved[0][2] == 3.0 and moved[0][0] < 0.95


# Export, and the watch.


@pytest.mark.parametrize("kind", [autoencoders.VAE, autoencoders.Autoencoder])
def test_the_export_copies_by_the_mean_code_and_scores_by_the_error(kind, tmp_path):
    model, x = compiled(kind), images()
    codes = model.encoder(x)
    mean = codes[0] if kind is autoencoders.VAE else codes
    copies = model.generator(mean).numpy()
    error = model.energy(x, copies).numpy()[:, None]
    np.testing.assert_allclose(model.critic_output(x), error, rtol=1e-5)
    export.export(model, tmp_path / "export", "unit", {})
    served = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(served.reconstruct(x), copies, atol=1e-6)
    np.testing.assert_allclose(served.score(x), error, rtol=1e-5)
    z = tf.constant([[0.5, -1.0]])
    np.testing.assert_allclose(served.generate(z), model.generator(z), atol=1e-6)
    assert served.sample(n=3, seed=1).shape == (3, *SHAPE)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert set(manifest["endpoints"]) == set(served.signatures)
    assert manifest["latent_law"] == "normal"


def test_without_an_adversary_nothing_is_saturated():
    reports = [{"step": i, "diversity": 0.9} for i in range(5)]
    assert collapse.diagnose(reports) == "healthy"
    certain = [report | {"d_auc": 1.0} for report in reports]
    assert collapse.diagnose(certain) == "saturated"


# Pictures.


def pictures_of(model, name="vae"):
    run = factories.run("nowhere", name, value_range="unit")
    return sample.Pictures(run.values.data, model, sample.SampleOptions())


def test_the_manifold_is_even_in_shares_of_the_gaussian():
    model = compiled()
    seen = []
    model.generate = lambda z: seen.append(z) or tf.zeros((len(z), *SHAPE))
    ((suffix, picture),) = pictures_of(model).manifold()
    (z,) = seen
    assert suffix == "" and picture.ndim == 3
    shares = stats.norm.cdf(z).reshape(20, 20, 2)
    expected = (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(shares[3, :, 0], expected, atol=1e-6)  # to the right
    np.testing.assert_allclose(shares[:, 3, 1], expected[::-1], atol=1e-6)  # upwards


def test_no_manifold_of_other_latents():
    with pytest.raises(UsageError, match="two normal latents"):
        next(pictures_of(compiled(latent_dim=3)).manifold())


def test_no_reconstructions_without_an_autoencoder():
    z, x = keras.Input((2,)), keras.Input(SHAPE)
    g = keras.layers.Reshape(SHAPE)(keras.layers.Dense(PIXELS)(z))
    d = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    model = gan.GAN(keras.Model(z, g), keras.Model(x, d))
    with pytest.raises(UsageError, match="this model has none"):
        next(pictures_of(model, "gan").reconstructions())


# From the command line.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of the VAE with two latents, and the picture commands after it."""
    folder = tmp_path_factory.mktemp("vae") / "run"
    arguments = (
        *("--model=vae", "--latent_dim=2", "--steps=4", "--report_steps=2"),
        *("--metrics=bound", "--jit_compile=false", f"--logdir={folder}"),
    )
    trained = launch.within(*arguments)
    pictures = [
        launch.within("--mode=sample", f"--sample={kind}", f"--logdir={folder}")
        for kind in ("manifold", "reconstructions")
    ]
    return folder, trained, pictures


def test_reconstructions_of_few_images_are_whole_rows(run):
    folder, *_ = run
    for n in (3, 13):  # rows of ten
        few = (f"--test_split=train[:{n}]", f"--logdir={folder}")
        ended = launch.within("--mode=sample", "--sample=reconstructions", *few)
        assert ended.code == 0, ended.err


def test_a_run_scores_its_bound_and_draws_its_pictures(run):
    folder, trained, pictures = run
    assert trained.code == 0, trained.err
    score = json.loads((folder / "scores.json").read_text())[-1]
    assert score["test_examples"] == 359 and -60 < score["value"] < -20
    assert 0 < score["standard_error"] < 1
    for kind, ended in zip(("manifold", "reconstructions"), pictures, strict=True):
        assert ended.code == 0, ended.err
        (path,) = ended.out.splitlines()
        assert kind in path and pathlib.Path(path).is_file()
    reports = json.loads((folder / "collapse.json").read_text())["reports"]
    assert [set(report) for report in reports] == [{"step", "diversity", "coverage"}] * 2
    assert set(json.loads((folder / "summary.json").read_text())["scalars"]) == {
        *("bound", "error", "divergence")
    }


def test_reconstructions_alternate_rows_of_images_and_copies(run):
    folder, _, _ = run
    again = open_run({"logdir": str(folder)})
    model, _ = again.restored()
    pictures = sample.Pictures(again.values.data, model, sample.SampleOptions())
    ((_, picture),) = pictures.reconstructions()
    test = data.load("train[80%:]", data.DataOptions())
    shown = test.all("unit")[subsets.spread(test.size, 40)]
    tiles = picture[2:, 2:, 0].reshape(8, 66, 10, 66)[:, :64, :, :64].swapaxes(1, 2)
    pixels = tiles[:, :, ::8, ::8] / 255
    expected = np.stack([shown, model.critic(shown)], 1)[..., 0]
    rows = np.concatenate([pixels[0::2].reshape(40, 8, 8), pixels[1::2].reshape(40, 8, 8)])
    np.testing.assert_allclose(
        rows, np.concatenate([expected[:, 0], expected[:, 1]]), atol=0.003
    )


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        ("vae", {"network": "mnist"}, "--model=vae has the networks dense"),
        ("vae", {"loss": "squared"}, "--model=vae takes cross_entropy"),
        ("autoencoder", {"value_range": "symmetric"}, "needs --value_range=unit"),
        ("vae", {"dataset": "ring", "value_range": "raw"}, "is for images"),
    ],
    ids=str,
)
def test_a_run_that_makes_no_sense_is_refused(model, given, words):
    assert words in factories.refusal(model, **given)
