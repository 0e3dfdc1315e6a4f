"""Several optimizers behind the one `model.optimizer` that Keras expects."""

from collections.abc import Mapping

import keras
import tensorflow as tf


class OptimizerGroup:
    """Gives Keras' callbacks one learning rate for several optimizers.

    Reading `learning_rate` returns that of the first optimizer, as a float. Setting it
    scales the rates of all optimizers by the same factor.

    Args:
        optimizers: name of the argument of `compile` -> optimizer.

    Raises:
        ValueError: the learning rate is set, and an optimizer computes its own.
    """

    built = True

    def __init__(self, optimizers: Mapping[str, keras.Optimizer]):
        self.named = dict(optimizers)  # Keras' callbacks set each of `optimizers` alone
        self.ratios = [1.0] * len(optimizers)  # to the first, which may be 0 for a while

    @property
    def variables(self):
        return [v for optimizer in self.named.values() for v in optimizer.variables]

    @property
    def iterations(self):
        """The number of updates of the last optimizer, the generator's."""
        return [*self.named.values()][-1].iterations

    @property
    def learning_rate(self):
        return _rate(next(iter(self.named.values())))

    @learning_rate.setter
    def learning_rate(self, value):
        for name, optimizer in self.named.items():
            if computes_its_rate(optimizer):
                raise ValueError(
                    f"{name}, {type(optimizer).__name__}, computes its own learning rate: "
                    "compile with an optimizer whose learning rate is a number, such as "
                    "keras.optimizers.Adam(1e-3), to set it from outside"
                )
        rates = [_rate(each) for each in self.named.values()]
        if rates[0]:
            self.ratios = [rate / rates[0] for rate in rates]
        for optimizer, ratio in zip(self.named.values(), self.ratios, strict=True):
            optimizer.learning_rate = value * ratio


def _rate(optimizer):  # also of a variable on several replicas
    return float(tf.convert_to_tensor(optimizer.learning_rate))


def computes_its_rate(optimizer: keras.Optimizer) -> bool:
    """Whether the learning rate is a schedule, or a formula such as that of `HeavyBall`."""
    scheduled = isinstance(optimizer.get_config().get("learning_rate"), dict)
    return scheduled or hasattr(optimizer, "learning_rate_at")
