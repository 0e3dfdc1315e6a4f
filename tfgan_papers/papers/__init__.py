"""The papers, by the name that `--model` takes.

Each has `defaults(dataset, network)`, values of shared flags where the user gives none;
`build(settings, jit_compile, steps_per_execution)`, a compiled model; `LOSSES`, what --loss
may be. Where it needs them: `start(model, examples, value_range)`, before step 1, if not
`improvements.start`;
`minibatches_per_step()`; `stream(examples, batch_size, seed, value_range, first_step)`,
what its model trains on if not `Examples.stream`. What they claim is in claims.py.
"""

from tfgan_papers.papers import autoencoders, began, dcgan, ebgan, gan, improved_gan, lsgan

PAPERS = {
    "gan": gan,
    "dcgan": dcgan,
    "improved_gan": improved_gan,
    "lsgan": lsgan,
    "began": began,
    "ebgan": ebgan,
    "vae": autoencoders,
    "autoencoder": autoencoders,
}
