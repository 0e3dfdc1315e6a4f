"""Random draws as a pure function of (seed, step, draw number, row of the global batch).

Nothing here keeps state. A resumed run therefore draws what the uninterrupted one
would have drawn, and replica r of N draws exactly the rows that one device alone would
have drawn for r's share of the batch.

The draws start from Philox *integers*, which TensorFlow's kernels and XLA produce bit
for bit alike; their ready-made floats differ between the two. So compiling a step
with XLA does not change its noise.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from scipy.special import ndtri

PHILOX = 1  # tf.random.Algorithm.PHILOX, the one generator that every device has
BRANCHES = DRAWS = 1 << 8  # a step holds 256 branches of 256 draws each
WORDS_PER_COUNT = 4  # a Philox counter value yields four 32-bit words

_MIDDLES = ndtri((np.arange(2**16) + 0.5) / 2**16)
QUANTILES = (_MIDDLES / _MIDDLES.std()).astype("float32")  # of N(0, 1), in order

PRIORS = {  # law of the latents: between which bounds an element lies
    "uniform": (-1.0, 1.0),
    "uniform_01": (0.0, 1.0),
    "uniform_sqrt3": (-np.sqrt(3.0), np.sqrt(3.0)),
    "normal": (-np.inf, np.inf),
}


def bits(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """Random 32-bit words, uint32, of `shape` = (rows, ...).

    Row i is row `first_row + i` of the one endless table that `seed`, an int64 pair,
    stands for: any device can draw any rows of it, in any grouping.

    Args:
        compiled: draw the same words in the form that XLA compiles well.
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
    """Philox4x32-10 (Salmon et al. 2011), uint32 (blocks, 4), in a loop over its rounds.

    XLA's own form of TensorFlow's kernel unrolls them, and on a CPU its fusion then
    computes each round anew for every use of it: 60 times as slow as this.
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
    return tf.bitwise.right_shift(words, tf.constant(places, words.dtype))


def halves(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """Random 16-bit words, uint16, of `shape`: two of each word of `bits`."""
    size = int(np.prod(shape[1:]))
    words = bits(seed, (shape[0], -(-size // 2)), first_row, compiled)
    found = tf.reshape(tf.bitcast(words, tf.uint16), (shape[0], -1))[:, :size]
    return tf.reshape(found, tf.stack(shape))


def bernoulli(
    seed: tf.Tensor, shape: Sequence, probability: float, first_row=0, compiled=False
) -> tf.Tensor:
    """True with `probability`, rounded to a multiple of 2^-16; bool of `shape`."""
    threshold = round(probability * 2**16)
    if threshold > 2**16 - 1:
        return tf.ones(tf.stack(shape), tf.bool)
    return halves(seed, shape, first_row, compiled) < tf.constant(threshold, tf.uint16)


def uniform(
    seed: tf.Tensor, shape: Sequence, low=0.0, high=1.0, first_row=0, compiled=False
) -> tf.Tensor:
    """U[low, high) as float32; 24 random bits a value."""
    words = _shifted(bits(seed, shape, first_row, compiled), 8)
    unit = tf.cast(words, tf.float32) * 2.0**-24
    # 2 unit - 1 is exact, so there is one rounding, the same where XLA fuses the rest
    return (low + high) / 2 + (high - low) / 2 * (2.0 * unit - 1.0)


def normal(seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False) -> tf.Tensor:
    """N(0, 1) as float32, by the inverse of its distribution function at the middles of
    2^16 intervals of equal probability: |z| < 4.33, variance 1. A table of 256 KiB is
    faster than log, cos and sin of the Box-Muller transform, three times under XLA.
    """
    places = tf.cast(halves(seed, shape, first_row, compiled), tf.int32)
    return tf.gather(tf.constant(QUANTILES), places)


def latents(
    prior: str, seed: tf.Tensor, shape: Sequence, first_row=0, compiled=False
) -> tf.Tensor:
    """Latent vectors z, float32 (n, latent_dim), by the name of their law.

    `uniform` is U(-1, 1); `uniform_01` U(0, 1); `uniform_sqrt3` U(-sqrt 3, sqrt 3), of
    unit variance; `normal` N(0, 1).
    """
    if prior == "normal":
        return normal(seed, shape, first_row, compiled)
    return uniform(seed, shape, *PRIORS[prior], first_row, compiled)


class Stream:
    """The draws of one traced function on one replica, numbered as they are asked for.

    `base` is an int64 pair: the run's seed, and the number of the first draw. A draw of
    n rows is rows [replica * n, (replica + 1) * n) of the global batch's draw. `compiled`
    tells whether XLA will compile what draws.
    """

    def __init__(self, base: tf.Tensor, replica, compiled: bool = False):
        self.base, self.replica, self.compiled = base, replica, compiled
        self.drawn = self.branches = 0

    @classmethod
    def of_step(cls, run_seed: int, step: tf.Tensor, replica) -> "Stream":
        number = tf.cast(step, tf.int64) * (BRANCHES * DRAWS)
        return cls(tf.stack([tf.cast(run_seed, tf.int64), number]), replica)

    def branch(self) -> tf.Tensor:
        """The `base` of the next branch: draws for a function that is traced once and
        called several times in a step."""
        self.branches += 1
        if self.branches == BRANCHES:
            raise ValueError(f"more than {BRANCHES} branches in one training step")
        return self.base + [0, self.branches * DRAWS]

    def next_seed(self) -> tf.Tensor:
        if self.drawn == DRAWS:
            raise ValueError(f"more than {DRAWS} random draws in one function")
        self.drawn += 1
        return self.base + [0, self.drawn - 1]

    def reseed(self, index: int, dtype: str) -> tf.Tensor:
        """State for a Keras `SeedGenerator`, another one each step and replica."""
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


# Layers cannot be handed the stream through a functional model's call, so they look it
# up here, when the step is traced. One per thread: replicas are traced on their own.
_ACTIVE = threading.local()


@contextlib.contextmanager
def use(stream: Stream) -> Iterator[Stream]:
    """Within the block, the layers of `tfgan_papers.layers` draw from `stream`."""
    outer, _ACTIVE.stream = active(), stream
    try:
        yield stream
    finally:
        _ACTIVE.stream = outer


def active() -> Stream | None:
    """The stream of the enclosing `use`, or None."""
    return getattr(_ACTIVE, "stream", None)
