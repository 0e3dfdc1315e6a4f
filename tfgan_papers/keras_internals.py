"""The private parts of Keras that this project uses, in one place. tests/test_keras_api.py
names the version in which they were last seen."""

import keras

SEEN_IN = "3.15"


def layers(*networks: keras.Model) -> list[keras.layers.Layer]:
    """All layers of the networks, those within layers too."""
    return [x for net in networks for x in net._flatten_layers(include_self=False)]


def seed_generators(*networks: keras.Model) -> list[keras.random.SeedGenerator]:
    """Those of Keras' own stochastic layers, which know neither step nor replica."""
    return [
        layer.seed_generator
        for layer in layers(*networks)
        if isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
        and not getattr(layer, "draws_from_step", False)
    ]


def index_of(optimizer: keras.Optimizer, variable) -> int:
    """The place of a variable's state in the optimizer's lists."""
    return optimizer._get_variable_index(variable)


def moments(optimizer: keras.optimizers.Adam, variable):
    """Adam's first and second moment of a variable."""
    index = index_of(optimizer, variable)
    return optimizer._momentums[index], optimizer._velocities[index]
