"""State dicts, inputs and outputs of small modules, by the PyTorch that runs this.

    pip install torch==2.13.0 numpy && python tests/golden/pytorch/write.py

Writes `torch<version>/<net>.npz`: the arrays of the state dict by their names, and `:input` and
`:output` of one call in evaluation mode. Statistics of normalisations are set, too, so that none of
them is what a new layer has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

Batch = tuple[nn.Module, torch.Tensor]


class Lenet(nn.Module):
    """Convolutions, and matrices behind a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc1 = nn.Linear(6 * 3 * 2, 10)
        self.norm = nn.BatchNorm1d(10)
        self.fc2 = nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.flatten(torch.relu(self.conv2(x)), 1)
        return self.fc2(torch.relu(self.norm(self.fc1(x))))


class Block(nn.Module):
    """Of a residual network."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(x + short)


class Resnet(nn.Module):
    """Two stages of residual blocks, as torchvision names them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 8, 2), Block(8, 8, 1))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer2(self.layer1(x)).mean((2, 3)))


class Separable(nn.Module):
    """Depthwise, grouped and pointwise convolutions, and a matrix where Keras has a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 8, 3, padding=1, groups=4)
        self.slope = nn.PReLU(8)
        self.pointwise = nn.Conv2d(8, 6, 1)
        self.grouped = nn.Conv2d(6, 8, 3, groups=2, bias=False)
        self.norm = nn.GroupNorm(4, 8)
        self.mixing = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pointwise(self.slope(self.depthwise(x)))
        x = self.norm(self.grouped(x)).permute(0, 2, 3, 1)
        return self.mixing(x)


class Volume(nn.Module):
    """A volume, and then a line."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(2, 3, (3, 2, 2))
        self.up = nn.ConvTranspose3d(3, 2, 2, 2)
        self.conv1d = nn.Conv1d(2, 4, 3, dilation=2)
        self.up1d = nn.ConvTranspose1d(4, 3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.conv3d(x)).flatten(2)
        return self.up1d(self.conv1d(x)).transpose(1, 2)


class Generator(nn.Module):
    """A code that becomes an image."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(5, 6 * 3 * 2)
        self.bn = nn.BatchNorm1d(36)
        self.up1 = nn.ConvTranspose2d(6, 4, 4, 2, padding=1)
        self.up2 = nn.ConvTranspose2d(4, 3, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.project(x))).view(-1, 6, 3, 2)
        return self.up2(torch.relu(self.up1(x))).permute(0, 2, 3, 1)


class Tagger(nn.Module):
    """Embeddings, two layers of LSTM in both directions, and a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tags(self.lstm(self.words(x))[0])


class Recurrent(nn.Module):
    """A GRU, a plain one, and an LSTM without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.rnn = nn.RNN(5, 4, batch_first=True)
        self.lstm = nn.LSTM(4, 6, batch_first=True, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.rnn(self.gru(x)[0])[0])[0]


class Transformer(nn.Module):
    """Layers of an encoder, as PyTorch has them."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.encoder(x))


class Vgg(nn.Module):
    """Modules that their numbers in a container tell apart, and a flattened image between them."""

    def __init__(self) -> None:
        super().__init__()
        parts = [(nn.Conv2d(size, 4, 3), nn.BatchNorm2d(4), nn.ReLU()) for size in (3, 4)]
        self.features = nn.Sequential(*parts[0], *parts[1], nn.AvgPool2d(2))
        middle = [nn.Linear(4, 4), nn.ReLU()]
        self.classifier = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), *middle, nn.Linear(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


class Autoencoder(nn.Module):
    """An image that becomes a vector, and again an image."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, 2, padding=1)
        self.encode = nn.Linear(48, 5)
        self.decode = nn.Linear(5, 48)
        self.up = nn.ConvTranspose2d(4, 1, 4, 2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.decode(self.encode(torch.relu(self.down(x)).flatten(1)))
        return self.up(x.view(-1, 4, 4, 3)).permute(0, 2, 3, 1)


class Cross(nn.Module):
    """Attention to keys and values of other sizes, and a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4, kdim=5, vdim=6, batch_first=True)
        self.cell = nn.LSTMCell(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention(x, x[:, :, :5], x[:, :, :6])[0]
        state = (torch.zeros(len(x), 3), torch.zeros(len(x), 3))
        for place in range(x.shape[1]):
            state = self.cell(x[:, place], state)
        return state[0]


def perceptron() -> Batch:
    """Layers of the same shapes, which their numbers alone tell apart."""
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [nn.Linear(6, 6), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(6, 2)), torch.randn(3, 6)


NETS: dict[str, Callable[[], Batch]] = {
    "autoencoder": lambda: (Autoencoder(), torch.randn(2, 1, 8, 6)),
    "cross": lambda: (Cross(), torch.randn(2, 3, 8)),
    "generator": lambda: (Generator(), torch.randn(3, 5)),
    "lenet": lambda: (Lenet(), torch.randn(3, 3, 10, 8)),
    "perceptron": perceptron,
    "recurrent": lambda: (Recurrent(), torch.randn(3, 4, 3)),
    "resnet": lambda: (Resnet(), torch.randn(2, 3, 32, 32)),
    "separable": lambda: (Separable(), torch.randn(3, 4, 6, 5)),
    "tagger": lambda: (Tagger(), torch.randint(0, 11, (3, 5))),
    "transformer": lambda: (Transformer(), torch.randn(3, 4, 8)),
    "vgg": lambda: (Vgg(), torch.randn(2, 3, 8, 8)),
    "volume": lambda: (Volume(), torch.randn(2, 2, 4, 4, 3)),
}


def main() -> None:
    """Write those that are not there yet."""
    folder = Path(__file__).parent / f"torch{torch.__version__.partition('+')[0]}"
    folder.mkdir(exist_ok=True)
    for name, make in NETS.items():
        if (folder / f"{name}.npz").exists():
            continue  # what is committed is never written again
        torch.manual_seed(len(name))
        net, batch = make()
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2)
            if isinstance(module, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)):
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
        with torch.no_grad():
            output = net.eval()(batch)
        arrays = {key: value.numpy() for key, value in net.state_dict().items()}
        told = {":input": batch.numpy(), ":output": output.numpy()}
        np.savez_compressed(folder / f"{name}.npz", **arrays, **told)


if __name__ == "__main__":
    main()
