"""The papers, by the name that `--model` takes.

Each has `defaults(dataset, network)`, values of shared flags where the user gives none;
`build(settings, jit_compile, steps_per_execution)`, a compiled model; `LOSSES`, what --loss
may be; `CLAIMS`, its numbers. Where it needs them: `start(model)`, before step 1, and
`minibatches_per_step()`.
"""

from tfgan_papers.papers import began, dcgan, gan, lsgan

PAPERS = {"gan": gan, "dcgan": dcgan, "lsgan": lsgan, "began": began}
PLANNED = ("improved_gan", "ebgan", "vae", "autoencoder")
