"""Random draws as a pure function of (seed, step, draw number, row of the global batch).

The generator has no state. A resumed run therefore draws the same values as an
uninterrupted one. Replica r of N draws exactly the rows that a single device would draw for
r's share of the batch.

All draws are computed from Philox *integers*. TensorFlow's kernels and XLA produce the same
integers bit for bit, but not the same floats. Compiling a step with XLA therefore does not
change its noise.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from scipy.special import ndtri

PHILOX = 1  # tf.random.Algorithm.PHILOX, the only one that every device has
BRANCHES = DRAWS = 1 << 8  # a step has 256 branches of 256 draws each
MOST_UPDATES = BRANCHES - 2  # of one network in a step, with one of the other
HELD_OUT = -(2**31)  # number of the "step" of the first batch of an evaluation
WORDS_PER_COUNT = 4  # a Philox counter value yields four 32-bit words

_MIDDLES = ndtri((np.arange(2**16) + 0.5) / 2**16)
QUANTILES = (_MIDDLES / _MIDDLES.std()).astype("float32")  # of N(0, 1), in order

PRIORS = {  # name -> bounds of each element of a latent vector
    "uniform": (-1.0, 1.0),
    "uniform_01": (0.0, 1.0),
    "uniform_sqrt3": (-np.sqrt(3.0), np.sqrt(3.0)),
    "normal": (-np.inf, np.inf),
    "spherical": (-1.0, 1.0),  # and a norm of 1: see `onto_support`
}


def bits(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """Random 32-bit words, uint32, of `shape` = (rows, ...).

    Each `seed` defines one endless table. Row i of the result is row `first_row + i` of
    this table, so that a device can draw any rows of it, in any grouping.

    Args:
        seed: int64 (2,).
        shape: (rows, ...); rows may be a scalar tensor.
        first_row: int or scalar tensor.
        compiled: if True, uses a form of the same computation that XLA compiles well.
    """
    rows, row_size = shape[0], int(np.prod(shape[1:]))
    width = -(-row_size // WORDS_PER_COUNT) * WORDS_PER_COUNT  # rows start on a count
    start = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    skip = tf.cast(first_row, tf.uint64) * (width // WORDS_PER_COUNT)
    counter = start.counter + tf.stack([skip, tf.zeros_like(skip)])
    if compiled:
        words = _philox(start.key[0], counter, rows * (width // WORDS_PER_COUNT))
        words = tf.reshape(words, tf.stack([rows, width]))
    else:
        words = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=tf.stack([rows, width]),
            key=start.key,
            counter=counter,
            alg=PHILOX,
            dtype=tf.uint32,
        )
    return tf.reshape(words[:, :row_size], tf.stack([rows, *shape[1:]]))


def _philox(key: tf.Tensor, counter: tf.Tensor, blocks) -> tf.Tensor:
    """Philox4x32-10 (Salmon et al. 2011), uint32 (blocks, 4), as a loop over its rounds.

    XLA's version of the TensorFlow kernel unrolls the rounds. On a CPU its fusion then
    recomputes each round for every use, which is 60 times slower than this loop.
    """

    def high_low(words, factor):
        product = tf.cast(words, tf.uint64) * tf.constant(factor, tf.uint64)
        return tf.cast(_shifted(product, 32), tf.uint32), tf.cast(product, tf.uint32)

    def one_round(i, x0, x1, x2, x3, key0, key1):
        high0, low0 = high_low(x0, 0xD2511F53)
        high1, low1 = high_low(x2, 0xCD9E8D57)
        xor = tf.bitwise.bitwise_xor
        words = xor(xor(high1, x1), key0), low1, xor(xor(high0, x3), key1), low0
        weyl = (tf.constant(w, tf.uint32) for w in (0x9E3779B9, 0xBB67AE85))
        return i + 1, *words, *(key + w for key, w in zip((key0, key1), weyl, strict=True))

    count = counter[0] + tf.cast(tf.range(tf.cast(blocks, tf.int64)), tf.uint64)
    halves = [
        half
        for words in (count, counter[1] + tf.zeros_like(count), key)
        for half in (tf.cast(words, tf.uint32), tf.cast(_shifted(words, 32), tf.uint32))
    ]
    drawn = tf.while_loop(lambda i, *_: i < 10, one_round, (0, *halves))
    return tf.stack(drawn[1:5], 1)


def _shifted(words, places):
    """`words` shifted right by `places` bits."""
    return tf.bitwise.right_shift(words, tf.constant(places, words.dtype))


def halves(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """Random 16-bit words, uint16, of `shape`, two from each word of `bits`."""
    size = int(np.prod(shape[1:]))
    words = bits(seed, (shape[0], -(-size // 2)), first_row, compiled)
    half_words = tf.reshape(tf.bitcast(words, tf.uint16), (shape[0], -1))[:, :size]
    return tf.reshape(half_words, tf.stack(shape))


def bernoulli(
    seed: tf.Tensor, shape: Sequence, probability: float, first_row=0, compiled=False
) -> tf.Tensor:
    """Bool of `shape`, True with `probability`, which is rounded to a multiple of 2^-16."""
    threshold = round(probability * 2**16)
    if threshold > 2**16 - 1:
        return tf.ones(tf.stack(shape), tf.bool)
    return halves(seed, shape, first_row, compiled) < tf.constant(threshold, tf.uint16)


def uniform(
    seed: tf.Tensor, shape: Sequence, low=0.0, high=1.0, first_row=0, compiled=False
) -> tf.Tensor:
    """Uniform on [low, high), float32 of `shape`, with 24 random bits per value."""
    words = _shifted(bits(seed, shape, first_row, compiled), 8)
    unit = tf.cast(words, tf.float32) * 2.0**-24
    # 2 unit - 1 is exact. Only one operation rounds, so XLA's fusion changes nothing.
    return (low + high) / 2 + (high - low) / 2 * (2.0 * unit - 1.0)


def normal(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """Standard normal, float32 of `shape`.

    The values are the quantiles of N(0, 1) at the centres of 2^16 intervals of equal
    probability: |z| < 4.33, variance 1. Looking them up in a table of 256 KiB is faster
    than the log, cos and sin of the Box-Muller transform, three times faster under XLA.
    """
    indices = tf.cast(halves(seed, shape, first_row, compiled), tf.int32)
    return tf.gather(tf.constant(QUANTILES), indices)


def latents(
    prior: str, seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False
) -> tf.Tensor:
    """Latent vectors z, float32 (n, latent_dim).

    Args:
        prior: name of their distribution. `uniform` is U(-1, 1), `uniform_01` is U(0, 1),
            `uniform_sqrt3` is U(-sqrt 3, sqrt 3), which has unit variance, `normal` is
            N(0, 1), and `spherical` is uniform on the unit sphere (goodfeli/adversarial,
            __init__.py: noise).
        seed, shape, first_row, compiled: see `bits`.
    """
    if prior in ("normal", "spherical"):
        z = normal(seed, shape, first_row, compiled)
        return z if prior == "normal" else _on_sphere(z)
    return uniform(seed, shape, *PRIORS[prior], first_row, compiled)


def _on_sphere(z):
    """Scales rows to norm 1. The norm is computed in float64, so that the order in which a
    device adds the squares does not change the result in float32."""
    wide = tf.cast(z, tf.float64)
    norm = tf.sqrt(tf.reduce_sum(tf.square(wide), -1, keepdims=True))
    return tf.cast(wide / norm, tf.float32)


def onto_support(prior: str, z: tf.Tensor) -> tf.Tensor:
    """Moves latents (n, latent_dim) to the support of their distribution: onto the sphere
    if it is `spherical`, else to within its bounds."""
    return _on_sphere(z) if prior == "spherical" else tf.clip_by_value(z, *PRIORS[prior])


def describe(prior: str) -> str:
    """Describes the distribution of an element of a latent vector."""
    if prior == "spherical":
        return "uniform on the unit sphere"
    low, high = PRIORS[prior]
    return "N(0, 1)" if prior == "normal" else f"U({low:.4g}, {high:.4g})"


class Stream:
    """The random draws of one traced function on one replica, numbered in call order.

    A draw of n rows returns the rows [replica * n, (replica + 1) * n) of the draw for the
    global batch.

    Args:
        base: int64 (2,), the seed of the run and the number of the first draw.
        replica: int or scalar tensor, the index of the replica.
        compiled: whether XLA will compile the function.
    """

    def __init__(self, base: tf.Tensor, replica, compiled: bool = False):
        self.base, self.replica, self.compiled = base, replica, compiled
        self.drawn = self.branches = 0

    @classmethod
    def of_step(cls, run_seed: int, step: tf.Tensor, replica) -> "Stream":
        """The stream of a training step; `step` is an integer scalar."""
        number = tf.cast(step, tf.int64) * (BRANCHES * DRAWS)
        return cls(tf.stack([tf.cast(run_seed, tf.int64), number]), replica)

    def branch(self) -> tf.Tensor:
        """The `base` of the next branch, which numbers the draws of a function that is
        traced once and called several times in a step.

        Raises:
            ValueError: the step has used all its branches.
        """
        self.branches += 1
        if self.branches == BRANCHES:
            raise ValueError(f"more than {BRANCHES - 1} branches in one training step")
        return self.base + [0, self.branches * DRAWS]

    def next_seed(self) -> tf.Tensor:
        """The seed of the next draw, int64 (2,).

        Raises:
            ValueError: the function has used all its draws.
        """
        if self.drawn == DRAWS:
            raise ValueError(f"more than {DRAWS} random draws in one function")
        self.drawn += 1
        return self.base + [0, self.drawn - 1]

    def reseed(self, index: int, dtype: str) -> tf.Tensor:
        """The state of the `index`-th Keras `SeedGenerator` for this step and replica."""
        place = tf.cast(self.replica, tf.int64) * BRANCHES + index
        return tf.cast(self.base + tf.stack([place * 2**32, 0]), dtype)

    def _place(self, shape):
        return {"first_row": self.replica * shape[0], "compiled": self.compiled}

    def latents(self, prior: str, shape: Sequence) -> tf.Tensor:
        return latents(prior, self.next_seed(), shape, **self._place(shape))

    def uniform(self, shape: Sequence) -> tf.Tensor:
        return uniform(self.next_seed(), shape, **self._place(shape))

    def bernoulli(self, shape: Sequence, probability: float) -> tf.Tensor:
        return bernoulli(self.next_seed(), shape, probability, **self._place(shape))

    def normal(self, shape: Sequence) -> tf.Tensor:
        return normal(self.next_seed(), shape, **self._place(shape))


# The call of a functional model cannot pass the stream to its layers, so they look it up
# here when the step is traced. It is thread-local because each replica is traced in its own
# thread.
_ACTIVE = threading.local()


@contextlib.contextmanager
def use(stream: Stream) -> Iterator[Stream]:
    """Makes the layers of `tfgan_papers.layers` draw from `stream` within the block."""
    outer, _ACTIVE.stream = active(), stream
    try:
        yield stream
    finally:
        _ACTIVE.stream = outer


def active() -> Stream | None:
    """The stream of the enclosing `use`, or None."""
    return getattr(_ACTIVE, "stream", None)
