"""Weight normalization (Salimans & Kingma 2016), as the code of Improved GAN (2016) has it
in nn.py."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfgan_papers")
class WeightNormalization(keras.layers.Wrapper):
    """W = gain v / ||v|| for each unit or channel of a layer (Salimans & Kingma 2016), with
    a bias and an activation after it.

    A dense layer's product with v is scaled, not v itself: the same value, without a
    second array of the size of the weights. Of a convolution the output is the larger.

    Args:
        layer: a dense layer, a convolution or a transposed one, without bias and
            activation; its precision is the wrapper's.
        trainable_gain: else the gain stays as `initialize` sets it.
        initial_std: of what `initialize` makes of each unit.
        epsilon: added to ||v||^2.
    """

    def __init__(
        self,
        layer,
        activation=None,
        trainable_gain=False,
        initial_std=1.0,
        epsilon=0.0,
        **kwargs,
    ):
        if layer.use_bias or layer.activation is not keras.activations.linear:
            raise ValueError("the layer's bias and activation belong to its wrapper")
        super().__init__(layer, **{"dtype": layer.dtype_policy, **kwargs})
        self.activation = keras.activations.get(activation)
        self.trainable_gain, self.initial_std = trainable_gain, initial_std
        self.epsilon, self.initializing = epsilon, False
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        self.units_axis = -2 if transposed else -1

    def build(self, input_shape):
        super().build(input_shape)
        units = self.layer.kernel.shape[self.units_axis]
        self.gain = self.add_weight(
            name="gain", shape=(units,), initializer="ones", trainable=self.trainable_gain
        )
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")

    def call(self, inputs):
        v = ops.convert_to_tensor(self.layer.kernel)
        rank = len(v.shape)
        axes = [axis for axis in range(rank) if axis != self.units_axis % rank]
        scale = self.gain / ops.sqrt(ops.sum(ops.square(v), axes) + self.epsilon)
        if isinstance(self.layer, keras.layers.Conv2D):
            values = self.layer.convolution_op(inputs, v * scale)
        else:
            values = self.layer(inputs) * scale
        if self.initializing:
            values = self._initialize(values)
        return self.activation(values + self.bias)

    def _initialize(self, values):
        axes = list(range(len(values.shape) - 1))
        scale = self.initial_std / ops.std(values, axes)
        self.bias.assign(-ops.mean(values, axes) * scale)
        self.gain.assign(self.gain * scale)
        return values * scale

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        config = super().get_config()
        config["layer"].pop("build_config", None)  # else a copy is bound to this input
        return {
            **config,
            "activation": keras.activations.serialize(self.activation),
            "trainable_gain": self.trainable_gain,
            "initial_std": self.initial_std,
            "epsilon": self.epsilon,
        }
