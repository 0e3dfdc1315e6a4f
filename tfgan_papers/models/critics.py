"""The base class of the models whose discriminator gives one score per example.

Such a model can use any loss in `losses.LOSSES`. The `train_step` of a paper calls the
methods here in the order of its algorithm.
"""

import tensorflow as tf
from keras import ops

from tfgan_papers import losses, noise
from tfgan_papers.models import adversarial, augmentation, checks, surgery


class ScalarCriticModel(adversarial.AdversarialModel):
    """The parts of a training step, as pure functions for `run_compiled`.

    Args:
        generator: functional model, latents (batch, latent_dim) -> images or points.
        discriminator: functional model, images or points -> raw scores (batch, 1).
        loss: name in `losses.LOSSES`, an `AdversarialLoss`, or its config. Default:
            "non_saturating".
        matching: name in `losses.MATCHING`, or a function in it: (real features, fake
            features) -> scalar, which G minimizes instead of its loss. The features are
            the output of D's layer named "features". None uses the loss. Default: None.
        augmentations: names in `augmentation.AUGMENTATIONS`, the differentiable
            augmentations of what D sees in training, for images in [-1, 1] (Zhao et al.
            2020). Default: ().
        **kwargs: see `AdversarialModel`.

    Raises:
        ValueError: the loss, `matching` or an augmentation is unknown, D ends in a sigmoid
            and the loss is of cross entropy, the data to augment are not images, or
            `matching` is given and D has no layer "features".
    """

    scalars = ("d_loss", "g_loss", "d_real", "d_fake")

    def __init__(
        self,
        generator,
        discriminator,
        loss="non_saturating",
        matching=None,
        augmentations=(),
        **kwargs,
    ):
        super().__init__(generator, discriminator, **kwargs)
        self.augmentations = augmentation.check(augmentations, discriminator)
        self.loss_terms = losses.get(loss)
        if self.loss_terms.to_probability is ops.sigmoid:
            checks.check_logits(discriminator)
        self.matching = losses.named(losses.MATCHING, matching)
        if self.matching is not None:
            features = discriminator.get_layer("features").output
            self.features = surgery.part_of(discriminator, features)

    def get_config(self):
        return {
            **super().get_config(),
            "loss": losses.config_of(self.loss_terms),
            "matching": losses.name_of(losses.MATCHING, self.matching),
            "augmentations": self.augmentations,
        }

    def critic_output(self, images, labels=None):
        """D's output for images (batch, 1): a probability under cross entropy."""
        return self.loss_terms.to_probability(super().critic_output(images, labels))

    def samples_for(self, real, labels, z=None, training=True):
        """Samples, as many as `real` has examples; differentiable.

        Args:
            real: images (batch, ...).
            labels: classes of the samples (batch,), or None.
            z: latents (batch, latent_dim); by default fresh ones.
            training: bool, whether G is in training mode.
        """
        z = self.prior(real) if z is None else z
        return self.generator(self.with_labels(z, labels), training=training)

    def scores(self, images, labels, training=True):
        """D's raw scores (batch, 1), in training mode or in inference mode."""
        inputs = self.seen_by_d(images, labels, training)
        return self.discriminator(inputs, training=training)

    def seen_by_d(self, images, labels, training=True):
        """D's inputs: images, in training augmented, with the labels if it takes any."""
        if self.augmentations and training:
            images = augmentation.augment(images, self.augmentations, noise.active())
        return self.with_labels(images, labels)

    def discriminator_loss(self, real, fake, labels, training=True):
        """D's loss on a batch.

        D is called separately on data and samples, because batch normalization must not
        mix them.

        Returns:
            (loss, scalars, scores): a scalar; the mean outputs `d_real` and `d_fake` of D;
            the raw scores of the samples (batch, 1).
        """
        real_scores, fake_scores = (self.scores(x, labels, training) for x in (real, fake))
        terms = self.loss_terms
        d_loss = ops.mean(terms.real(real_scores)) + ops.mean(terms.fake(fake_scores))
        outputs = {
            "d_real": ops.mean(terms.to_probability(real_scores)),
            "d_fake": ops.mean(terms.to_probability(fake_scores)),
        }
        return d_loss, outputs, fake_scores

    def generator_loss(self, fake, real, labels, scores=None, training=True):
        """G's loss, a scalar: from the scores of the samples, or with `matching` from the
        features of samples and data (Improved GAN, 2016, Sec. 3.1).

        Args:
            scores: the raw scores of `fake` (batch, 1), if they are known.
        """
        if self.matching is None:
            scores = self.scores(fake, labels, training) if scores is None else scores
            return ops.mean(self.loss_terms.generator(scores))
        of_real, of_fake = (
            self.features(self.seen_by_d(x, labels, training), training=training)
            for x in (real, fake)
        )
        return self.matching(of_real, of_fake)

    def joint_gradients(self, real, labels):
        """The gradients of both networks, from one batch of samples and one pass of each.

        Returns:
            (scalars, gradients of D, gradients of G).
        """
        with tf.GradientTape(persistent=True) as tape:
            fake = self.samples_for(real, labels)
            d_loss, scalars, fake_scores = self.discriminator_loss(real, fake, labels)
            g_loss = self.generator_loss(fake, real, labels, fake_scores)
        d_gradients = tape.gradient(d_loss, self.discriminator.trainable_variables)
        g_gradients = tape.gradient(g_loss, self.generator.trainable_variables)
        return scalars | {"d_loss": d_loss, "g_loss": g_loss}, d_gradients, g_gradients

    def d_gradients(self, real, labels, fake=None):
        """D's gradients, with G fixed.

        Args:
            fake: samples; by default fresh ones.

        Returns:
            (scalars, gradients).
        """
        fake = self.samples_for(real, labels) if fake is None else fake
        with tf.GradientTape() as tape:
            d_loss, scalars, _ = self.discriminator_loss(real, fake, labels)
        gradients = tape.gradient(d_loss, self.discriminator.trainable_variables)
        return scalars | {"d_loss": d_loss}, gradients

    def g_gradients(self, real, labels, z=None):
        """G's gradients, with D fixed.

        Args:
            z: latents (batch, latent_dim); by default fresh ones.

        Returns:
            (loss, gradients).
        """
        with tf.GradientTape() as tape:
            g_loss = self.generator_loss(self.samples_for(real, labels, z), real, labels)
        return g_loss, tape.gradient(g_loss, self.generator.trainable_variables)

    def held_out_scalars(self, images, labels):
        fake = self.samples_for(images, labels, training=False)
        d_loss, outputs, scores = self.discriminator_loss(images, fake, labels, False)
        g_loss = self.generator_loss(fake, images, labels, scores, False)
        return {"d_loss": d_loss, "g_loss": g_loss, **outputs}
