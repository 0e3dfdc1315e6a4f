"""Labels as inputs of a layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfgan_papers")
class OneHot(keras.layers.Layer):
    """Labels, int (batch,), as (batch, classes) of zeros and a one."""

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
