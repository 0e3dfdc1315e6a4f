"""Claims that no single score decides: what a record must show, and what it shows.

A criterion is a function of one record in results/. It gives what was found, in words for
the table, and whether that is what the paper says.
"""

from collections.abc import Callable
from typing import NamedTuple

from scipy.stats import binomtest, fisher_exact, spearmanr

from reproduction.claims import CLAIMS

LEVEL = 0.05  # of one-sided tests


class Criterion(NamedTuple):
    """How a claim is decided.

    Attributes:
        record: name in results/ without its suffix.
        says: what the record must show.
        find: the record -> (what was found, whether it holds).
        data: in which data the record differs from the paper's, or "".
    """

    record: str
    says: str
    find: Callable[[dict], tuple[str, bool]]
    data: str = ""


def _settings(record: dict, score: str, name: str) -> dict[str, dict]:
    """Value of the flag -> mean, deviation and interval of a score of a study."""
    return {
        row["setting"][name]: row["scores"][score]
        for row in record["settings"]
        if score in row["scores"]
    }


def _rises(record):
    """Diversity at gamma = .3, .5, .7."""
    by_gamma = _settings(record, "diversity", "gamma")
    scores = [by_gamma[gamma] for gamma in sorted(by_gamma, key=float)]
    apart = all(
        low["interval"][1] < high["interval"][0]
        for low, high in zip(scores, scores[1:], strict=False)
    )
    means = ", ".join(f"{score['mean']:.2f}" for score in scores)
    failed = ", ".join(f"{row['failures']} of {row['runs']}" for row in record["settings"])
    words = f"diversity {means} of the data's at gamma {', '.join(by_gamma)}"
    return f"{words}, where {failed} runs collapse", apart


def _equilibrium(record):
    """E L(G(z)) / E L(x) beside gamma."""
    fake = _settings(record, "training g_loss", "gamma")
    real = _settings(record, "training d_real", "gamma")
    ratios = {gamma: fake[gamma]["mean"] / real[gamma]["mean"] for gamma in fake}
    holds = all(abs(ratio - float(gamma)) < 0.05 for gamma, ratio in ratios.items())
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
    return f"ratio {said} at gamma {', '.join(ratios)} at the end", holds


def _fewer(some, others) -> bool:
    """Whether (failures, runs) of the one are fewer than of the other by Fisher's exact
    test."""
    table = [[failures, runs - failures] for failures, runs in (some, others)]
    return fisher_exact(table, alternative="less").pvalue < LEVEL


def _stable(record):
    """No failure at gamma of .5 and above, without alternation or pretraining."""
    rows = [row for row in record["settings"] if float(row["setting"]["gamma"]) >= 0.5]
    failures, runs = (sum(row[name] for row in rows) for name in ("failures", "runs"))
    return f"{failures} of {runs} runs at gamma >= 0.5 fail", not failures


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
    return words, _fewer(least_squares, regular)


def _none_adam(record):
    words, regular, least_squares = _cell(record, "none", "adam")
    return words, regular[0] > 0 and least_squares[0] > 0


def _discriminator_rmsprop(record):
    words, regular, least_squares = _cell(record, "discriminator", "rmsprop")
    return words, regular[0] == 0 and least_squares[0] == 0


def _discriminator_adam(record):
    words, regular, least_squares = _cell(record, "discriminator", "adam")
    return words, _fewer(least_squares, regular)


def _optimizers(record):
    """Failures of RMSProp and of Adam over all cells."""
    totals = {"rmsprop": 0, "adam": 0}
    for row in record["settings"]:
        totals[row["setting"]["optimizer"]] += row["failures"]
    words = f"failures: RMSProp {totals['rmsprop']}, Adam {totals['adam']} of 40 each"
    return words, _fewer((totals["rmsprop"], 40), (totals["adam"], 40))


def _nearest_real(record):
    """Within the 95% interval of a share of 10,000 test images."""
    error, paper = record["value"], CLAIMS["real-1nn-50k"].paper_value
    half = (
        196 * (paper / 100 * (1 - paper / 100) / record["details"]["test_examples"]) ** 0.5
    )
    return f"{error:.2f}% wrong", abs(error - paper) <= half


def _row(record, **setting):
    """The scores of the setting of a study that has these flags."""
    (row,) = (
        row for row in record["settings"] if row["setting"].items() >= setting.items()
    )
    return row["scores"]


def _below(one, other, score="frechet_distance"):
    """(both means in words, whether the interval of `one` is below that of `other`)."""
    one, other = one[score], other[score]
    words = f"{one['mean']:.4g} against {other['mean']:.4g}"
    return words, one["interval"][1] < other["interval"][0]


