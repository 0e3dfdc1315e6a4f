"""A trained generator without its training, for exports and for `tfgan_papers.load`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.data import RANGES
from tfgan_papers.models import batch


class Generator:
    """A network that draws images, with the prior of its latents and its value range.

    Args:
        network: (inputs, training=False) -> images (n, height, width, channels) or points
            (n, dimensions). The inputs are latents (n, latent_dim), or with classes
            [latents, labels].
        latent_dim: int, the size of a latent vector.
        prior_name: name in `noise.PRIORS` of the distribution of the latents.
        value_range: name in `data.RANGES` of the range of the images.
        classes: int, the number of classes, or 0.
        manifest: dict, the content of manifest.json of an export.
    """

    # A `GenerativeModel` can have these, and `commands/sample.py` asks for them.
    classifier = energy = averaged_generator = None

    def __init__(
        self,
        network: Callable,
        latent_dim: int,
        prior_name: str,
        value_range: str,
        classes: int = 0,
        manifest: Mapping = MappingProxyType({}),
    ):
        self.network, self.latent_dim, self.prior_name = network, latent_dim, prior_name
        self.value_range, self.range = value_range, RANGES[value_range]
        self.classes, self.manifest = classes, manifest

    def with_labels(self, inputs, label):
        """Returns the inputs of a network: `inputs`, and `label` if it is not None.

        Raises:
            ValueError: there is no label and the generator has classes, or the reverse.
        """
        label = batch.checked_labels(label, self.classes)  # one-hot encoding gives zeros
        return inputs if label is None else [inputs, label]

    def generate(self, z, label=None) -> tf.Tensor:
        """Generates images from latents.

        Args:
            z: float32 (n, latent_dim).
            label: integers (n,), with classes.

        Returns:
            float32 (n, height, width, channels), clipped to the limits of the value range
            if it has limits; or points (n, dimensions).

        Raises:
            ValueError: there is no label and the generator has classes, or the reverse.
            InvalidArgumentError: a label is not a class.
        """
        inputs = self.with_labels(tf.convert_to_tensor(z), label)
        return self.range.clip(self.network(inputs, training=False))

    def sample(self, n, seed=None, label=None) -> tf.Tensor:
        """Draws samples.

        Args:
            n: int.
            seed: int. The same seed gives the same samples, and a smaller n gives the
                first of them. None draws others in each call.
            label: int, the class of all samples, with classes.

        Returns:
            uint8 (n, height, width, channels), or points float32 (n, dimensions).
        """
        if seed is None:
            seed = tf.random.uniform((), 0, maxval=tf.int64.max, dtype=tf.int64)
        n, seed = tf.cast(n, tf.int32), tf.cast(seed, tf.int64)
        base = tf.stack([seed, tf.zeros_like(seed)])
        z = noise.latents(self.prior_name, base, (n, self.latent_dim))
        label = None if label is None else tf.fill((n,), label)
        return self.range.to_pixels(self.generate(z, label))
