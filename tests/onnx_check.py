#!/usr/bin/env python3
"""Runs exported ONNX files in ONNX Runtime and compares every tensor with the core's.

    cargo run --release -p cfm-sim --example onnx_cases -- DIR COUNT
    python3 tests/onnx_check.py CASE [CASE ...] [--require-coverage]
    python3 tests/onnx_check.py --dataset DATASET --model NAME --images N [--cfm PATH]
    python3 tests/onnx_check.py --time CASE

A CASE is a folder that `cfm export vectors` has filled, with folders `qdq`, `qlinear` and `integer` of `cfm export onnx`
in it. Every layer is computed from the core's own input and compared with its output, with and without the runtime's
optimizations; then the three files run as they are. Layers whose multipliers are powers of two, and all layers in the
integer form, must agree to the last bit, the head always. Layers with general multipliers in float forms may be off by
one, in at most one element of 10000; how often they are is printed. Files with deliberate faults must not pass.

With `--dataset`, photographs of its split `val` go through `model.onnx`, the logits through the core's labelling
(`cfm segment --logits`), and the label maps must be those of `cfm segment`. With `--time`, the backbone is timed on one
thread. Exits 1 on a difference, 2 when something is missing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    print(f"missing: {error.name} (python3 -m pip install numpy onnx onnxruntime)", file=sys.stderr)
    sys.exit(2)

FORMATS = ("qdq", "qlinear", "integer")
# Of the elements of layers with general multipliers, in float forms.
MOST_OFF_BY_ONE = 1e-4


def products_saturate():
    """Whether this is an x86 processor without VNNI, on which products of u8 and i8 saturate unless an option is set."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return True
    return "avx2" in flags and not {"avx512_vnni", "avx_vnni"} & set(flags)


PRECISE = products_saturate()


def session(model, optimized=True):
    """A session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if PRECISE:
        options.add_session_config_entry("session.x64quantprecision", "1")
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Case:
    """The core's numbers for a model, an image and segments, under the names that the files use."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.description = json.loads((self.folder / "model.json").read_text(encoding="utf-8"))
        described, head, results = (self.description[key] for key in ("tensors", "head", "results"))
        self.layers = self.description["layers"]
        last = len(self.layers)
        names = ["image", *(f"tensor_{i}" for i in range(1, last)), "features"]
        self.tensors = {
            name: self.activations(entry["values"]).transpose(2, 0, 1)[None]
            for name, entry in zip(names, described, strict=True)
        }
        assert np.array_equal(
            self.tensors["image"], self.load(self.description["image"]).transpose(2, 0, 1)[None]
        )
        self.masks = np.stack(list(self.pixels()))
        self.head = {}
        if head["design"] == "B":
            self.head["bin_mask"] = self.load(results["bin_masks"])
        else:
            self.head["mask"] = self.load(results["masks"])
        for path in ("segment", "region"):
            if results[f"{path}_vectors"]:
                self.head[f"{path}_vector"] = self.activations(results[f"{path}_vectors"])
        paths = Counter()
        for layer, entry in zip(head["fully_connected"], results["hidden"]):
            path = layer["path"]
            self.head[f"{path}_fc_{paths[path]}"] = self.activations(entry)
            paths[path] += 1
        self.head["logits"] = self.load(results["logits"])
        # Layers that are allowed to be off by one.
        self.general = {
            name
            for name, layer in zip(names[1:], self.layers)
            if layer["kind"] == "conv2d"
            and (self.load(layer["parameters"]["mantissas"]) != 1 << 14).any()
        }

    def load(self, entry):
        return np.load(self.folder / entry["file"], allow_pickle=False)

    def activations(self, entry):
        """i8 as the files have it."""
        return self.load(entry).view(np.uint8) ^ np.uint8(128)

    def pixels(self):
        height, width, _ = self.description["image"]["shape"]
        maps = [self.load(entry) for entry in self.description["superpixel_maps"]]
        for segment in self.description["segments"]:
            if "runs" in segment:
                mask = np.zeros((height, width), bool)
                for y, x0, x1 in segment["runs"]:
                    mask[y, x0:x1] = True
            else:
                mask = np.isin(maps[segment["map"]], segment["members"])
            yield mask

    def file(self, form, name):
        return onnx.load(str(self.folder / form / f"{name}.onnx"))

    def features(self):
        """What there is of everything that must be covered."""
        head = self.description["head"]
        yield f"design {head['design']}"
        yield f"mask rule {head['mask_rule']}"
        yield f"classifier {head['classifier']}"
        yield "general multipliers" if self.general else "powers of two"
        for layer in self.layers:
            yield layer["kind"]
            if layer["kind"] == "add":
                continue
            window = layer["window"]
            if window["padding"][:2] != window["padding"][2:]:
                yield f"{layer['kind']} with uneven padding"
            if max(window["dilation"]) > 1:
                yield "dilation"
            if layer.get("groups", 1) > 1:
                yield "groups"


