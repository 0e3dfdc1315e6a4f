"""Minibatch discrimination (Improved GAN, 2016, Sec. 3.2)."""

import keras
from keras import ops

FAR = 1e6  # nn.py of Improved GAN: what keeps an example out of its own similarities


@keras.saving.register_keras_serializable("tfgan_papers")
class MinibatchDiscrimination(keras.layers.Layer):
    """Features (batch, A) and beside them, for each of `kernels`, how similar an example is
    to the others of its batch (Sec. 3.2):

        M_i = f(x_i) T;  o(x_i)_b = sum over j != i of exp(-||M_ib - M_jb||_1) + bias_b

    T's columns have norm exp(log_scale), as in nn.py. Put real and generated batches
    through it apart.
    """

    compares = True  # the examples of a batch, in training and outside it

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
        """Half the mean distance to the nearest other example becomes 1, the mean of each
        feature 0."""
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
