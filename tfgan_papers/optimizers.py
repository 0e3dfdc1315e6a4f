"""Optimizers and a learning rate schedule that Keras lacks.

The results, or the speed, depend on them.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgan_papers import keras_internals


@keras.saving.register_keras_serializable("tfgan_papers")
class TF1RMSprop(keras.optimizers.Optimizer):
    """RMSProp as implemented by `tf.train.RMSPropOptimizer` of TensorFlow 1.

        s <- rho s + (1 - rho) g^2;  theta <- theta - learning_rate g / sqrt(s + epsilon)

    It differs from Keras' RMSprop in two ways: the mean square s starts at one, not zero,
    and epsilon is inside the root. The first steps are therefore small where those of Keras
    are large. The defaults are those of TensorFlow 1.

    Args:
        learning_rate: float or schedule.
        rho: float, 0 to 1, the decay of the mean square.
        epsilon: float, added to the mean square.
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
        s = self.mean_squares[keras_internals.index_of(self, variable)]
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(s, self.rho * s + (1.0 - self.rho) * ops.square(gradient))
        self.assign_sub(variable, rate * gradient / ops.sqrt(s + self.epsilon))

    def get_config(self):
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("tfgan_papers")
class Adam(keras.optimizers.Adam):
    """Keras' Adam with the update of each weight in a single TensorFlow kernel.

    The kernel makes one pass over memory where Keras' implementation makes ten. The update
    is the same: epsilon is added to the root of the uncorrected second moment.

    Args:
        *args, **kwargs: arguments of `keras.optimizers.Adam`.

    Raises:
        ValueError: `amsgrad` is True, which the kernel does not compute.
    """

    def __init__(self, *args, amsgrad=False, **kwargs):
        if amsgrad:
            raise ValueError("amsgrad is not implemented here: use keras.optimizers.Adam")
        super().__init__(*args, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        momentum, velocity = keras_internals.moments(self, variable)
        step = ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=ops.power(self.beta_1, step),
            beta2_power=ops.power(self.beta_2, step),
            lr=ops.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("tfgan_papers")
class RootAdam(Adam):
    """Adam with epsilon inside the root, as in nn.py of Improved GAN (2016).

        theta <- theta - learning_rate m_hat / sqrt(v_hat + epsilon)

    An epsilon of 1e-8 inside the root corresponds to 1e-4 outside it.

    The velocities hold v + epsilon (1 - beta_2^t), whose bias correction gives
    v_hat + epsilon. So the kernel of `Adam` computes this update with an epsilon of 0.

    Args:
        learning_rate: float or schedule.
        beta_1: float, 0 to 1, the decay of the first moment.
        beta_2: float, 0 to 1, the decay of the second moment.
        epsilon: float, added to the corrected second moment.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        name="root_adam",
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon=0.0, name=name, **kwargs)
        self.root_epsilon = epsilon

    def update_step(self, gradient, variable, learning_rate):
        _, velocity = keras_internals.moments(self, variable)
        share = self.root_epsilon * (1.0 - self.beta_2) / self.beta_2
        self.assign_add(velocity, ops.full_like(velocity, share))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.root_epsilon}


@keras.saving.register_keras_serializable("tfgan_papers")
class ToZero(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, followed by a linear decay to zero.

    Args:
        learning_rate: float, the initial rate.
        flat_steps: int, the number of steps at the initial rate.
        falling_steps: int, the number of steps of the decay; by default `flat_steps`.
    """

    def __init__(self, learning_rate, flat_steps, falling_steps=None):
        self.learning_rate, self.flat_steps = learning_rate, flat_steps
        self.falling_steps = falling_steps or flat_steps

    def __call__(self, step):
        done = (ops.cast(step, "float32") - self.flat_steps) / self.falling_steps
        return self.learning_rate * ops.clip(1.0 - done, 0.0, 1.0)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "flat_steps": self.flat_steps,
            "falling_steps": self.falling_steps,
        }


@keras.saving.register_keras_serializable("tfgan_papers")
class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """Halves the learning rate every `steps` steps, but not below `floor`.

    Args:
        learning_rate: float, the initial rate.
        steps: int.
        floor: float.
    """

    def __init__(self, learning_rate, steps, floor):
        self.learning_rate, self.steps, self.floor = learning_rate, steps, floor

    def __call__(self, step):
        halvings = ops.cast(step // self.steps, "float32")
        return ops.maximum(self.learning_rate * ops.power(0.5, halvings), self.floor)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "floor": self.floor,
        }


# Goodfellow et al. 2014, goodfeli/adversarial: the yaml files of all four experiments.
DECAY_PER_STEP = 1.000004  # all four yaml files: decay_factor, every minibatch
LEARNING_RATE_FLOOR = 1e-6  # all four: min_lr
MOMENTUM = (0.5, 0.7)  # all four: init_momentum, final_momentum
MOMENTUM_EPOCHS = (1, 250)  # all four: start, saturate


@keras.saving.register_keras_serializable("tfgan_papers")
class HeavyBall(keras.optimizers.SGD):
    """SGD with heavy-ball momentum, as pylearn2's Momentum.

        v <- m v - lr gradient;  theta <- theta + v

    The learning rate lr_t = max(learning_rate / decay^t, floor) decreases with every
    minibatch. The momentum m rises linearly from `MOMENTUM[0]` to `MOMENTUM[1]` over the
    epochs `MOMENTUM_EPOCHS`.

    Args:
        learning_rate: float, the learning rate at step 0.
        steps_per_epoch: int, the number of updates of this optimizer in an epoch.
    """

    def __init__(self, learning_rate, steps_per_epoch, name="heavy_ball"):
        super().__init__(learning_rate, momentum=MOMENTUM[0], name=name)
        self.initial_learning_rate = float(learning_rate)
        self.steps_per_epoch = steps_per_epoch

    @property
    def learning_rate(self):
        return self.learning_rate_at(self.iterations)

    @learning_rate.setter
    def learning_rate(self, value):
        raise ValueError(
            "HeavyBall computes its own learning rate: give it another initial one, or use "
            "keras.optimizers.SGD"
        )

    def learning_rate_at(self, step):
        """The learning rate at an integer step, a float32 scalar."""
        # Computed from the logarithm: in float32 the factor would round to 1.00000405.
        decay = ops.exp(-np.log(DECAY_PER_STEP) * ops.cast(step, "float32"))
        return ops.maximum(self.initial_learning_rate * decay, LEARNING_RATE_FLOOR)

    def momentum_at(self, step):
        """The momentum at an integer step, a float32 scalar."""
        # MomentumAdjustor counts epochs from 1.
        epoch = ops.cast(step // self.steps_per_epoch + 1, "float32")
        first, last = MOMENTUM_EPOCHS
        risen = ops.clip((epoch - first) / (last - first), 0.0, 1.0)
        return MOMENTUM[0] + (MOMENTUM[1] - MOMENTUM[0]) * risen

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.momentums[keras_internals.index_of(self, variable)]
        # The same update as SGD's, in one pass over memory instead of five.
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=velocity.value.handle,
            grad=gradient,
            lr=self.learning_rate_at(self.iterations),
            momentum=self.momentum_at(self.iterations),
        )

    def get_config(self):
        return {
            "learning_rate": self.initial_learning_rate,
            "steps_per_epoch": self.steps_per_epoch,
            "name": self.name,
        }
