"""What every test needs: two CPU devices, parsed flags, a fixed global seed."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from tfgan_papers.runs import training  # defines the flags  # noqa: F401

# Before the first operation: tests of tf.distribute need more than one device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
flags.FLAGS(["test"])


@pytest.fixture(autouse=True)
def _fixed_seed():
    """No test depends on chance, nor on the tests before it."""
    keras.utils.set_random_seed(1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
