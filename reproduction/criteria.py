"""Claims that no single score decides: what a record must show, and what it shows.

A criterion is a function of one record in results/. It gives what was found, in words for
the table, and whether that is what the paper says.
"""

from reproduction.criteria_baselines import BASELINES
from reproduction.criteria_began import BEGAN
from reproduction.criteria_gan import GAN
from reproduction.criteria_improved_gan import IMPROVED_GAN
from reproduction.criteria_lsgan import LSGAN

CRITERIA = {**GAN, **IMPROVED_GAN, **LSGAN, **BEGAN, **BASELINES}  # claim -> `Criterion`
