"""Pictures from a trained run, or of a pretrained generator."""

import dataclasses
import pathlib
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.stats import norm

from tfgan_papers import data, figures, losses, noise, pretrained
from tfgan_papers.commands import embedding
from tfgan_papers.commands.scoring import CheckpointOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import mode_coverage, subsets
from tfgan_papers.options import build, option
from tfgan_papers.runs import sheets, tensorboard
from tfgan_papers.runs.folder import RunFolder
from tfgan_papers.runs.run import Run

NEAREST = (4, 5)  # rows, samples per row (GAN, show_samples_mnist_paper.py)
LINE = (4, 10)  # lines, images per line (GAN, 2014, Fig. 3)
WALK = (9, 10)  # latents, images from each to the next (DCGAN, 2015, Fig. 4)
INTERPOLATED = 10  # images from one embedded image to the other, both included; ours
SORTED = (10, 10, 100)  # images per class, batches, batch size as in training
COPIES = (4, 10)  # rows of images, each above a row of copies; images per row
MANIFOLD = 20  # images per side (VAE, 2013, Fig. 4)
BATCH_SIZE = 200  # of the generator
JITTER = 0.25  # half the width of the uniform noise on the result (DCGAN, 2015, Fig. 7)


# The options that training reads, or refuses with words of its own
IN_TRAINING = ("sample", "strip_steps", "pretrained", "interpolate")


@dataclasses.dataclass(frozen=True)
class SampleOptions(CheckpointOptions):
    """The kind of picture, and its latents."""

    pretrained: str | None = option(
        None,
        "Draw with a trained generator of this package, without a run.",
        choices=tuple(pretrained.names()),
    )
    sample: str | None = option(
        None,
        "sheet (the default): --num_samples images. classes: a sheet for each class or "
        "--label; if only D knows classes, a row of samples for each class that D assigns. "
        "nearest: rows of five samples, each with the training image nearest to the fifth. "
        "line: images on straight lines between latents. walk: a row from each of nine "
        "latents to the next. arithmetic: --vectors. strip: the density of points in the "
        "plane at --strip_steps and of the data. history: the scalars of training above "
        "five of its sheets. losses: the losses of D and G, without a run. "
        "reconstructions: rows of test images, each above its reconstructions by an "
        "autoencoder. manifold: a grid over two latents, at equal shares of N(0, I). "
        "--mode=train and study draw strip and history after training.",
        choices=(
            *("sheet", "classes", "nearest", "line", "walk", "arithmetic", "strip"),
            *("history", "losses", "reconstructions", "manifold"),
        ),
    )
    num_samples: int = option(64, "Images on the sheet.", low=1)
    strip_steps: tuple[str, ...] = option(
        (), "Columns of --sample=strip: reported steps, or 0; five of them by default."
    )
    sample_seed: int = option(0, "Seed of the latents of the pictures.", low=0)
    label: int | None = option(None, "Class of the images, if the run has classes.", low=0)
    vectors: str = option(
        "0,1,2-3,4,5+6,7,8",
        "Terms of --sample=arithmetic. Each is the mean latent of images in --sample=sheet "
        "numbered by rows from 0.",
    )
    interpolate: tuple[str, ...] = option(
        (),
        "Pairs of image files to embed, A.png,B.png,...: a row from each A to its B. With "
        "one file, a row from the image to its mirror image.",
    )


def sample(run: Run, options: SampleOptions):
    """Writes pictures of the run to its samples folder."""
    kind = _kind(options)
    if kind in OF_FOLDER:
        sample_folder(run, options)
        return
    model, step = run.restored(options.checkpoint)
    pictures = Pictures(run.values.data, model, options, run.check_data)
    _draw(pictures, kind, step, run.folder)


def sample_folder(run: Run, options: SampleOptions) -> pathlib.Path:
    """Writes a picture of the run's folder, one of `OF_FOLDER`, and returns its path."""
    path = run.folder / "samples" / f"{options.sample}.png"
    figures.save(OF_FOLDER[options.sample](run, options), path)
    print(path)
    return path


def check_after_training(options: SampleOptions, of: data.DataOptions):
    """Checks that training on data `of` can end with the picture: one of its folder, not of
    its model.

    Raises:
        UsageError: the picture needs --mode=sample, or other data.
    """
    kind = _kind(options)
    for name in ("pretrained", "interpolate"):
        if getattr(options, name):
            raise UsageError(f"--{name} needs --mode=sample: add it, or leave it out")
    if options.sample and kind not in OF_FOLDER:
        raise UsageError(
            f"--sample={kind} draws a trained model: train first, then add --mode=sample. "
            f"Training can end with {', '.join(OF_FOLDER)}"
        )
    points = of.value_range == "raw" and of.dataset != "gaussian"  # on a line
    if kind == "strip" and not points:
        raise UsageError(
            "--sample=strip needs points in the plane: add --dataset=ring, or leave it out"
        )


