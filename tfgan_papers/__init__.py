"""GAN (2014), Improved GAN (2016), LSGAN (2016), BEGAN (2017), and their baselines, as
Keras models.

    from tfgan_papers import BEGAN

`load("gan_digits")` gives a trained generator. Classes and submodules are imported when
they are first used; none of them defines a flag.
"""

import importlib

_NAMES = {
    "GAN": "papers.gan",
    "DCGAN": "papers.dcgan",
    "ImprovedGAN": "papers.improved_gan",
    "LSGAN": "papers.lsgan",
    "BEGAN": "papers.began",
    "EBGAN": "papers.ebgan",
    "VAE": "papers.autoencoders",
    "Autoencoder": "papers.autoencoders",
    "load": "pretrained",
}
_MODULES = ("callbacks", "data", "layers", "losses", "metrics", "optimizers", "papers")

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name):
    if name in _NAMES:
        module = importlib.import_module(f"tfgan_papers.{_NAMES[name]}")
        return getattr(module, name)
    if name in _MODULES:
        return importlib.import_module(f"tfgan_papers.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
