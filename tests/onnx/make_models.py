#!/usr/bin/env python3
"""Makes the ONNX files of this folder with PyTorch, and beside each what PyTorch computes.

    pip install torch onnx onnxscript onnxruntime safetensors
    python3 make_models.py [FOLDER]

NAME.onnx (and NAME-head.onnx) are exported networks with random weights; NAME.safetensors holds `image`, u8 [rows, columns,
3], and what the network computes of it: `features`, f32 [rows, columns, channels], and `logits`, f32 [classes], where the
pyramid is taken over the whole feature map. Nothing but the seed decides the numbers; other versions of PyTorch may name or
fold nodes differently.
"""

import pathlib
import sys
import warnings

import onnx
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HEIGHT, WIDTH, CLASSES = 36, 48, 5


def conv(inputs, outputs, kernel=3, stride=1, dilation=1, groups=1, bias=True, padding=None):
    padding = dilation * (kernel // 2) if padding is None else padding
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)


def conv_bn(inputs, outputs, activation=nn.ReLU, **more):
    layers = [conv(inputs, outputs, bias=False, **more), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def classifier(channels, hidden=16):
    return nn.Sequential(
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, CLASSES)
    )


class Block(nn.Module):
    """A residual block."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.first = conv_bn(inputs, outputs, stride=stride)
        self.second = conv_bn(outputs, outputs, activation=None)
        straight = stride == 1 and inputs == outputs
        self.short = nn.Identity() if straight else conv_bn(inputs, outputs, None, kernel=1, stride=stride)

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.short(x))


class Inverted(nn.Module):
    """An inverted residual block."""

    def __init__(self, channels, factor):
        super().__init__()
        wide = channels * factor
        self.layers = nn.Sequential(
            conv_bn(channels, wide, nn.ReLU6, kernel=1),
            conv_bn(wide, wide, nn.ReLU6, groups=wide),
            conv_bn(wide, channels, None, kernel=1),
        )

    def forward(self, x):
        return x + self.layers(x)


class Preactivation(nn.Module):
    """Normalization and activation before the convolution, as in ResNet v2; what is added is also normalized."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = conv(channels, channels)

    def forward(self, x):
        return x + self.conv(F.relu(self.norm(x)))


class Normalized(nn.Module):
    """A network with the normalization of its input inside."""

    def __init__(self, layers):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.layers = layers

    def forward(self, x):
        return self.layers((x - self.mean) / self.std)


class Pyramid(nn.Module):
    """A pyramid of levels 3 and 1 over a map of 9x9 cells: pooled, flattened, concatenated, classified."""

    def __init__(self, channels):
        super().__init__()
        self.hidden = nn.Linear(10 * channels, 16)
        self.classes = nn.Linear(16, CLASSES)

    def forward(self, x):
        levels = [F.max_pool2d(x, 3), F.adaptive_max_pool2d(x, 1)]
        return self.classes(F.relu(self.hidden(torch.cat([level.flatten(1) for level in levels], 1))))


class LevelsHead(nn.Module):
    """A head that reads two pyramid levels."""

    def __init__(self, channels):
        super().__init__()
        self.hidden = nn.Linear(5 * channels, 16)
        self.norm = nn.BatchNorm1d(16)
        self.classes = nn.Linear(16, CLASSES, bias=False)

    def forward(self, level_2, level_1):
        vector = torch.cat([level_2.flatten(1), level_1.flatten(1)], 1)
        return F.softmax(self.classes(F.relu(self.norm(self.hidden(vector)))), 1)

    levels = (2, 1)
    names = ["level_2", "level_1"]

    def inputs(self, features):
        return tuple(F.adaptive_max_pool2d(features, level) for level in self.levels)


class DesignA(nn.Module):
    """Segment and region pathway over whole vectors in the project's order; the region comes first."""

    levels = (3, 2, 1)
    names = ["segment_vector", "region_vector"]

    def __init__(self, channels):
        super().__init__()
        length = sum(level * level for level in self.levels) * channels
        self.segment = nn.Sequential(nn.Linear(length, 16), nn.ReLU())
        self.region = nn.Sequential(nn.Linear(length, 12), nn.ReLU())
        self.joint = nn.Sequential(nn.Linear(28, 14), nn.ReLU(), nn.Linear(14, CLASSES))

    def forward(self, segment, region):
        return self.joint(torch.cat([self.region(region), self.segment(segment)], 1))

    def inputs(self, features):
        levels = [F.adaptive_max_pool2d(features, level).permute(0, 2, 3, 1).flatten(1) for level in self.levels]
        vector = torch.cat(levels, 1)
        return vector, vector.clone()


