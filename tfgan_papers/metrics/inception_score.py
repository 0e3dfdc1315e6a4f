"""Inception Score (Improved GAN, 2016, Sec. 4): `classifier_score` of an Inception network.

With --features=inception_2015 it is the score of openai/improved-gan's
inception_score/model.py: 8-bit images, 1008 classes, softmax without the bias, 50,000
samples in 10 blocks. The authors report 11.24 +- .12 for CIFAR-10's training images (Table
3). With other networks the arithmetic is the same, but the score is not comparable with
published ones.

Differs: METRICS-2 | Inception Score | exp of the mean divergence over 50,000 samples | ten
    blocks of 5,000, each with its own p(y), softmax without its bias | none | as the code;
    the deviation is over the blocks of one run, not over runs.
"""

from tfgan_papers.metrics.classifier_score import (
    SAMPLES,
    SPLITS,
    Score,
    merge,
    of_block,
    of_state,
    score,
    selection,
)

__all__ = ["SAMPLES", "SPLITS", "Score", "score", "selection"]
__all__ += ["merge", "of_block", "of_state"]

NAME, UNIT = "Inception Score", ""
OF = "features"
NETWORKS = ("inception_2015", "tfgan", "inception_v3")
