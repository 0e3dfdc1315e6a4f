"""The base class of the adversarial models."""

import keras
import tensorflow as tf

from tfgan_papers.models import averaging, checks, surgery
from tfgan_papers.models.generative import GenerativeModel


def check_reconstructs(name: str, generator: keras.Model, discriminator: keras.Model):
    """
    Raises:
        ValueError: the output of D does not have the shape of the images.
    """
    gives, images = (x.outputs[0].shape[1:] for x in (discriminator, generator))
    if not checks.fits(gives, images):
        raise ValueError(
            f"D gives {gives} for images {images}: {name}'s D is an autoencoder"
        )


class AdversarialModel(GenerativeModel):
    """A generator and a discriminator that train against each other.

    Each network has its own optimizer.

        model = BEGAN(generator, discriminator, gamma=0.5)
        model.compile("adam", "adam")
        model.fit(images)

    Args:
        generator: functional model, latents (batch, latent_dim) -> images (batch, height,
            width, channels) or points (batch, dimensions).
        discriminator: functional model, images -> raw scores (batch, 1), or another output
            that the paper defines.
        history: float, at least 0, the weight of historical averaging in the losses of both
            networks (Improved GAN, 2016, Sec. 3.3). Default: 0.0.
        generator_average: float, 0 to 1, the rate of the moving average of the generator's
            weights, with which samples are then drawn, for example 0.001; 0 keeps no
            average. Default: 0.0.
        **kwargs: see `GenerativeModel`.
    """

    scalars = ("d_loss", "g_loss")
    partner_name = "discriminator"
    adversary = True

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        history: float = 0.0,
        generator_average: float = 0.0,
        **kwargs,
    ):
        super().__init__(generator, discriminator, **kwargs)
        names = ("generator", "discriminator") if history else ()
        self.history_weight, self.ema_rate = history, 0.0
        self.moves_before = 0  # of G, by the optimizers of earlier calls of `compile`
        self.histories = {
            name: averaging.HistoricalAveraging(
                getattr(self, name).trainable_variables, history, name=f"{name}_history"
            )
            for name in names
        }
        if generator_average:
            self.average_generator(generator_average)

    def get_config(self):
        return {
            **super().get_config(),
            "history": self.history_weight,
            "generator_average": self.ema_rate,
        }

    def compile(
        self,
        d_optimizer: keras.Optimizer | str,
        g_optimizer: keras.Optimizer | str,
        jit_compile: bool | str = "auto",
        **kwargs,
    ):
        """Configures the model for training.

        Args:
            d_optimizer: optimizer of the discriminator.
            g_optimizer: optimizer of the generator; another object than `d_optimizer`.
            jit_compile: see `GenerativeModel.compile_with`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        moves = self.steps_done  # positive if loaded without its optimizers
        if self.compiled:
            moves = int(tf.convert_to_tensor(self.g_optimizer.iterations))
            moves += self.moves_before
        optimizers = {"d_optimizer": d_optimizer, "g_optimizer": g_optimizer}
        self.compile_with(optimizers, jit_compile, **kwargs)
        self.moves_before = moves  # not if the arguments were refused

    def get_compile_config(self):
        config = super().get_compile_config()
        return config and {**config, "moves_before": self.moves_before}

    def compile_from_config(self, config):
        moves = config.pop("moves_before", 0)  # absent in older files
        super().compile_from_config(config)
        self.moves_before = moves

    def average_generator(self, rate: float):
        """Maintains an exponential moving average of G's weights and samples from it.

        Call it before training, in the distribution strategy of the model.

        The weights of a GAN oscillate around an equilibrium, and their average is closer to
        it (Yazici et al. 2019, https://arxiv.org/abs/1806.04498). None of the four papers
        averages G.

        Args:
            rate: float, 0 to 1, the fraction of the distance to G's weights by which the
                average moves with each update of G.
        """
        self.ema_rate = rate
        self.averaged_generator = surgery.clone_with_weights(self.generator)
        self.sampling_generator = self.averaged_generator

    def checkpointed(self):
        histories = {
            f"{name}_history": history.checkpointed()
            for name, history in self.histories.items()
        }
        return {**super().checkpointed(), **histories}

    def apply_gradients(self, network: str, gradients: list[tf.Tensor]):
        if network in self.histories:
            variables = getattr(self, network).trainable_variables
            gradients = self.histories[network].penalized_gradients(gradients, variables)
        moved = super().apply_gradients(network, gradients)
        if network == "generator" and self.averaged_generator is not None:
            moves = tf.convert_to_tensor(self.g_optimizer.iterations) + self.moves_before
            rate = averaging.debiased_rate(self.ema_rate, moves)
            averaging.ema_update(self.averaged_generator, self.generator, rate, moved)
        return moved
