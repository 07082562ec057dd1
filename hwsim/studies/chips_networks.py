"""The networks that published chips were measured on, as operator graphs without numbers.

Sizes are those of the papers. Of TPUv1's six production networks only the number of layers, of weights, the batch
and the operations a weight byte are published: their layers are taken to be square and equal, which sets up every
product from these four numbers and one rule. Batch norms are folded into their convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from hwsim.trace import Workload
from hwsim.workloads.network import Network


def alexnet_convolutions(images: int = 4) -> Workload:
    """The five convolutions of AlexNet as Eyeriss ran them: each alone, its groups as published."""
    net = Network("alexnet")
    outputs = []
    for layer, channels, size, filters, kernel, stride, padding, groups in (
        ("conv1", 3, 227, 96, 11, 4, 0, 1),
        ("conv2", 96, 27, 256, 5, 1, 2, 2),
        ("conv3", 256, 13, 384, 3, 1, 1, 1),
        ("conv4", 384, 13, 384, 3, 1, 1, 2),
        ("conv5", 384, 13, 256, 3, 1, 1, 2),
    ):
        x = net.input(images, channels, size, size)
        outputs.append(net.convolution(layer, x, filters, kernel, stride, padding, groups))
    return net.finish(*outputs)


def resnet50(images: int = 1) -> Workload:
    """ResNet-50 as first published: a stage strides in its first 1 x 1 convolution, 3.86 G products.

    ReLU and the residual's addition are part of the convolution whose results they take, as in a machine that does
    both on the way to the memory.
    """
    net = Network("resnet50")
    x = net.convolution("conv1", net.input(images, 3, 224, 224), 64, 7, 2, 3)
    x = net.vector("pool1", "pool", x, shape=(images, 64, 56, 56))
    channels = 64
    for stage, (blocks, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=2):
        for block in range(blocks):
            stride = 2 if stage > 2 and block == 0 else 1
            layer = f"stage{stage}.{block}"
            y = net.convolution(f"{layer}.a", x, inner, 1, stride)
            y = net.convolution(f"{layer}.b", y, inner, 3, 1, 1)
            if channels != 4 * inner:
                x, channels = net.convolution(f"{layer}.skip", x, 4 * inner, 1, stride), 4 * inner
            x = net.convolution(f"{layer}.c", y, 4 * inner, 1, added=x)
    x = net.vector("pool5", "pool", x, shape=(images, channels))
    return net.finish(net.linear("fc", x, 1000))


@dataclass(frozen=True, slots=True)
class Production:
    """What is published of a production network of TPUv1 (ISCA 2017, table 1).

    Attributes:
        layers: layers with weights.
        weights: bytes, one a weight.
        batch: examples at a time.
        intensity: multiply-accumulates a weight byte.
        passes: times the array takes for a row: 2 where activations have 16 bits, which run at half speed (LSTMs; the
            published share of useful products is twice what the published TOPS make of the peak).
    """

    name: str
    layers: int
    weights: float
    batch: int
    intensity: float
    passes: int = 1

    @property
    def width(self) -> int:
        """Side of its square layers."""
        return isqrt(round(self.weights / self.layers))


PRODUCTION = (
    Production("MLP0", 5, 20e6, 200, 200),
    Production("MLP1", 4, 5e6, 168, 168),
    Production("LSTM0", 24, 52e6, 64, 64, passes=2),
    Production("LSTM1", 37, 34e6, 96, 96, passes=2),
    Production("CNN0", 16, 8e6, 8, 2888),
    Production("CNN1", 76, 100e6, 32, 1750),
)


def production(net: Production) -> Workload:
    """A production network as square layers: rows of every product are its intensity, the columns its width.

    A convolution uses a weight byte once for each output pixel of the batch, a linear layer once for each example:
    both times the intensity is the number of rows.
    """
    made = Network(net.name)
    x = made.input(round(net.intensity), net.width)
    for layer in range(net.layers):
        x = made.vector(f"layer{layer}", "relu", made.linear(f"layer{layer}", x, net.width))
    return made.finish(x)
