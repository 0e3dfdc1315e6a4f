"""Layers that Keras lacks."""

from tfgan_papers.layers.labels import OneHot
from tfgan_papers.layers.maxout import CeilMaxPool2D, Maxout, MaxoutConv2D, PixelBias
from tfgan_papers.layers.minibatch_discrimination import MinibatchDiscrimination
from tfgan_papers.layers.stochastic import Dropout, GaussianNoise
from tfgan_papers.layers.strided import DownConv2D, UpConv2D
from tfgan_papers.layers.virtual_batch_normalization import (
    REFERENCE_GAIN_STD,
    ScaledNormalization,
    VirtualBatchNormalization,
    WithoutReference,
    WithReference,
)
from tfgan_papers.layers.weight_normalization import WeightNormalization

__all__ = [
    "REFERENCE_GAIN_STD",
    "CeilMaxPool2D",
    "DownConv2D",
    "Dropout",
    "GaussianNoise",
    "Maxout",
    "MaxoutConv2D",
    "MinibatchDiscrimination",
    "OneHot",
    "PixelBias",
    "ScaledNormalization",
    "UpConv2D",
    "VirtualBatchNormalization",
    "WeightNormalization",
    "WithReference",
    "WithoutReference",
]
