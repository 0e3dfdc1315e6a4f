"""The strategy of two replicas that all tests of a process share.

Several `MirroredStrategy` objects in one process mix up their collectives.
"""

import functools

import tensorflow as tf


@functools.cache
def two_replicas() -> tf.distribute.Strategy:
    """Over the two logical CPU devices that conftest.py makes."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
