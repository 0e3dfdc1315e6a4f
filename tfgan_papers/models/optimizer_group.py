"""Several optimizers where Keras looks for one."""

import keras


class OptimizerGroup:
    """What Keras' callbacks find as `model.optimizer`: a learning rate that is read from
    the first optimizer, and set in all of them in the proportion that they have.

    Raises:
        ValueError: on setting, where an optimizer follows a schedule.
    """

    built = True

    def __init__(self, *optimizers: keras.Optimizer):
        self.optimizers = optimizers

    @property
    def learning_rate(self):
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        first = float(self.optimizers[0].learning_rate)
        factors = [float(each.learning_rate) / first for each in self.optimizers]
        for optimizer, factor in zip(self.optimizers, factors, strict=True):
            optimizer.learning_rate = value * factor
