"""Optimizers whose form Keras does not have and results depend on."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfgan_papers")
class TF1RMSprop(keras.optimizers.Optimizer):
    """RMSProp as `tf.train.RMSPropOptimizer` of TensorFlow 1: the mean square starts at
    one, not zero, and epsilon is inside the root. The first steps are therefore small
    where Keras' are large.

        s <- rho s + (1 - rho) g^2;  theta <- theta - learning_rate g / sqrt(s + epsilon)

    The defaults are TensorFlow 1's.
    """

    def __init__(
        self, learning_rate=1e-3, rho=0.9, epsilon=1e-10, name="tf1_rmsprop", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean_squares = [
            self.add_variable_from_reference(v, name="mean_square", initializer="ones")
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        s = self.mean_squares[self._get_variable_index(variable)]
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(s, self.rho * s + (1.0 - self.rho) * ops.square(gradient))
        self.assign_sub(variable, rate * gradient / ops.sqrt(s + self.epsilon))

    def get_config(self):
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
