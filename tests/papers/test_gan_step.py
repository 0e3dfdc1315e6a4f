"""GAN (2014): its step against Algorithm 1 in NumPy, and in plain Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import draws
from tests.papers.test_gan_networks import weighted
from tfgan_papers import layers, noise, optimizers
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan, gan_networks

# The step, on linear networks: G(z) = z A + a, the logit of D(x) = x w + c.

DATA_DIM, Z_DIM = 2, 3
START = {
    "A": np.array([[0.1, -0.8], [0.6, 0.4], [-0.5, 0.3]]),
    "a": np.array([0.2, -0.1]),
    "w": np.array([[0.7], [-1.1]]),
    "c": np.array([-0.3]),
}
IMAGES = np.random.default_rng(1).normal(1.0, 1.0, (16, DATA_DIM)).astype("float32")
D_RATE, G_RATE, SEED = 0.5, 0.3, 11


def linear_gan(d_rate=D_RATE, g_rate=G_RATE, dropout=None, start=START, **kwargs):
    """GAN of linear networks; `dropout` is a layer before D's."""
    z, x = keras.Input((Z_DIM,)), keras.Input((DATA_DIM,))
    generator = keras.Model(z, keras.layers.Dense(DATA_DIM)(z))
    hidden = dropout(x) if dropout else x
    discriminator = keras.Model(x, keras.layers.Dense(1)(hidden))
    generator.set_weights([start["A"], start["a"]])
    discriminator.set_weights([start["w"], start["c"]])
    model = gan.GAN(generator, discriminator, seed=SEED, **kwargs)
    rates = d_rate, g_rate
    model.compile(*(keras.optimizers.SGD(rate) for rate in rates), jit_compile=False)
    return model


def parameters(model):
    found = [*model.generator.get_weights(), *model.discriminator.get_weights()]
    return dict(zip("Aawc", found, strict=True))


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def softplus(score):
    return np.logaddexp(0, score)


