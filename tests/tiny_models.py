"""Every paper's model with networks so small that a test takes seconds."""

import keras
import numpy as np
import tensorflow as tf

from tfgan_papers import layers
from tfgan_papers.papers import (
    autoencoders,
    began,
    began_networks,
    dcgan,
    ebgan,
    gan,
    improved_gan,
    lsgan,
)
from tfgan_papers.papers.improved_gan_imagenet import ImageNetGAN

SHAPE, LATENTS, CLASSES, BATCH = (4, 4, 1), 3, 2, 8
SEED = 5


def dense(units, seed, **options):
    kernel = keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    return keras.layers.Dense(units, kernel_initializer=kernel, **options)


def generator(last="tanh"):
    z = keras.Input((LATENTS,), name="z")
    x = dense(6, 1, activation="relu")(z)
    x = dense(16, 2, activation=last, dtype="float32")(x)
    x = keras.layers.Reshape(SHAPE, dtype="float32", name="images")(x)
    return keras.Model(z, x, name="generator")


def critic(outputs=1):
    """With dropout and a layer "features"."""
    images = keras.Input(SHAPE, name="images")
    x = layers.Dropout(0.2)(keras.layers.Flatten()(images))
    x = dense(6, 3, activation="relu", name="features")(x)
    x = dense(outputs, 4, dtype="float32")(x)
    return keras.Model(images, x, name="discriminator")


def autoencoder(carried=False):
    """With a layer "code" and, as BEGAN's, a carry."""
    images = keras.Input(SHAPE, name="images")
    x = before = dense(5, 5, activation="elu")(keras.layers.Flatten()(images))
    x = dense(5, 6, activation="elu", name="code")(x)
    if carried:
        carry = began_networks.Carry()(images)
        x = began_networks.Blend(dtype="float32")([carry, before, x])
    x = dense(16, 7, dtype="float32")(x)
    x = keras.layers.Reshape(SHAPE, dtype="float32")(x)
    return keras.Model(images, x, name="discriminator")


def encoder(heads):
    images = keras.Input(SHAPE, name="images")
    x = dense(6, 8, activation="tanh")(keras.layers.Flatten()(images))
    codes = [dense(LATENTS, 9 + i, dtype="float32")(x) for i in range(heads)]
    return keras.Model(images, codes if heads > 1 else codes[0], name="encoder")


def decoder():
    z = keras.Input((LATENTS,), name="z")
    x = dense(6, 11, activation="tanh")(z)
    x = dense(16, 12, dtype="float32")(x)
    x = keras.layers.Reshape(SHAPE, dtype="float32", name="logits")(x)
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.Model(z, x, name="generator")


MODELS = {  # name -> () -> the model, not compiled
    "gan": lambda: gan.GAN(generator(), critic(), seed=SEED),
    "dcgan": lambda: dcgan.DCGAN(generator(), critic(), weight_decay=1e-3, seed=SEED),
    "improved_gan": lambda: improved_gan.ImprovedGAN(
        generator(), critic(CLASSES), matching=None, seed=SEED
    ),
    "lsgan": lambda: lsgan.LSGAN(generator(), critic(), seed=SEED),
    "began": lambda: began.BEGAN(
        *(generator(None), autoencoder(carried=True)),
        carry_steps=2,
        image_noise=0.1,
        seed=SEED,
    ),
    "ebgan": lambda: ebgan.EBGAN(
        generator(), autoencoder(), margin=1.0, pull_away=0.0, seed=SEED
    ),
    "vae": lambda: autoencoders.VAE(decoder(), encoder(2), seed=SEED),
    "autoencoder": lambda: autoencoders.Autoencoder(decoder(), encoder(1), seed=SEED),
}
FURTHER = {
    "improved_gan without labels": lambda: improved_gan.UnlabelledGAN(
        generator(), critic(), seed=SEED
    ),
    "improved_gan on ImageNet": lambda: ImageNetGAN(
        generator(), critic(CLASSES + 1), seed=SEED
    ),
}
LABELLED = ("improved_gan on ImageNet",)


def compiled(name, jit_compile=False):
    """The model of that name with two Adams, whose steps are large."""
    model = (MODELS | FURTHER)[name]()
    adams = (keras.optimizers.Adam(0.01) for _ in range(2))
    model.compile(*adams, jit_compile=jit_compile)
    return model


def batches(name, steps, first=0):
    """So many batches of the kind that the model trains on, from batch `first` on."""
    draw = np.random.default_rng(3)
    images = draw.uniform(0, 1, (16 * BATCH, *SHAPE)).astype("float32")
    labels = draw.integers(0, CLASSES, 16 * BATCH).astype("int32")
    rows = (images,)
    if name == "improved_gan":
        rows = ((images, images[::-1], images), labels)
    elif name in LABELLED:
        rows = (images, labels)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(BATCH, drop_remainder=True)
    return data.skip(first).take(steps)


def fit(model, name, steps, first=0):
    """Train; the scalars."""
    data = batches(name, steps, first)
    history = model.fit(data, epochs=1, verbose=0, shuffle=False)
    return {key: values[-1] for key, values in history.history.items()}


def weights(model):
    """All that training changes, as arrays: the networks, averages, optimizers, histories
    and scalars of a checkpoint, and all scalars that the step carries."""
    variables = [v for v in model.non_trainable_variables if v.shape == ()]
    for part in model.checkpointed().values():
        variables += getattr(part, "weights", getattr(part, "variables", [part]))
    return [
        np.asarray(keras.ops.convert_to_numpy(v))
        for v in variables
        if "seed_generator" not in getattr(v, "path", "")
    ]
