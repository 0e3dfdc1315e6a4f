"""The kernel: what every adversarial model here needs, as verbs that its step calls."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfgan_papers import noise
from tfgan_papers.models import averaging, surgery


class AdversarialModel(keras.Model):
    """A generator and a discriminator, each with its own optimizer.

    A paper subclasses this and writes `train_step`, its algorithm, with these verbs:
    `start_step`, `run_compiled`, `prior`, `apply_gradients`, `over_replicas`, `report`.
    It is a Keras model: `compile(d_optimizer, g_optimizer)`, `fit(images)`, Keras' own
    callbacks; `model(z)` generates.

    Latents, dropout masks and noise are a function of (seed, step, row of the global
    batch) alone, see `tfgan_papers.noise`; losses are means over the *global* batch.
    So the model resumes exactly and N replicas do what one would.

    Args:
        generator: functional model, (batch, latent_dim) -> images.
        discriminator: functional model, images -> raw scores (logits), or whatever
            the paper's critic gives.
        prior: law of the latents, one of `noise.PRIORS`.
        seed: int, of everything random in training.
        classes: 0, or the number of classes that both networks are conditioned on:
            then each takes int32 labels (batch,) as a second input, and `fit` (images,
            labels).
        history: weight of `HistoricalAveraging` of both networks; 0: none.
    """

    scalars: tuple[str, ...] = ("d_loss", "g_loss")  # what `report` takes
    adversary = True  # whether D learns to tell samples from data
    # of a critic that gives images: (images, its images) -> how far apart, (batch,)
    energy: Callable | None = None
    # of a model of the likelihood: (images, seed, first_row) -> lower bound, nats (batch,)
    bound: Callable | None = None
    classifier: keras.Model | None = None  # images -> logits (batch, classes), if it learns

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        prior: str = "uniform",
        seed: int = 0,
        classes: int = 0,
        history: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if prior not in noise.PRIORS:
            raise ValueError(f"prior {prior!r} is none of {', '.join(noise.PRIORS)}")
        self.generator, self.discriminator = generator, discriminator
        self.prior_name, self.seed, self.classes = prior, seed, classes
        self.latent_dim = generator.inputs[0].shape[-1]
        self.step = self.add_weight(
            name="step",
            shape=(),
            initializer="zeros",
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
        )
        networks = {"generator": generator, "discriminator": discriminator}
        self.histories = {
            name: averaging.HistoricalAveraging(network.trainable_variables, history)
            for name, network in networks.items()
            if history
        }
        self.averaged_generator, self.ema_rate = None, 0.0
        self.sampling_generator = generator  # what `generate` and the export draw from
        self.means = [keras.metrics.Mean(name) for name in self.scalars]
        self.generate_in_graph = tf.function(self.generate, reduce_retracing=True)
        self.keras_seed_generators = _seed_generators(generator, discriminator)
        self.built = True

    def compile(
        self,
        d_optimizer: keras.Optimizer,
        g_optimizer: keras.Optimizer,
        jit_compile: bool | str = "auto",
        **kwargs,
    ):
        """Attach the optimizers.

        With `jit_compile` XLA compiles the whole step on one GPU. On several devices it
        compiles the pure functions of the step only, between which the replicas exchange
        gradients; on a CPU too, where it would copy every weight that the step updates.
        "auto" is True on a GPU and False elsewhere; the command line measures instead.

        Raises:
            ValueError: `steps_per_execution` > 1 on several replicas, which Keras
                cannot run.
        """
        self.replicas = self.distribute_strategy.num_replicas_in_sync
        if self.replicas > 1 and kwargs.get("steps_per_execution", 1) > 1:
            raise ValueError("steps_per_execution must be 1 on several replicas")
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        if jit_compile == "auto":
            jit_compile = on_gpu
        whole = jit_compile and on_gpu and self.replicas == 1
        super().compile(
            optimizer=None,  # else Keras makes an RMSprop of its own, saved and all
            jit_compile=whole,
            **kwargs,
        )
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        # Built now: a checkpoint read before its optimizers exist would lose them.
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)
        self.compiled_functions = {} if jit_compile and not whole else None
        self.compiled_by_xla = bool(jit_compile)
        if jit_compile and not on_gpu:
            for layer in _layers(self.generator, self.discriminator):
                if hasattr(layer, "subpixel"):
                    layer.subpixel = True  # XLA's own form is slow on a CPU

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

    @property
    def sampling_generator_name(self) -> str:
        """For people: whether samples are of the averaged or of the raw generator."""
        return "raw" if self.sampling_generator is self.generator else "averaged"

    def call(self, z, training=False):
        return self.sampling_generator(z, training=training)

    def with_labels(self, inputs, labels):
        """What a network is called on: `inputs`, with their labels if it takes any."""
        return [inputs, labels] if self.classes else inputs

    def generate(self, z, labels=None) -> tf.Tensor:
        """Images in inference mode, float32; `labels` (batch,) where there are classes."""
        return self.sampling_generator(self.with_labels(z, labels), training=False)

    @property
    def critic(self) -> keras.Model:
        """What `critic_output` and the export put images through: D, where there is one."""
        return self.discriminator

    def critic_output(self, images, labels=None):
        """The critic's judgement of images in inference mode, for people: its raw output,
        or (batch, 1) the energy of each image's copy."""
        judged = self.critic(self.with_labels(images, labels), training=False)
        return judged if self.energy is None else self.energy(images, judged)[:, None]

    @property
    def metrics(self):
        return self.means

    @property
    def steps_done(self) -> int:
        """Training steps so far, as an int."""
        return int(tf.convert_to_tensor(self.step.value))

    def status_message(self) -> str:
        """What the log says, at the report after it changes, on the state of training."""
        return ""

    def checkpointed(self) -> dict:
        """All that training changes, by name: what a checkpoint holds. A paper whose
        step carries more adds it."""
        averaged = self.averaged_generator
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "d_optimizer": self.d_optimizer,
            "g_optimizer": self.g_optimizer,
            "step": self.step.value,
            **{f"{name}_history": each for name, each in self.histories.items()},
            **({"averaged_generator": averaged} if averaged is not None else {}),
        }

    # The verbs.

    def start_step(self, data) -> tuple[tf.Tensor, tf.Tensor | None, noise.Stream]:
        """The batch's images and labels, None without, and the noise stream of this step
        on this replica."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        stream = noise.Stream.of_step(self.seed, self.step.value, replica)
        for i, generator in enumerate(self.keras_seed_generators):
            generator.state.assign(stream.reseed(i, generator.state.dtype))
        return images, labels, stream

    def run_compiled(
        self, function: Callable, stream: noise.Stream, *tensors: tf.Tensor | None
    ):
        """`function(*tensors)`, pure but for its draws from `stream`, compiled by XLA
        where the step as a whole cannot be. Layers and `prior` draw from `stream`."""

        def run(base, replica, *tensors):
            with noise.use(noise.Stream(base, replica, self.compiled_by_xla)):
                return function(*tensors)

        if self.compiled_functions is not None:
            run = self.compiled_functions.setdefault(
                function.__name__, tf.function(run, jit_compile=True)
            )
        return run(stream.branch(), stream.replica, *tensors)

    def prior(self, images: tf.Tensor) -> tf.Tensor:
        """Latents z for as many examples as `images` has, float32 (batch, latent_dim).
        Only inside `run_compiled`."""
        shape = (tf.shape(images)[0], self.latent_dim)
        return noise.active().latents(self.prior_name, shape)

    def apply_gradients(self, network: str, gradients: list[tf.Tensor]):
        """Move `network` down the gradients of its mean loss on this replica's share of
        the batch: the optimizers sum over replicas, so each gives its N-th part."""
        optimizers = {"generator": self.g_optimizer, "discriminator": self.d_optimizer}
        variables = getattr(self, network).trainable_variables
        if network in self.histories:
            gradients = self.histories[network].penalized_gradients(gradients, variables)
        if self.replicas > 1:
            gradients = [gradient / self.replicas for gradient in gradients]
        optimizers[network].apply(gradients, variables)
        if network == "generator" and self.averaged_generator is not None:
            rate = averaging.debiased_rate(self.ema_rate, self.g_optimizer.iterations)
            averaging.ema_update(self.averaged_generator, self.generator, rate)

    def over_replicas(self, *means: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Means over this replica's share of the batch, as means over the whole batch."""
        if self.replicas == 1:
            return means
        context = tf.distribute.get_replica_context()
        return tuple(context.all_reduce(tf.distribute.ReduceOp.MEAN, list(means)))

    def report(self, **scalars: tf.Tensor) -> dict[str, tf.Tensor]:
        """End the step; the running means of its scalars, as Keras' logs."""
        self.step.assign_add(1)
        for mean in self.means:
            mean.update_state(scalars[mean.name])
        logs = {mean.name: mean.result() for mean in self.means}
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages logs over workers along axis 0, so they need one.
            logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs


def _layers(*networks):
    return [x for net in networks for x in net._flatten_layers(include_self=False)]


def _seed_generators(*networks):
    """Those of Keras' own stochastic layers, which know neither step nor replica."""
    return [
        layer.seed_generator
        for layer in _layers(*networks)
        if isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
        and not getattr(layer, "draws_from_step", False)
    ]
