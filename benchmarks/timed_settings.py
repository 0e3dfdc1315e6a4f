"""The settings of step_times.py: models with their training data, and the arithmetic of a
training step."""

import math
from collections.abc import Callable
from typing import NamedTuple


class Setting(NamedTuple):
    """A model and its training data."""

    model: Callable  # (jit_compile) -> compiled model
    stream: Callable  # () -> dataset of training batches
    batch_size: int
    multiply_adds: Callable  # (counts per layer of G, of D) -> count per step and example


def gan_mnist():
    import numpy as np

    from tfgan_papers import optimizers
    from tfgan_papers.layers.initializers import Draw
    from tfgan_papers.papers import gan, gan_networks

    def model(jit_compile):
        networks = gan_networks.mnist_networks((28, 28, 1), np.full(784, 0.5), Draw(0))
        model = gan.GAN(*networks, simultaneous=True, prior="uniform_sqrt3")
        rates = [optimizers.HeavyBall(0.1, 500) for _ in range(2)]
        model.compile(*rates, jit_compile=jit_compile)
        return model

    stream = streamed(made_images((28, 28, 1), 50_000), 100, "unit")
    return Setting(model, stream, 100, simultaneous)


def gan_cifar10():
    return gan("cifar10", (32, 32, 3))


def gan_cifar10_convolutional():
    return gan("cifar10", (32, 32, 3), "--network=cifar10_convolutional")


def gan_tfd():
    return gan("tfd", (48, 48, 1))


def gan(dataset, shape, *arguments):
    """Returns the setting of another configuration of GAN's authors."""
    arguments = ("--model=gan", f"--dataset={dataset}", "--fidelity=code", *arguments)
    return of_flags(*arguments, shape=shape, arithmetic=simultaneous)


def lsgan(networks, shape, batch_size, value_range, arithmetic, **kwargs):
    """Returns the setting of an LSGAN, built as by the command line."""
    from tfgan_papers import optimizers
    from tfgan_papers.layers.initializers import Draw
    from tfgan_papers.papers import lsgan, lsgan_networks

    def model(jit_compile):
        built = getattr(lsgan_networks, networks)(shape, lsgan_networks.STYLE, Draw(0))
        model = lsgan.LSGAN(*built, **kwargs)
        rates = [optimizers.Adam(rate, beta_1=0.5) for rate in (1e-4, 1e-3)]
        model.compile(*rates, jit_compile=jit_compile)
        return model

    n = 100_000 if len(shape) == 1 else 5_000  # as many points as --dataset=ring has
    stream = streamed(made_images(shape, n), batch_size, value_range)
    return Setting(model, stream, batch_size, arithmetic)


def lsgan_ring():
    kwargs = {"prior": "normal", "simultaneous": True}
    return lsgan("mixture_networks", (2,), 512, "raw", simultaneous, **kwargs)


def lsgan_dcgan64():
    return lsgan("stability_networks", (64, 64, 3), 64, "symmetric", in_turn)


def of_flags(*arguments, shape, arithmetic, classes=0, n=1000):
    """Returns the setting of a model as the command line builds it, on random images."""
    import numpy as np

    from tfgan_papers.options import from_text
    from tfgan_papers.runs import settings
    from tfgan_papers.runs.run import Run

    pairs = (argument.removeprefix("--").split("=", 1) for argument in arguments)
    fields = settings.all_fields()
    given = {k: v if k == "model" else from_text(fields[k], v) for k, v in pairs}
    run, examples = Run(settings.resolve(given)), made_images(shape, n, classes)
    of = run.settings(shape, np.zeros(shape), n, classes)

    def model(jit_compile):
        return run.build(of, jit_compile=jit_compile)

    def stream():
        return run.batches(examples(), model(False), of, seed=0)

    return Setting(model, stream, run.values.training.batch_size, arithmetic)


def improved_gan_mnist():
    arguments = ("--model=improved_gan", "--dataset=mnist", "--fidelity=code")
    return of_flags(
        *arguments, shape=(28, 28, 1), classes=10, n=10_000, arithmetic=semi_supervised
    )


def improved_gan_cifar10():
    arguments = ("--model=improved_gan", "--dataset=cifar10", "--fidelity=code")
    return of_flags(
        *arguments, shape=(32, 32, 3), classes=10, n=10_000, arithmetic=semi_supervised
    )


def began(size):
    """Returns the setting of the paper's networks, Sec. 3.5, with n = 64."""
    arguments = ("--model=began", "--dataset=olivetti_png", "--network=authors")
    return of_flags(
        *(*arguments, "--width=64", "--batch_size=16"),
        shape=(size, size, 3),
        arithmetic=autoencoding,
    )


def began32():
    return began(32)


def began64():
    return began(64)


SETTINGS = {
    f.__name__: f
    for f in (
        *(gan_mnist, gan_cifar10, gan_cifar10_convolutional, gan_tfd),
        *(lsgan_ring, lsgan_dcgan64),
        *(improved_gan_mnist, improved_gan_cifar10, began32, began64),
    )
}


def made_images(shape, n, classes=0):
    """Returns a function that returns `n` random examples of `shape`."""

    def examples():
        import numpy as np

        from tfgan_papers.data import HeldExamples

        draw = np.random.default_rng(0)
        if len(shape) == 1:
            return HeldExamples("noise", draw.normal(size=(n, *shape)).astype("float32"))
        images = draw.integers(0, 256, (n, *shape), np.uint8)
        if not classes:
            return HeldExamples("noise", images)
        names = [str(i) for i in range(classes)]
        return HeldExamples("noise", images, np.arange(n) % classes, names)

    return examples


def streamed(examples, batch_size, value_range):
    return lambda: examples().stream(batch_size, 0, value_range)


# The arithmetic. The cost of a layer is its count of multiply-adds once for the forward
# pass, once for the gradient of its weights and once for that of its input, which the first
# layer does not need.


def trained(layers):
    """Counts the multiply-adds of a forward pass and the gradients of all weights."""
    return 3 * sum(layers) - layers[0]


def simultaneous(generator, discriminator):
    """Counts D on data and on samples, and the gradient of G through the same pass of D."""
    return trained(generator) + 2 * trained(discriminator) + sum(discriminator)


def in_turn(generator, discriminator):
    """Counts as `simultaneous`, with another pass of D on the samples after its update."""
    return trained(generator) + 2 * trained(discriminator) + 2 * sum(discriminator)


def autoencoding(generator, discriminator):
    """Counts G once, D on data and on samples, and the gradient of the samples."""
    return trained(generator) + 2 * trained(discriminator) + discriminator[0]


def semi_supervised(generator, discriminator):
    """Counts D on labelled images, unlabelled images and samples, then its features for
    data, and for other samples with their gradient."""
    of_d = sum(generator) + 3 * trained(discriminator)
    return of_d + sum(discriminator[:-1]) * 3 + trained(generator)


def layer_counts(network):
    """Counts the multiply-adds of each layer with a kernel, for one example."""
    import keras

    from tfgan_papers import keras_internals

    counts = []
    layers = keras_internals.layers(network)
    wrapped = [layer.layer for layer in layers if hasattr(layer, "layer")]
    for layer in layers:
        inner = getattr(layer, "layer", layer)  # the layer of a WeightNormalization
        kernel = getattr(inner, "kernel", None)
        if kernel is None or layer in wrapped:
            continue
        transposed = isinstance(inner, keras.layers.Conv2DTranspose)
        images = len(kernel.shape) == 4
        positions = (
            (layer.input if transposed else layer.output).shape[1:-1] if images else ()
        )
        counts.append(math.prod(kernel.shape) * math.prod(positions))
    return counts