def sample_pretrained(options: SampleOptions, logdir: str | None = None):
    """Writes pictures of --pretrained to samples/ in `logdir`, by default runs/NAME."""
    kind, name = _kind(options), options.pretrained
    if kind in OF_FOLDER:
        raise UsageError(f"--sample={kind} needs a run: leave out --pretrained={name}")
    generator = pretrained.load(name)
    of = build(data.DataOptions, generator.manifest["data"])
    folder = RunFolder(logdir or f"runs/{name}")
    _draw(Pictures(of, generator, options), kind, generator.manifest["step"], folder)


def _kind(options):
    if options.interpolate and options.sample:
        raise UsageError("--interpolate and --sample exclude each other: leave one out")
    return "interpolation" if options.interpolate else options.sample or "sheet"


def _draw(pictures, kind, step, folder):
    model = pictures.model
    if len(pictures.shape) != 3:
        raise UsageError(
            "--mode=sample needs images; points are in the sheets that training writes"
        )
    for suffix, picture in getattr(pictures, kind)():
        of = "" if model.averaged_generator is None else f"-{model.sampling_generator_name}"
        seed, label = pictures.options.sample_seed, pictures.options.label
        if label is not None and kind != "classes":  # whose suffix is the class
            of += f"-label{label}"
        path = folder / "samples" / f"{kind}{suffix}-step-{step:09d}-seed{seed}{of}.png"
        figures.save(picture, path)
        print(path)


