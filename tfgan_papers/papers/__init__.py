"""The papers, by the name that `--model` takes."""

from tfgan_papers.papers import gan

PAPERS = {"gan": gan}
PLANNED = ("dcgan", "improved_gan", "lsgan", "began", "ebgan", "vae", "autoencoder")
