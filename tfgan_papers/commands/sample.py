"""Pictures from a trained run, and its export."""

import re

import numpy as np
import tensorflow as tf
from absl import flags
from PIL import Image
from scipy.stats import norm

from tfgan_papers import data, figures, losses, noise
from tfgan_papers.commands import embedding, evaluate
from tfgan_papers.errors import UsageError
from tfgan_papers.metrics import mode_coverage
from tfgan_papers.runs import export, records, training

FLAGS = flags.FLAGS
_SAMPLE = flags.DEFINE_enum(
    "sample",
    "sheet",
    [
        *("sheet", "classes", "nearest", "line", "walk", "arithmetic", "strip"),
        *("history", "losses", "reconstructions", "manifold"),
    ],
    "sheet: --num_samples images. classes: a sheet for each class, or for --label alone; "
    "where D alone knows classes, a row of those that it gives to each. "
    "nearest: rows of five, each row ending in the training image nearest to the fifth. "
    "line: along straight lines between latents. walk: a row from each of nine latents to "
    "the next. arithmetic: --vectors. strip: the density of points in the plane at "
    "--strip_steps, and of the data, with the modes covered. history: the scalars of "
    "training by step, above five of its sheets. losses: what D and G descend, needs no "
    "run. reconstructions: rows of images of --test_split, below each row its copies by "
    "an autoencoder. manifold: all of a plane of two latents, by equal shares of N(0, I).",
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 64, "Images on the sheet.", lower_bound=1
)
_STRIP_STEPS = flags.DEFINE_list(
    "strip_steps",
    [],
    "Columns of --sample=strip, reported steps or 0; five of those there by default.",
)
_SAMPLE_SEED = flags.DEFINE_integer("sample_seed", 0, "Of the latents of the pictures.")
_LABEL = flags.DEFINE_integer(
    "label", None, "Class of the images, where the run has classes.", lower_bound=0
)
_VECTORS = flags.DEFINE_string(
    "vectors",
    "0,1,2-3,4,5+6,7,8",
    "Terms of --sample=arithmetic, each the mean latent of images of --sample=sheet, which "
    "are counted by rows from 0.",
)
_INTERPOLATE = flags.DEFINE_list(
    "interpolate",
    [],
    "With --mode=sample: image files to embed, A.png,B.png and more such pairs. A row from "
    "each A to its B; of one file alone, from the image to its mirror image.",
)

NEAREST = (4, 5)  # rows and samples a row (GAN, show_samples_mnist_paper.py)
LINE = (4, 10)  # lines and images on each (GAN, 2014, Fig. 3)
WALK = (9, 10)  # latents and images from each to the next (DCGAN, 2015, Fig. 4)
INTERPOLATED = 10  # images between two embedded ones, these included: ours, as LINE's
SORTED = (10, 10, 100)  # images of each class, of batches, of batch size as in training
COPIES = (4, 10)  # rows of images, each with one of copies, and images in it
MANIFOLD = 20  # images on a side (VAE, 2013, Fig. 4)
JITTER = 0.25  # uniform, around the result (DCGAN, 2015, Fig. 7)


def sample():
    """Write a picture of the run in --logdir to its samples folder."""
    run, kind = training.Run(), "interpolation" if _INTERPOLATE.value else _SAMPLE.value
    if _INTERPOLATE.value and FLAGS["sample"].present:
        raise UsageError("--interpolate and --sample: one picture at a time")
    if kind == "losses":
        return _losses(run)
    if kind == "strip":
        return _strip(run)
    if kind == "history":
        return _history(run)
    model, step = run.restored(evaluate.CHECKPOINT.value)
    if len(model.generator.output_shape) != 4:
        raise UsageError("--mode=sample draws images; points are in the run's own sheets")
    _check_label(model)
    draw = {
        "sheet": _sheet,
        "classes": _classes,
        "nearest": _nearest,
        "line": _line,
        "walk": _walk,
        "arithmetic": _arithmetic,
        "interpolation": _interpolation,
        "reconstructions": _reconstructions,
        "manifold": _manifold,
    }[kind]
    for suffix, picture in draw(model):
        of = "" if model.averaged_generator is None else f"-{model.sampled_is}"
        name = f"{kind}{suffix}-step-{step:09d}-seed{_SAMPLE_SEED.value}{of}.png"
        figures.save(picture, run.folder / "samples" / name)
        print(run.folder / "samples" / name)


def _check_label(model):
    label = _LABEL.value
    if label is not None and label >= model.classes:
        there = f"0 to {model.classes - 1}" if model.classes else "none"
        raise UsageError(f"--label={label}: the classes of this run are {there}")


def _to_pixels(images):
    return data.RANGES[FLAGS.value_range].to_pixels(images).numpy()


def _latents(model, n):
    base = tf.constant([_SAMPLE_SEED.value, 0], tf.int64)
    return noise.latents(model.prior_law, base, (n, model.latent_dim)).numpy()


