"""The same training steps in eager PyTorch, as a user would write them.

Each network's update generates and scores its own samples. Otherwise networks, losses and
optimizers are those of the setting of the same name in timed_settings.py. Each function
returns a step, a function without arguments.
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
    """Returns a step that updates D on new samples, then G on other samples."""
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
        drawn_from(torch.randn(100_000, 2), 512),
        least_squares,
        lambda fake: ((fake - 1) ** 2).mean() / 2,
    )


class First(nn.Module):
    """A linear layer from latents to 4x4 feature maps."""

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


class NoisyClassifier(nn.Module):
    """Improved GAN's discriminator for MNIST: weight-normalized layers with noise."""

    def __init__(self):
        super().__init__()
        sizes = (784, 1000, 500, 250, 250, 250)
        norm = nn.utils.parametrizations.weight_norm
        pairs = zip(sizes, sizes[1:], strict=False)
        self.layers = nn.ModuleList(norm(nn.Linear(*pair)) for pair in pairs)
        self.logits = norm(nn.Linear(250, 10))

    def forward(self, x):
        """Returns (features of the last hidden layer, logits)."""
        x = x + 0.3 * torch.randn_like(x)
        for layer in self.layers:
            features = layer(x).relu()
            x = features + 0.5 * torch.randn_like(features)
        return features, self.logits(x)


def improved_gan_mnist():
    discriminator, layers = NoisyClassifier(), []
    for inputs in (100, 500):
        layers += [nn.Linear(inputs, 500), nn.BatchNorm1d(500), nn.Softplus()]
    generator = nn.Sequential(*layers, nn.Linear(500, 784), nn.Sigmoid())
    images = torch.rand(10_000, 784)
    return semi_supervised_step(
        (generator, discriminator), 3e-3, images, lambda x, y: ((x - y) ** 2).mean()
    )


def semi_supervised_step(networks, rate, images, distance):
    """Returns a step that updates D on labelled and unlabelled images and on samples, then
    G on features."""
    generator, discriminator = networks
    labels = torch.randint(0, 10, (len(images),))
    d_optimizer, g_optimizer = (
        torch.optim.Adam(n.parameters(), rate, (0.5, 0.999))
        for n in (discriminator, generator)
    )

    def step():
        labelled, unlabelled, others = torch.randint(0, len(images), (3, 100))
        with torch.no_grad():
            fake = generator(torch.rand(100, 100))
        of_labelled = discriminator(images[labelled])[1]
        real, of_fake = (
            discriminator(x)[1].logsumexp(1) for x in (images[unlabelled], fake)
        )
        loss = nn.functional.cross_entropy(of_labelled, labels[labelled])
        loss = loss + ((softplus(real) - real).mean() + softplus(of_fake).mean()) / 2
        d_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        d_optimizer.step()
        of_data = discriminator(images[others])[0].mean(0)
        of_samples = discriminator(generator(torch.rand(100, 100)))[0].mean(0)
        g_optimizer.zero_grad(set_to_none=True)
        distance(of_data, of_samples).backward()
        g_optimizer.step()

    return step


class Classifier(nn.Module):
    """Improved GAN's discriminator for CIFAR-10."""

    def __init__(self):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        layers, inputs = [nn.Dropout(0.2)], 3
        sizes = [(96, 3, s, 1) for s in (1, 1, 2)] + [(192, 3, s, 1) for s in (1, 1, 2)]
        for outputs, *options in (*sizes, (192, 3, 1, 0), (192, 1), (192, 1)):
            layers += [norm(nn.Conv2d(inputs, outputs, *options)), nn.LeakyReLU(0.2)]
            layers += [nn.Dropout(0.5)] if options[:2] == [3, 2] else []
            inputs = outputs
        self.layers, self.logits = nn.Sequential(*layers), norm(nn.Linear(192, 10))

    def forward(self, x):
        features = self.layers(x).mean((2, 3))
        return features, self.logits(features)


def improved_gan_cifar10():
    def up(inputs, outputs):
        return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1)

    first = nn.Linear(100, 8192), nn.BatchNorm1d(8192), nn.ReLU()
    layers = [*first, nn.Unflatten(1, (512, 4, 4))]
    for inputs, outputs in ((512, 256), (256, 128)):
        layers += [up(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU()]
    last = nn.utils.parametrizations.weight_norm(up(128, 3))
    networks = nn.Sequential(*layers, last, nn.Tanh()), Classifier()
    images = torch.rand(10_000, 3, 32, 32) * 2 - 1
    return semi_supervised_step(networks, 3e-4, images, lambda x, y: (x - y).abs().mean())


def convolution(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class Decoder(nn.Module):
    """BEGAN's decoder with skip connections of h_0 and a carry of 0."""

    def __init__(self, levels, n):
        super().__init__()
        self.start, self.shape = nn.Linear(64, 64 * n), (-1, n, 8, 8)
        firsts = [convolution(2 * n if level else n, n) for level in range(levels)]
        seconds = [convolution(n, n) for _ in range(levels)]
        self.firsts, self.seconds = nn.ModuleList(firsts), nn.ModuleList(seconds)
        self.output = convolution(n, 3)

    def forward(self, z):
        x = h_0 = self.start(z).view(self.shape)
        for first, second in zip(self.firsts, self.seconds, strict=True):
            x = x if x is h_0 else torch.cat([x, h_0], 1)
            x = nn.functional.elu(first(x))
            x, h_0 = (nn.functional.interpolate(v, scale_factor=2) for v in (x, h_0))
            x = nn.functional.elu(second(x))
        return self.output(x)


def began_networks(size, n=64):
    """Returns the generator and the autoencoder of papers/began_networks.py."""
    levels = size.bit_length() - 4
    encoder = [convolution(3, n), nn.ELU()]
    for i in range(1, levels + 1):
        encoder += [convolution(i * n, i * n), nn.ELU()]
        encoder += [convolution(i * n, (i + 1) * n, 2), nn.ELU()]
    code = nn.Linear(64 * (levels + 1) * n, 64)
    discriminator = nn.Sequential(*encoder, nn.Flatten(), code, Decoder(levels, n))
    return Decoder(levels, n), discriminator


def began(size):
    generator, discriminator = began_networks(size)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(x.parameters(), 1e-4) for x in (generator, discriminator)
    )
    batch, k = drawn_from(torch.rand(256, 3, size, size) * 2 - 1, 16), 0.0

    def error(images):
        return (discriminator(images) - images).abs().mean()

    def step():
        nonlocal k
        fake = generator(torch.rand(16, 64) * 2 - 1)
        g_optimizer.zero_grad(set_to_none=True)
        error(fake).backward()
        g_optimizer.step()
        real, of_fake = error(batch()), error(fake.detach())
        d_optimizer.zero_grad(set_to_none=True)
        (real - k * of_fake).backward()
        d_optimizer.step()
        k = min(max(k + 1e-3 * (0.5 * real.item() - of_fake.item()), 0.0), 1.0)

    return step


def began32():
    return began(32)


def began64():
    return began(64)
