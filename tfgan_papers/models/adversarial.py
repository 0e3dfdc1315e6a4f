"""A generator against a discriminator, each with its own optimizer."""

import keras
import tensorflow as tf

from tfgan_papers.models import averaging, surgery
from tfgan_papers.models.generative import GenerativeModel


class AdversarialModel(GenerativeModel):
    """A generator and a discriminator, each with its own optimizer.

        model = BEGAN(generator, discriminator, gamma=0.5)
        model.compile("adam", "adam")
        model.fit(images)

    Args:
        generator: functional model, (batch, latent_dim) -> images.
        discriminator: functional model, images -> raw scores (logits), or whatever
            the paper's critic gives.
        history: weight of `HistoricalAveraging` of both networks; 0: none.
        generator_average: how far an average of the generator's weights moves towards
            them in each of its steps; 0: none is kept.
        prior, seed, classes: as of `GenerativeModel`.
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
        """Attach the optimizers; see `GenerativeModel.compile_with`."""
        optimizers = {"d_optimizer": d_optimizer, "g_optimizer": g_optimizer}
        self.compile_with(optimizers, jit_compile, **kwargs)

    def average_generator(self, rate: float):
        """Keep beside G an average of its weights, and draw samples from that. Call it
        before training, where the model was built.

        GANs circle about their equilibrium, the average lies nearer to it (Yazici et al.
        2019, https://arxiv.org/abs/1806.04498; in none of the four papers).

        Args:
            rate: how far the average moves towards G in a step of G.
        """
        self.ema_rate = rate
        self.averaged_generator = surgery.clone_with_weights(self.generator)
        self.sampling_generator = self.averaged_generator

    def checkpointed(self):
        histories = {f"{k}_history": each for k, each in self.histories.items()}
        return {**super().checkpointed(), **histories}

    def apply_gradients(self, network: str, gradients: list[tf.Tensor]):
        if network in self.histories:
            variables = getattr(self, network).trainable_variables
            gradients = self.histories[network].penalized_gradients(gradients, variables)
        super().apply_gradients(network, gradients)
        if network == "generator" and self.averaged_generator is not None:
            rate = averaging.debiased_rate(self.ema_rate, self.g_optimizer.iterations)
            averaging.ema_update(self.averaged_generator, self.generator, rate)
