"""A layer that encodes class labels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfgan_papers")
class OneHot(keras.layers.Layer):
    """One-hot encoding of class labels.

    Input: integer labels (batch,), 0 to classes - 1. Output: (batch, classes) in the
    compute dtype of the layer.

    Args:
        classes: int, the number of classes.
    """

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes

    def call(self, labels):
        return ops.one_hot(
            ops.cast(labels, "int32"), self.classes, dtype=self.compute_dtype
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.classes)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}