def _images(model, z, label=None):
    """Of one class, or of all in turn."""
    label, n = _LABEL.value if label is None else label, z.shape[0]
    if not model.classes:
        return model.generate(z)
    labels = np.arange(n) % model.classes if label is None else np.full(n, label)
    return model.generate(tf.constant(z), tf.constant(labels, tf.int32))


def _sheet(model):
    n = _NUM_SAMPLES.value
    images = _images(model, _latents(model, n))
    yield "", figures.sheet(_to_pixels(images), int(np.ceil(np.sqrt(n))))


def _classes(model):
    if not model.classes and model.classifier is not None:
        yield "", _sorted(model)
        return
    if not model.classes:
        raise UsageError("--sample=classes: this run has no classes")
    z = _latents(model, _NUM_SAMPLES.value)
    chosen = range(model.classes) if _LABEL.value is None else [_LABEL.value]
    for label in chosen:
        picture = figures.sheet(
            _to_pixels(_images(model, z, label)), int(np.ceil(np.sqrt(len(z))))
        )
        yield f"-{label}", picture


def _sorted(model):
    """A row a class, the first samples that the classifier gives to it; white where it
    gives it fewer."""
    columns, batches, batch_size = SORTED
    z = _latents(model, batches * batch_size)
    images, classes = [], []
    for part in np.split(z, batches):
        drawn = model.generate(part)
        logits = np.asarray(model.classifier(drawn, training=False))
        images.append(_to_pixels(drawn))
        classes.append(logits.argmax(-1))
    images, classes = np.concatenate(images), np.concatenate(classes)
    grid = np.full((logits.shape[-1], columns, *images.shape[1:]), 255, np.uint8)
    for label, row in enumerate(grid):
        first = images[classes == label][:columns]
        row[: len(first)] = first
    return figures.sheet(grid.reshape(-1, *images.shape[1:]), columns)


def _nearest(model):
    rows, columns = NEAREST
    samples = _images(model, _latents(model, rows * columns)).numpy()
    examples = data.load(FLAGS.train_split).all(FLAGS.value_range)
    found = figures.nearest(samples[columns - 1 :: columns], examples)
    grid = samples.reshape(rows, columns, *samples.shape[1:])
    grid = np.concatenate([grid, found[:, None]], axis=1)
    grid = grid.reshape(-1, *samples.shape[1:])
    yield "", figures.sheet(_to_pixels(grid), columns + 1)


def _one_label(model):
    """For pictures of one class: --label, or else 0; None where there are no classes."""
    return 0 if model.classes and _LABEL.value is None else None


def _on_lines(model, starts, ends, images):
    """`images` samples on the line between each pair of latents, uint8 (pairs, images,
    height, width, channels)."""
    steps = np.linspace(0, 1, images, dtype=np.float32)[:, None]
    pairs = zip(starts, ends, strict=True)
    z = np.concatenate([a + steps * (b - a) for a, b in pairs])
    drawn = _to_pixels(_images(model, z, _one_label(model)))
    return drawn.reshape(len(starts), images, *drawn.shape[1:])


def _between(model, starts, ends, images):
    """A row of images for each pair of latents."""
    return figures.sheet(np.concatenate(_on_lines(model, starts, ends, images)), images)


def _line(model):
    lines, images = LINE
    ends = _latents(model, 2 * lines)
    yield "", _between(model, ends[:lines], ends[lines:], images)


def _walk(model):
    stations, images = WALK
    z = _latents(model, stations + 1)
    yield "", _between(model, z[:-1], z[1:], images)


def _interpolation(model):
    """A row a pair: the one image, the line from its z to the other's, the other image."""
    files, shape = _INTERPOLATE.value, model.generator.output_shape[1:]
    if len(files) > 1 and len(files) % 2:
        raise UsageError(f"--interpolate has {len(files)} files: one, or pairs of them")
    pixels = [embedding.read(file, shape) for file in files]
    if len(files) == 1:
        files, pixels = [*files, f"{files[0]}, mirrored"], [*pixels, pixels[0][:, ::-1]]
    images = data.RANGES[FLAGS.value_range].to_network(tf.constant(np.stack(pixels)))
    label = _one_label(model)
    found = embedding.embed(
        lambda z: _images(model, z, label),
        images,
        _latents(model, embedding.STARTS),
        noise.PRIORS[model.prior_law],
    )
    for file, error, before in zip(files, found.error, found.error_of_starts, strict=True):
        print(
            f"{file}: mean |x - G(z)| {error:.4f} at the z found, {before:.4f} at the best "
            f"of the {embedding.STARTS} that the search began with"
        )
    lines = _on_lines(model, found.z[::2], found.z[1::2], INTERPOLATED)
    rows = [
        np.concatenate([one[None], row, other[None]])
        for one, row, other in zip(pixels[::2], lines, pixels[1::2], strict=True)
    ]
    yield "", figures.sheet(np.concatenate(rows), INTERPOLATED + 2)


