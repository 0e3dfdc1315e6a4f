"""Which claims a score of a run measures."""

from reproduction.claim import Claim
from reproduction.claims import CLAIMS, ZERO_ONE
from tfgan_papers.papers import PAPERS, contract

# With other values of these flags, a run or its score belongs to another experiment, unless
# the claim gives its own: techniques of another paper are not part of this one.
PROTOCOL = {"image_size": 0, "width": 0, "checkpoint": "last", "test_split": "test",
            "score_samples": 0, "generator_average": 0.0,
            "feature_matching": (None, "none"), "minibatch_kernels": 0,
            "historical_averaging": 0.0, "label_smoothing": 0.0,
            "reference_batch": 0}  # fmt: skip
NETWORKS = {"inception_score": {"features": "inception_2015"}}
# Values of other flags for which neither a study nor its paper gives a value.
UNSAID = {"network": "", **ZERO_ONE}


def measured_by(metric: str, flags: dict[str, str]) -> list[Claim]:
    """The claims that are measured by the score `metric` of a run with these flags.

    Args:
        metric: name in `metrics.METRICS`.
        flags: name -> value, as on the command line; other flags have their defaults.
    """
    flags = _by_default(flags) | flags
    needed = PROTOCOL | NETWORKS.get(metric, {})
    return [
        claim
        for claim in CLAIMS.values()
        if claim.metric and claim.metric.split()[0] == metric
        if all(k in flags and fits(flags[k], v) for k, v in (needed | claim.flags).items())
    ]


def _by_default(flags):
    """The values of the flags that a run does not set."""
    common = {k: v[0] if isinstance(v, tuple) else v for k, v in PROTOCOL.items()} | UNSAID
    if flags.get("model") not in PAPERS or "dataset" not in flags:
        return common
    network = flags.get("network", UNSAID["network"])
    fidelity = flags.get("fidelity", "paper")
    paper = PAPERS[flags["model"]]
    return common | contract.defaults(paper, flags["dataset"], network, fidelity)


def fits(value: object, wanted: object) -> bool:
    """Whether a flag's value, or its text, equals `wanted`, or one value of a tuple."""
    choices = wanted if isinstance(wanted, tuple) else (wanted,)
    return _plain(value) in map(_plain, choices)


def _plain(value):
    """A value in comparable form: 0, 0.0 and their texts become equal."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
