"""Improved GAN (2016), Sec. 6.4: ImageNet at 128x128 pixels, as the authors' imagenet/.

Select it by `--model=improved_gan --network=imagenet`. A file without a folder is from the
authors' imagenet/.

    symbol            here                                      code
    K classes, fake   discriminator(x), K + 1 logits            class_logits
    D(x)              sigmoid(score(logits))                    gan_logits

Differs: IMAGENET-1 | minibatch features | computed separately for data and samples (Sec.
    3.2) | joint: the similarity to the data of the batch and the similarity to its samples
    | none | as the code, which also divides by the number of all pairs of the block, not
    of those of one example.
Differs: IMAGENET-2 | batch normalization of D | not described | half of the channels use
    the statistics of the data, half those of the samples | none | as the code.
Differs: IMAGENET-3 | noise | not described | noise maps appended to the input of each layer
    of G | none | as the code; one long latent vector starts with z and ends with the maps.
Differs: IMAGENET-4 | D outside training | not described | not used | none | moving
    averages with decay .9; an image is compared with its whole batch for both kinds of
    similarity. The first K logits classify.
Differs: IMAGENET-5 | losses | not stated | minus the entropy of their targets | none |
    without this constant. G's target is D's output at equilibrium, half of D's target for
    data.
Differs: IMAGENET-6 | reference batch | fixed training examples (Sec. 3.5) | latents |
    --reference_batch | as the code, with the batch size of one GPU.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgan_papers import layers, optimizers
from tfgan_papers.models import critics, surgery

LATENT_DIM = 8192  # train_imagenet.py: z_dim
WIDTH = 64  # model.py: gf_dim, df_dim
KERNELS, KERNEL_SIZE = 300, 50  # discriminator.py: n_kernels, dim_per_kernel
WEIGHT_STD = 0.02  # ops.py: conv2d, deconv2d, linear
LAST_STD, LAST_BIAS = 0.075, -0.45  # train_imagenet.py: out_stddev, out_init_b
IMAGE_NOISE = 0.1  # discriminator.py: noisy_image
LEAK = 0.2  # ops.py: lrelu
EPSILON = 1e-8  # TensorFlow 1's Adam
BETA_1 = 0.5  # train_imagenet.py: beta1
LEARNING_RATE = 4e-4  # train_imagenet.py: *_learning_rate
BATCH_SIZE = 16  # train_imagenet.sh: --batch_size, of one GPU
SMOOTHING = 0.25  # train_imagenet.py: d_label_smooth


# Layers.


@keras.saving.register_keras_serializable("tfgan_papers")
class Part(keras.layers.Layer):
    """A slice of a vector, reshaped: (batch, n) -> (batch, *shape).

    Args:
        first: int, the index at which the slice begins.
        shape: tuple of int; its product is the length of the slice.
    """

    def __init__(self, first, shape, **kwargs):
        super().__init__(**kwargs)
        self.first, self.shape = first, tuple(shape)

    def call(self, inputs):
        part = inputs[:, self.first : self.first + int(np.prod(self.shape))]
        return ops.reshape(part, (-1, *self.shape))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.shape)

    def get_config(self):
        return {**super().get_config(), "first": self.first, "shape": self.shape}


@keras.saving.register_keras_serializable("tfgan_papers")
class CrossBatchNormalization(layers.ScaledNormalization):
    """Batch normalization with statistics of data and of samples (ops.py:
    batch_norm_cross).

    In training, the first half of the batch are data and the second half are samples. The
    first half of the channels is normalized by the statistics of the data, the second half
    by those of the samples. Outside training, the layer uses their moving averages.

    Input and output: (batch, ..., channels).

    Args:
        momentum: float, 0 to 1, the decay of the moving averages.
        **kwargs: see `layers.ScaledNormalization`.
    """

    def __init__(self, momentum=0.9, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, input_shape):
        super().build(input_shape)
        # Of the first replica: a mean over all cannot be assigned where XLA compiles.
        once = {"trainable": False, "aggregation": "only_first_replica"}
        moving = {"shape": input_shape[-1:], **once}
        self.mean = self.add_weight(name="moving_mean", initializer="zeros", **moving)
        self.variance = self.add_weight(
            name="moving_variance", initializer="ones", **moving
        )

    def call(self, inputs, training=False):
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = self._statistics(inputs)
            for average, value in ((self.mean, mean), (self.variance, variance)):
                average.assign(self.momentum * average + (1.0 - self.momentum) * value)
        return (inputs - mean) / ops.sqrt(variance + self.epsilon) * self.gamma + self.beta

    def _statistics(self, inputs):
        n, half = ops.shape(inputs)[0] // 2, inputs.shape[-1] // 2
        axes = list(range(len(inputs.shape) - 1))
        sources = inputs[:n, ..., :half], inputs[n:, ..., half:]
        means, variances = zip(*(ops.moments(x, axes) for x in sources), strict=True)
        return ops.concatenate(means), ops.concatenate(variances)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("tfgan_papers")
class JointMinibatchFeatures(keras.layers.Layer):
    """Similarity of each example to the data and to the samples of its batch
    (discriminator.py: f1, f2; IMAGENET-1).

    Each is the sum over the other examples divided by n (2 n - 1). Outside training, both
    are the similarity to the whole batch.

    Input: (2 n, kernels * kernel_size), n data followed by n samples. Output: (2 n, 2 *
    kernels).

    Args:
        kernels: int, the number of similarities of each kind.
    """

    compares = True

    def __init__(self, kernels, **kwargs):
        super().__init__(**kwargs)
        self.kernels = kernels

    def call(self, inputs, training=False):
        rows = ops.shape(inputs)[0]
        m = ops.reshape(inputs, (-1, self.kernels, inputs.shape[-1] // self.kernels))
        distances = ops.sum(ops.abs(m[:, None] - m[None]), -1)  # (rows, rows, kernels)
        others = 1.0 - ops.eye(rows, dtype=m.dtype)[..., None]
        similar, half = ops.exp(-distances) * others, rows // 2
        blocks = (slice(half), slice(half, None)) if training else (slice(None),) * 2
        features = [
            ops.sum(similar[:, b], 1) / ops.maximum(ops.sum(others[:, b]), 1.0)
            for b in blocks
        ]
        return ops.concatenate(features, -1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * self.kernels)

    def get_config(self):
        return {**super().get_config(), "kernels": self.kernels}


# Networks: latents -> images in [-1, 1] (batch, height, width, 3) -> logits (batch, K + 1).


def networks(
    shape,
    classes,
    draw,
    latent_dim=LATENT_DIM,
    width=WIDTH,
    kernels=KERNELS,
    kernel_size=KERNEL_SIZE,
):
    """The networks of generator.py and discriminator.py.

    G has ordinary batch normalization. The command line replaces it by virtual batch
    normalization.

    Args:
        shape: (height, width, channels).
        classes: int, K.
        draw: `initializers.Draw`.
        latent_dim: int, the size of z. The input of G also contains the noise maps.
        width: int, the number of channels next to the image.
        kernels, kernel_size: see `JointMinibatchFeatures`.

    Raises:
        ValueError: a side of the images is not divisible by 32.
    """
    height, breadth, colours = shape
    if height % 32 or breadth % 32:
        raise ValueError(f"sides of {height}x{breadth} pixels are not divisible by 32")

    def normal(std=WEIGHT_STD):
        return draw.normal(std)

    start = height // 32, breadth // 32
    # Channels of each layer, and of the noise maps appended to it.
    filters = [8 * width, 4 * width, 2 * width, width, width, width]
    maps = [width, width, width // 2, width // 4, width // 8, width // 8]
    shapes = [
        (start[0] * 2**level, start[1] * 2**level, max(1, count))
        for level, count in enumerate(maps)
    ]
    sizes = [latent_dim, *(int(np.prod(each)) for each in shapes)]
    z = keras.Input((sum(sizes),), name="z")
    x = Part(0, (latent_dim,))(z)
    x = keras.layers.Dense(filters[0] * int(np.prod(start)), kernel_initializer=normal())(x)
    x = keras.layers.Reshape((*start, filters[0]))(x)
    for level, noise_shape in enumerate(shapes):
        if level:
            kernel = {"padding": "same", "kernel_initializer": normal()}
            x = layers.UpConv2D(filters[level], 5, **kernel)(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        noise = Part(sum(sizes[: level + 1]), noise_shape)(z)
        x = keras.layers.Concatenate()([keras.layers.ReLU()(x), noise])
    samples = keras.layers.Conv2DTranspose(
        colours,
        5,
        padding="same",
        activation="tanh",
        kernel_initializer=normal(LAST_STD),
        bias_initializer=keras.initializers.Constant(LAST_BIAS),
        dtype="float32",
    )(x)
    generator = keras.Model(z, samples, name="generator")

    def crossed(x):
        x = CrossBatchNormalization(
            gamma_initializer=draw.normal(layers.REFERENCE_GAIN_STD, 1.0),
            dtype="float32",
        )(x)
        return keras.layers.LeakyReLU(LEAK)(x)

    def dense(units, **kwargs):
        return keras.layers.Dense(units, kernel_initializer=normal(), **kwargs)

    images = keras.Input(shape, name="images")
    x = layers.GaussianNoise(IMAGE_NOISE)(images)
    for count, stride in ((1, 2), (2, 2), (4, 2), (4, 1), (4, 1), (8, 2), (8, 2)):
        kernel = draw.truncated_normal(WEIGHT_STD)
        x = keras.layers.Conv2D(
            count * width, 3, stride, padding="same", kernel_initializer=kernel
        )(x)
        x = crossed(x)
    x = crossed(dense(40 * width)(keras.layers.Flatten()(x)))
    m = dense(kernels * kernel_size)(x)
    x = keras.layers.Concatenate()([x, JointMinibatchFeatures(kernels, dtype="float32")(m)])
    logits = dense(classes + 1, dtype="float32", name="logits")(x)
    return generator, keras.Model(images, logits, name="discriminator")


# The model.


def score(logits):
    """The logit of D(x): the logsumexp of the K classes minus the last logit.

    Logits (batch, K + 1) to (batch, 1).
    """
    return ops.logsumexp(logits[:, :-1], -1, keepdims=True) - logits[:, -1:]


@keras.saving.register_keras_serializable("tfgan_papers")
class ImageNetGAN(critics.ScalarCriticModel):
    """Improved GAN (2016) for ImageNet (build_model.py).

    Data and samples pass through D as one batch, and both networks are updated at once.
    `fit` takes (images, labels).

    Args:
        generator: functional model, latents (batch, latent_dim) -> images.
        discriminator: functional model, images -> logits (batch, K + 1).
        **kwargs: see `ScalarCriticModel`.

    Raises:
        ValueError: `matching` is given, which the authors' update does not use.
    """

    scalars = ("d_loss", "g_loss", "d_real", "d_fake", "train_error")

    def __init__(self, generator, discriminator, **kwargs):
        super().__init__(generator, discriminator, **kwargs)
        if self.matching is not None:
            raise ValueError("ImageNetGAN does not match features: leave out matching")
        (logits,) = discriminator.outputs
        classes = Part(0, (logits.shape[-1] - 1,), dtype="float32")
        self.classifier = surgery.part_of(discriminator, classes(logits))

    def train_step(self, data):
        images, labels, noise = self.start_step(data)
        return self.report(**self.update_both(noise, images, labels))

    def joint_gradients(self, real, labels):
        """The gradients of both networks (build_model.py: build_model_single_gpu).

        Returns:
            (scalars, gradients of D, gradients of G).
        """
        z = self.prior(real)
        with tf.GradientTape(persistent=True) as tape:
            scalars = self.scalars_on(z, real, labels, training=True)
        d, g = (net.trainable_variables for net in (self.discriminator, self.generator))
        d_gradients = tape.gradient(scalars["d_loss"], d)
        return scalars, d_gradients, tape.gradient(scalars["g_loss"], g)

    def held_out_scalars(self, images, labels):
        return self.scalars_on(self.prior(images), images, labels, training=False)

    def scalars_on(self, z, real, labels, training):
        """The losses and the other scalars, name -> scalar; differentiable.

        Args:
            z: latents (batch, latent_dim).
            real: images (batch, height, width, channels).
            labels: their classes (batch,).
            training: bool, whether the networks are in training mode.
        """
        n, terms, labels = tf.shape(real)[0], self.loss_terms, ops.cast(labels, "int32")
        fake = self.generator(z, training=training)
        seen = [self.seen_by_d(images, None, training) for images in (real, fake)]
        logits = self.discriminator(ops.concatenate(seen), training=training)
        real_scores, fake_scores = score(logits[:n]), score(logits[n:])
        of_class = keras.losses.sparse_categorical_crossentropy(
            labels, logits[:n], from_logits=True
        )
        d_loss = ops.mean(terms.real(real_scores)) + ops.mean(of_class)
        d_loss += ops.mean(terms.fake(fake_scores))
        g_loss = ops.mean(terms.generator(fake_scores))
        wrong = ops.argmax(logits[:n], -1) != labels
        return {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": ops.mean(terms.to_probability(real_scores)),
            "d_fake": ops.mean(terms.to_probability(fake_scores)),
            "train_error": ops.mean(ops.cast(wrong, "float32")),
        }

    def score_of(self, output):
        return score(output)


def adam(learning_rate):
    """TensorFlow 1's Adam."""
    return optimizers.Adam(learning_rate, beta_1=BETA_1, epsilon=EPSILON)
