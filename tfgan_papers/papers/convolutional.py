"""The parts that the convolutional networks of DCGAN, LSGAN, BEGAN and EBGAN share.

These are the numbers of DCGAN (2015), its layers as in the authors' code and as in the
TensorFlow port, and the option --width. The authors' code is Newmu/dcgan_code, on Theano;
the port is carpedm20/DCGAN-tensorflow.
"""

import dataclasses
from typing import NamedTuple

import keras

from tfgan_papers.errors import UsageError
from tfgan_papers.models.augmentation import AUGMENTATIONS
from tfgan_papers.options import Options, option

WEIGHT_STD = 0.02  # DCGAN, Sec. 4
LEAK = 0.2  # DCGAN, Sec. 4
MOVING_AVERAGE_DECAY = 0.9  # DCGAN-4; ops.py of the port: momentum


@dataclasses.dataclass(frozen=True)
class WidthOptions(Options):
    """The size of convolutional networks."""

    width: int = option(
        0, "Channels of the layer next to the image; 0: the network's own number.", low=0
    )


@dataclasses.dataclass(frozen=True)
class AugmentationOptions(Options):
    """Differentiable augmentation."""

    diff_augment: tuple[str, ...] = option(
        (),
        "Augmentations of all images that D sees in training (Zhao et al. 2020), for "
        f"example {','.join(AUGMENTATIONS)}; for few training images. None by default.",
    )


def check_range(options: AugmentationOptions, value_range: str):
    """Checks that images have the range for which the augmentations are defined.

    Raises:
        UsageError: there are augmentations, and the range is not [-1, 1].
    """
    if options.diff_augment and value_range != "symmetric":
        raise UsageError(
            "--diff_augment is for images in [-1, 1], not for "
            f"--value_range={value_range}: set --value_range=symmetric, or leave out "
            "--diff_augment"
        )


class Style(NamedTuple):
    """The differences between the networks of the authors and those of the port."""

    width: int  # channels of the layer next to the image
    symmetric: bool  # zero padding: True as Theano's, False as TensorFlow's SAME
    bias: bool  # whether convolutions and dense layers have biases
    per_unit: bool  # G's first batch normalization: one gain per unit, or per channel
    epsilon: float  # of batch normalization
    gain_std: float  # gains of batch normalization are initialized from N(1, gain_std)


AUTHORS = Style(128, True, False, True, 1e-8, 0.02)  # faces/train_uncond_dcgan.py
PORT = Style(64, False, True, False, 1e-5, 0.0)  # the port's model.py, ops.py


def in_width(style, options: WidthOptions):
    """`style` with the width of the options, if they set one."""
    return style._replace(width=options.width) if options.width else style


def normalized(x, style, draw, affine=True):
    """Applies batch normalization with the momentum and epsilon of the papers."""
    gain = draw.normal(style.gain_std, 1.0) if style.gain_std else "ones"
    return keras.layers.BatchNormalization(
        momentum=MOVING_AVERAGE_DECAY,
        epsilon=style.epsilon,
        gamma_initializer=gain,
        center=affine,
        scale=affine,
    )(x)


def image_shape(shape):
    """Checks that `shape` is (height, width, channels) and returns it.

    Raises:
        ValueError: it is the shape of a point.
    """
    if len(shape) != 3:
        raise ValueError("these networks are for images, and the data are points")
    return shape


def dense(units, style, draw):
    """A dense layer with the papers' initial weights."""
    kernel = draw.normal(WEIGHT_STD)
    return keras.layers.Dense(units, use_bias=style.bias, kernel_initializer=kernel)


def logit(x, style, draw):
    """Applies D's last layer, in float32 under any dtype policy; (batch, 1)."""
    kernel = draw.normal(WEIGHT_STD)
    kwargs = {"use_bias": style.bias, "kernel_initializer": kernel}
    return keras.layers.Dense(1, dtype="float32", name="score", **kwargs)(x)


def spread(label, x):
    """`label` (batch, n), or constant maps (batch, height, width, n) if `x` is an image."""
    if len(x.shape) == 2:
        return label
    maps = keras.layers.Reshape((1, 1, label.shape[-1]))(label)
    return keras.layers.UpSampling2D(x.shape[1:3])(maps)
