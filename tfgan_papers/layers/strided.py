"""Convolutions that halve or double height and width."""

import itertools

import keras
import tensorflow as tf
from keras import ops

NARROW = 16  # channels; below it one 6x6 kernel is faster than four kernels by phase


@keras.saving.register_keras_serializable("tfgan_papers")
class DownConv2D(keras.layers.Conv2D):
    """Zero-padded convolution of stride 2 that halves height and width.

    Input: (batch, height, width, channels). Output: (batch, ceil(height / 2),
    ceil(width / 2), filters).

    Args:
        filters: int, the number of output channels.
        kernel_size: int, the side k of the kernel.
        symmetric: if True, pads k // 2 zeros on every side, as Theano's `border_mode`; k
            is then odd. If False, uses TensorFlow's SAME padding, whose smaller half comes
            first.

    Raises:
        ValueError: `symmetric`, and the side is even; or the layer has another stride, or
            groups.
    """

    subpixel = False  # if True, computes the same sums with stride 1, see `_by_phase`

    def __init__(self, filters, kernel_size, symmetric=False, **kwargs):
        kwargs = {"strides": 2, "padding": "valid" if symmetric else "same", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        _check_side(self.kernel_size, symmetric)
        _check_stride(self)
        self.symmetric = symmetric

    def convolution_op(self, inputs, kernel):
        height, width, channels = inputs.shape[1:]
        before = _padding(kernel.shape[0], self.symmetric)
        sub = self.subpixel and min(self.kernel_size) > 1  # one tap is of one phase
        if sub and height % 2 == width % 2 == 0:
            phases = tf.nn.space_to_depth(inputs, 2)
            if _in_one(kernel, before, channels, self.filters):
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
    """Transposed convolution of stride 2 that doubles height and width exactly.

    It is the gradient of `DownConv2D` with the same padding.

    Input: (batch, height, width, channels). Output: (batch, 2 height, 2 width, filters).

    Args:
        filters: int, the number of output channels.
        kernel_size: int, the side of the kernel.
        symmetric: the padding, see `DownConv2D`.

    Raises:
        ValueError: see `DownConv2D`.
    """

    subpixel = False

    def __init__(self, filters, kernel_size, symmetric=False, **kwargs):
        kwargs = {"strides": 2, "padding": "valid" if symmetric else "same", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        _check_side(self.kernel_size, symmetric)
        _check_stride(self)
        self.symmetric = symmetric

    def call(self, inputs):
        height, width, channels = inputs.shape[1:]
        before = _padding(self.kernel_size[0], self.symmetric)
        if self.subpixel and min(self.kernel_size) > 1:
            kernel = ops.cast(self.kernel, inputs.dtype)
            # The kernel is (rows, columns, outputs, inputs). The sum is over x[j - m], so
            # the taps are flipped.
            if _in_one(kernel, before, channels, self.filters):
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
            return self._finished(tf.nn.depth_to_space(phases, 2))
        rounds = self.compute_dtype == "bfloat16"
        images = self._without_bias(inputs) if rounds else super().call(inputs)
        if self.symmetric:
            images = images[:, before : before + 2 * height, before : before + 2 * width]
        return self._finished(images) if rounds else images

    def _without_bias(self, inputs):
        return ops.conv_transpose(inputs, self.kernel, self.strides, self.padding)

    def _finished(self, images):
        """Adds the bias and applies the activation.

        The gradient of Keras' `ops.add` of a bias is a sum in bfloat16 on a CPU. With
        thousands of terms, it stops growing at 256 times one of them.
        """
        images = images + self.bias if self.use_bias else images
        return self.activation(images)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)

    def get_config(self):
        return {**super().get_config(), "symmetric": self.symmetric}


def _check_side(kernel_size, symmetric):
    if symmetric and not all(side % 2 for side in kernel_size):
        raise ValueError(f"symmetric padding needs an odd kernel_size, not {kernel_size}")


def _check_stride(layer):
    if layer.strides != (2, 2) or getattr(layer, "groups", 1) != 1:
        raise ValueError(
            f"{type(layer).__name__} has stride 2 and no groups: leave out strides and "
            "groups"
        )


def _padding(kernel_size, symmetric):
    """The number of zeros before the first pixel of an even side, at stride 2."""
    return kernel_size // 2 if symmetric else (kernel_size - 2) // 2


def _by_phase(kernel, before):
    """Splits a kernel by the four phases (a, b) of the pixels' coordinates modulo 2.

    For output i, tap k multiplies pixel 2 i + k - before = 2 (i + m) + a. So every second
    tap belongs to one phase, and m grows by one from each to the next.

    On a CPU, XLA computes the gradients of a strided convolution many times slower than
    those of the equivalent stride-1 convolutions over the four phases.

    Yields:
        (taps, (rows, columns)) for each phase: the part of the kernel, and the numbers of
        zeros (before, after) with which the phase is padded in rows and in columns.
    """
    sides = []
    for a in (0, 1):
        first = (before + a) % 2
        low = (before + a - first) // 2
        sides.append((first, (low, len(range(first, kernel.shape[0], 2)) - 1 - low)))
    for (top, rows), (left, columns) in itertools.product(sides, repeat=2):
        yield kernel[top::2, left::2], (rows, columns)


def _in_one(kernel, before, channels, filters):
    """Whether `_six_taps` can pad the kernel, and is faster than `_by_phase`."""
    fits = before <= 2 and kernel.shape[0] <= 4 + before
    return fits and min(channels, filters) < NARROW


def _six_taps(kernel, before):
    """Pads a kernel of at most 6x6 to 6x6, so that all phases have three taps per side.

    One convolution then covers all four phases. With few channels, such as those of an
    image, this is faster than four small convolutions, despite the products with zeros.

    Returns:
        The kernel as (3, 2, 3, 2, ...): (m + 1, a) in rows, then in columns, where m and a
        are those of `_by_phase`.
    """
    k = kernel.shape[0]
    sides = (2 - before, 4 + before - k)
    padded = ops.pad(kernel, (sides, sides, (0, 0), (0, 0)))
    return ops.reshape(padded, (3, 2, 3, 2, *kernel.shape[2:]))
