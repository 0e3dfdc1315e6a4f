"""Minibatch discrimination (Improved GAN, 2016, Sec. 3.2)."""

import keras
from keras import ops

FAR = 1e6  # nn.py of Improved GAN: added to the distance of an example to itself


@keras.saving.register_keras_serializable("tfgan_papers")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to each example's features its similarity to the other examples of its batch
    (Improved GAN, Sec. 3.2):

        M_i = f(x_i) T;  o(x_i)_b = sum over j != i of exp(-||M_ib - M_jb||_1) + bias_b

    The columns of T have norm exp(log_scale), as in nn.py. Call the layer separately on
    real and generated batches.

    Input: features (batch, A). Output: (batch, A + kernels).

    Args:
        kernels: int, the number of similarities per example.
        kernel_size: int, the number of dimensions in which each kernel compares.
        kernel_initializer: initializer of the kernel (A, kernels, kernel_size); by default
            N(0, 0.05), as `theta` in nn.py.
    """

    compares = True  # the output depends on the other examples, also outside training

    def __init__(self, kernels, kernel_size=5, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.kernels, self.kernel_size = kernels, kernel_size
        normal = keras.initializers.RandomNormal(stddev=0.05)  # nn.py: theta
        self.kernel_initializer = keras.initializers.get(kernel_initializer or normal)
        self.initializing = False

    def build(self, input_shape):
        shape = (self.kernels, self.kernel_size)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], *shape),
            initializer=self.kernel_initializer,
        )
        self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")
        self.bias = self.add_weight(
            name="bias",
            shape=(self.kernels,),
            initializer=keras.initializers.Constant(-1.0),  # nn.py: b
        )

    def call(self, features):
        v = ops.convert_to_tensor(self.kernel)
        scale = ops.exp(self.log_scale) / ops.sqrt(ops.sum(ops.square(v), 0))
        m = ops.tensordot(features, v * scale, 1)  # (batch, kernels, kernel_size)
        distances = ops.sum(ops.abs(m[:, None] - m[None]), -1)  # (batch, batch, kernels)
        distances += FAR * ops.eye(ops.shape(m)[0], dtype=m.dtype)[..., None]
        if self.initializing:
            distances = self._initialize(distances)
        similar = ops.sum(ops.exp(-distances), 1)
        return ops.concatenate([features, similar + self.bias], -1)

    def _initialize(self, distances):
        """Rescales the kernel so that half the mean distance to the nearest other example
        is 1, and shifts the bias so that each similarity has mean 0 over the batch."""
        unit = 0.5 * ops.mean(ops.min(distances, 1), 0)
        self.log_scale.assign(self.log_scale - ops.log(unit)[:, None])
        distances = distances / unit
        self.bias.assign(-ops.mean(ops.sum(ops.exp(-distances), 1), 0))
        return distances

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.kernels)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "kernels": self.kernels,
            "kernel_size": self.kernel_size,
            "kernel_initializer": initializer,
        }
