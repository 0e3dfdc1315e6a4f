"""The kernel: what every generative model here needs, as verbs that its step calls."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from keras import saving

from tfgan_papers import keras_internals, noise
from tfgan_papers.models.optimizer_group import OptimizerGroup


class GenerativeModel(keras.Model):
    """A generator and what it trains beside.

    A paper subclasses this, or `AdversarialModel`, and writes `train_step`, its algorithm,
    with these verbs: `start_step`, `run_compiled`, `prior`, `apply_gradients`,
    `over_replicas`, `report`.

    Latents, dropout masks and noise are a function of (seed, step, row of the global
    batch) alone, see `tfgan_papers.noise`; losses are means over the *global* batch. So the
    model resumes exactly, and N replicas take the step of one unless its networks or losses
    use statistics of a batch.

    Args:
        generator: functional model, (batch, latent_dim) -> images.
        partner: functional model that trains beside it.
        prior: distribution of the latents, a name in `noise.PRIORS`.
        seed: int, of everything random in training.
        classes: 0, or the number of classes that both networks are conditioned on: then
            each takes int32 labels (batch,) as a second input, and `fit` (images, labels).

    Raises:
        ValueError: the prior is unknown, or a network is not functional.
    """

    scalars: tuple[str, ...] = ()  # what `report` takes
    partner_name = "partner"
    adversary = False  # whether the partner learns to tell samples from data
    # of a critic that gives images: (images, its images) -> how far apart, (batch,)
    energy: Callable | None = None
    # of a model of the likelihood: (images, seed, first_row) -> lower bound, nats (batch,)
    bound: Callable | None = None
    classifier: keras.Model | None = None  # images -> logits (batch, classes), if it learns
    averaged_generator: keras.Model | None = None  # the average of its weights, if kept

    def __init__(
        self,
        generator: keras.Model,
        partner: keras.Model,
        prior: str = "uniform",
        seed: int = 0,
        classes: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if prior not in noise.PRIORS:
            raise ValueError(f"prior {prior!r} is none of {', '.join(noise.PRIORS)}")
        for name, network in (("generator", generator), (self.partner_name, partner)):
            if not getattr(network, "inputs", None):
                raise ValueError(
                    f"the {name} has no inputs: build it as keras.Model(inputs, outputs), "
                    "or begin a Sequential with keras.Input"
                )
        self.generator, self.prior_name = generator, prior
        setattr(self, self.partner_name, partner)
        self.seed, self.classes = seed, classes
        self.latent_dim = generator.inputs[0].shape[-1]
        self.step = self.carried("step", 0, "int64")
        self.sampling_generator = generator  # what `generate` and the export draw from
        self.means = [keras.metrics.Mean(name) for name in self.scalars]
        self.generate_in_graph = tf.function(self.generate, reduce_retracing=True)
        self.keras_seed_generators = keras_internals.seed_generators(generator, partner)
        self.built = True

    def carried(self, name: str, value: float, dtype: str = "float32"):
        """A scalar weight that the step carries on, the same on every replica."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",
        )

    # Keras: saving.

    def get_config(self):
        return {
            "name": self.name,
            "generator": saving.serialize_keras_object(self.generator),
            self.partner_name: saving.serialize_keras_object(self.networks[1]),
            "prior": self.prior_name,
            "seed": self.seed,
            "classes": self.classes,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        def restored(value):
            if isinstance(value, dict) and "class_name" in value:
                return saving.deserialize_keras_object(value, custom_objects)
            return value

        return cls(**{name: restored(value) for name, value in config.items()})

    def get_compile_config(self):
        if not self.compiled:
            return None
        optimizers = {
            name: saving.serialize_keras_object(each)
            for name, each in self.named_optimizers.items()
        }
        return {
            **optimizers,
            "jit_compile": self.compiled_by_xla,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config):
        self.compile(
            **{
                name: saving.deserialize_keras_object(value)
                if isinstance(value, dict)
                else value
                for name, value in config.items()
            }
        )

    # Keras: compiling.

    def compile_with(
        self, optimizers: Mapping[str, keras.Optimizer | str], jit_compile="auto", **kwargs
    ):
        """Attach the optimizers, by the names of the arguments of `compile`: that of the
        partner, then that of the generator.

        With `jit_compile` XLA compiles the whole step on one GPU. On several devices it
        compiles the pure functions of the step only, between which the replicas exchange
        gradients; on a CPU too, where it would copy every weight that the step updates.
        "auto" is True on a GPU and False elsewhere; the command line measures instead.

        Raises:
            ValueError: one optimizer is to serve two networks, or `steps_per_execution` is
                more than 1 on several replicas, which Keras cannot run.
        """
        optimizers = {k: keras.optimizers.get(each) for k, each in optimizers.items()}
        of_partner, of_generator = optimizers.values()
        if of_partner is of_generator:
            names = " and ".join(optimizers)
            raise ValueError(f"{names} are one object: each network needs its own")
        self.replicas = self.distribute_strategy.num_replicas_in_sync
        if self.replicas > 1 and kwargs.get("steps_per_execution", 1) > 1:
            raise ValueError("steps_per_execution must be 1 on several replicas")
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        if jit_compile == "auto":
            jit_compile = on_gpu
        whole = jit_compile and on_gpu and self.replicas == 1
        # with an optimizer of its own Keras would save and build a third one
        super().compile(optimizer=None, jit_compile=whole, **kwargs)
        self.named_optimizers = optimizers
        for name, each in optimizers.items():
            setattr(self, name, each)
        # Built now: a checkpoint read before its optimizers exist would lose them.
        of_partner.build(self.networks[1].trainable_variables)
        of_generator.build(self.generator.trainable_variables)
        self.optimizer = OptimizerGroup(*optimizers.values())
        self.compiled_functions = {} if jit_compile and not whole else None
        self.compiled_by_xla = bool(jit_compile)
        for layer in keras_internals.layers(*self.networks):
            if hasattr(layer, "subpixel"):  # XLA's own form is slow on a CPU
                layer.subpixel = bool(jit_compile) and not on_gpu

    @property
    def networks(self) -> tuple[keras.Model, keras.Model]:
        """The generator and its partner."""
        return self.generator, getattr(self, self.partner_name)

    # Drawing.

    def call(self, z, training=False):
        return self.sampling_generator(z, training=training)

    def with_labels(self, inputs, labels):
        """What a network is called on: `inputs`, with their labels if it takes any."""
        return [inputs, labels] if self.classes else inputs

    def generate(self, z, labels=None) -> tf.Tensor:
        """Images in inference mode, float32; `labels` (batch,) where there are classes."""
        return self.sampling_generator(self.with_labels(z, labels), training=False)

    @property
    def sampling_generator_name(self) -> str:
        """For people: whether samples are of the averaged or of the raw generator."""
        return "raw" if self.sampling_generator is self.generator else "averaged"

    @property
    def critic(self) -> keras.Model:
        """What `critic_output` and the export put images through."""
        return self.networks[1]

    def critic_output(self, images, labels=None):
        """What the critic says of images in inference mode, for people: its raw output, or
        (batch, 1) the energy of each image's copy."""
        output = self.critic(self.with_labels(images, labels), training=False)
        return output if self.energy is None else self.energy(images, output)[:, None]

    # The state.

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
        """All that training changes, by name: what a checkpoint holds. A paper whose step
        carries more adds it."""
        averaged = self.averaged_generator
        d_optimizer, g_optimizer = self.named_optimizers.values()
        return {
            "generator": self.generator,
            "discriminator": self.networks[1],
            "d_optimizer": d_optimizer,
            "g_optimizer": g_optimizer,
            "step": self.step.value,
            **({"averaged_generator": averaged} if averaged is not None else {}),
        }

    # The verbs.

    def start_step(self, data) -> tuple[tf.Tensor, tf.Tensor | None, noise.Stream]:
        """The batch's images and labels, None without, and the noise stream of this step
        on this replica.

        Raises:
            ValueError: the images are whole numbers.
        """
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        for part in tf.nest.flatten(images):
            if not part.dtype.is_floating:
                raise ValueError(
                    f"images are {part.dtype.name}: cast them to float32 in the range of "
                    "the generator's output, for example images / 127.5 - 1"
                )
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
        of_partner, of_generator = self.named_optimizers.values()
        optimizer = of_generator if network == "generator" else of_partner
        if self.replicas > 1:
            gradients = [gradient / self.replicas for gradient in gradients]
        optimizer.apply(gradients, getattr(self, network).trainable_variables)

    def over_replicas(self, *means: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Means over this replica's share of the batch, as means over the whole batch."""
        if self.replicas == 1:
            return means
        context = tf.distribute.get_replica_context()
        return tuple(context.all_reduce(tf.distribute.ReduceOp.MEAN, list(means)))

    def report(self, **scalars: tf.Tensor) -> dict[str, tf.Tensor]:
        """End the step; the running means of its scalars, as Keras' logs."""
        self.step.assign_add(1)
        return self.logs(scalars)

    def logs(self, scalars: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The running means of the scalars that there are."""
        means = [mean for mean in self.means if mean.name in scalars]
        for mean in means:
            mean.update_state(scalars[mean.name])
        logs = {mean.name: mean.result() for mean in means}
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages logs over workers along axis 0, so they need one.
            logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def test_step(self, data):
        """Keras' `evaluate` and `validation_data`: the scalars on held-out data, with both
        networks in inference mode."""
        images, labels, stream = self.start_step(data)
        return self.logs(self.run_compiled(self.held_out_scalars, stream, images, labels))

    def held_out_scalars(self, images, labels) -> dict[str, tf.Tensor]:
        """Scalars by name, of those in `scalars`, on data that are not trained on."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluation")
