"""What every test needs: two CPU devices, a fixed global seed."""

from tfgan_papers import quiet  # before TensorFlow, to which it tells how much to log

with quiet.native_stderr():
    import keras
    import numpy as np
    import pytest
    import tensorflow as tf

# Before the first operation: tests of tf.distribute need more than one device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(autouse=True)
def _fixed_seed():
    """No test depends on chance, nor on the tests before it."""
    keras.utils.set_random_seed(1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
