"""Pictures from a trained run, and its export."""

import dataclasses
import re

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.stats import norm

from tfgan_papers import data, figures, losses, noise
from tfgan_papers.commands import embedding
from tfgan_papers.commands.scoring import CheckpointOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import mode_coverage, subsets
from tfgan_papers.options import option
from tfgan_papers.runs import export, sheets, summary, tensorboard
from tfgan_papers.runs.run import Run

NEAREST = (4, 5)  # rows and samples in a row (GAN, show_samples_mnist_paper.py)
LINE = (4, 10)  # lines and images on each (GAN, 2014, Fig. 3)
WALK = (9, 10)  # latents and images from each to the next (DCGAN, 2015, Fig. 4)
INTERPOLATED = 10  # images between two embedded ones, these included: ours, as LINE's
SORTED = (10, 10, 100)  # images of each class, of batches, of batch size as in training
COPIES = (4, 10)  # rows of images, each with one of copies, and images in it
MANIFOLD = 20  # images on a side (VAE, 2013, Fig. 4)
JITTER = 0.25  # uniform, around the result (DCGAN, 2015, Fig. 7)


@dataclasses.dataclass(frozen=True)
class SampleOptions(CheckpointOptions):
    """Which picture, and of which latents."""

    sample: str | None = option(
        None,
        "sheet (the default): --num_samples images. classes: a sheet for each class, or "
        "for --label alone; where D alone knows classes, a row of the samples that it "
        "gives to each. nearest: rows of five samples, each with the training image "
        "nearest to the fifth. line: images on straight lines between latents. walk: a row "
        "from each of nine latents to the next. arithmetic: --vectors. strip: the density "
        "of points in the plane at --strip_steps and of the data. history: the scalars of "
        "training above five of its sheets. losses: what D and G minimize; needs no run. "
        "reconstructions: rows of test images, each above its copies by an autoencoder. "
        "manifold: a grid over two latents, at equal shares of N(0, I).",
        choices=(
            *("sheet", "classes", "nearest", "line", "walk", "arithmetic", "strip"),
            *("history", "losses", "reconstructions", "manifold"),
        ),
    )
    num_samples: int = option(64, "Images on the sheet.", low=1)
    strip_steps: tuple[str, ...] = option(
        (), "Columns of --sample=strip: reported steps, or 0. Five of them by default."
    )
    sample_seed: int = option(0, "Seed of the latents of the pictures.", low=0)
    label: int | None = option(
        None, "Class of the images, where the run has classes.", low=0
    )
    vectors: str = option(
        "0,1,2-3,4,5+6,7,8",
        "Terms of --sample=arithmetic, each the mean latent of images of --sample=sheet, "
        "which are counted by rows from 0.",
    )
    interpolate: tuple[str, ...] = option(
        (),
        "Image files to embed, A.png,B.png and more such pairs: a row from each A to its "
        "B; of one file, from the image to its mirror image.",
    )


def sample(run: Run, options: SampleOptions):
    """Write a picture of the run to its samples folder."""
    kind = "interpolation" if options.interpolate else options.sample or "sheet"
    if options.interpolate and options.sample:
        raise UsageError("--interpolate and --sample: one picture at a time")
    if kind in OF_FOLDER:
        path = run.folder / "samples" / f"{kind}.png"
        figures.save(OF_FOLDER[kind](run, options), path)
        print(path)
        return
    model, step = run.restored(options.checkpoint)
    if len(model.generator.output_shape) != 4:
        raise UsageError("--mode=sample draws images; points are in the run's own sheets")
    for suffix, picture in getattr(Pictures(run, model, options), kind)():
        of = "" if model.averaged_generator is None else f"-{model.sampling_generator_name}"
        name = f"{kind}{suffix}-step-{step:09d}-seed{options.sample_seed}{of}.png"
        figures.save(picture, run.folder / "samples" / name)
        print(run.folder / "samples" / name)


