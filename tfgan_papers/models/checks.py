"""What these training steps do not support, refused before training."""

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from tfgan_papers import keras_internals


def check_compile(model: keras.Model, optimizers: Mapping[str, keras.Optimizer], given):
    """Checks the arguments of `compile` and the networks.

    Args:
        model: `GenerativeModel`.
        optimizers: name of the argument of `compile` -> optimizer.
        given: the further arguments of `compile`, by name.

    Raises:
        ValueError: see `GenerativeModel.compile_with`.
    """
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if given.get(name) is not None:
            raise ValueError(
                f"{name} has no effect, because {type(model).__name__} has its own losses "
                "and scalars: leave it out"
            )
    if model.distribute_strategy.num_replicas_in_sync > 1:
        if given.get("steps_per_execution", 1) > 1:
            raise ValueError("steps_per_execution must be 1 on several replicas")
    _check_optimizers(optimizers, model.adversary)
    _check_layers(dict(zip(("generator", model.partner_name), model.networks, strict=True)))


def _check_optimizers(optimizers, adversary):
    of_partner, of_generator = optimizers.values()
    if of_partner is of_generator:
        names = " and ".join(optimizers)
        raise ValueError(f"{names} are one object: each network needs its own")
    for name, each in optimizers.items():
        if getattr(each, "loss_scale_factor", None) or hasattr(each, "inner_optimizer"):
            raise ValueError(
                f"{name} expects a scaled loss, and these training steps do not scale "
                "it: leave out loss_scale_factor and LossScaleOptimizer"
            )
        if each.use_ema:
            instead = "set generator_average" if adversary else "leave it out"
            raise ValueError(
                f"{name} has use_ema, and these models do not copy its average into "
                f"the network: {instead}"
            )


def _check_layers(networks):
    layers = keras_internals.layers(*networks.values())
    if any(layer.compute_dtype == "float16" for layer in layers):
        raise ValueError(
            "the networks compute in float16, in which small gradients vanish, and "
            "these training steps do not scale the loss: build them with the dtype "
            "policy mixed_bfloat16"
        )
    for name, network in networks.items():
        layers = keras_internals.layers(network)
        of_outputs = any(getattr(layer, "activity_regularizer", None) for layer in layers)
        if network.losses or of_outputs:
            raise ValueError(
                f"the {name} has a regularizer or add_loss, which these training steps do "
                "not add to their losses: leave it out, or use weight_decay of the optimizer"
            )


def fits(gives: Sequence[int | None], takes: Sequence[int | None]) -> bool:
    """Whether two shapes agree where both are known."""
    return len(gives) == len(takes) and all(
        None in pair or pair[0] == pair[1] for pair in zip(gives, takes, strict=True)
    )


def check_logits(discriminator: keras.Model):
    """Checks that a discriminator for cross entropy gives logits.

    Raises:
        ValueError: its last layer has a sigmoid or a softmax.
    """
    activation = getattr(keras_internals.last_layer(discriminator), "activation", None)
    if activation in (keras.activations.sigmoid, keras.activations.softmax):
        raise ValueError(
            f"the discriminator ends in a {activation.__name__}, and its loss takes the "
            "scores before it: leave it out"
        )


def check_energy(energy: Callable, partner: keras.Model):
    """Checks that a loss of (images, reconstructions) has one value for each image.

    Args:
        energy: the loss.
        partner: the network that takes the images.

    Raises:
        ValueError: it has another shape.
    """
    shape = [8 if side is None else side for side in partner.inputs[0].shape[1:]]
    images = tf.zeros((2, *shape))
    given = tuple(energy(images, images).shape)
    if given != (2,):
        raise ValueError(
            f"the loss of two images has the shape {given}: give a function that maps "
            "(images, reconstructions) to one error for each image, (batch,)"
        )
