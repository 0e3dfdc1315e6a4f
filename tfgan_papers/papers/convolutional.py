"""What the convolutional networks of DCGAN, LSGAN, BEGAN and EBGAN share: the numbers of
DCGAN (2015), its layers in the authors' style and in the port's, and the option --width.

The authors' code is Newmu/dcgan_code, on Theano; the port is
carpedm20/DCGAN-tensorflow.
"""

import dataclasses
from typing import NamedTuple

import keras

from tfgan_papers.options import Options, option

WEIGHT_STD = 0.02  # DCGAN, Sec. 4
LEAK = 0.2  # DCGAN, Sec. 4
MOVING_AVERAGE_DECAY = 0.9  # DCGAN-4; ops.py of the port: momentum


@dataclasses.dataclass(frozen=True)
class WidthOptions(Options):
    """The size of convolutional networks."""

    width: int = option(
        0, "Channels of the layer next to the image; 0 takes the network's own.", low=0
    )


class Style(NamedTuple):
    """In what the authors' networks and the port's differ."""

    width: int  # channels of the layer next to the image
    symmetric: bool  # zero padding: Theano's, or TensorFlow's SAME
    bias: bool  # of convolutions and dense layers
    per_unit: bool  # G's first batch normalization: a gain a unit, or a channel
    epsilon: float  # of batch normalization
    gain_std: float  # its gains start at N(1, gain_std)


AUTHORS = Style(128, True, False, True, 1e-8, 0.02)  # faces/train_uncond_dcgan.py
PORT = Style(64, False, True, False, 1e-5, 0.0)  # the port's model.py, ops.py


def in_width(style, options: WidthOptions):
    """`style` in the width of the options, or its own where they give none."""
    return style._replace(width=options.width) if options.width else style


def normalized(x, style, draw, affine=True):
    """Batch normalization with the papers' numbers."""
    gain = draw.normal(style.gain_std, 1.0) if style.gain_std else "ones"
    return keras.layers.BatchNormalization(
        momentum=MOVING_AVERAGE_DECAY,
        epsilon=style.epsilon,
        gamma_initializer=gain,
        center=affine,
        scale=affine,
    )(x)


def image_shape(shape):
    """(height, width, channels) of an image's `shape`.

    Raises:
        ValueError: it is a point's.
    """
    if len(shape) != 3:
        raise ValueError("these networks are of images, and the data are points")
    return shape


def dense(units, style, draw):
    kernel = draw.normal(WEIGHT_STD)
    return keras.layers.Dense(units, use_bias=style.bias, kernel_initializer=kernel)


def logit(x, style, draw):
    """D's last layer: float32, whatever the policy."""
    kernel = draw.normal(WEIGHT_STD)
    kwargs = {"use_bias": style.bias, "kernel_initializer": kernel}
    return keras.layers.Dense(1, dtype="float32", name="score", **kwargs)(x)


def spread(label, x):
    """`label` (batch, n) as constant maps where `x` has height and width."""
    if len(x.shape) == 2:
        return label
    maps = keras.layers.Reshape((1, 1, label.shape[-1]))(label)
    return keras.layers.UpSampling2D(x.shape[1:3])(maps)
