"""Criteria of claims of LSGAN (2016)."""

from reproduction.criterion import UNSCORED, Criterion, curves_of, fewer, share

SMALL_MNIST = "MNIST at 16x16, 1,000 steps"
MODES = 8  # of the ring


def _ring(record):
    """How many runs of each loss end with all modes and with at most one, in words; and
    loss -> (runs with all, runs with at most one, runs)."""
    visible = {}
    for run in record["runs"]:
        found = visible.setdefault(run["setting"]["loss"], [])
        found.append(run["scores"].get("kde_modes"))
    words, counts = [], {}
    for loss, name in (("least_squares", "LSGAN"), ("non_saturating", "the regular GAN")):
        found = visible[loss]
        full, one = found.count(MODES), sum(n is not None and n <= 1 for n in found)
        counts[loss] = full, one, len(found)
        shares = (share(number, len(found)) for number in (full, one))
        words.append("{}: all modes in {}, at most one in {}".format(name, *shares))
    return f"runs of {'; of '.join(words)}", counts


def _all_modes(record):
    words, counts = _ring(record)
    (full, _, runs), (of_regular, _, regular_runs) = counts.values()
    more = fewer((of_regular, regular_runs), (full, runs))
    return words, full > runs / 2 and more


def _one_mode(record):
    words, counts = _ring(record)
    _, one, runs = counts["non_saturating"]
    return words, one > runs / 2


def _failures(record, batch_norm, optimizer):
    """Loss -> (failures, runs) of a cell of the stability study."""
    return {
        row["setting"]["loss"]: (row["failures"], row["runs"])
        for row in record["settings"]
        if row["setting"]["batch_norm"] == batch_norm
        and row["setting"]["optimizer"] == optimizer
    }


def _cell(record, batch_norm, optimizer):
    return _words(_failures(record, batch_norm, optimizer))


def _words(failures):
    regular, least_squares = failures["non_saturating"], failures["least_squares"]
    words = "failures: regular GAN {} of {}, LSGAN {} of {}"
    return words.format(*regular, *least_squares), regular, least_squares


def _least_squares_is_better(record):
    """The study of one cell."""
    failures = {
        row["setting"]["loss"]: (row["failures"], row["runs"]) for row in record["settings"]
    }
    words, regular, least_squares = _words(failures)
    return words, fewer(least_squares, regular)


def _none_adam(record):
    words, regular, least_squares = _cell(record, "none", "adam")
    differ = fewer(regular, least_squares) or fewer(least_squares, regular)
    return words, regular[0] > 0 and least_squares[0] > 0 and not differ


def _discriminator_rmsprop(record):
    words, regular, least_squares = _cell(record, "discriminator", "rmsprop")
    return words, regular[0] == 0 and least_squares[0] == 0


def _discriminator_adam(record):
    words, regular, least_squares = _cell(record, "discriminator", "adam")
    return words, fewer(least_squares, regular)


def _optimizers(record):
    """Failures of RMSProp and of Adam over all cells."""
    totals = {"rmsprop": (0, 0), "adam": (0, 0)}
    for row in record["settings"]:
        failures, runs = totals[name := row["setting"]["optimizer"]]
        totals[name] = failures + row["failures"], runs + row["runs"]
    rmsprop, adam = totals["rmsprop"], totals["adam"]
    words = "failures: RMSProp {} of {}, Adam {} of {}".format(*rmsprop, *adam)
    return words, fewer(rmsprop, adam)


def _intermediate(record):
    """The Frechet distance at the end of each run, relative to its best checkpoint's, and
    whether the best is in the first half of the run."""
    if not (curves := curves_of(record)):
        return UNSCORED, False
    ratios, early = [], []
    for curve in curves:
        distances = [-score for _, score in curve]
        ratios.append(distances[-1] / min(distances))
        early.append(distances.index(min(distances)) < len(distances) / 2)
    worse = sum(ratio >= 1.1 and first for ratio, first in zip(ratios, early, strict=True))
    words = f"the last is {min(ratios):.2f} to {max(ratios):.2f} times as far from the data"
    words += (
        f" as the best, which is in the first half in {sum(early)} of {len(curves)} runs"
    )
    return words, worse > len(curves) / 2


LSGAN = {
    "lsgan-ring": Criterion(
        "lsgan_ring_code",
        "with the settings of the authors' code, at the end all modes are visible in the "
        "density estimate in most runs of LSGAN, and in more than of the regular GAN, by "
        "Fisher's test at 5%",
        _all_modes,
    ),
    "gan-ring": Criterion(
        "lsgan_ring_code",
        "with the settings of the authors' code, at the end at most one mode is visible in "
        "most runs of the regular GAN",
        _one_mode,
    ),
    "lsgan-bn-g-adam": Criterion(
        "lsgan_stability",
        "LSGAN fails less often than the regular GAN, by Fisher's test at 5%",
        _discriminator_adam,
        SMALL_MNIST,
    ),
    "lsgan-bn-gd-rmsprop": Criterion(
        "lsgan_stability_rmsprop",
        "LSGAN fails less often than the regular GAN, by Fisher's test at 5%",
        _least_squares_is_better,
        SMALL_MNIST,
    ),
    "lsgan-bn-g-rmsprop": Criterion(
        "lsgan_stability", "no run fails", _discriminator_rmsprop, SMALL_MNIST
    ),
    "lsgan-bn-gd-adam": Criterion(
        "lsgan_stability",
        "runs of both losses fail, and neither's more often by Fisher's test at 5%",
        _none_adam,
        SMALL_MNIST,
    ),
    "rmsprop-over-adam": Criterion(
        "lsgan_stability",
        "RMSProp fails less often than Adam, by Fisher's test at 5%",
        _optimizers,
        SMALL_MNIST,
    ),
    "lsgan-late-collapse": Criterion(
        "lsgan_late_collapse",
        "in most runs the best of ten checkpoints is in the first half, and the Frechet "
        "distance of the last is at least 1.1 times its own",
        _intermediate,
        "CIFAR-10, a quarter of the width, 5,000 steps",
    ),
}
