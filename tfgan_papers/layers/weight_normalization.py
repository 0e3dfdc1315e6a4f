"""Weight normalization (Salimans & Kingma 2016), as in nn.py of Improved GAN (2016)."""

import keras
from keras import ops

TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)  # the axis of units is the last but one of their kernels


@keras.saving.register_keras_serializable("tfgan_papers")
class WeightNormalization(keras.layers.Wrapper):
    """Reparametrizes the weights of a layer as W = gain v / ||v||, for each unit or channel
    (Salimans & Kingma 2016), and adds a bias and an activation.

    For a dense layer the wrapper scales the output rather than v. The result is the same,
    and no second array of the size of the weights is needed. For a convolution it scales
    v, because there the output is larger than the weights.

    Input and output: the shapes of `layer`.

    Args:
        layer: dense layer, convolution or transposed convolution, without bias and
            activation. The wrapper uses its dtype policy.
        activation: activation applied after the bias.
        trainable_gain: if False, the gain keeps the value that `surgery.initialize` sets.
        initial_std: float, the standard deviation of each unit's output after
            `surgery.initialize`.
        epsilon: float, added to ||v||^2.

    Raises:
        ValueError: `layer` has a bias or an activation.
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
        transposed = isinstance(layer, TRANSPOSED)
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
        """Sets gain and bias so that each unit has mean 0 and deviation `initial_std`."""
        axes = list(range(len(values.shape) - 1))
        scale = self.initial_std / ops.std(values, axes)
        self.bias.assign(-ops.mean(values, axes) * scale)
        self.gain.assign(self.gain * scale)
        return values * scale

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        config = super().get_config()
        config["layer"].pop("build_config", None)  # it would bind a copy to this input
        return {
            **config,
            "activation": keras.activations.serialize(self.activation),
            "trainable_gain": self.trainable_gain,
            "initial_std": self.initial_std,
            "epsilon": self.epsilon,
        }
