"""The private parts of Keras that this project uses, in one place.

tests/test_keras_api.py checks that the installed Keras is the version given here.
"""

import keras

SEEN_IN = "3.15"  # the Keras version for which these functions were last checked


def layers(*networks: keras.Model) -> list[keras.layers.Layer]:
    """Returns all layers of the networks, including nested layers."""
    return [x for net in networks for x in net._flatten_layers(include_self=False)]


def last_layer(network: keras.Model) -> keras.layers.Layer:
    """Returns the layer that computes the first output of a functional network, also within
    nested functional networks."""
    layer = network.outputs[0]._keras_history.operation
    return last_layer(layer) if getattr(layer, "outputs", None) else layer


def seed_generators(*networks: keras.Model) -> list[keras.random.SeedGenerator]:
    """Returns the seed generators of Keras' own stochastic layers.

    Their draws depend on neither the step nor the replica, so a model reseeds them.
    """
    return [
        generator
        for layer in layers(*networks)
        if not getattr(layer, "draws_from_step", False)
        for generator in layer._seed_generators
    ]


def metrics(model: keras.Model) -> list[keras.Metric]:
    """Returns the metrics that are attributes of the model."""
    return model._metrics


def index_of(optimizer: keras.Optimizer, variable) -> int:
    """Returns the index of a variable's state in the lists of the optimizer."""
    return optimizer._get_variable_index(variable)


def moments(optimizer: keras.optimizers.Adam, variable):
    """Returns Adam's first and second moments of a variable."""
    index = index_of(optimizer, variable)
    return optimizer._momentums[index], optimizer._velocities[index]
