"""Scores, one a file, by the name that `--metrics` takes."""

from tfgan_papers.metrics import parzen_window

METRICS = {"parzen_window": parzen_window}
