"""A user's own model, written without any thought of hwsim: a small CNN on scikit-learn's handwritten digits.

``hwsim capture tests/models/digits_cnn.py:build`` takes it as it is. Trained in about a second when first built.
"""

import functools

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


@functools.cache
def data():
    """Training and test images ``[n, 1, 8, 8]`` in 0...1, and their digits."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    train, test = train_test_split(torch.arange(len(labels)), test_size=0.25, random_state=0)
    return (images[train], labels[train]), (images[test], labels[test])


class DigitsCNN(nn.Module):
    """Two convolutions, the second one grouped, and two linear layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=2)
        self.fc1 = nn.Linear(32 * 4 * 4, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


@functools.cache
def trained():
    """Weights after 12 passes over the training images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DigitsCNN()
        images, labels = data()[0]
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(12):
            for some in torch.randperm(len(images)).split(32):
                optimizer.zero_grad()
                loss(model, (images[some], labels[some])).backward()
                optimizer.step()
    return model.state_dict()


def build():
    model = DigitsCNN()
    model.load_state_dict(trained())
    return model.eval()


def batches():
    images, labels = data()[1]
    yield images[:32], labels[:32]


def loss(model, batch):
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


@torch.no_grad()
def metric(model):
    """Share of the test images whose digit is found."""
    images, labels = data()[1]
    return (model(images).argmax(-1) == labels).float().mean().item()
