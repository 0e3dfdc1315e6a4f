"""Several optimizers behind the one `model.optimizer` that Keras expects."""

import keras


class OptimizerGroup:
    """Gives Keras' callbacks one learning rate for several optimizers.

    Reading `learning_rate` returns that of the first optimizer. Setting it scales the
    rates of all optimizers by the same factor.

    Raises:
        ValueError: the learning rate is set, and an optimizer follows a schedule.
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
        factors = [float(one.learning_rate) / first for one in self.optimizers]
        for optimizer, factor in zip(self.optimizers, factors, strict=True):
            optimizer.learning_rate = value * factor
