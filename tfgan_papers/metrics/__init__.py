"""The scores, one module per score, by their names in `--metrics`.

A score is a module with these names:

    NAME, UNIT    shown to people and written to records; UNIT says if lower is better
    OF            what the score measures:
                  "samples": float32 (n, ...) in the value range of the network;
                  "labelled samples": (samples, the labels given to the generator);
                  "features": the outputs of a feature network for samples as 8-bit
                  images, `features.Activations`;
                  "classifier", "bound", "discriminator": the part of the model of this
                  name, see `GenerativeModel`
    SAMPLES       the number of samples; absent if OF is a part of the model
    SPLITS        the splits that the score needs, of "train", "validation", "test"
    NETWORKS      optional, if OF is "features": the networks that the score allows
    reference(value_range, **splits) -> what samples are compared with, computed once per
                  run from the `Examples` of SPLITS. If OF is "features":
                  reference(**splits), from their `features.Activations`; absent if SPLITS
                  is empty
    score(samples, reference) -> NamedTuple: `value`, the score; its error, if it has one,
                  under a name in `scoring.SPREADS`; then other values that determine it
    selection(samples, reference) -> float, which is highest for the best checkpoint
"""

from tfgan_papers.metrics import (
    bound,
    class_accuracy,
    classification_error,
    classifier_score,
    coverage,
    data_copying,
    diversity,
    frechet_distance,
    inception_score,
    kde_modes,
    kernel_distance,
    linear_features,
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
    "data_copying": data_copying,
    "nearest_class": nearest_class,
    "linear_features": linear_features,
    "class_accuracy": class_accuracy,
    "diversity": diversity,
    "coverage": coverage,
}
