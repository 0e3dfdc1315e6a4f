"""Criteria of claims of BEGAN (2017)."""

from scipy.stats import spearmanr

from reproduction.criterion import LEVEL, Criterion, below, fewer, scores_of

FACES = "Olivetti faces at 32x32"
TINY_MNIST = "MNIST at 16x16, 2,500 steps"


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
    return f"{words}, where {failed} runs fail", apart


def _equilibrium(record):
    """E L(G(z)) / E L(x) beside gamma."""
    fake = _settings(record, "training g_loss", "gamma")
    real = _settings(record, "training d_real", "gamma")
    ratios = {gamma: fake[gamma]["mean"] / real[gamma]["mean"] for gamma in fake}
    holds = all(abs(ratio - float(gamma)) < 0.05 for gamma, ratio in ratios.items())
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
    return f"ratio {said} at gamma {', '.join(ratios)} at the end", holds


def _stable(record):
    """No failure at gamma of .5 and above, without alternation or pretraining."""
    rows = [row for row in record["settings"] if float(row["setting"]["gamma"]) >= 0.5]
    failures, runs = (sum(row[name] for row in rows) for name in ("failures", "runs"))
    return f"{failures} of {runs} runs at gamma >= 0.5 fail", not failures


def _rate(record):
    """Failures at a rate at which BEGAN trains well, and at eight times that rate."""
    low, high = (
        next((r["failures"], r["runs"]) for r in record["settings"] if float(
            r["setting"]["learning_rate"]) == rate)
        for rate in (6.4e-3, 5.12e-2)
    )  # fmt: skip
    words = "{} of {} runs fail at 5.12e-2, {} of {} at 6.4e-3".format(*high, *low)
    return words, fewer(low, high) and not low[0]


def _carry(record):
    rows = (scores_of(record, network=name) for name in ("authors", "plain"))
    words, holds = below(*rows)
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
        scores_of(record, n_h=n_h, n_z=n_z)
        for n_h, n_z in (("16", "16"), ("4", "16"), ("16", "4"))
    )
    d_words, worse = below(both, small_d)
    _, g_is_better = below(small_g, small_d)
    g_mean = small_g["frechet_distance"]["mean"]
    words = f"Frechet distance {d_words} with a small D, {g_mean:.4g} with a small G"
    return words, worse and g_is_better


BEGAN = {
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
        "diversity rises with gamma, with 95% intervals apart; artefacts are not judged",
        _rises,
        FACES,
    ),
    "began-equilibrium": Criterion(
        "began_gamma",
        "E L(G(z)) / E L(x) is within 0.05 of gamma at the end; the steps before are not "
        "judged",
        _equilibrium,
        FACES,
    ),
    "began-no-alternation": Criterion(
        "began_gamma", "no run at gamma of 0.5 or more fails", _stable, FACES
    ),
}