class Walk:
    """Algorithm 1 in NumPy, and the authors' variation, for the linear networks.

    A step's draws are those of its branches 1, 2, ...: one for each call of D's or G's
    side. Within one, number 0 is z and the following are masks of D's dropout.
    """

    def __init__(self, loss="non_saturating", prior="uniform", dropout=False):
        self.p = {name: value.astype("float32") for name, value in START.items()}
        self.loss, self.prior, self.dropout = loss, prior, dropout
        self.step = 0

    def draws(self, branch):
        number = (self.step << 16) + (branch << 8)
        return tf.constant([SEED, number], tf.int64)

    def z(self, branch, n):
        return noise.latents(self.prior, self.draws(branch), (n, Z_DIM)).numpy()

    def masked(self, x, branch, number):
        """The mask that D's dropout takes, times 2, or 1 where there is no dropout."""
        if not self.dropout:
            return np.ones_like(x)
        draw = draws.halves(self.draws(branch) + [0, number], x.shape)
        return np.where(draw < 0.5, 2.0, 0.0)

    def fakes(self, z):
        return z @ self.p["A"] + self.p["a"]

    def scores(self, x):
        return x @ self.p["w"] + self.p["c"]

    def d_gradients(self, real, branch):
        """Loss (sum of both terms), gradients, verdicts."""
        fake = self.fakes(self.z(branch, len(real)))
        real = real * self.masked(real, branch, 1)
        fake = fake * self.masked(fake, branch, 2)
        s_real, s_fake = self.scores(real), self.scores(fake)
        loss = softplus(-s_real).mean() + softplus(s_fake).mean()
        on_real, on_fake = (sigmoid(s_real) - 1) / len(real), sigmoid(s_fake) / len(fake)
        gradients = {
            "w": real.T @ on_real + fake.T @ on_fake,
            "c": on_real.sum(0) + on_fake.sum(0),
        }
        return loss, gradients, (sigmoid(s_real).mean(), sigmoid(s_fake).mean())

    def g_gradients(self, n, branch, mask_number):
        z = self.z(branch, n)
        mask = self.masked(np.empty((n, DATA_DIM)), branch, mask_number)
        scores = self.scores(self.fakes(z) * mask)
        if self.loss == "minimax":
            loss, slopes = -softplus(scores), -sigmoid(scores)
        else:
            loss, slopes = softplus(-scores), sigmoid(scores) - 1
        at_fakes = mask * (slopes @ self.p["w"].T) / n
        return loss.mean(), {"A": z.T @ at_fakes, "a": at_fakes.sum(0)}

    def apply_gradients(self, gradients, rate):
        for name, gradient in gradients.items():
            self.p[name] = self.p[name] - rate * gradient

    def alternate(self, batch, k):
        """D moves k times, each on its part of the batch and fresh fakes, then G."""
        for i in range(k):
            d_loss, gradients, verdicts = self.d_gradients(batch[i::k], branch=1 + i)
            self.apply_gradients(gradients, D_RATE)
        g_loss, gradients = self.g_gradients(len(batch) // k, branch=1 + k, mask_number=1)
        self.apply_gradients(gradients, G_RATE)
        self.step += 1
        return d_loss, g_loss, *verdicts

    def move_at_once(self, batch):
        """Both gradients from the same fakes, under the same masks, before any move."""
        d_loss, d_gradients, verdicts = self.d_gradients(batch, branch=1)
        g_loss, g_gradients = self.g_gradients(len(batch), branch=1, mask_number=2)
        self.apply_gradients({name: g / 2 for name, g in d_gradients.items()}, D_RATE)
        self.apply_gradients(g_gradients, G_RATE)
        self.step += 1
        return d_loss / 2, g_loss, *verdicts


class LabelledWalk(Walk):
    """The same with fixed terms of the class: G adds y B, the logit of D adds y v."""

    B = np.array([[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]])
    v = np.array([[0.3], [-0.6], [0.9]])

    def __init__(self, labels, k):
        super().__init__()
        self.minibatches = [np.eye(3)[labels[i::k]] for i in range(k)]

    def d_gradients(self, real, branch):
        self.y = self.minibatches[branch - 1]  # G's labels too, until the next minibatch
        return super().d_gradients(real, branch)

    def fakes(self, z):
        return super().fakes(z) + self.y @ self.B

    def scores(self, x):
        return super().scores(x) + self.y @ self.v


def labelled_gan(**kwargs):
    """The linear GAN with the terms of `LabelledWalk`, which are not trained."""

    def of_class(table):
        y = keras.Input((), dtype="int32")
        term = keras.layers.Dense(table.shape[1], use_bias=False, trainable=False)
        added = term(layers.OneHot(3)(y))
        term.set_weights([table])
        return y, added

    z, x = keras.Input((Z_DIM,)), keras.Input((DATA_DIM,))
    (g_label, of_g), (d_label, of_d) = of_class(LabelledWalk.B), of_class(LabelledWalk.v)
    of_z, of_x = keras.layers.Dense(DATA_DIM), keras.layers.Dense(1)
    generator = keras.Model([z, g_label], keras.layers.Add()([of_z(z), of_g]))
    discriminator = keras.Model([x, d_label], keras.layers.Add()([of_x(x), of_d]))
    of_z.set_weights([START["A"], START["a"]])
    of_x.set_weights([START["w"], START["c"]])
    model = gan.GAN(generator, discriminator, seed=SEED, classes=3, **kwargs)
    rates = D_RATE, G_RATE
    model.compile(*(keras.optimizers.SGD(rate) for rate in rates), jit_compile=False)
    return model, [*of_z.weights, *of_x.weights]


SCALARS = ("d_loss", "g_loss", "d_real", "d_fake")
MODES = pytest.mark.parametrize(
    "mode", [{"simultaneous": True}, {"k": 1}, {"k": 2}], ids=str
)


@MODES
@pytest.mark.parametrize(
    ("loss", "dropout"),
    [("non_saturating", False), ("minimax", False), ("non_saturating", True)],
)
def test_training_walks_as_numpy_does(mode, loss, dropout):
    """Two steps of 8 images through `fit`: weights, and logs as means over the steps."""
    walk = Walk(loss, dropout=dropout)
    batches = IMAGES.reshape(2, 8, DATA_DIM)
    if "k" in mode:
        expected = [walk.alternate(batch, mode["k"]) for batch in batches]
    else:
        expected = [walk.move_at_once(batch) for batch in batches]

    layer = layers.Dropout(0.5) if dropout else None
    model = linear_gan(loss=loss, dropout=layer, **mode)
    logs = model.fit(IMAGES, batch_size=8, shuffle=False, verbose=0).history
    for name, value in parameters(model).items():
        np.testing.assert_allclose(value, walk.p[name], rtol=0, atol=2e-6, err_msg=name)
        assert np.abs(value - START[name]).max() > 1e-3  # it did move
    for name, value in zip(SCALARS, np.mean(expected, axis=0), strict=True):
        assert logs[name] == pytest.approx([value], abs=2e-6)
    assert model.steps_done == 2


@MODES
def test_labels_stay_with_their_images(mode, rng):
    """Each of the k minibatches of D, and G's samples, have the labels of their images."""
    labels = rng.integers(0, 3, len(IMAGES)).astype("int32")
    model, weights = labelled_gan(**mode)
    walk = LabelledWalk(labels, mode.get("k", 1))
    for _ in range(3):
        model.train_step((tf.constant(IMAGES), tf.constant(labels)))
        if mode.get("simultaneous"):
            walk.move_at_once(IMAGES)
        else:
            walk.alternate(IMAGES, mode["k"])
    for name, weight in zip("Aawc", weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), walk.p[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prior", noise.PRIORS)
def test_latents_of_training_follow_the_given_prior(prior):
    walk = Walk(prior=prior)
    walk.alternate(IMAGES, 1)
    model = linear_gan(prior=prior)
    model.train_step(tf.constant(IMAGES))
    for name, value in parameters(model).items():
        np.testing.assert_allclose(value, walk.p[name], rtol=0, atol=2e-6, err_msg=name)


@MODES
@pytest.mark.parametrize(
    ("still", "stays", "moves"), [("d_rate", "wc", "Aa"), ("g_rate", "Aa", "wc")]
)
def test_step_of_one_network_leaves_the_other_untouched(still, stays, moves, mode):
    model = linear_gan(**{still: 0.0}, **mode)
    before = parameters(model)
    model.train_step(tf.constant(IMAGES))
    after = parameters(model)
    for name in stays:
        np.testing.assert_array_equal(after[name], before[name])
    for name in moves:
        assert np.abs(after[name] - before[name]).max() > 1e-3


@MODES
def test_minimax_gradient_is_the_other_one_starved_by_the_odds_of_d(mode):
    """Same direction, by D / (1 - D) shorter; here D(G(z)) = sigmoid(-6) for every z."""
    start = {"A": 0 * START["A"], "a": 0 * START["a"], "w": START["w"], "c": np.array([-6])}
    moves = {}
    for loss in ("minimax", "non_saturating"):
        model = linear_gan(d_rate=0.0, g_rate=1.0, start=start, loss=loss, **mode)
        model.train_step(tf.constant(IMAGES))
        after = parameters(model)
        moves[loss] = np.append(after["A"], after["a"])
    odds = np.exp(-6.0)
    np.testing.assert_allclose(
        moves["minimax"], odds * moves["non_saturating"], rtol=1e-4, atol=1e-9
    )
    towards_data = np.sign(START["w"][:, 0])  # where D's score rises
    np.testing.assert_array_equal(np.sign(moves["minimax"][-2:]), towards_data)
    np.testing.assert_allclose(
        moves["non_saturating"][-2:], (1 - sigmoid(-6)) * START["w"][:, 0], rtol=1e-5
    )


@pytest.mark.parametrize("simultaneous", [False, True])
def test_column_norms_are_capped_after_each_update(simultaneous, rng):
    shape, cap = (3, 3, 1), 1.9365
    discriminator = gan_networks.maxout_discriminator(4, 2, Draw(1), shape, max_norm=cap)
    kernels = [layer.kernel for layer in weighted(discriminator)]
    for kernel in kernels:
        columns = rng.normal(size=kernel.shape)
        columns /= np.linalg.norm(columns, axis=0)
        kernel.assign(columns * np.linspace(4.0, 0.5, kernel.shape[1]))

    def norms():
        return np.concatenate([np.linalg.norm(kernel, axis=0) for kernel in kernels])

    z = keras.Input((Z_DIM,))
    image = keras.layers.Reshape(shape)(keras.layers.Dense(9)(z))
    model = gan.GAN(keras.Model(z, image), discriminator, simultaneous=simultaneous)
    model.compile(optimizers.HeavyBall(0.01, 10), optimizers.HeavyBall(0.01, 10))
    before = norms()
    model.train_step(tf.constant(rng.normal(size=(8, *shape)).astype("float32")))
    after = norms()
    assert after.max() <= cap * (1 + 1e-6)
    np.testing.assert_allclose(after[before > 1.2 * cap], cap, rtol=1e-5)
    free = before < 0.8 * cap
    np.testing.assert_allclose(after[free], before[free], rtol=0.1)
    assert np.count_nonzero(free) >= 4 and np.count_nonzero(before > 1.2 * cap) >= 8


@pytest.mark.parametrize("mode", [{"k": 0}, {"k": -1}, {"k": 2, "simultaneous": True}])
def test_impossible_numbers_of_d_steps_raise(mode):
    with pytest.raises(ValueError, match=f"k is {mode['k']}"):
        linear_gan(**mode)


def test_unknown_prior_raises():
    with pytest.raises(ValueError, match="cauchy.*uniform_sqrt3"):
        linear_gan(prior="cauchy")


# Plain Keras around the model, stock layers within.


def stock_networks():
    """Small networks without a layer of this package, with dropout in both."""
    z, x = keras.Input((4,)), keras.Input((1,))
    g = keras.layers.Dropout(0.1)(keras.layers.Dense(16, "relu")(z))
    d = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(x))
    d = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(d))
    generator = keras.Model(z, keras.layers.Dense(1)(g))
    return generator, keras.Model(x, keras.layers.Dense(1)(d))


