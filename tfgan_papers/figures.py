"""Figures: sheets of images, scatter plots of points, curves, and figures of the papers.

Every function that draws returns a uint8 image (height, width, 3); `save` writes it.
"""

import io
import pathlib
from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.figure import Figure  # not pyplot, whose backend is the user's to choose
from PIL import Image

from tfgan_papers import files
from tfgan_papers.metrics import kde_modes

GAP = 2  # pixels between the images of a sheet
PANELS = 4  # side by side in the figure of a study, at most
SMALLEST = 62  # pixels; smaller images are enlarged by pixel repetition: eight are 512


def sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """Arranges uint8 images (n, height, width, 1 or 3) in rows of `columns`."""
    images = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
    zoom = -(-SMALLEST // images.shape[1])
    images = images.repeat(zoom, 1).repeat(zoom, 2)
    rows = -(-len(images) // columns)
    height, width = (side + GAP for side in images.shape[1:3])
    page = np.full((rows * height + GAP, columns * width + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * height, GAP + i % columns * width
        page[top : top + height - GAP, left : left + width - GAP] = image
    return page


def plane(samples: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Scatter plot of samples (n, 2) over data (m, 2). Further dimensions are ignored."""
    figure = Figure(figsize=(4, 4))
    axes = figure.subplots()
    axes.plot(*real.T[:2], ".", color="0.75", markersize=2, label="data")
    axes.plot(*samples.T[:2], ".", markersize=3, label="samples")
    low, high = real.min(0)[:2], real.max(0)[:2]
    margin = 0.25 * (high - low)  # from the data alone: the same axes at every step
    (left, bottom), (right, top) = low - margin, high + margin
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_aspect("equal")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, markerscale=3)
    return _picture(figure)


def line(
    z: np.ndarray, samples: np.ndarray, real: np.ndarray, verdict: Callable
) -> np.ndarray:
    """Fig. 1 of GAN (2014) for points on a line.

    It shows the density of the data (dotted), the density of the samples (solid), D(x)
    (dashed) and the optimal D*(x), and below them how G maps z to x.

    Args:
        z: latents (n, 1).
        samples: G(z) (n, 1).
        real: data (m, 1).
        verdict: function from float32 points (k, 1) to D(x) (k, 1).
    """
    figure = Figure(figsize=(6, 5))
    axes, arrows = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    low, high = np.quantile(real, [0.0005, 0.9995])
    x = np.linspace(low, high, 200)
    p_data, p_g = (_density(points[:, 0], x) for points in (real, samples))
    optimal = p_data / np.maximum(p_data + p_g, 1e-12)
    axes.plot(x, p_data, "k:", label="$p_{data}(x)$")
    axes.plot(x, p_g, "g-", label="$p_g(x)$")
    axes.plot(x, verdict(np.float32(x[:, None]))[:, 0], "b--", label="$D(x)$")
    axes.plot(x, optimal, color="0.7", label="$D^*(x)$ of these densities")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, fontsize=8)
    order = np.argsort(z[:, 0])[:: len(z) // 40]
    across = np.interp(z[order, 0], (z.min(), z.max()), (low, high))
    arrows.plot(
        [across, samples[order, 0]],
        [np.zeros(len(order)), np.ones(len(order))],
        "k-",
        lw=0.5,
    )
    arrows.set_yticks([0, 1], ["z", "x = G(z)"])
    return _picture(figure)


def curves(losses: dict) -> np.ndarray:
    """Fig. 2 of LSGAN (2016): each player's loss as a function of D's score.

    The figure shows where each loss is flat.

    Args:
        losses: name -> `AdversarialLoss`; each is one curve per player.
    """
    score = np.linspace(-5, 5, 201, dtype=np.float32)
    figure = Figure(figsize=(10, 3))
    panels = figure.subplots(1, 3, sharex=True)
    players = {"real": "D, on data", "fake": "D, on samples", "generator": "G"}
    for axes, (player, title) in zip(panels, players.items(), strict=True):
        for name, loss in losses.items():
            axes.plot(score, getattr(loss, player)(score), label=name.replace("_", " "))
        axes.set(title=title, xlabel="score", ylim=(-3, 8))
    panels[-1].legend(fontsize=8)
    return _picture(figure)


def strip(columns: dict[str, np.ndarray], target: np.ndarray) -> np.ndarray:
    """Densities of points in the plane, side by side (LSGAN, 2017, Fig. 7).

    Each density is a Gaussian kernel estimate on [-4, 4]^2, drawn in 30 levels, which are
    those of the target.

    Args:
        columns: title -> samples (n, 2).
        target: data (m, 2), shown in the last column.
    """
    columns = {**columns, "target": target}
    x = np.linspace(-4, 4, 401)
    densities = {title: kde_modes.density(points, x) for title, points in columns.items()}
    levels = np.linspace(0, densities["target"].max(), 31)[1:]
    figure = Figure(figsize=(2 * len(columns), 2.2))
    axes = figure.subplots(1, len(columns), squeeze=False)
    for place, (title, density) in zip(axes[0], densities.items(), strict=True):
        place.contourf(x, x, density, levels, cmap="Greens", extend="max")
        place.set(title=title, aspect="equal", xticks=[], yticks=[])
    return _picture(figure)


def panels(pictures: dict[str, np.ndarray], columns: int) -> np.ndarray:
    """Pictures under their titles, in rows of `columns`.

    Args:
        pictures: title -> uint8 image, or None, which leaves its place empty.
        columns: int.
    """
    rows = -(-len(pictures) // columns)
    shapes = [picture.shape for picture in pictures.values() if picture is not None]
    ratio = max((width / height for height, width, *_ in shapes), default=1)
    width = 4 * max(1, ratio / 2)
    size = (width * columns, (width / ratio + 0.4) * rows)
    figure = Figure(figsize=size, layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (title, picture) in zip(places, pictures.items(), strict=True):
        axes.set_title(title.replace(", ", "\n"))
        axes.axis("off")
        if picture is not None:
            axes.imshow(picture)
    return _picture(figure)


def history(scalars: dict[str, dict], pages: dict[int, np.ndarray]) -> np.ndarray:
    """The curve of each scalar over the steps, above images of some of the steps.

    Args:
        scalars: name -> {step: value}.
        pages: step -> uint8 image.
    """
    count = len(scalars)
    size = 2.5 * count, 2.5 * (1 + count / len(pages))
    figure = Figure(figsize=size, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, count / len(pages)))
    for axes, (name, values) in zip(
        upper.subplots(1, count, squeeze=False)[0], sorted(scalars.items()), strict=True
    ):
        axes.plot(list(values), list(values.values()))
        axes.set(title=name, xlabel="step")
        for step in pages:
            axes.axvline(step, color="0.85", zorder=0)
    for axes, (step, page) in zip(
        lower.subplots(1, len(pages), squeeze=False)[0], pages.items(), strict=True
    ):
        axes.imshow(page)
        axes.set(title=f"step {step:,}")
        axes.axis("off")
    return _picture(figure)


def study(rows: list[dict]) -> np.ndarray:
    """The failure rate of each setting with its interval, and the mean and standard
    deviation of each score.

    Args:
        rows: the settings of a study's record.
    """
    names = sorted({name for row in rows for name in row["scores"]})
    columns = min(PANELS, 1 + len(names))
    lines = -(-(1 + len(names)) // columns)
    size = 1 + 3 * columns, lines * (1.2 + 0.4 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    rates, *others = axes.flat
    for unused in others[len(names) :]:
        unused.remove()
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        low, high = row["interval"]
        rates.plot([low, high], [place, place], "k-", lw=1)
        rates.plot(row["failure_rate"], place, "ko")
        for panel, name in zip(others, names, strict=False):
            if score := row["scores"].get(name):
                error = score["deviation"] or 0
                panel.errorbar(score["mean"], place, xerr=error, fmt="ko", capsize=3)
    labels = [", ".join(row["setting"].values()).replace("_", " ") for row in rows]
    rates.set(xlim=(-0.02, 1.02), xlabel="failed", yticks=places, yticklabels=labels)
    rates.set_ylim(-0.5, len(rows) - 0.5)
    for panel, name in zip(others, names, strict=False):
        panel.set_xlabel(name.replace("_", " "))
    return _picture(figure)


def selection(curves: dict[str, list[dict[str, dict]]], metric: str) -> np.ndarray:
    """The score that selects the best checkpoint, by step; higher is better.

    The figure has one panel per setting of a study, and one curve per run. A dashed curve
    is the same quantity on the training data, for metrics that training reports as well;
    the panels show the range of the other curves only, because training begins far below.
    Steps are on a logarithmic axis if the last is at least 20 times the first.

    Args:
        curves: setting -> list with {"selection": {step: score}, "training": {step:
            value}} of each run.
        metric: name of the score.
    """
    size = 4 * len(curves), 3
    figure = Figure(figsize=size)
    panels = figure.subplots(1, len(curves), sharex=True, sharey=True, squeeze=False)
    for axes, (setting, lines) in zip(panels[0], curves.items(), strict=True):
        for number, line in enumerate(lines):
            for name, style in (("selection", ".-"), ("training", "--")):
                values = dict(sorted(line[name].items()))
                axes.plot(
                    [*values], [*values.values()], style, color=f"C{number}", alpha=0.7
                )
        axes.set(title=setting.replace(", ", "\n"), xlabel="step")
    scored = [line["selection"] for lines in curves.values() for line in lines]
    scores = [score for line in scored for score in line.values() if np.isfinite(score)]
    steps = sorted(step for line in scored for step in line)
    if scores:
        axes.set_ylim(*_with_margin(min(scores), max(scores)))
    if steps[-1] >= 20 * steps[0]:
        axes.set(xscale="log", xlim=(steps[0] / 1.2, steps[-1] * 1.2))
    panels[0, 0].set_ylabel(f"selection by\n{metric.replace('_', ' ')}")
    return _picture(figure)


def _with_margin(low, high):
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _density(points, x):
    """Gaussian kernel density estimate of points (n,) at x; a spike if they coincide."""
    width = max(points.std(), 1e-3) * len(points) ** -0.2  # Scott's rule
    kernels = np.exp(-0.5 * ((x[:, None] - points) / width) ** 2)
    return kernels.mean(1) / (width * np.sqrt(2 * np.pi))


def _picture(figure):
    """Renders a Matplotlib figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, bbox_inches="tight")
    return np.asarray(Image.open(buffer).convert("RGB"))


def save(picture: np.ndarray, path: pathlib.Path):
    """Writes a uint8 image as PNG, atomically."""
    files.write_bytes(path, png(picture))


def png(picture: np.ndarray) -> bytes:
    """A uint8 image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def nearest(samples: np.ndarray, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """For each sample, the nearest example in Euclidean distance.

    Args:
        samples: array (n, ...).
        blocks: arrays (m, ...) of examples; one at a time is in memory.

    Returns:
        Array (n, ...).
    """
    found, least = np.zeros_like(samples), np.full(len(samples), np.inf)
    flat = samples.reshape(len(samples), -1)
    for block in blocks:
        examples = block.reshape(len(block), -1)
        squares = (examples**2).sum(1) - 2 * flat @ examples.T  # |sample|^2 is a constant
        nearer = squares.min(1) < least
        found[nearer] = block[squares.argmin(1)[nearer]]
        least = np.minimum(least, squares.min(1))
    return found
