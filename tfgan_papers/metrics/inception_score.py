"""Inception Score (Improved GAN, 2016, Sec. 4): `classifier_score` of an Inception network.

As openai/improved-gan's inception_score/model.py has it, with --features=inception_2015:
8-bit images, 1008 classes, softmax without its bias, 50,000 samples in 10 blocks. The
authors' data sets give it CIFAR-10's training images 11.24 +- .12 (Table 3). Of other
networks it has the same arithmetic and compares with nothing published.

Differs: METRICS-2 | Inception Score | exp of the mean divergence over 50,000 samples | ten
    blocks of 5,000, each with its own p(y), softmax without its bias | none | as the code;
    the deviation is over the blocks of one run, not over runs.
"""

from tfgan_papers.metrics.classifier_score import SAMPLES, SPLITS, Score, score, selection

__all__ = ["SAMPLES", "SPLITS", "Score", "score", "selection"]

NAME, UNIT = "Inception Score", ""
OF = "features"
NETWORKS = ("inception_2015", "tfgan", "inception_v3")