def _arithmetic(model):
    """A row a term, its images and that of their mean; then three rows of results, of
    which the first is the result itself."""
    terms = re.findall(r"([+-]?)([\d,]+)", _VECTORS.value)
    if "".join(map("".join, terms)) != _VECTORS.value or not terms:
        raise UsageError(f"--vectors={_VECTORS.value}: write it as 0,1,2-3,4,5+6,7,8")
    indices = [[int(i) for i in each.split(",") if i] for _, each in terms]
    if not all(indices):
        raise UsageError(f"--vectors={_VECTORS.value}: a term without an image")
    z = _latents(model, 1 + max(max(each) for each in indices))
    columns = 1 + max(map(len, indices))
    result, rows = 0.0, []
    for (sign, _), each in zip(terms, indices, strict=True):
        mean = z[each].mean(0)
        result = result + (-mean if sign == "-" else mean)
        padding = [mean] * (columns - len(each))
        rows += [*z[each], *padding]
    draw = np.random.default_rng(_SAMPLE_SEED.value)
    jitter = draw.uniform(-JITTER, JITTER, (3 * columns, model.latent_dim))
    jitter[0] = 0.0
    z = np.float32([*rows, *(result + jitter)])
    yield "", figures.sheet(_to_pixels(_images(model, z, _one_label(model))), columns)


def _reconstructions(model):
    if not model.energy:
        raise UsageError(
            f"--sample=reconstructions: --model={FLAGS.model} has no autoencoder"
        )
    rows, columns = COPIES
    images = data.load(FLAGS.test_split).all(FLAGS.value_range, rows * columns)
    copies = model.critic(images, training=False)
    pairs = np.stack(
        [_to_pixels(v).reshape(-1, columns, *images.shape[1:]) for v in (images, copies)], 1
    )
    yield "", figures.sheet(pairs.reshape(-1, *images.shape[1:]), columns)


def _manifold(model):
    """By the inverse of the Gaussian's distribution function, at the middles of equal
    shares; the first latent grows to the right, the second upwards."""
    if (model.latent_dim, model.prior_law) != (2, "normal") or model.classes:
        raise UsageError(
            "--sample=manifold is of two normal latents, such as --model=vae "
            "--latent_dim=2 has"
        )
    at = norm.ppf((np.arange(MANIFOLD) + 0.5) / MANIFOLD)
    z = np.stack(np.meshgrid(at, at[::-1]), -1).reshape(-1, 2)
    yield "", figures.sheet(_to_pixels(model.generate(np.float32(z))), MANIFOLD)


def _strip(run):
    """From the points that the run kept at its reports; where the data have modes, with how
    many are covered at each of the steps, and the share of samples near one."""
    kept = _kept(run, "npy")
    if not kept:
        raise UsageError(f"--sample=strip: {run.folder} has kept no points, as of ring")
    steps = _STRIP_STEPS.value
    if not steps:
        steps = _five_of(kept)
    if missing := [step for step in steps if step not in kept]:
        raise UsageError(
            f"--strip_steps: no points are kept of {', '.join(missing)}; there are "
            f"{', '.join(kept)}"
        )
    train, columns = data.load(FLAGS.train_split), {}
    target = train.all(FLAGS.value_range, training.POINTS)
    for step in steps:
        points, title = np.load(kept[step]), f"step {int(step):,}"
        if train.modes:
            found = mode_coverage.score(points, train.modes)
            covered = f"{found.value:.0f} of {found.modes} modes"
            good = f"{found.high_quality:.2%} good"
            print(f"{title}: {covered}, {good}")
            title += f"\n{covered}\n{good}"
        columns[title] = points
    path = run.folder / "samples" / "strip.png"
    figures.save(figures.strip(columns, target), path)
    print(path)


def _losses(run):
    """Least squares with the targets --a, --b and --c."""
    try:
        least_squares = losses.least_squares(FLAGS.a, FLAGS.b, FLAGS.c)
    except ValueError as error:
        raise UsageError(f"--sample=losses: {error}") from error
    path = run.folder / "samples" / "losses.png"
    figures.save(figures.curves({**losses.LOSSES, "least_squares": least_squares}), path)
    print(path)


def _history(run):
    """M_global beside the samples is Fig. 5 of BEGAN (2017)."""
    scalars = records.read_scalars(run.folder / "tensorboard")
    kept = _kept(run, "png")
    if not kept or not scalars:
        raise UsageError(
            f"--sample=history: {run.folder} has no reports: train there first"
        )
    pages = {int(step): np.asarray(Image.open(kept[step])) for step in _five_of(kept)}
    path = run.folder / "samples" / "history.png"
    figures.save(figures.history(scalars, pages), path)
    print(path)


def _kept(run, suffix):
    """What reports have left in samples/, by step as text."""
    paths = sorted((run.folder / "samples").glob(f"step-*.{suffix}"))
    return {str(int(path.stem.removeprefix("step-"))): path for path in paths}


def _five_of(steps):
    places = np.linspace(0, len(steps) - 1, min(5, len(steps)))
    return [list(steps)[int(place)] for place in np.rint(places)]


def export_run():
    """Export the run in --logdir anew, from --checkpoint."""
    run = training.Run()
    model, step = run.restored(evaluate.CHECKPOINT.value)
    facts = training.manifest(run, step)
    export.export(model, run.folder / "export", FLAGS.value_range, facts)
    print(run.folder / "export")
