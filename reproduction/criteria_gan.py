"""Criteria of claims of GAN (2014)."""

from reproduction.criterion import Criterion, below, scores_of


def _converges(record):
    """Log-likelihood of N(0, 1), whose negative entropy is -1.4189 nats, and D at 1/2."""
    scores = scores_of(record, k="20")
    value = scores["parzen_window"]["mean"]
    d = [scores[f"training {name}"]["mean"] for name in ("d_real", "d_fake")]
    words = "{:.3f} nats, D is {:.3f} on data and {:.3f} on samples".format(value, *d)
    return words, value > -1.4189 - 0.05 and all(abs(each - 0.5) < 0.02 for each in d)


def _starved(record):
    """Diversity with 20 updates of G for each of D, against one."""
    rows = (scores_of(record, g_steps=steps) for steps in ("20", "1"))
    words, holds = below(*rows, "diversity")
    return f"diversity {words}", holds


def _no_copies(record):
    words = f"C_T {record['value']:.1f}, which says nothing of quality"
    return words, record["value"] >= -3


def _lines(record):
    words = (
        "images between are {:.2f} times as far from the training images as those at the "
        "ends, cross-fades {:.2f} times; 95% of the lines have no step above {:.2f}"
    )
    found = [record[name] for name in ("value", "of_cross_fades", "largest_step")]
    near, fades, step = found
    return words.format(*found), near <= 1.1 and near < fades and step <= 0.25


def _sharp(record):
    covered = min(run["images_covered"] for run in record["runs"])
    words = (
        f"distance at most {record['value']:.3f} of the smallest between two images, at "
        f"least {covered} of ten images covered"
    )
    return words, record["value"] < 0.1 and covered >= 5


GAN = {
    "gan-convergence": Criterion(
        "gan_convergence",
        "with 20 steps of D for each of G, the log-likelihood is at most 0.05 below the "
        "data's own, -1.419 nats, and D within 0.02 of 1/2",
        _converges,
        "N(0, 1)",
    ),
    "gan-collapse": Criterion(
        "gan_collapse",
        "diversity falls with 20 updates of G for each of D, with 95% intervals apart",
        _starved,
        "digits at 8x8",
    ),
    "gan-samples-mnist": Criterion(
        "gan_mnist_copying", "the data-copying test C_T is at least -3", _no_copies
    ),
    "gan-lines": Criterion(
        "gan_mnist_lines",
        "images on a line are at most 1.1 times as far from the training images as those "
        "at its ends, and nearer than cross-fades of these; no step is more than a quarter "
        "of the line, on 95% of the lines",
        _lines,
    ),
    "gan-sharp": Criterion(
        "gan_sharp",
        "trained on ten images, the median sample is within a tenth of the distance "
        "between two images from one of them, and at least five are covered, in every run",
        _sharp,
        "ten digits at 8x8",
    ),
}