MUST_BE_COVERED = {
    *(f"design {design}" for design in ("plain", "A", "B")),
    *(f"mask rule {rule}" for rule in ("average", "max", "nearest", "off")),
    *(f"classifier {kind}" for kind in ("softmax", "svm")),
    *(f"{kind} with uneven padding" for kind in ("conv2d", "max_pool", "avg_pool")),
    *("add", "dilation", "groups", "general multipliers", "powers of two"),
    *("QLinearConv", "ConvInteger", "Conv", "AveragePool", "MaxPool", "Clip in the backbone"),
    *("sum in float", "sum in integers", "mean in float", "mean in integers"),
}


def operators(model):
    """The forms of layers that occur."""
    writers = {node.output[0]: node.op_type for node in model.graph.node}
    for node in model.graph.node:
        kind, source = node.op_type, writers.get(node.input[0])
        if kind in ("QLinearConv", "ConvInteger", "Conv", "MaxPool"):
            yield kind
        elif kind == "AveragePool":
            yield kind
            yield "mean in float" if source == "DequantizeLinear" else "mean in integers"
        elif kind == "Add" and source == "DequantizeLinear":
            yield "sum in float"
        elif kind == "Add" and source == "Mul" and writers.get(node.input[1]) == "Mul":
            yield "sum in integers"
        elif kind == "Clip" and source in ("QLinearConv", "QuantizeLinear"):
            yield "Clip in the backbone"


