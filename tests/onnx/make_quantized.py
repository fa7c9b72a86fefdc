#!/usr/bin/env python3
"""Quantizes some of the ONNX files of this folder with ONNX Runtime, and writes beside each what ONNX Runtime computes.

    pip install onnx onnxruntime safetensors torch
    python3 make_quantized.py [FOLDER]

`image` and `logits` of NAME.safetensors are as make_models.py has them; the logits are those of the quantized network.
"""

import logging
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static
from safetensors.numpy import load_file, save_file

from make_models import save

# Name, float network, format, types of activations and weights, a scale for every output channel.
NETWORKS = [
    ("vgg-qdq", "vgg", QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8, True),
    ("vgg-qoperator", "vgg", QuantFormat.QOperator, QuantType.QUInt8, QuantType.QInt8, False),
    ("vgg-u8", "vgg", QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8, False),
    ("strided-i8", "strided", QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8, True),
    ("residual-qdq", "residual", QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8, True),
]


class Images(CalibrationDataReader):
    """A few images that use the whole range of pixels."""

    def __init__(self, image):
        black, white = np.zeros_like(image), np.ones_like(image)
        self.images = iter([image, image[:, :, ::-1].copy(), black, white])

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": image}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    logging.disable(logging.WARNING)
    for name, source, form, activations, weights, per_channel in NETWORKS:
        pixels = load_file(folder / f"{source}.safetensors")["image"]
        image = (pixels.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        path = folder / f"{name}.onnx"
        with tempfile.TemporaryDirectory() as scratch:
            prepared = pathlib.Path(scratch) / "prepared.onnx"
            quant_pre_process(str(folder / f"{source}.onnx"), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared), str(path), Images(image), quant_format=form, per_channel=per_channel,
                activation_type=activations, weight_type=weights, extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        save(onnx.load(path), path)
        options = onnxruntime.SessionOptions()
        # As the file says, without kernels that saturate or fuse.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        logits = session.run(None, {"image": image})[0][0]
        save_file({"image": pixels, "logits": np.ascontiguousarray(logits)}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
