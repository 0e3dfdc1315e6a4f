"""Models whose discriminator gives one score an example, by any of the losses that
`--loss` selects. A paper's `train_step` chooses the order of these pieces."""

import keras
import tensorflow as tf
from keras import ops

from tfgan_papers import losses
from tfgan_papers.models import adversarial


class ScalarCriticModel(adversarial.AdversarialModel):
    """The pieces of a step, pure functions for `run_compiled`.

    Args:
        loss: an `AdversarialLoss`, the name of one in `losses.LOSSES`, or its config.
        matching: (real features, fake features) -> what G minimizes instead, one of
            `losses.MATCHING` or its name; None: nothing. Features are the output of D's
            layer named "features".

    Raises:
        ValueError: D gives no score (batch, 1), or there is no such loss.
    """

    scalars = ("d_loss", "g_loss", "d_real", "d_fake")

    def __init__(
        self,
        generator,
        discriminator,
        loss="non_saturating",
        matching=None,
        **kwargs,
    ):
        super().__init__(generator, discriminator, **kwargs)
        self.loss_terms = losses.get(loss)
        named = isinstance(matching, str)
        self.matching = losses.MATCHING[matching] if named else matching
        if self.matching is not None:
            features = discriminator.get_layer("features").output
            self.features = keras.Model(discriminator.input, features)

    def get_config(self):
        return {
            **super().get_config(),
            "loss": self.loss_terms.config,
            "matching": losses.name_of(losses.MATCHING, self.matching),
        }

    def critic_output(self, images, labels=None):
        """What D's scores say, (batch, 1): a probability under cross entropy."""
        return self.loss_terms.to_probability(super().critic_output(images, labels))

    def samples_for(self, real, labels, z=None):
        """As many samples as there are data, of the same classes, from `z` or fresh
        latents; differentiable."""
        z = self.prior(real) if z is None else z
        return self.generator(self.with_labels(z, labels), training=True)

    def scores(self, images, labels):
        return self.discriminator(self.with_labels(images, labels), training=True)

    def discriminator_loss(self, real, fake, labels):
        """D's loss on a batch, its mean verdicts, and its scores of the samples. Data and
        samples go through D apart: batch normalization must not mix them."""
        real_scores, fake_scores = self.scores(real, labels), self.scores(fake, labels)
        terms = self.loss_terms
        d_loss = ops.mean(terms.real(real_scores)) + ops.mean(terms.fake(fake_scores))
        verdicts = {
            "d_real": ops.mean(terms.to_probability(real_scores)),
            "d_fake": ops.mean(terms.to_probability(fake_scores)),
        }
        return d_loss, verdicts, fake_scores

    def generator_loss(self, fake, real, labels, scores=None):
        """What G descends: of its samples' scores, or of their features beside the data's
        (Improved GAN, 2016, Sec. 3.1)."""
        if self.matching is None:
            scores = self.scores(fake, labels) if scores is None else scores
            return ops.mean(self.loss_terms.generator(scores))
        of_real, of_fake = (
            self.features(self.with_labels(x, labels), training=True) for x in (real, fake)
        )
        return self.matching(of_real, of_fake)

    def joint_gradients(self, real, labels):
        """One pass of each network and one batch of samples for both gradients."""
        with tf.GradientTape(persistent=True) as tape:
            fake = self.samples_for(real, labels)
            d_loss, scalars, fake_scores = self.discriminator_loss(real, fake, labels)
            g_loss = self.generator_loss(fake, real, labels, fake_scores)
        d_gradients = tape.gradient(d_loss, self.discriminator.trainable_variables)
        g_gradients = tape.gradient(g_loss, self.generator.trainable_variables)
        return scalars | {"d_loss": d_loss, "g_loss": g_loss}, d_gradients, g_gradients

    def d_gradients(self, real, labels, fake=None):
        """D's gradients against `fake`, or fresh samples of a G that stands still."""
        fake = self.samples_for(real, labels) if fake is None else fake
        with tf.GradientTape() as tape:
            d_loss, scalars, _ = self.discriminator_loss(real, fake, labels)
        gradients = tape.gradient(d_loss, self.discriminator.trainable_variables)
        return scalars | {"d_loss": d_loss}, gradients

    def g_gradients(self, real, labels, z=None):
        """G's gradients against D, from `z` or as many fresh latents as there are data."""
        with tf.GradientTape() as tape:
            g_loss = self.generator_loss(self.samples_for(real, labels, z), real, labels)
        return g_loss, tape.gradient(g_loss, self.generator.trainable_variables)

    def held_out_scalars(self, images, labels):
        fake = self.generator(self.with_labels(self.prior(images), labels), training=False)
        real_scores, fake_scores = (
            self.discriminator(self.with_labels(x, labels), training=False)
            for x in (images, fake)
        )
        terms = self.loss_terms
        d_loss = ops.mean(terms.real(real_scores)) + ops.mean(terms.fake(fake_scores))
        return {
            "d_loss": d_loss,
            "g_loss": ops.mean(terms.generator(fake_scores)),
            "d_real": ops.mean(terms.to_probability(real_scores)),
            "d_fake": ops.mean(terms.to_probability(fake_scores)),
        }