def _converges(record):
    """Log-likelihood of N(0, 1), whose negative entropy is -1.4189 nats, and D at 1/2."""
    scores = _row(record, k="20")
    value = scores["parzen_window"]["mean"]
    d = [scores[f"training {name}"]["mean"] for name in ("d_real", "d_fake")]
    words = "{:.3f} nats, D is {:.3f} on data and {:.3f} on samples".format(value, *d)
    return words, value > -1.4189 - 0.05 and all(abs(each - 0.5) < 0.02 for each in d)


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
        shares = (_share(number, len(found)) for number in (full, one))
        words.append("{}: all modes in {}, at most one in {}".format(name, *shares))
    return f"runs of {'; of '.join(words)}", counts


MODES = 8  # of the ring


def _share(count, runs):
    low, high = binomtest(count, runs).proportion_ci(method="wilson")
    return f"{count} of {runs} [{low:.0%}, {high:.0%}]"


def _all_modes(record):
    words, counts = _ring(record)
    (full, _, runs), (of_regular, _, regular_runs) = counts.values()
    more = _fewer((of_regular, regular_runs), (full, runs))
    return words, full > runs / 2 and more


def _one_mode(record):
    words, counts = _ring(record)
    _, one, runs = counts["non_saturating"]
    return words, one > runs / 2


def _starved(record):
    """Diversity with 20 updates of G for each of D, against one."""
    rows = (_row(record, g_steps=steps) for steps in ("20", "1"))
    words, holds = _below(*rows, "diversity")
    return f"diversity {words}", holds


def _no_copies(record):
    words = f"C_T {record['value']:.1f}, which says nothing of quality"
    return words, record["value"] >= -3


def _lines(record):
    words = "{:.2f} times as far off the data, cross-fades {:.2f}; largest step {:.2f}"
    found = [record[name] for name in ("value", "of_cross_fades", "largest_step")]
    near, fades, step = found
    return words.format(*found), near <= 1.1 and near < fades and step <= 0.25


def _sharp(record):
    covered = min(run["images_covered"] for run in record["runs"])
    words = f"distance {record['value']:.3f}, at least {covered} of ten images"
    return words, record["value"] < 0.1 and covered >= 5


def _two_minibatches(record):
    low, _, high = record["quartiles"]
    words = f"{record['value']:.2f} [{low:.2f}, {high:.2f}] times the time"
    return words, low > 1.5


def _techniques(record):
    """Scores without techniques, with feature matching, with minibatch discrimination."""
    cells = ("none", "0"), ("mean", "0"), ("none", "100")
    return [_row(record, feature_matching=m, minibatch_kernels=k) for m, k in cells]


def _matching(record):
    plain, matched, _ = _techniques(record)
    errors, better = _below(matched, plain, "test_error")
    distances, worse = _below(plain, matched)
    return f"errors {errors}, Frechet distance without it {distances}", better and worse


def _minibatch(record):
    _, matched, compared = _techniques(record)
    distances, better = _below(compared, matched)
    errors, worse = _below(matched, compared, "test_error")
    words = f"Frechet distance {distances}, errors of feature matching {errors}"
    return words, better and worse


def _rate(record):
    """Failures at a rate at which BEGAN trains well, and at eight times that rate."""
    low, high = (
        next((r["failures"], r["runs"]) for r in record["settings"] if float(
            r["setting"]["learning_rate"]) == rate)
        for rate in (6.4e-3, 5.12e-2)
    )  # fmt: skip
    words = "{} of {} runs fail at 5.12e-2, {} of {} at 6.4e-3".format(*high, *low)
    return words, _fewer(low, high) and not low[0]


def _carry(record):
    words, holds = _below(*(_row(record, network=name) for name in ("authors", "plain")))
    return f"Frechet distance {words}", holds


def _by_steps(record):
    """Rank correlation of M_global and the Frechet distance over all runs."""
    pairs = [
        (run["scores"]["training m_global"], run["scores"]["frechet_distance"])
        for run in record["runs"]
    ]
    found = spearmanr(*zip(*pairs, strict=True), alternative="greater")
    words = f"rank correlation {found.statistic:.2f} over {len(pairs)} runs"
    return words, found.pvalue < LEVEL


def _unbalanced(record):
    """The Frechet distance with a small code of D, and with a small z of G."""
    both, small_d, small_g = (
        _row(record, n_h=n_h, n_z=n_z)
        for n_h, n_z in (("16", "16"), ("4", "16"), ("16", "4"))
    )
    d_words, worse = _below(both, small_d)
    _, g_is_better = _below(small_g, small_d)
    g_mean = small_g["frechet_distance"]["mean"]
    words = f"Frechet distance {d_words} with a small D, {g_mean:.4g} with a small G"
    return words, worse and g_is_better