def cut(model, tensors):
    """The model with these values as inputs; what it computes for them has `.computed` in its name."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for node in model.graph.node:
        if node.output[0] in tensors:
            node.output[0] += ".computed"
    for name, values in tensors.items():
        if name != "image":
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, values.shape))
    return model


def show(model, outputs):
    """The model with these values (by name, with examples) as its outputs."""
    del model.graph.output[:]
    for name, values in outputs.items():
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        shape = [None] * values.ndim
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    return model


class Tally:
    """Comparisons, and what came of them."""

    def __init__(self):
        self.elements = Counter()
        self.off_by_one = Counter()
        self.failures = []

    def compare(self, place, name, computed, expected, general=None):
        """`general` is what off-by-ones are counted under, where they are allowed."""
        if computed.shape != expected.shape or computed.dtype != expected.dtype:
            self.failures.append(f"{place} {name}: {computed.dtype}{computed.shape}")
            return
        kind = general or "exact"
        self.elements[kind] += expected.size
        difference = np.abs(computed.astype(np.int64) - expected)
        wrong = int((difference > (1 if general else 0)).sum())
        if general:
            self.off_by_one[kind] += int((difference == 1).sum())
        if wrong:
            at = tuple(int(i) for i in np.argwhere(difference > (1 if general else 0))[0])
            self.failures.append(
                f"{place} {name}: {wrong} of {expected.size} elements, first at {list(at)}: "
                f"{int(computed[at])} instead of {int(expected[at])}"
            )


def check_layers(case, form, model, tally, place, optimized):
    """Every layer of `model.onnx` on the core's own numbers, and the head on the core's feature map."""
    expected = {name: values for name, values in case.tensors.items() if name != "image"}
    model = cut(model, case.tensors)
    shown = {f"{name}.computed": values for name, values in expected.items()} | case.head
    outputs = list(shown)
    # Every other input of the graph is a tensor of the backbone; the feature map is both.
    given = {**case.tensors, "masks": case.masks}
    run = session(show(model, shown), optimized)
    used = {value.name for value in run.get_inputs()}
    for name, values in zip(outputs, run.run(outputs, {k: v for k, v in given.items() if k in used})):
        name = name.removesuffix(".computed")
        general = None
        if name in case.general and form != "integer":
            general = f"{form}, {'optimized' if optimized else 'as it is'}"
        tally.compare(place, name, values, shown.get(name, expected.get(name)), general)


def check_case(case, tally, covered):
    covered.update(case.features())
    for form in FORMATS:
        model, backbone, head = (case.file(form, name) for name in ("model", "backbone", "head"))
        for file in (model, backbone, head):
            onnx.checker.check_model(file, full_check=True)
        covered.update(operators(backbone))
        exact = form == "integer" or not case.general
        for optimized in (True, False):
            place = f"{case.folder.name} {form} {'optimized' if optimized else 'as it is'}"
            check_layers(case, form, model, tally, place, optimized)
            whole = session(model, optimized).run(
                ["logits"], {"image": case.tensors["image"], "masks": case.masks}
            )
            features = session(backbone, optimized).run(["features"], {"image": case.tensors["image"]})
            if exact:
                tally.compare(place, "model.onnx", whole[0], case.head["logits"])
                tally.compare(place, "backbone.onnx", features[0], case.tensors["features"])
            vectors = {n: v for n, v in case.head.items() if n in ("segment_vector", "region_vector")}
            logits = session(head, optimized).run(["logits"], vectors)
            tally.compare(place, "head.onnx", logits[0], case.head["logits"])


def faults(model):
    """Copies of a model with one thing wrong each."""

    def changed(pick, change):
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        tensor = next(t for t in copy.graph.initializer if pick(t))
        values = numpy_helper.to_array(tensor).copy()
        values[...] = change(values)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return copy

    yield "a flipped zero point", changed(
        lambda t: t.data_type == TensorProto.UINT8 and not t.dims, lambda z: z ^ 128
    )
    yield "weights with the wrong sign", changed(lambda t: t.name.endswith(".weights"), lambda w: -w)
    yield "mirrored rows of pixels", changed(
        lambda t: t.data_type == TensorProto.FLOAT and len(t.dims) == 2, lambda m: m[::-1]
    )
    yield "wrong biases of the logits", changed(lambda t: t.name == "logits.bias", lambda b: b + (1 << 20))


def check_faults(case, tally):
    model = case.file("qdq", "model")
    for name, faulty in faults(model):
        found = Tally()
        check_layers(case, "qdq", faulty, found, case.folder.name, True)
        if not found.failures:
            tally.failures.append(f"{case.folder.name}: {name} is not noticed")
        else:
            print(f"fault: {name}: {found.failures[0]}")


def check_cases(folders, require_coverage):
    tally, covered = Tally(), set()
    for folder in folders:
        case = Case(folder)
        check_case(case, tally, covered)
        if case.folder == Path(folders[0]):
            check_faults(case, tally)
    print(f"{len(folders)} cases, {tally.elements['exact']} elements that must be equal")
    for kind in sorted(set(tally.elements) - {"exact"}):
        elements, off = tally.elements[kind], tally.off_by_one[kind]
        rate = off / elements
        print(f"general multipliers, {kind}: {off} of {elements} off by one, {rate * 1e6:.1f} in a million")
        if rate > MOST_OFF_BY_ONE:
            tally.failures.append(f"{kind}: more than {MOST_OFF_BY_ONE} off by one")
    if require_coverage:
        tally.failures += [f"not covered: {what}" for what in sorted(MUST_BE_COVERED - covered)]
    for failure in tally.failures[:40]:
        print(f"WRONG: {failure}")
    print(f"{len(tally.failures)} differences")
    return 1 if tally.failures else 0


def check_dataset(dataset, model, images, cfm):
    """Label maps of photographs by way of ONNX Runtime and the core's labelling, against the core's own."""
    ids = (dataset / "val.txt").read_text(encoding="utf-8").split()
    count = min(images, len(ids))
    ids = [ids[i * len(ids) // count] for i in range(count)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sessions = {}
        for at, name in enumerate(ids):
            photo = next((dataset / "images").glob(f"{name}.*"))
            segment = [cfm, "segment", photo, "--model", model, "--out", folder / "overlay.png"]
            run([*segment, "--labels", folder / "core.pgm"])
            line = f"{name}:"
            for form in FORMATS:
                run([cfm, "export", "onnx", photo, "--model", model, "--out", folder, "--format", form])
                if form not in sessions:
                    sessions[form] = session(onnx.load(str(folder / "model.onnx")))
                inputs = {key: np.load(folder / f"{key}.npy") for key in ("image", "masks")}
                logits = sessions[form].run(["logits"], inputs)[0]
                np.save(folder / "onnx.npy", logits)
                labels = ["--logits", folder / "onnx.npy", "--labels", folder / "onnx.pgm"]
                run([*segment, *labels])
                different = int((logits != np.load(folder / "logits.npy")).sum())
                same = (folder / "onnx.pgm").read_bytes() == (folder / "core.pgm").read_bytes()
                line += f" {form} {different} of {logits.size} logits differ,"
                line += " same labels;" if same else " OTHER LABELS;"
                wrong += different > 0 or not same
            print(f"{at + 1}/{len(ids)} {line}", flush=True)
    print(f"{len(ids)} photographs, {wrong} label maps or logits that differ")
    return 1 if wrong or not ids else 0


def run(command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def measure(folder, repetitions=40):
    case = Case(folder)
    image = {"image": case.tensors["image"]}
    for form in FORMATS:
        runner = session(case.file(form, "backbone"))
        best = min(timed(lambda: runner.run(["features"], image)) for _ in range(repetitions))
        print(f"{case.folder.name} backbone, {form}, one thread: {best * 1000:.2f} ms")
    return 0


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--require-coverage", action="store_true")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--model", default="street")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--cfm", default="target/release/cfm")
    parser.add_argument("--time")
    arguments = parser.parse_args()
    try:
        if arguments.dataset:
            return check_dataset(arguments.dataset, arguments.model, arguments.images, arguments.cfm)
        if arguments.time:
            return measure(arguments.time)
        if not arguments.cases:
            parser.error("which cases?")
        return check_cases(arguments.cases, arguments.require_coverage)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"onnx_check: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