class Pictures:
    """Pictures of a trained model. Each method has the name of a picture and gives pairs
    of a suffix of its file and the picture, uint8 (height, width, 3).

    Raises:
        UsageError: the label of the options is of no class.
    """

    def __init__(self, run: Run, model, options: SampleOptions):
        self.run, self.model, self.options = run, model, options
        self.value_range = run.values.data.value_range
        label = options.label
        if label is not None and label >= model.classes:
            there = f"0 to {model.classes - 1}" if model.classes else "none"
            raise UsageError(f"--label={label}: the classes of this run are {there}")

    def examples(self, kind):
        """The examples of the run's train or test split."""
        of = self.run.values.data
        return data.load(getattr(of, f"{kind}_split"), of)

    def to_pixels(self, images):
        return data.RANGES[self.value_range].to_pixels(images).numpy()

    def latents(self, n):
        base = tf.constant([self.options.sample_seed, 0], tf.int64)
        shape = (n, self.model.latent_dim)
        return noise.latents(self.model.prior_name, base, shape).numpy()

    def images(self, z, label=None):
        """Of one class, or of all in turn."""
        label, n = self.options.label if label is None else label, z.shape[0]
        classes = self.model.classes
        if not classes:
            return self.model.generate(z)
        labels = np.arange(n) % classes if label is None else np.full(n, label)
        return self.model.generate(tf.constant(z), tf.constant(labels, tf.int32))

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
            raise UsageError("--sample=classes: this run has no classes")
        z, label = self.latents(self.options.num_samples), self.options.label
        columns = int(np.ceil(np.sqrt(len(z))))
        for each in range(model.classes) if label is None else [label]:
            yield f"-{each}", figures.sheet(self.to_pixels(self.images(z, each)), columns)

    def sorted_by_class(self):
        """A row for each class with the first samples that the classifier gives to it;
        white where it gives it fewer."""
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
        examples = self.examples("train").all(self.value_range)
        found = figures.nearest(samples[columns - 1 :: columns], examples)
        grid = samples.reshape(rows, columns, *samples.shape[1:])
        grid = np.concatenate([grid, found[:, None]], axis=1)
        grid = grid.reshape(-1, *samples.shape[1:])
        yield "", figures.sheet(self.to_pixels(grid), columns + 1)

    def one_label(self):
        """For pictures of one class: --label, or else 0; None where there are none."""
        return 0 if self.model.classes and self.options.label is None else None

    def on_lines(self, starts, ends, images):
        """`images` samples on the line between each pair of latents, uint8 (pairs, images,
        height, width, channels)."""
        steps = np.linspace(0, 1, images, dtype=np.float32)[:, None]
        pairs = zip(starts, ends, strict=True)
        z = np.concatenate([a + steps * (b - a) for a, b in pairs])
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
        """A row for each pair: the one image, the line from its z to the other's, the
        other image."""
        files, shape = list(self.options.interpolate), self.model.generator.output_shape[1:]
        if len(files) > 1 and len(files) % 2:
            raise UsageError(f"--interpolate has {len(files)} files: one, or pairs of them")
        pixels = [data.fit_image(file, self.run.values.data, shape) for file in files]
        if len(files) == 1:
            files = [*files, f"{files[0]}, mirrored"]
            pixels = [*pixels, pixels[0][:, ::-1]]
        images = data.RANGES[self.value_range].to_network(tf.constant(np.stack(pixels)))
        label = self.one_label()
        found = embedding.embed(
            lambda z: self.images(z, label),
            images,
            self.latents(embedding.STARTS),
            noise.PRIORS[self.model.prior_name],
        )
        for file, error, start in zip(
            files, found.error, found.error_of_starts, strict=True
        ):
            print(
                f"{file}: mean |x - G(z)| {error:.4f} at the z found, {start:.4f} at the "
                f"best of the {embedding.STARTS} that the search began with"
            )
        lines = self.on_lines(found.z[::2], found.z[1::2], INTERPOLATED)
        rows = [
            np.concatenate([one[None], row, other[None]])
            for one, row, other in zip(pixels[::2], lines, pixels[1::2], strict=True)
        ]
        yield "", figures.sheet(np.concatenate(rows), INTERPOLATED + 2)

    def arithmetic(self):
        """A row for each term, its images and that of their mean; then three rows of
        results, of which the first is the result itself."""
        text = self.options.vectors
        terms = re.findall(r"([+-]?)([\d,]+)", text)
        if "".join(map("".join, terms)) != text or not terms:
            raise UsageError(f"--vectors={text}: write it as 0,1,2-3,4,5+6,7,8")
        indices = [[int(i) for i in each.split(",") if i] for _, each in terms]
        if not all(indices):
            raise UsageError(f"--vectors={text}: a term without an image")
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
                f"--sample=reconstructions: --model={self.run.values.model} has no "
                "autoencoder"
            )
        rows, columns = COPIES
        some = subsets.some(self.examples("test"), rows * columns)
        images = some.all(self.value_range)
        copies = self.model.critic(images, training=False)
        pairs = [
            self.to_pixels(v).reshape(-1, columns, *images.shape[1:])
            for v in (images, copies)
        ]
        pairs = np.stack(pairs, 1).reshape(-1, *images.shape[1:])
        yield "", figures.sheet(pairs, columns)

    def manifold(self):
        """By the inverse of the Gaussian's distribution function, at the middles of equal
        shares; the first latent grows to the right, the second upwards."""
        model = self.model
        if (model.latent_dim, model.prior_name) != (2, "normal") or model.classes:
            raise UsageError(
                "--sample=manifold is of two normal latents, such as --model=vae "
                "--latent_dim=2 has"
            )
        at = norm.ppf((np.arange(MANIFOLD) + 0.5) / MANIFOLD)
        z = np.stack(np.meshgrid(at, at[::-1]), -1).reshape(-1, 2)
        images = self.to_pixels(model.generate(np.float32(z)))
        yield "", figures.sheet(images, MANIFOLD)


