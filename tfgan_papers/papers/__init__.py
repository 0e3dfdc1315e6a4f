"""The papers, by the name that `--model` takes."""

from tfgan_papers.papers import (
    autoencoders,
    began,
    dcgan,
    ebgan,
    gan,
    improved_gan,
    lsgan,
)

PAPERS = {
    paper.name: paper
    for paper in (
        gan.PAPER,
        dcgan.PAPER,
        improved_gan.PAPER,
        lsgan.PAPER,
        began.PAPER,
        ebgan.PAPER,
        autoencoders.PAPER,
        autoencoders.AUTOENCODER,
    )
}
