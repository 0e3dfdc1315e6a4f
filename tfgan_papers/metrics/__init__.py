"""Scores, one a file, by the name that `--metrics` takes.

A score is a module with

    NAME, UNIT    for people and records
    LESS_IS_BETTER  True, where it is so
    SAMPLES       how many samples it takes; 0: it is of the model's classifier, and takes
                  that, images -> logits (batch, classes), in their place
    SPLITS        the splits it needs, of "train", "validation", "test"
    reference(value_range, **splits) -> what samples are compared with, made once a run
                  from the `Examples` of these splits
    score(samples, reference) -> a NamedTuple: `value`, the score itself; where there is
                  one its `standard_error`; then whatever else the value rests on
    selection(samples, reference) -> float, higher is better: chooses the best checkpoint

`samples` are float32 (SAMPLES, ...) in the network's value range.
"""

from tfgan_papers.metrics import mode_coverage, parzen_window, test_error

METRICS = {
    "parzen_window": parzen_window,
    "mode_coverage": mode_coverage,
    "test_error": test_error,
}
