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


def least_squares(real, fake):
    return ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2


def lsgan_ring():
    def network(inputs, outputs):
        layers = [nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(128, outputs))

    networks = network(256, 2), network(2, 1)
    rates = zip(networks, (1e-3, 1e-4), strict=True)
    return two_pass_step(
        networks,
        [torch.optim.Adam(n.parameters(), rate, (0.5, 0.999)) for n, rate in rates],
        lambda: torch.randn(512, 256),
        drawn_from(torch.randn(5_000, 2), 512),
        least_squares,
        lambda fake: ((fake - 1) ** 2).mean() / 2,
    )


class First(nn.Module):
    """Latents to maps of 4x4."""

    def __init__(self, latent_dim, channels):
        super().__init__()
        self.linear, self.shape = nn.Linear(latent_dim, 16 * channels), (-1, channels, 4, 4)

    def forward(self, z):
        return self.linear(z).view(self.shape)


def lsgan_dcgan64():
    ups, widths = [], (512, 256, 128, 64)
    for inputs, outputs in zip(widths, (*widths[1:], 3), strict=True):
        ups += [nn.BatchNorm2d(inputs), nn.ReLU()]
        ups += [nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1)]
    downs = [nn.Conv2d(3, 64, 5, 2, 2), nn.LeakyReLU(0.2)]
    for outputs in (128, 256, 512):
        downs += [nn.Conv2d(outputs // 2, outputs, 5, 2, 2)]
        downs += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    generator = nn.Sequential(First(1024, 512), *ups, nn.Tanh())
    discriminator = nn.Sequential(*downs, nn.Flatten(), nn.Linear(8192, 1))
    networks = generator, discriminator
    return two_pass_step(
        networks,
        [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in networks],
        lambda: torch.rand(64, 1024) * 2 - 1,
        drawn_from(torch.rand(512, 3, 64, 64) * 2 - 1, 64),
        least_squares,
        lambda fake: ((fake - 1) ** 2).mean() / 2,
    )
