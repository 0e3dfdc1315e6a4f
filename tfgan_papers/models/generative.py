"""The base class of all generative models, with the methods that a training step calls."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from keras import ops, saving

from tfgan_papers import keras_internals, noise
from tfgan_papers.models import batch, checks, docstrings, surgery
from tfgan_papers.models.optimizer_group import OptimizerGroup


class GenerativeModel(keras.Model):
    """A generator and the network that trains with it, its partner.

    A paper subclasses this class or `AdversarialModel` and writes its algorithm as
    `train_step`, with the methods `start_step`, `run_compiled`, `prior`, `apply_gradients`,
    `over_replicas` and `report`.

    Latents, dropout masks and noise depend only on (seed, step, row of the global batch),
    see `tfgan_papers.noise`. Losses are means over the *global* batch. A resumed run is
    therefore exact, and N replicas compute the same step as one, unless the networks or
    losses use batch statistics.

    Args:
        generator: functional model, latents (batch, latent_dim) -> images (batch, height,
            width, channels) or points (batch, dimensions).
        partner: functional model that trains with the generator.
        prior: the distribution of each element of a latent: "uniform" on [-1, 1],
            "uniform_01" on [0, 1], "uniform_sqrt3" on [-sqrt 3, sqrt 3] or "normal"; or
            "spherical", uniform on the unit sphere. Default: "uniform".
        seed: int, at least 0, the seed of all random draws in training. Default: 0.
        classes: int, at least 0, the number of classes on which both networks are
            conditioned, for GAN, DCGAN and LSGAN only. With classes, each network takes
            int32 labels (batch,) as its second input, and `fit` takes (images, labels).
            Default: 0.
        flip: bool, mirrors each training image left to right with probability 1/2.
            Default: False.
        **kwargs: `name` of a Keras model.

    Raises:
        ValueError: the prior is unknown, a network is not functional, the output of the
            generator is no input of its partner, the model takes no classes, or `flip` is
            given for points.
    """

    scalars: tuple[str, ...] = ()  # names of the scalars that `report` takes
    partner_name = "partner"
    adversary = False  # whether the partner learns to tell samples from data
    conditional = False  # whether the training step takes labels for both networks
    # If the critic outputs images: (images, outputs) -> distance of each, (batch,)
    energy: Callable | None = None
    # If the model bounds the likelihood: (images, seed, first_row) -> nats (batch,)
    bound: Callable | None = None
    classifier: keras.Model | None = None  # images -> logits (batch, classes), if there is
    averaged_generator: keras.Model | None = None  # with averaged weights, if there is

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        docstrings.complete(cls)

    def __init__(
        self,
        generator: keras.Model,
        partner: keras.Model,
        prior: str = "uniform",
        seed: int = 0,
        classes: int = 0,
        flip: bool = False,
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
        if classes and not self.conditional:
            raise ValueError(
                f"{type(self).__name__} takes no classes: GAN, DCGAN and LSGAN do"
            )
        gives, takes = generator.outputs[0].shape[1:], partner.inputs[0].shape[1:]
        if not checks.fits(gives, takes):
            raise ValueError(
                f"the generator gives {gives}, and the {self.partner_name} takes {takes}: "
                "both shapes are that of an example"
            )
        if flip and len(takes) != 3:
            raise ValueError("flip mirrors images, and these networks are for points")
        generator, partner = map(surgery.in_float32, (generator, partner))
        self.generator, self.prior_name = generator, prior
        setattr(self, self.partner_name, partner)
        self.seed, self.classes, self.flip = seed, classes, flip
        self.latent_dim = generator.inputs[0].shape[-1]
        self.step = self.carried("step", 0, "int64")
        self.sampling_generator = generator  # used by `generate` and the export
        self.means = [keras.metrics.Mean(name) for name in self.scalars]
        self.generate_in_graph = tf.function(
            self.generate, reduce_retracing=True, autograph=False
        )
        self.keras_seed_generators = keras_internals.seed_generators(generator, partner)
        self.built = True

    def carried(self, name: str, value: float, dtype: str = "float32"):
        """A scalar weight that is part of the training state, equal on every replica."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",
        )

    # Saving by Keras.

    def get_config(self):
        return {
            "name": self.name,
            "generator": saving.serialize_keras_object(self.generator),
            self.partner_name: saving.serialize_keras_object(self.networks[1]),
            "prior": self.prior_name,
            "seed": self.seed,
            "classes": self.classes,
            "flip": self.flip,
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

    # Compiling.

    def compile_with(
        self, optimizers: Mapping[str, keras.Optimizer | str], jit_compile="auto", **kwargs
    ):
        """Attaches the optimizers and configures XLA.

        On one GPU, `jit_compile` compiles the whole step. On several devices it compiles
        only the pure functions of the step, because the replicas exchange gradients between
        them. On a CPU it also compiles only these, because XLA would copy every weight that
        the step updates.

        Args:
            optimizers: name of the argument of `compile` -> optimizer; first that of the
                partner, then that of the generator.
            jit_compile: bool or "auto", which is True on a GPU and False elsewhere. The
                command line measures which is faster.
            **kwargs: further arguments of `keras.Model.compile`.

        Raises:
            ValueError: both networks have the same optimizer object, an optimizer expects
                a scaled loss or has an average of its own, a layer computes in float16 or
                has a regularizer, or Keras' losses or metrics are given. On several
                replicas also: `steps_per_execution` is more than 1, an optimizer clips or
                accumulates gradients or was created outside the strategy's scope, or
                `jit_compile` is True and batch normalization is synchronized.
        """
        with self.distribute_strategy.scope():  # of the model, wherever it is compiled
            optimizers = {k: keras.optimizers.get(each) for k, each in optimizers.items()}
        of_partner, of_generator = optimizers.values()
        checks.check_compile(self, optimizers, {"jit_compile": jit_compile, **kwargs})
        self.replicas = self.distribute_strategy.num_replicas_in_sync
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        if jit_compile == "auto":
            synchronizes = self.replicas > 1 and checks.synchronizes(*self.networks)
            jit_compile = on_gpu and not synchronizes
        whole = jit_compile and on_gpu and self.replicas == 1
        # Given an optimizer, Keras would build and save it as a third one.
        super().compile(optimizer=None, jit_compile=whole, **kwargs)
        self.named_optimizers = optimizers
        for name, each in optimizers.items():
            setattr(self, name, each)
        # Built now: reading a checkpoint before they are built would lose their state.
        with self.distribute_strategy.scope():
            of_partner.build(self.networks[1].trainable_variables)
            of_generator.build(self.generator.trainable_variables)
        self.optimizer = OptimizerGroup(optimizers)
        self.compiled_functions = _Compiled() if jit_compile and not whole else None
        self.compiled_by_xla = bool(jit_compile)
        for layer in keras_internals.layers(*self.networks):
            if hasattr(layer, "subpixel"):  # XLA's strided form is slow on a CPU
                layer.subpixel = bool(jit_compile) and not on_gpu

    @property
    def learned_classes(self) -> int:
        """The number of classes whose labels `fit` takes, or 0."""
        if self.classes or self.classifier is None:
            return self.classes
        return self.classifier.outputs[0].shape[-1]

    @property
    def networks(self) -> tuple[keras.Model, keras.Model]:
        """The generator and its partner."""
        return self.generator, getattr(self, self.partner_name)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        """Exports the generator as `keras.Model.export` does, by default for any number of
        latents."""
        if input_signature is None:
            inputs = [
                keras.InputSpec(shape=x.shape, dtype=x.dtype) for x in self.generator.inputs
            ]
            input_signature = [inputs if len(inputs) > 1 else inputs[0]]
        return super().export(filepath, format, verbose, input_signature, **kwargs)

    # Sampling.

    def call(self, z, training=False):
        """Images (batch, ...) from latents (batch, latent_dim)."""
        return self.sampling_generator(z, training=training)

    def with_labels(self, inputs, labels):
        """The inputs of a network: `inputs`, and `labels` if the model has classes."""
        if not self.classes:
            return inputs
        return [*map(ops.convert_to_tensor, (inputs, labels))]  # Keras refuses a mixture

    def generate(self, z, labels=None) -> tf.Tensor:
        """Generates images in inference mode.

        Args:
            z: latents (batch, latent_dim).
            labels: int32 classes (batch,), if the model has classes.

        Returns:
            float32 (batch, height, width, channels), or points (batch, dimensions).

        Raises:
            ValueError, InvalidArgumentError: see `batch.checked_labels`.
        """
        labels = batch.checked_labels(labels, self.classes)
        return self.sampling_generator(self.with_labels(z, labels), training=False)

    @property
    def sampling_generator_name(self) -> str:
        """`averaged` or `raw`: the weights that samples are drawn with, for display."""
        return "raw" if self.sampling_generator is self.generator else "averaged"

    @property
    def critic(self) -> keras.Model:
        """The network that `critic_output` and the export apply to images."""
        return self.networks[1]

    def critic_output(self, images, labels=None):
        """The critic's output for images in inference mode, for display.

        Args:
            images: float32 (batch, ...).
            labels: int32 classes (batch,), if the model has classes.

        Returns:
            (batch, 1): the raw score, or where the critic outputs images, its energy.
        """
        output = self.critic(self.with_labels(images, labels), training=False)
        return (
            self.score_of(output)
            if self.energy is None
            else self.energy(images, output)[:, None]
        )

    def score_of(self, output):
        """The critic's raw output as one score per example, (batch, 1)."""
        return output

    # State.

    @property
    def metrics(self):
        own = {id(mean) for mean in self.means}
        others = keras_internals.metrics(self)
        return [*self.means, *(each for each in others if id(each) not in own)]

    @property
    def steps_done(self) -> int:
        """The number of training steps done, as an int."""
        return int(tf.convert_to_tensor(self.step.value))

    def status_message(self) -> str:
        """A line on the state of training, logged when it changes; or an empty string."""
        return ""

    def checkpointed(self) -> dict:
        """The complete training state, name -> trackable object, for checkpoints.

        A paper with more state extends it.
        """
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

    # The parts of a training step.

    def start_step(
        self, data, training=True
    ) -> tuple[tf.Tensor, tf.Tensor | None, noise.Stream]:
        """Begins a training step, or a batch of an evaluation.

        Args:
            data: images, or (images, labels).
            training: bool. In an evaluation, the noise depends on the number of examples
                before the batch and not on the step, so that two evaluations draw the same
                latents.

        Returns:
            (images, labels or None, the noise stream of this step on this replica).

        Raises:
            ValueError, InvalidArgumentError: see `batch.unpack`.
        """
        images, labels = batch.unpack(data, self.learned_classes)
        images = tf.nest.map_structure(self._as_input, images)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        if not training:
            done = tf.reduce_max([mean.count.value for mean in self.means])
            number = noise.HELD_OUT + tf.cast(done, tf.int64) * self.replicas
            return images, labels, noise.Stream.of_step(self.seed, number, replica)
        if self.replicas > 1:
            first, *others = tf.nest.flatten(images)
            images = tf.nest.pack_sequence_as(images, [batch.even(first), *others])
        stream = noise.Stream.of_step(self.seed, self.step.value, replica)
        for i, generator in enumerate(self.keras_seed_generators):
            generator.state.assign(stream.reseed(i, generator.state.dtype))
        if self.flip:
            images = tf.nest.map_structure(lambda x: flipped(x, stream), images)
        return images, labels, stream

    def _as_input(self, images):
        """Images in the dtype of the partner's input.

        Raises:
            ValueError: they do not have its shape.
        """
        input = self.networks[1].inputs[0]
        takes, given = input.shape[1:], images.shape[1:]
        if images.shape.rank is not None and not checks.fits(given, takes):
            raise ValueError(
                f"an image has the shape {tuple(given)}, and the {self.partner_name} takes "
                f"{tuple(takes)}"
            )
        return tf.cast(images, input.dtype)

    def run_compiled(
        self, function: Callable, stream: noise.Stream, *tensors: tf.Tensor | None
    ):
        """Calls `function(*tensors)`, compiled by XLA if only parts of the step are.

        Args:
            function: a function without side effects.
            stream: the noise stream from which layers and `prior` draw inside `function`.
            *tensors: its arguments.

        Returns:
            The result of `function`.
        """

        def run(base, replica, *tensors):
            with noise.use(noise.Stream(base, replica, self.compiled_by_xla)):
                return function(*tensors)

        if self.compiled_functions is not None:
            run = self.compiled_functions.get(function, run)
        return run(stream.branch(), stream.replica, *tensors)

    def prior(self, images: tf.Tensor) -> tf.Tensor:
        """Latents z from the prior, float32 (batch, latent_dim), one for each image.

        Call it only inside `run_compiled`.
        """
        shape = (tf.shape(images)[0], self.latent_dim)
        return noise.active().latents(self.prior_name, shape)

    def apply_gradients(self, network: str, gradients: list) -> bool | tf.Tensor:
        """Updates the weights of a network.

        The optimizers sum the gradients of all N replicas. Each replica therefore
        contributes 1 / N of its gradients.

        Args:
            network: name of the attribute with the network, such as `generator`.
            gradients: list of tensors, one per trainable variable: the gradients of the
                mean loss on this replica's share of the batch.

        Returns:
            Whether the weights have moved, a bool or a scalar tensor. With gradient
            accumulation over n updates, they move in one of n.
        """
        of_partner, of_generator = self.named_optimizers.values()
        optimizer = of_generator if network == "generator" else of_partner
        gradients = [*map(_dense, gradients)]
        if self.replicas > 1:
            gradients = [gradient / self.replicas for gradient in gradients]
        accumulates = optimizer.gradient_accumulation_steps
        before = tf.identity(optimizer.iterations) if accumulates else None
        optimizer.apply(gradients, getattr(self, network).trainable_variables)
        return not accumulates or tf.convert_to_tensor(optimizer.iterations) > before

    def update_both(self, stream: noise.Stream, *tensors: tf.Tensor | None):
        """Updates both networks at once, from one call of `joint_gradients`.

        Args:
            stream: see `run_compiled`.
            *tensors: the arguments of the class's `joint_gradients`, which returns
                (scalars, gradients of the partner, gradients of the generator).

        Returns:
            The scalars.
        """
        scalars, of_partner, of_generator = self.run_compiled(
            self.joint_gradients, stream, *tensors
        )
        self.apply_gradients(self.partner_name, of_partner)
        self.apply_gradients("generator", of_generator)
        return scalars

    def over_replicas(self, *means: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Averages scalars over the replicas, into means over the global batch."""
        if self.replicas == 1:
            return means
        context = tf.distribute.get_replica_context()
        return tuple(context.all_reduce(tf.distribute.ReduceOp.MEAN, list(means)))

    def report(self, **scalars: tf.Tensor) -> dict[str, tf.Tensor]:
        """Ends the step and returns the running means of its scalars, as Keras' logs.

        Raises:
            ValueError: a layer has called `add_loss`.
        """
        checks.check_losses(self)
        self.step.assign_add(1)
        return self.logs(scalars)

    def logs(self, scalars: dict[str, tf.Tensor], weight=None) -> dict[str, tf.Tensor]:
        """Updates and returns the running means of the given scalars.

        Raises:
            ValueError: a name is not in `scalars` of the class.
        """
        if unknown := sorted(scalars.keys() - set(self.scalars)):
            raise ValueError(
                f"{unknown[0]} is not in {type(self).__name__}.scalars, the names of what "
                "is reported: add it there"
            )
        means = [mean for mean in self.means if mean.name in scalars]
        for mean in means:
            mean.update_state(scalars[mean.name], weight)
        logs = {mean.name: mean.result() for mean in means}
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages logs over the workers along axis 0, so they need this axis.
            logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def test_step(self, data):
        """The scalars on held-out data, for Keras' `evaluate` and `validation_data`.

        Both networks are in inference mode. The means are over the examples: a short last
        batch has less weight.
        """
        images, labels, stream = self.start_step(data, training=False)
        found = self.run_compiled(self.held_out_scalars, stream, images, labels)
        return self.logs(found, tf.shape(images)[0])

    def held_out_scalars(self, images, labels) -> dict[str, tf.Tensor]:
        """Name -> scalar on held-out data, for some of the names in `scalars`."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluation")


class _Compiled:
    """Functions that XLA has compiled, out of reach of TensorFlow's tracking, which refuses
    a dict with such keys when a model is exported."""

    def __init__(self):
        self.by_code = {}

    def get(self, function, run):
        """`run` as a compiled function, that of the last call if it was for `function`.

        A closure that is made anew in each step is compiled anew, and replaces the old.
        """
        code = getattr(function, "__func__", function)
        code = getattr(code, "__code__", code)
        known, compiled = self.by_code.get(code, (None, None))
        if known != function:
            compiled = tf.function(run, jit_compile=True, autograph=False)
            self.by_code[code] = function, compiled
        return compiled


def _dense(tensor):
    """The tensor, or the gradient of an embedding as a tensor."""
    return tf.convert_to_tensor(tensor) if isinstance(tensor, tf.IndexedSlices) else tensor


def flipped(images: tf.Tensor, stream: noise.Stream) -> tf.Tensor:
    """Images (batch, height, width, channels), each mirrored left to right with
    probability 1/2."""
    chosen = stream.bernoulli((tf.shape(images)[0], 1, 1, 1), 0.5)
    return tf.where(chosen, tf.reverse(images, [2]), images)
