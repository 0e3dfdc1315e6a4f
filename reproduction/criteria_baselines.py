"""Criteria of claims of DCGAN (2015) and VAE (2013)."""

from reproduction.claims import CLAIMS
from reproduction.criterion import UNSCORED, Criterion, curves_of


def _nearest_real(record):
    """Within the 95% interval of a share of 10,000 test images."""
    error, paper = record["value"], CLAIMS["real-1nn-50k"].paper_value
    half = (
        196 * (paper / 100 * (1 - paper / 100) / record["details"]["test_examples"]) ** 0.5
    )
    return f"{error:.2f}% wrong", abs(error - paper) <= half


def _no_overfitting(record):
    """The gap between training and test bound by N_z, and the test bound's fall."""
    if not (curves := curves_of(record)):
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


BASELINES = {
    "real-1nn-50k": Criterion(
        "real_neighbours",
        "within the 95% interval of the share over 10,000 images",
        _nearest_real,
    ),
    "vae-overfitting": Criterion(
        "vae_fig2",
        "with 200 latents the training bound is above the test bound by at most 1 nat more "
        "than with 20, and no test bound ends more than 1 nat below its best",
        _no_overfitting,
        "10^7 of the figure's 10^8 examples, one seed; the bounds still rise",
    ),
}