def test_fit_on_an_array_with_stock_layers_moves_samples_onto_the_data(rng):
    model = gan.GAN(*stock_networks(), seed=3)
    adam = [keras.optimizers.Adam(rate, beta_1=0.5) for rate in (1e-2, 1e-2)]
    model.compile(*adam, jit_compile=False)
    ends = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append((epoch, model.steps_done, logs))
    )
    images = rng.normal(3.0, 0.5, (515, 1)).astype("float32")
    z = noise.latents("uniform", tf.constant([0, 0], tf.int64), (1000, 4))
    assert abs(model(z).numpy().mean()) < 1
    history = model.fit(images, batch_size=64, epochs=15, callbacks=[watch], verbose=0)

    for epoch, (number, steps, logs) in enumerate(ends):
        assert (number, steps) == (epoch, 9 * (epoch + 1))  # the last batch holds 3
        assert set(logs) == set(SCALARS)
    assert set(history.history) == set(SCALARS)
    assert np.isfinite(list(history.history.values())).all()
    assert model(z).numpy().mean() == pytest.approx(3.0, abs=0.7)
    np.testing.assert_array_equal(model(z), model(z))  # in use, dropout is off
    assert model.predict(z, verbose=0).shape == (1000, 1)


def test_stock_dropout_draws_as_seed_and_step_say():
    """Keras seeds these layers by chance, so twins differ unless the step reseeds them."""
    finals = []
    generator, discriminator = stock_networks()
    starts = generator.get_weights(), discriminator.get_weights()
    for _ in range(2):
        twin = gan.GAN(*stock_networks(), seed=3)
        twin.generator.set_weights(starts[0])
        twin.discriminator.set_weights(starts[1])
        sgd = (keras.optimizers.SGD(0.1) for _ in range(2))
        twin.compile(*sgd, jit_compile=False)
        for _ in range(2):
            twin.train_step(tf.constant(IMAGES[:, :1]))
        finals.append(twin.get_weights())
    for one, other in zip(*finals, strict=True):
        np.testing.assert_array_equal(one, other)


