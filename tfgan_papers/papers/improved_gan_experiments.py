"""The experiments of Improved GAN (2016), by the name of their networks.

The numbers are those of openai/improved-gan; a file without a folder is from its
mnist_svhn_cifar10/.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from tfgan_papers.papers import improved_gan_imagenet as imagenet
from tfgan_papers.papers import improved_gan_networks as networks

BATCH_SIZE = 100  # train_mnist_feature_matching.py: batch_size
KERNELS = 100  # train_cifar_minibatch_discrimination.py: num_kernels
G_STEPS = 3  # train_cifar_minibatch_discrimination.py: for rep in range(3)


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
        networks: (shape, classes, Draw) -> (generator, discriminator).
        defaults: option values by name.
        matching: name in `losses.MATCHING` of the code's feature matching (IMPROVED-2).
        first_of_all: whether the data-dependent initialization is of D only, with images of
            all the data. Otherwise it is of both networks, with labelled images for D.
    """

    networks: Callable
    defaults: dict[str, object]
    matching: str = "none"
    first_of_all: bool = False


def _defaults(learning_rate, batch_size=BATCH_SIZE, **others):
    return {"learning_rate": learning_rate, "batch_size": batch_size, **others}


EXPERIMENTS = {
    "mnist": Experiment(  # train_mnist_feature_matching.py: lr
        networks.mnist_networks, _defaults(3e-3), "mean", first_of_all=True
    ),
    "cifar10": Experiment(  # train_cifar_feature_matching.py: learning_rate
        functools.partial(networks.image_networks, filters=96), _defaults(3e-4), "absolute"
    ),
    "svhn": Experiment(  # train_svhn_feature_matching.py: learning_rate
        functools.partial(networks.image_networks, filters=64), _defaults(3e-4), "absolute"
    ),
    "minibatch": Experiment(  # train_cifar_minibatch_discrimination.py: learning_rate
        functools.partial(networks.image_networks, filters=96, noisy=True),
        _defaults(3e-4, g_steps=G_STEPS, minibatch_kernels=KERNELS),
    ),
    "imagenet": Experiment(
        imagenet.networks,
        _defaults(
            imagenet.LEARNING_RATE,
            imagenet.BATCH_SIZE,
            loss="equilibrium",
            value_range="symmetric",
            label_smoothing=imagenet.SMOOTHING,
            reference_batch=imagenet.BATCH_SIZE,
        ),
    ),
}

NETWORK_OF_DATASET = {
    "cifar10": "cifar10",
    "svhn_cropped": "svhn",
    "imagenet2012": "imagenet",
}
DATASET_DEFAULTS = {
    "cifar10": {  # train_cifar_*.py, cifar10_data.py
        "value_range": "symmetric128",
        "labels": 4000,
        "decay_epochs": 400,
    },
    "svhn_cropped": {  # train_svhn_*.py: count
        "value_range": "symmetric",
        "labels": 1000,
        "decay_epochs": 300,
    },
    "imagenet2012": {},
    "digits": {  # the code's ratio in a shorter run: average_rate is 18 / steps
        "value_range": "unit",
        "labels": 100,
        "steps": 2000,
        "report_steps": 250,
        "train_split": "train[:80%]",
        "test_split": "train[80%:]",
        "average": "corrected",
        "average_rate": 0.009,
    },
}
MNIST = {"value_range": "unit", "labels": 100}  # train_mnist_feature_matching.py: count


def network_of(dataset):
    """The name of the networks for a data set."""
    return NETWORK_OF_DATASET.get(dataset, "mnist")


def dataset_defaults(dataset, network, fidelity):
    """Option values for the data set, by name."""
    if network == "imagenet":  # it takes all labels of any data set
        return {}
    return DATASET_DEFAULTS.get(dataset, MNIST)


def experiment_of(settings):
    """The `Experiment` that the settings name."""
    return EXPERIMENTS[settings.network or network_of(settings.dataset)]