def networks():
    """Name, size of the image, backbone, head."""
    size = (HEIGHT, WIDTH)
    yield "vgg", size, nn.Sequential(
        conv(3, 8), nn.ReLU(), conv(8, 8), nn.ReLU(), nn.MaxPool2d(2),
        conv(8, 16), nn.ReLU(), conv(16, 16), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
    ), classifier(16)
    yield "residual", size, nn.Sequential(
        conv_bn(3, 8, stride=2, kernel=5), nn.MaxPool2d(3, 2, 1), Block(8, 8), Block(8, 16, stride=2), Block(16, 16)
    ), classifier(16)
    yield "separable", size, nn.Sequential(
        conv_bn(3, 8, nn.ReLU6, stride=2), conv_bn(8, 8, nn.ReLU6, groups=8), conv_bn(8, 12, None, kernel=1),
        Inverted(12, 3), conv_bn(12, 24, nn.ReLU6, kernel=1),
    ), classifier(24)
    yield "dilated", size, nn.Sequential(
        conv(3, 8, stride=2), nn.ReLU(), conv(8, 12, stride=2), nn.ReLU(),
        conv(12, 12, dilation=2), nn.ReLU(), conv(12, 12, dilation=3), nn.ReLU(),
    ), LevelsHead(12)
    yield "batchnorm", size, Normalized(nn.Sequential(
        conv(3, 8, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8), conv(8, 12, stride=2),
        Preactivation(12), Preactivation(12), nn.BatchNorm2d(12), nn.ReLU(),
    )), classifier(12)
    yield "clip", size, nn.Sequential(
        conv(3, 8, stride=2), nn.ReLU6(), conv(8, 12, stride=2), nn.Hardtanh(0.0, 6.0), conv(12, 12), nn.MaxPool2d(2), nn.ReLU6()
    ), nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 16), nn.ReLU6(), nn.Linear(16, CLASSES))
    yield "average", size, nn.Sequential(
        conv(3, 8), nn.ReLU(), nn.AvgPool2d(2), conv(8, 12), nn.ReLU(), nn.AvgPool2d(3, 2, 1),
        conv(12, 12), nn.ReLU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(2, ceil_mode=True),
    ), classifier(12)
    yield "grouped", size, nn.Sequential(
        conv(3, 8, stride=2, bias=False), nn.ReLU(), conv(8, 16, stride=2, groups=4), nn.ReLU(), conv(16, 16, groups=2, kernel=5), nn.ReLU()
    ), classifier(16)
    yield "strided", size, nn.Sequential(
        conv(3, 8, kernel=4, stride=2, padding=1), nn.ReLU(), conv(8, 12, kernel=2, stride=2), nn.ReLU(), conv(12, 16, kernel=1, stride=2), nn.ReLU()
    ), classifier(16)
    yield "design-a", size, nn.Sequential(
        conv(3, 8, stride=2), nn.ReLU(), conv(8, 12, stride=2), nn.ReLU()
    ), DesignA(12)
    yield "pyramid", (36, 36), nn.Sequential(
        conv(3, 8, stride=2), nn.ReLU(), conv(8, 12, stride=2), nn.ReLU()
    ), Pyramid(12)


def settle(network, image):
    """Random statistics and weights with which values of every layer stay near 1."""
    generator = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in [
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5), (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0)
            ]:
                tensor.data.uniform_(low, high, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    network.eval()


def picture(height, width):
    """Waves and noise, u8 [rows, columns, 3]."""
    generator = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(rows * a + columns * b + c) for a, b, c in [(0.21, 0.1, 0.0), (0.05, -0.3, 1.0), (-0.4, 0.17, 2.0)]]
    noise = torch.randn(height, width, 3, generator=generator) * 25
    return (torch.stack(waves, 2) * 90 + 120 + noise).clamp(0, 255).round().to(torch.uint8)


def export(network, inputs, path, names, dynamo):
    training = {} if dynamo else {"do_constant_folding": path.stem != "batchnorm", "training": torch.onnx.TrainingMode.PRESERVE}
    torch.onnx.export(network, inputs, path, input_names=names, dynamo=dynamo, external_data=False, verbose=False, **training)
    save(onnx.load(path), path)


def save(model, path):
    """Saves without the notes about the exporting program, which hold paths of the machine."""
    del model.metadata_props[:]
    for item in [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer, model.graph]:
        del item.metadata_props[:]
        item.doc_string = ""
    onnx.save(model, path)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    for index, (name, size, backbone, head) in enumerate(networks()):
        pixels = picture(*size)
        image = (pixels.float() / 255).permute(2, 0, 1)[None]
        whole = nn.Sequential(backbone, head)
        settle(whole, image)
        with torch.no_grad():
            features = backbone(image)
            inputs = head.inputs(features) if hasattr(head, "inputs") else (features,)
            logits = head(*inputs)
        # Both exporters of PyTorch: that of TorchScript and the newer one.
        dynamo = index % 2 == 1 and name != "batchnorm"
        if hasattr(head, "inputs"):
            export(backbone, (image,), folder / f"{name}.onnx", ["image"], dynamo)
            export(head, inputs, folder / f"{name}-head.onnx", head.names, dynamo)
        else:
            export(whole, (image,), folder / f"{name}.onnx", ["image"], dynamo)
        if isinstance(head, LevelsHead):
            logits = logits.log()
        save_file(
            {"image": pixels, "features": features[0].permute(1, 2, 0).contiguous(), "logits": logits[0]},
            folder / f"{name}.safetensors",
        )


if __name__ == "__main__":
    main()
