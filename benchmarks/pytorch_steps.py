"""What a user would write instead: each training step in eager PyTorch.

Fakes are made and judged twice, once for each network's update; otherwise networks,
losses and optimizers are those of the configuration of the same name in step_times.py.
Each function gives a step to call.
"""

import os

import torch
from torch import nn
from torch.nn.functional import softplus

torch.set_num_threads(os.cpu_count())


class Maxout(nn.Module):
    def __init__(self, inputs, units, pieces):
        super().__init__()
        self.linear, self.shape = nn.Linear(inputs, units * pieces), (-1, units, pieces)

    def forward(self, x):
        return self.linear(x).view(self.shape).amax(-1)


def two_pass_step(networks, optimizers, latents, batch, d_loss, g_loss):
    """D against fresh fakes, then G on others."""
    generator, discriminator = networks
    g_optimizer, d_optimizer = optimizers

    def step():
        real = batch()
        with torch.no_grad():
            fake = generator(latents())
        loss = d_loss(discriminator(real), discriminator(fake))
        d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        d_optimizer.step()
        loss = g_loss(discriminator(generator(latents())))
        g_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        g_optimizer.step()

    return step


def drawn_from(images, size):
    return lambda: images[torch.randint(0, len(images), (size,))]


def cross_entropy(real, fake):
    return softplus(-real).mean() + softplus(fake).mean()


def gan_mnist():
    generator = nn.Sequential(
        nn.Linear(100, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(),
        nn.Linear(1200, 784), nn.Sigmoid(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Dropout(0.2), Maxout(784, 240, 5), nn.Dropout(0.5), Maxout(240, 240, 5),
        nn.Dropout(0.5), nn.Linear(240, 1),
    )  # fmt: skip
    networks = generator, discriminator
    return two_pass_step(
        networks,
        [torch.optim.SGD(n.parameters(), 0.1, momentum=0.5) for n in networks],
        lambda: (torch.rand(100, 100) * 2 - 1) * 3**0.5,
        drawn_from(torch.rand(50_000, 784), 100),
        lambda real, fake: cross_entropy(real, fake) / 2,
        lambda fake: softplus(-fake).mean(),
    )
