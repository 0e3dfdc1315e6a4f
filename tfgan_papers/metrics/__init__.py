"""Scores, one a file, by the name that `--metrics` takes.

A score is a module with

    NAME, UNIT    for people and records; the unit says where lower is better
    OF            what it is of:
                  "samples": float32 (n, ...) in the network's value range;
                  "labelled samples": those, and the labels they were drawn with;
                  "features": what a feature network sees in 8-bit samples, as
                  `features.Activations`;
                  "classifier", "bound": a part of the model, as `AdversarialModel` has it
    SAMPLES       how many samples it takes; of a part of the model there are none to take
    SPLITS        the splits it needs, of "train", "validation", "test"
    NETWORKS      of features, optional: the networks that it is of
    reference(value_range, **splits) -> what samples are compared with, made once a run
                  from the `Examples` of these splits. Of features: reference(**splits), of
                  their `features.Activations`; not there where there are no splits
    score(samples, reference) -> a NamedTuple: `value`, the score itself; where there is
                  one its error, by a name of `evaluation.SPREADS`; then whatever else
                  the value rests on
    selection(samples, reference) -> float, higher is better: chooses the best checkpoint
"""

from tfgan_papers.metrics import (
    bound,
    class_accuracy,
    classification_error,
    classifier_score,
    coverage,
    diversity,
    frechet_distance,
    inception_score,
    kde_modes,
    kernel_distance,
    mode_coverage,
    nearest_class,
    parzen_window,
    precision_recall,
    two_sample,
)

METRICS = {
    "parzen_window": parzen_window,
    "mode_coverage": mode_coverage,
    "kde_modes": kde_modes,
    "test_error": classification_error,
    "bound": bound,
    "inception_score": inception_score,
    "classifier_score": classifier_score,
    "frechet_distance": frechet_distance,
    "kernel_distance": kernel_distance,
    "precision_recall": precision_recall,
    "two_sample": two_sample,
    "nearest_class": nearest_class,
    "class_accuracy": class_accuracy,
    "diversity": diversity,
    "coverage": coverage,
}
