"""Convolutions that halve and double height and width."""

import itertools

import keras
import tensorflow as tf
from keras import ops

NARROW = 16  # channels


@keras.saving.register_keras_serializable("tfgan_papers")
class DownConv2D(keras.layers.Conv2D):
    """Convolution of stride 2 that halves height and width, zero-padded.

    Args:
        symmetric: pad k // 2 on all sides, as Theano's border_mode; else TensorFlow's
            SAME, whose smaller half comes first.
    """

    subpixel = False  # the same sums as convolutions of stride 1, see _by_phase

    def __init__(self, filters, kernel_size, symmetric=False, **kwargs):
        kwargs = {"strides": 2, "padding": "valid" if symmetric else "same", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        self.symmetric = symmetric

    def convolution_op(self, inputs, kernel):
        height, width, channels = inputs.shape[1:]
        before = _padding(kernel.shape[0], self.symmetric)
        if self.subpixel and height % 2 == width % 2 == 0:
            phases = tf.nn.space_to_depth(inputs, 2)
            if min(channels, self.filters) < NARROW:
                taps = ops.transpose(_six_taps(kernel, before), (0, 2, 1, 3, 4, 5))
                taps = ops.reshape(taps, (3, 3, 4 * channels, self.filters))
                return tf.nn.conv2d(phases, taps, 1, "SAME")
            phases = tf.split(phases, 4, axis=-1)
            return tf.add_n(
                [
                    tf.nn.conv2d(phase, taps, 1, ((0, 0), *reach, (0, 0)))
                    for phase, (taps, reach) in zip(
                        phases, _by_phase(kernel, before), strict=True
                    )
                ]
            )
        if self.symmetric:
            inputs = ops.pad(inputs, ((0, 0), (before, before), (before, before), (0, 0)))
        return super().convolution_op(inputs, kernel)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, -(-height // 2), -(-width // 2), self.filters)

    def get_config(self):
        return {**super().get_config(), "symmetric": self.symmetric}


@keras.saving.register_keras_serializable("tfgan_papers")
class UpConv2D(keras.layers.Conv2DTranspose):
    """Transposed convolution of stride 2 that doubles height and width exactly: the
    gradient of `DownConv2D` with the same padding.

    Args:
        symmetric: as of `DownConv2D`.
    """

    subpixel = False

    def __init__(self, filters, kernel_size, symmetric=False, **kwargs):
        kwargs = {"strides": 2, "padding": "valid" if symmetric else "same", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        self.symmetric = symmetric

    def call(self, inputs):
        height, width, channels = inputs.shape[1:]
        before = _padding(self.kernel_size[0], self.symmetric)
        if self.subpixel:
            kernel = ops.cast(self.kernel, inputs.dtype)
            # of the kernel's (rows, columns, outputs, inputs); x[j - m] wants m reversed
            if min(channels, self.filters) < NARROW:
                taps = ops.flip(_six_taps(kernel, before), (0, 2))
                taps = ops.transpose(taps, (0, 2, 5, 1, 3, 4))
                taps = ops.reshape(taps, (3, 3, channels, 4 * self.filters))
                phases = tf.nn.conv2d(inputs, taps, 1, "SAME")
            else:
                phases = [
                    tf.nn.conv2d(
                        inputs,
                        ops.transpose(ops.flip(taps, (0, 1)), (0, 1, 3, 2)),
                        1,
                        ((0, 0), rows[::-1], columns[::-1], (0, 0)),
                    )
                    for taps, (rows, columns) in _by_phase(kernel, before)
                ]
                phases = tf.concat(phases, -1)
            images = tf.nn.depth_to_space(phases, 2)
            return images + self.bias if self.use_bias else images
        images = super().call(inputs)
        if self.symmetric:
            images = images[:, before : before + 2 * height, before : before + 2 * width]
        return images

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)

    def get_config(self):
        return {**super().get_config(), "symmetric": self.symmetric}


def _padding(kernel_size, symmetric):
    """Zeros before the first pixel of an even side, at stride 2."""
    return kernel_size // 2 if symmetric else (kernel_size - 2) // 2


def _by_phase(kernel, before):
    """The taps that meet each phase (a, b) of the pixels, and how many pixels of the phase
    they reach, before and after, in rows and in columns: tap k meets pixel
    2 i + k - before = 2 (i + m) + a, so every second one does, m growing by one.

    XLA on a CPU is many times slower at strided convolutions' gradients than at the
    convolutions of stride 1 over the four phases that this makes of them.
    """
    sides = []
    for a in (0, 1):
        first = (before + a) % 2
        low = (before + a - first) // 2
        sides.append((first, (low, len(range(first, kernel.shape[0], 2)) - 1 - low)))
    for (top, rows), (left, columns) in itertools.product(sides, repeat=2):
        yield kernel[top::2, left::2], (rows, columns)


def _six_taps(kernel, before):
    """A kernel of up to 6x6 padded to that, as (3, 2, 3, 2, ...), (m + 1, a) in rows and
    columns: one convolution over all phases, with the same reach. For few channels, such
    as an image's, four small ones take longer than the products with zeros.
    """
    k = kernel.shape[0]
    sides = (2 - before, 4 + before - k)
    padded = ops.pad(kernel, (sides, sides, (0, 0), (0, 0)))
    return ops.reshape(padded, (3, 2, 3, 2, *kernel.shape[2:]))