def frozen_probe(seed=3):
    """A GAN that never moves and whose losses depend on the masks of D alone: data and
    fakes are ones, and D adds up what is kept with another weight for each place."""
    places = 24
    z, x = keras.Input((4,)), keras.Input((places,))
    ones = keras.layers.Dense(places, kernel_initializer="zeros", bias_initializer="ones")
    generator = keras.Model(z, ones(z))
    kept = [keras.layers.Dropout(0.5)(x) for _ in range(2)]
    total = keras.layers.Dense(1)(keras.layers.Concatenate()(kept))
    discriminator = keras.Model(x, total)
    weights = np.linspace(-0.1, 0.1, 2 * places).reshape(-1, 1) ** 3 * 1e3
    discriminator.set_weights([weights, np.zeros(1)])
    model = gan.GAN(generator, discriminator, seed=seed)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0), jit_compile=False)
    return model, tf.ones((1, places))


def test_stock_dropout_masks_differ_from_step_to_step_and_return_with_the_step():
    model, ones = frozen_probe()

    def losses_at(step):
        model.step.assign(step)
        model.reset_metrics()
        return tuple(float(value) for value in model.train_step(ones).values())

    by_step = [losses_at(step) for step in range(6)]
    assert len(set(by_step)) == 6
    assert [losses_at(step) for step in (5, 0, 3)] == [by_step[i] for i in (5, 0, 3)]
    other, _ = frozen_probe(seed=4)
    assert tuple(float(v) for v in other.train_step(ones).values()) != by_step[0]


def test_stock_dropout_layers_of_one_network_mask_differently():
    model, ones = frozen_probe()
    model.start_step(ones)
    first, second = (
        layer(tf.ones((1, 200)), training=True).numpy()
        for layer in model.discriminator.layers
        if isinstance(layer, keras.layers.Dropout)
    )
    share = np.mean(first == second)
    assert 0.3 < share < 0.7  # half of the places by chance