class Pictures:
    """Pictures of a trained model.

    A method with the name of a picture yields pairs: suffix of the file, uint8 picture
    (height, width, 3).

    Args:
        of: `DataOptions` of the data that the model was trained on.
        model: a `GenerativeModel`, or a `Generator` alone.
        options: `SampleOptions`.
        check_train: function that is called with the train split when it is loaded, and
            raises UsageError if the run was not trained on it.

    Raises:
        UsageError: --label is not a class of the run.
    """

    def __init__(
        self,
        of: data.DataOptions,
        model,
        options: SampleOptions,
        check_train: Callable = lambda examples: None,
    ):
        self.of, self.model, self.options = of, model, options
        self.value_range, self.check_train = of.value_range, check_train
        label = options.label
        if label is not None and label >= model.classes:
            classes = f"0 to {model.classes - 1}" if model.classes else "none"
            raise UsageError(f"--label={label}: the classes of this run are {classes}")

    def examples(self, kind):
        """Returns the examples of the train or test split."""
        split = getattr(self.of, f"{kind}_split")
        examples = data.load(split, self.of)
        if split == self.of.train_split:
            self.check_train(examples)
        return examples

    @property
    def shape(self):
        """The shape of a sample."""
        return tuple(self.images(self.latents(1)).shape[1:])

    def to_pixels(self, images):
        """Converts images in the value range to uint8."""
        return data.RANGES[self.value_range].to_pixels(images).numpy()

    def latents(self, n):
        """Returns the first n latents of --sample_seed, (n, latent_dim)."""
        base = tf.constant([self.options.sample_seed, 0], tf.int64)
        shape = (n, self.model.latent_dim)
        return noise.latents(self.model.prior_name, base, shape).numpy()

    def images(self, z, label=None):
        """Generates images from z, of one class or of all classes in turn."""
        label, n = self.options.label if label is None else label, z.shape[0]
        classes, inputs = self.model.classes, [tf.convert_to_tensor(z)]
        if classes:
            labels = np.arange(n) % classes if label is None else np.full(n, label)
            inputs.append(tf.constant(labels, tf.int32))
        parts = [
            self.model.generate(*(each[first : first + BATCH_SIZE] for each in inputs))
            for first in range(0, n, BATCH_SIZE)
        ]
        return tf.concat(parts, 0)

    def sheet(self):
        n = self.options.num_samples
        images = self.images(self.latents(n))
        yield "", figures.sheet(self.to_pixels(images), int(np.ceil(np.sqrt(n))))

    def classes(self):
        model = self.model
        if not model.classes and model.classifier is not None:
            yield "", self.sorted_by_class()
            return
        if not model.classes:
            raise UsageError(
                "--sample=classes needs classes, and this run has none: use --sample=sheet"
            )
        z, label = self.latents(self.options.num_samples), self.options.label
        columns = int(np.ceil(np.sqrt(len(z))))
        for each in range(model.classes) if label is None else [label]:
            yield f"-{each}", figures.sheet(self.to_pixels(self.images(z, each)), columns)

    def sorted_by_class(self):
        """Draws a row per class with the first samples that the classifier assigns to it.

        Missing samples are white.
        """
        columns, batches, batch_size = SORTED
        images, classes = [], []
        for part in np.split(self.latents(batches * batch_size), batches):
            drawn = self.model.generate(part)
            logits = np.asarray(self.model.classifier(drawn, training=False))
            images.append(self.to_pixels(drawn))
            classes.append(logits.argmax(-1))
        images, classes = np.concatenate(images), np.concatenate(classes)
        grid = np.full((logits.shape[-1], columns, *images.shape[1:]), 255, np.uint8)
        for label, row in enumerate(grid):
            first = images[classes == label][:columns]
            row[: len(first)] = first
        return figures.sheet(grid.reshape(-1, *images.shape[1:]), columns)

    def nearest(self):
        rows, columns = NEAREST
        samples = self.images(self.latents(rows * columns)).numpy()
        examples = self.examples("train")
        convert = data.RANGES[self.value_range].to_network
        blocks = examples.blocks(read=lambda keys: convert(examples.read(keys)))
        blocks = map(np.asarray, blocks)
        neighbours = figures.nearest(samples[columns - 1 :: columns], blocks)
        grid = samples.reshape(rows, columns, *samples.shape[1:])
        grid = np.concatenate([grid, neighbours[:, None]], axis=1)
        grid = grid.reshape(-1, *samples.shape[1:])
        yield "", figures.sheet(self.to_pixels(grid), columns + 1)

    def one_label(self):
        """Returns the class for pictures of one class: --label or 0; None without."""
        return 0 if self.model.classes and self.options.label is None else None

    def on_lines(self, starts, ends, images):
        """Generates images on the lines between pairs of latents; if their distribution is
        spherical, on the arcs of great circles.

        Args:
            starts: (pairs, latent_dim).
            ends: (pairs, latent_dim).
            images: int, the number of images per line.

        Returns:
            uint8 (pairs, images, height, width, channels).
        """
        steps = np.linspace(0, 1, images, dtype=np.float32)[:, None]
        pairs = zip(starts, ends, strict=True)
        z = np.concatenate([a + steps * (b - a) for a, b in pairs])
        z = noise.onto_support(self.model.prior_name, z)
        drawn = self.to_pixels(self.images(z, self.one_label()))
        return drawn.reshape(len(starts), images, *drawn.shape[1:])

    def line(self):
        lines, images = LINE
        ends = self.latents(2 * lines)
        rows = self.on_lines(ends[:lines], ends[lines:], images)
        yield "", figures.sheet(np.concatenate(rows), images)

    def walk(self):
        stations, images = WALK
        z = self.latents(stations + 1)
        yield (
            "",
            figures.sheet(np.concatenate(self.on_lines(z[:-1], z[1:], images)), images),
        )

    def interpolation(self):
        """Draws a row per pair: an image, the line from its z to that of the other image,
        and the other image."""
        files = list(self.options.interpolate)
        if len(files) > 1 and len(files) % 2:
            raise UsageError(
                f"--interpolate has {len(files)} files: give one file, or pairs of files"
            )
        pixels = [data.fit_image(file, self.of, self.shape) for file in files]
        if len(files) == 1:
            files = [*files, f"{files[0]}, mirrored"]
            pixels = [*pixels, pixels[0][:, ::-1]]
        images = data.RANGES[self.value_range].to_network(tf.constant(np.stack(pixels)))
        label = self.one_label()
        embedded = embedding.embed(
            lambda z: self.images(z, label),
            images,
            self.latents(embedding.STARTS),
            self.model.prior_name,
        )
        for file, error, start in zip(
            files, embedded.error, embedded.error_of_starts, strict=True
        ):
            print(
                f"{file}: mean |x - G(z)| {error:.4f} at the best z, {start:.4f} at the "
                f"best of the {embedding.STARTS} initial z"
            )
        lines = self.on_lines(embedded.z[::2], embedded.z[1::2], INTERPOLATED)
        rows = [
            np.concatenate([one[None], row, other[None]])
            for one, row, other in zip(pixels[::2], lines, pixels[1::2], strict=True)
        ]
        yield "", figures.sheet(np.concatenate(rows), INTERPOLATED + 2)

    def arithmetic(self):
        """Draws a row per term, with its images and that of their mean, and three rows of
        results with jitter, of which the first has none."""
        text = self.options.vectors
        terms = re.findall(r"([+-]?)([\d,]+)", text)
        if "".join(map("".join, terms)) != text or not terms:
            raise UsageError(f"--vectors={text}: write it as 0,1,2-3,4,5+6,7,8")
        indices = [[int(i) for i in each.split(",") if i] for _, each in terms]
        if not all(indices):
            raise UsageError(
                f"--vectors={text} has a term without an image: write it as 0,1,2-3,4,5"
            )
        z = self.latents(1 + max(max(each) for each in indices))
        columns = 1 + max(map(len, indices))
        result, rows = 0.0, []
        for (sign, _), each in zip(terms, indices, strict=True):
            mean = z[each].mean(0)
            result = result + (-mean if sign == "-" else mean)
            rows += [*z[each], *[mean] * (columns - len(each))]
        draw = np.random.default_rng(self.options.sample_seed)
        shape = (3 * columns, self.model.latent_dim)
        jitter = draw.uniform(-JITTER, JITTER, shape)
        jitter[0] = 0.0
        images = self.images(np.float32([*rows, *(result + jitter)]), self.one_label())
        yield "", figures.sheet(self.to_pixels(images), columns)

    def reconstructions(self):
        if not self.model.energy:
            raise UsageError(
                "--sample=reconstructions needs an autoencoder, and this model has none: "
                "use another picture"
            )
        rows, columns = COPIES
        some = subsets.some(self.examples("test"), rows * columns)
        images = some.all(self.value_range)
        columns = min(columns, len(images))
        images = images[: len(images) // columns * columns]  # whole rows
        copies = self.model.critic(images, training=False)
        pairs = [
            self.to_pixels(v).reshape(-1, columns, *images.shape[1:])
            for v in (images, copies)
        ]
        pairs = np.stack(pairs, 1).reshape(-1, *images.shape[1:])
        yield "", figures.sheet(pairs, columns)

    def manifold(self):
        """Draws a grid over the latents, at the middles of equal shares of N(0, 1).

        The first latent increases to the right, the second upwards.
        """
        model = self.model
        if (model.latent_dim, model.prior_name) != (2, "normal") or model.classes:
            raise UsageError(
                "--sample=manifold needs two normal latents: train with --model=vae "
                "--latent_dim=2"
            )
        at = norm.ppf((np.arange(MANIFOLD) + 0.5) / MANIFOLD)
        z = np.stack(np.meshgrid(at, at[::-1]), -1).reshape(-1, 2)
        images = self.to_pixels(model.generate(np.float32(z)))
        yield "", figures.sheet(images, MANIFOLD)


def strip(run, options):
    """Draws the densities of the points that the run stored at its reports.

    If the data have modes, it also shows the number of covered modes at each step, and the
    share of samples near one.
    """
    stored = run.folder.sheets("npy")
    if not stored:
        raise UsageError(
            f"--sample=strip needs points, and {run.folder} has stored none: train with "
            "--dataset=ring"
        )
    steps = [_number(step) for step in options.strip_steps] or five_of(stored)
    if missing := [str(step) for step in steps if step not in stored]:
        raise UsageError(
            f"--strip_steps={','.join(missing)}: no points are stored; choose from "
            f"{', '.join(map(str, stored))}"
        )
    of = run.values.data
    train, columns = data.load(of.train_split, of), {}
    if train.shape != (2,):
        raise UsageError(
            f"--sample=strip draws points in the plane, and those of {train.name} are not"
        )
    target = subsets.some(train, sheets.POINTS).all(of.value_range)
    for step in steps:
        points, title = np.load(stored[step]), f"step {step:,}"
        if train.modes:
            result = mode_coverage.score(points, train.modes)
            covered = f"{result.value:.0f} of {result.modes} modes"
            good = f"{result.high_quality:.2%} good"
            print(f"{title}: {covered}, {good}")
            title += f"\n{covered}\n{good}"
        columns[title] = points
    return figures.strip(columns, target)


def _number(text):
    if not text.isdecimal():
        raise UsageError(f"--strip_steps={text} is not a step: give whole numbers")
    return int(text)


def draw_losses(run, options):
    """Draws all losses, with least squares for the targets --a, --b and --c."""
    of = run.values.paper
    targets = (of.a, of.b, of.c) if hasattr(of, "a") else losses.TARGETS
    least_squares = losses.least_squares(*targets)
    return figures.curves({**losses.LOSSES, "least_squares": least_squares})


def history(run, options):
    """Draws the scalars above the sheets; of M_global it is Fig. 5 of BEGAN (2017)."""
    scalars = tensorboard.read_scalars(run.folder / "tensorboard")
    paths = run.folder.sheets()
    if not paths or not scalars:
        raise UsageError(
            f"--sample=history: {run.folder} has no reports: train there first"
        )
    pages = {step: np.asarray(Image.open(paths[step])) for step in five_of(paths)}
    return figures.history(scalars, pages)


def five_of(steps):
    """Returns up to five of the steps, evenly spaced."""
    places = np.linspace(0, len(steps) - 1, min(5, len(steps)))
    return [list(steps)[int(place)] for place in np.rint(places)]


OF_FOLDER = {"strip": strip, "losses": draw_losses, "history": history}
