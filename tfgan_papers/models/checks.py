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
        if given.get(name):
            raise ValueError(
                f"{name} has no effect, because {type(model).__name__} has its own losses "
                "and scalars: leave it out"
            )
    _check_optimizers(optimizers, model.adversary)
    if model.distribute_strategy.num_replicas_in_sync > 1:
        if given.get("steps_per_execution", 1) > 1:
            raise ValueError("steps_per_execution must be 1 on several replicas")
        if given["jit_compile"] is True and synchronizes(*model.networks):
            raise ValueError(
                "jit_compile must be False on several replicas that synchronize batch "
                "normalization within the step"
            )
        _check_of_replicas(optimizers, model)
    _check_layers(model)
    check_losses(model)


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


def _check_of_replicas(optimizers, model):
    """Keras clips and accumulates before it sums the gradients of the replicas, and updates
    a variable of no strategy once for each replica."""
    for name, each in optimizers.items():
        for option in ("clipnorm", "clipvalue", "global_clipnorm"):
            if getattr(each, option, None):
                raise ValueError(
                    f"{name} has {option}, which clips the part of each replica and not "
                    "the gradient of the batch: leave it out on several replicas"
                )
        if each.gradient_accumulation_steps:
            raise ValueError(
                f"{name} accumulates gradients, which Keras does not do on several "
                "replicas: leave out gradient_accumulation_steps"
            )
        extended = model.distribute_strategy.extended
        if not all(extended.variable_created_in_scope(v.value) for v in each.variables):
            raise ValueError(
                f"{name} was created outside the scope of the model's strategy: create it "
                "in strategy.scope()"
            )


def synchronizes(*networks: keras.Model) -> bool:
    """Whether batch normalization exchanges statistics between replicas."""
    layers = keras_internals.layers(*networks)
    return any(getattr(layer, "synchronized", False) for layer in layers)


def _check_layers(model):
    layers = keras_internals.layers(*model.networks)
    if any(layer.compute_dtype == "float16" for layer in layers):
        raise ValueError(
            "the networks compute in float16, in which small gradients vanish, and "
            "these training steps do not scale the loss: build them with the dtype "
            "policy mixed_bfloat16"
        )


def check_losses(model: keras.Model):
    """Checks that the networks have no losses of their own: regularizers, and after a call
    of the networks what their layers add.

    Raises:
        ValueError: a network has one.
    """
    names = "generator", model.partner_name
    for name, network in zip(names, model.networks, strict=True):
        layers = keras_internals.layers(network)
        of_outputs = any(getattr(layer, "activity_regularizer", None) for layer in layers)
        if network.losses or of_outputs:
            raise ValueError(
                f"the {name} has a regularizer or add_loss, which these training steps do "
                "not add to their losses: leave it out, or use an optimizer's weight_decay"
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