def strip(run, options):
    """From the points that the run kept at its reports; where the data have modes, with how
    many are covered at each of the steps, and the share of samples near one."""
    kept = run.folder.sheets("npy")
    if not kept:
        raise UsageError(f"--sample=strip: {run.folder} has kept no points, as of ring")
    steps = [_number(step) for step in options.strip_steps] or five_of(kept)
    if missing := [str(step) for step in steps if step not in kept]:
        raise UsageError(
            f"--strip_steps: no points are kept of {', '.join(missing)}; there are "
            f"{', '.join(map(str, kept))}"
        )
    of = run.values.data
    train, columns = data.load(of.train_split, of), {}
    target = subsets.some(train, sheets.POINTS).all(of.value_range)
    for step in steps:
        points, title = np.load(kept[step]), f"step {step:,}"
        if train.modes:
            found = mode_coverage.score(points, train.modes)
            covered = f"{found.value:.0f} of {found.modes} modes"
            good = f"{found.high_quality:.2%} good"
            print(f"{title}: {covered}, {good}")
            title += f"\n{covered}\n{good}"
        columns[title] = points
    return figures.strip(columns, target)


def _number(text):
    if not text.isdecimal():
        raise UsageError(f"--strip_steps: {text!r} is not a step")
    return int(text)


def draw_losses(run, options):
    """Least squares with the targets --a, --b and --c."""
    of = run.values.paper
    targets = (of.a, of.b, of.c) if hasattr(of, "a") else losses.TARGETS
    least_squares = losses.least_squares(*targets)
    return figures.curves({**losses.LOSSES, "least_squares": least_squares})


def history(run, options):
    """M_global beside the samples is Fig. 5 of BEGAN (2017)."""
    scalars = tensorboard.read_scalars(run.folder / "tensorboard")
    kept = run.folder.sheets()
    if not kept or not scalars:
        raise UsageError(
            f"--sample=history: {run.folder} has no reports: train there first"
        )
    pages = {step: np.asarray(Image.open(kept[step])) for step in five_of(kept)}
    return figures.history(scalars, pages)


def five_of(steps):
    """Up to five of the steps, at even distances."""
    places = np.linspace(0, len(steps) - 1, min(5, len(steps)))
    return [list(steps)[int(place)] for place in np.rint(places)]


OF_FOLDER = {"strip": strip, "losses": draw_losses, "history": history}


def export_run(run: Run, options: CheckpointOptions):
    """Export the run anew, from --checkpoint."""
    model, step = run.restored(options.checkpoint)
    facts = summary.manifest(run, step)
    export.export(model, run.folder / "export", run.values.data.value_range, facts)
    print(run.folder / "export")