def _intermediate(record):
    """The Frechet distance at the end of each run, relative to its best checkpoint's, and
    whether the best is in the first half of the run."""
    if not (curves := _curves(record)):
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


UNSCORED = "a run ended without a score"


def _curves(record):
    """The scores at the checkpoints of each run, [[step, score], ...]; none if a run has
    ended without one."""
    curves = [run.get("selection") for run in record["runs"]]
    return curves if all(curves) else []


def _no_overfitting(record):
    """The gap between training and test bound by N_z, and the test bound's fall."""
    if not (curves := _curves(record)):
        return UNSCORED, False
    gaps, falls = {}, {}
    for run, curve in zip(record["runs"], curves, strict=True):
        tested = [value for _, value in curve]
        latents = int(run["setting"]["latent_dim"])
        gaps[latents] = run["training"][-1][1] - tested[-1]
        falls[latents] = max(tested) - tested[-1]
    words = ", ".join(f"{gaps[latents]:.1f}" for latents in sorted(gaps))
    words += f" nats between the bounds at {', '.join(map(str, sorted(gaps)))} latents"
    words += f"; no test bound ends more than {max(falls.values()):.1f} below its best"
    return words, gaps[200] <= gaps[20] + 1 and max(falls.values()) <= 1


FACES = "Olivetti faces at 32x32"
SMALL_MNIST = "MNIST at 16x16, 1,000 steps"
TINY_MNIST = "MNIST at 16x16, 2,500 steps"
FULL_MNIST = "3,000 of the authors' 180,000 steps"
CRITERIA = {
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
    "improved-vbn-cost": Criterion(
        "virtual_batch_norm",
        "G's forward pass takes at least 1.5 times as long, at the lower quartile",
        _two_minibatches,
    ),
    "improved-feature-matching": Criterion(
        "improved_gan_mnist_techniques",
        "fewer errors and a larger Frechet distance than without it, with 95% intervals "
        "apart",
        _matching,
        FULL_MNIST,
    ),
    "improved-minibatch": Criterion(
        "improved_gan_mnist_techniques",
        "a smaller Frechet distance and more errors than feature matching, with 95% "
        "intervals apart",
        _minibatch,
        FULL_MNIST,
    ),
    "began-rate": Criterion(
        "began_rate",
        "no run fails at the lower rate, and more at the higher, by Fisher's test at 5%",
        _rate,
        TINY_MNIST,
    ),
    "began-carry": Criterion(
        "began_carry",
        "a smaller Frechet distance than without either, with 95% intervals apart",
        _carry,
        TINY_MNIST,
    ),
    "began-convergence": Criterion(
        "began_convergence",
        "M_global and the Frechet distance rise together, by Spearman's test at 5%",
        _by_steps,
        "MNIST at 16x16, 500 to 4,000 steps",
    ),
    "began-unbalanced": Criterion(
        "began_unbalanced",
        "a small D has a larger Frechet distance than both large and than a small G, with "
        "95% intervals apart",
        _unbalanced,
        TINY_MNIST,
    ),
    "began-gamma": Criterion(
        "began_gamma",
        "diversity rises with gamma, with 95% intervals apart",
        _rises,
        FACES,
    ),
    "began-equilibrium": Criterion(
        "began_gamma",
        "E L(G(z)) / E L(x) is within 0.05 of gamma at the end",
        _equilibrium,
        FACES,
    ),
    "began-no-alternation": Criterion(
        "began_gamma", "no run at gamma of 0.5 or more fails", _stable, FACES
    ),
    "lsgan-ring": Criterion(
        "lsgan_ring_code",
        "at the end all modes are visible in the density estimate in most runs of LSGAN, "
        "and in more than of the regular GAN, by Fisher's test at 5%",
        _all_modes,
    ),
    "gan-ring": Criterion(
        "lsgan_ring_code",
        "at the end at most one mode is visible in most runs of the regular GAN",
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
        "lsgan_stability", "runs of both losses fail", _none_adam, SMALL_MNIST
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
    "vae-overfitting": Criterion(
        "vae_fig2",
        "with 200 latents the training bound is above the test bound by at most 1 nat more "
        "than with 20, and no test bound ends more than 1 nat below its best",
        _no_overfitting,
        "10^7 of the figure's 10^8 examples, one seed; the bounds still rise",
    ),
    "real-1nn-50k": Criterion(
        "real_neighbours",
        "within the 95% interval of the share over 10,000 images",
        _nearest_real,
    ),
}
