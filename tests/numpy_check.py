#!/usr/bin/env python3
"""Recomputes everything in a folder of golden vectors, in numpy, and compares.

    cfm export vectors IMAGE --out DIR
    python3 tests/numpy_check.py DIR [DIR ...]

Prints one line per array (elements, mismatches). Exits 1 on a difference, 2 when something is missing. Everything is
integer arithmetic, written from the arithmetic contract and `model.json` alone.
"""

import json
import math
import sys
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("missing: numpy (python3 -m pip install numpy)", file=sys.stderr)
    sys.exit(2)

VOID = 255


class Vectors:
    """The arrays of a folder, and the comparisons made with them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.model = json.loads((self.folder / "model.json").read_text(encoding="utf-8"))
        if self.model["format"] != "cfm-vectors" or self.model["version"] != 2:
            raise ValueError(f"{folder}: not a folder of vectors of version 2")
        self.mismatches = 0
        self.compared = 0

    def load(self, entry):
        array = np.load(self.folder / entry["file"], allow_pickle=False)
        if list(array.shape) != entry["shape"] or array.dtype != np.dtype(entry["dtype"]):
            raise ValueError(f"{entry['file']}: {array.dtype}{array.shape} is not what model.json says")
        return array

    def compare(self, name, computed, entry):
        expected = self.load(entry)
        computed = np.asarray(computed)
        if computed.size == 0 and expected.size == 0:
            return
        if computed.shape != expected.shape:
            different = max(computed.size, expected.size)
            first = f"shape {computed.shape} instead of {expected.shape}"
        else:
            where = np.argwhere(computed.astype(np.int64) != expected.astype(np.int64))
            different = len(where)
            if different:
                at = tuple(int(i) for i in where[0])
                first = f"first at {list(at)}: numpy {int(computed[at])}, vectors {int(expected[at])}"
        line = f"{name:24} {expected.size:>10} elements {different:>9} mismatches"
        print(line if different == 0 else f"{line}  {first}")
        self.mismatches += different
        self.compared += expected.size


def rne(value, shift):
    """value / 2^shift, to nearest, ties to even; arrays of int64."""
    value, shift = np.broadcast_arrays(np.asarray(value, np.int64), np.asarray(shift, np.int64))
    floor = value >> shift
    # The remainder in units of half a step, so that nothing is lost at shift 0.
    remainder = (value - (floor << shift)) << 1
    half = np.int64(1) << shift
    return floor + ((remainder > half) | ((remainder == half) & (floor & 1 == 1)))


def parameters(vectors, entry):
    weights = vectors.load(entry["weights"]).astype(np.int64)
    biases = vectors.load(entry["biases"]).astype(np.int64)
    mantissas = vectors.load(entry["mantissas"]).astype(np.int64)
    shifts = vectors.load(entry["shifts"]).astype(np.int64)
    return weights, biases, mantissas, shifts


def clamp(values, output):
    return np.clip(values + output["zero_point"], output["low"], output["high"])


def padded(x, window, value):
    top, left, bottom, right = window["padding"]
    return np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=value)


def taps(x, window, rows, columns):
    """The input of every tap of the window, for all outputs at once."""
    for ky in range(window["kernel"][0]):
        for kx in range(window["kernel"][1]):
            y, x0 = ky * window["dilation"][0], kx * window["dilation"][1]
            sy, sx = window["stride"]
            yield ky, kx, x[y : y + (rows - 1) * sy + 1 : sy, x0 : x0 + (columns - 1) * sx + 1 : sx]


def convolution(vectors, layer, x, zero_point, shape):
    weights, biases, mantissas, shifts = parameters(vectors, layer["parameters"])
    rows, columns, outputs = shape
    inputs, groups = x.shape[2], layer["groups"]
    x = padded(x, layer["window"], zero_point)
    sums = np.tile(biases, (rows, columns, 1))
    for ky, kx, values in taps(x, layer["window"], rows, columns):
        for group in range(groups):
            i = slice(group * inputs // groups, (group + 1) * inputs // groups)
            o = slice(group * outputs // groups, (group + 1) * outputs // groups)
            sums[:, :, o] += values[:, :, i] @ weights[o, ky, kx].T
    return clamp(rne(sums * mantissas, shifts), layer["parameters"]["output"])


def maximum_pool(layer, x, shape):
    x = padded(x, layer["window"], -1000)
    values = [v for _, _, v in taps(x, layer["window"], *shape[:2])]
    return np.max(values, axis=0)


def average_pool(layer, x, zero_point, shape):
    inside = padded(np.ones_like(x), layer["window"], 0)
    x = padded(x - zero_point, layer["window"], 0)
    total = sum(v for _, _, v in taps(x, layer["window"], *shape[:2]))
    count = sum(v for _, _, v in taps(inside, layer["window"], *shape[:2]))
    floor = total // count
    twice = 2 * (total - floor * count)
    mean = floor + ((twice > count) | ((twice == count) & (floor & 1 == 1)))
    return np.clip(zero_point + mean, -128, 127)


def addition(layer, a, b):
    """Each of a and b is (values, zero point, exponent)."""
    output = layer["output"]
    lowest = min(a[2], b[2], output["exponent"])
    total = sum((values - zero) << (exponent - lowest) for values, zero, exponent in (a, b))
    return clamp(rne(total, output["exponent"] - lowest), output)


def backbone(vectors):
    model = vectors.model
    described = model["tensors"]
    tensors = [vectors.load(model["image"]).astype(np.int64) - 128]
    vectors.compare("image", tensors[0], described[0]["values"])
    for index, layer in enumerate(model["layers"]):
        entry = described[index + 1]
        x = tensors[layer["input"]]
        zero_point = described[layer["input"]]["zero_point"]
        shape = entry["values"]["shape"]
        kind = layer["kind"]
        if kind == "conv2d":
            y = convolution(vectors, layer, x, zero_point, shape)
        elif kind == "max_pool":
            y = maximum_pool(layer, x, shape)
        elif kind == "avg_pool":
            y = average_pool(layer, x, zero_point, shape)
        elif kind == "add":
            inputs = (layer["input"], layer["second"])
            a, b = ((tensors[t], described[t]["zero_point"], described[t]["exponent"]) for t in inputs)
            y = addition(layer, a, b)
        else:
            raise ValueError(f"unknown layer {kind}")
        tensors.append(y)
        vectors.compare(f"layer {index} {kind}", y, entry["values"])
    return tensors[-1]


class Axis:
    """From pixels to cells; jump and offset follow from the layers and must be those of model.json."""

    def __init__(self, model, axis):
        described = model["geometry"][("rows", "columns")[axis]]
        chain, tensor = [], len(model["layers"])
        while tensor > 0:
            chain.append(model["layers"][tensor - 1])
            tensor = chain[-1]["input"]
        jump, offset2 = 1, 0
        for layer in reversed(chain):
            window = layer.get("window")
            if window is None:
                continue
            reach = window["dilation"][axis] * (window["kernel"][axis] - 1)
            offset2 += jump * (reach - 2 * window["padding"][axis])
            jump *= window["stride"][axis]
        if (jump, offset2) != (described["jump"], described["offset2"]):
            raise ValueError(f"geometry: {jump}, {offset2} is not what model.json says: {described}")
        self.jump, self.offset2, self.pixels = jump, offset2, described["pixels"]
        x = np.arange(described["pixels"])
        cells = -((offset2 + jump - 2 * x) // (2 * jump))
        self.cell = np.clip(cells, 0, described["cells"] - 1)
        self.totals = np.bincount(self.cell, minlength=described["cells"])

    def centre_pixel(self, first, last):
        """The pixel nearest the middle of cells first .. last, of two the smaller."""
        return min(max((self.jump * (first + last) + self.offset2) // 2, 0), self.pixels - 1)


def bins(start, end, n):
    w = end - start
    return [(start + i * w // n, start + -(-(i + 1) * w // n)) for i in range(n)]


def project(head, pixels, rows, columns, row_bins, column_bins):
    """The mask of a segment (a bool image) over rectangles of cells."""
    inside = np.zeros((len(rows.totals), len(columns.totals)), np.int64)
    y, x = np.nonzero(pixels)
    np.add.at(inside, (rows.cell[y], columns.cell[x]), 1)
    total = np.outer(rows.totals, columns.totals)
    bits, shares = [], []
    for r0, r1 in row_bins:
        for c0, c1 in column_bins:
            i, t = int(inside[r0:r1, c0:c1].sum()), int(total[r0:r1, c0:c1].sum())
            if t == 0:
                bit = False
            elif head["mask_rule"] == "average":
                bit = i * 65536 >= head["threshold"] * t
            elif head["mask_rule"] == "max":
                bit = i >= 1
            elif head["mask_rule"] == "off":
                bit = True
            else:
                centre = rows.centre_pixel(r0, r1 - 1), columns.centre_pixel(c0, c1 - 1)
                bit = bool(pixels[centre])
            bits.append(bit)
            shares.append((i, t))
    if not any(bits):
        best = None
        for index, (i, t) in enumerate(shares):
            if t and (best is None or i * shares[best][1] > shares[best][0] * t):
                best = index
        bits[best] = True
    return np.array(bits).reshape(len(row_bins), len(column_bins))


def pyramid(feature, window, levels, zero_point, mask=None):
    """One list of bins per level; a bin is a vector of channels."""
    top, left, bottom, right = window
    if mask is not None:
        feature = np.where(mask[:, :, None], feature, zero_point)
    return [
        [
            feature[r0:r1, c0:c1].max(axis=(0, 1))
            for r0, r1 in bins(top, bottom, n)
            for c0, c1 in bins(left, right, n)
        ]
        for n in levels
    ]


def flattened(levels):
    return np.concatenate([vector for level in levels for vector in level])


def segment_pixels(vectors, maps):
    """A bool image per segment."""
    model = vectors.model
    height, width, _ = model["image"]["shape"]
    for segment in model["segments"]:
        if "runs" in segment:
            pixels = np.zeros((height, width), bool)
            for y, x0, x1 in segment["runs"]:
                pixels[y, x0:x1] = True
        else:
            pixels = np.isin(maps[segment["map"]], segment["members"])
        yield pixels


def classify(vectors, segment, region):
    """The outputs of every fully connected layer for all segments at once; the last are the logits."""
    layers = vectors.model["head"]["fully_connected"]
    current = {"segment": segment, "region": region}
    outputs = []
    for index, layer in enumerate(layers):
        path = layer["path"]
        if path == "joint" and "joint" not in current:
            parts = [part for part in (current["segment"], current["region"]) if part is not None]
            current["joint"] = np.concatenate(parts, axis=1)
        weights, biases, mantissas, shifts = parameters(vectors, layer["parameters"])
        scaled = rne((current[path] @ weights.T + biases) * mantissas, shifts)
        if index + 1 == len(layers):
            outputs.append(np.clip(scaled, -32768, 32767))
        else:
            current[path] = clamp(scaled, layer["parameters"]["output"])
            outputs.append(current[path])
    return outputs


# round(2^31 * 2^(-i / 64))
POWERS = [round(2 ** (31 - i / 64)) for i in range(65)]
LOG2_E = round(math.log2(math.e) * 2**30)


def softmax(logits, exponent):
    weights = []
    for logit in logits:
        t = (max(logits) - logit) * LOG2_E >> (14 - exponent)
        n, i, r = t >> 16, (t & 0xFFFF) >> 10, t & 0x3FF
        value = POWERS[i] - ((POWERS[i] - POWERS[i + 1]) * r >> 10)
        weights.append(value >> n if n < 32 else 0)
    total = sum(weights)
    return [min(65535, ((w << 16) + total // 2) // total) for w in weights]


def paste(rule, foreground, background, logits, scores, pixels, votes):
    ranked = []
    for index, logit in enumerate(logits):
        best = max(foreground, key=lambda c: (logit[c], -c))
        last = any(logit[c] > logit[best] for c in background)
        ranked.append((last, -scores[index][best], int(pixels[index].sum()), index, best))
    claimed = np.zeros(votes.shape[1:], bool)
    for _, _, area, index, best in sorted(ranked):
        taken = int((pixels[index] & claimed).sum())
        if rule["inhibition"] and taken * 65536 >= rule["inhibition"] * area:
            continue
        votes[best][pixels[index] & ~claimed] = 1
        claimed |= pixels[index]


def vote(rule, foreground, scores, pixels, votes):
    for score, mask in zip(scores, pixels):
        area = int(mask.sum())
        purity = max(score[c] for c in foreground)
        for c in foreground:
            x = score[c] << 16
            for _ in range(rule["power"] - 1):
                x = x * score[c] >> 16
            for _ in range(rule["purity"]):
                x = x * purity >> 16
            if rule["divisor"] == "root":
                x = (x << 8) // math.isqrt(area << 16)
            elif rule["divisor"] == "area":
                x = (x << 6) // area
            votes[c][mask] += min(x >> 12, 0xFFFFFFFF)
    np.minimum(votes, 0xFFFFFFFF, out=votes)


def label(model, logits, probabilities, pixels, maps):
    """The class of every pixel."""
    rule = model["labelling"]
    classes = range(len(model["classes"]))
    background = [c for c in classes if model["classes"][c]["kind"] == "background"]
    foreground = [c for c in classes if c not in background]
    votes = np.zeros((len(classes), *model["image"]["shape"][:2]), np.int64)
    if rule["rule"] == "paste":
        scores = logits if probabilities is None else probabilities
        paste(rule, foreground, background, logits, scores, pixels, votes)
    else:
        scores = probabilities
        if scores is None:
            scores = [[2 * max(value, 0) for value in row] for row in logits]
        vote(rule, foreground, scores, pixels, votes)
    if rule["refinement"] is not None:
        superpixels = maps[rule["refinement"]]
        for s in np.unique(superpixels):
            votes[:, superpixels == s] = votes[:, superpixels == s].sum(axis=1, keepdims=True)
    return np.where(votes.max(axis=0) > 0, votes.argmax(axis=0), VOID)


def check(folder):
    vectors = Vectors(folder)
    model, head, results = vectors.model, vectors.model["head"], vectors.model["results"]
    feature = backbone(vectors)
    zero_point = model["tensors"][-1]["zero_point"]
    rows, columns = Axis(model, 0), Axis(model, 1)

    maps = [vectors.load(entry) for entry in model["superpixel_maps"]]
    pixels = list(segment_pixels(vectors, maps))
    windows, masks, bin_masks, segment_vectors, region_vectors = [], [], [], [], []
    for mask in pixels:
        ys, xs = np.nonzero(mask)
        top, bottom = int(rows.cell[ys.min()]), int(rows.cell[ys.max()]) + 1
        left, right = int(columns.cell[xs.min()]), int(columns.cell[xs.max()]) + 1
        window = (top, left, bottom, right)
        windows.append(window)
        single = [(r, r + 1) for r in range(top, bottom)], [(c, c + 1) for c in range(left, right)]
        low = np.zeros(feature.shape[:2], bool)
        low[top:bottom, left:right] = project(head, mask, rows, columns, *single)
        masks.append(low)
        levels = head["segment_levels"]
        if head["design"] == "B":
            n = max(levels)
            finest = bins(top, bottom, n), bins(left, right, n)
            bits = project(head, mask, rows, columns, *finest)
            bin_masks.append(bits)
            pooled = pyramid(feature, window, levels, zero_point)
            at = levels.index(n)
            pooled[at] = [
                vector if bit else np.full_like(vector, zero_point)
                for vector, bit in zip(pooled[at], bits.ravel())
            ]
        else:
            pooled = pyramid(feature, window, levels, zero_point, low)
        segment_vectors.append(flattened(pooled))
        if head["design"] == "A":
            region = pyramid(feature, window, head["region_levels"], zero_point)
            region_vectors.append(flattened(region))

    if pixels:
        vectors.compare("areas", [mask.sum() for mask in pixels], results["areas"])
        vectors.compare("windows", windows, results["windows"])
        vectors.compare("masks", masks, results["masks"])
        if head["design"] == "B":
            vectors.compare("bin masks", bin_masks, results["bin_masks"])
        vectors.compare("segment vectors", segment_vectors, results["segment_vectors"])
        region = None
        if head["design"] == "A":
            region = np.array(region_vectors)
            vectors.compare("region vectors", region, results["region_vectors"])
        *hidden, logits = classify(vectors, np.array(segment_vectors), region)
        for index, (computed, entry) in enumerate(zip(hidden, results["hidden"], strict=True)):
            vectors.compare(f"hidden {index}", computed, entry)
        vectors.compare("logits", logits, results["logits"])
        logits = [[int(value) for value in row] for row in logits]
        probabilities = None
        if head["classifier"] == "softmax":
            probabilities = [softmax(row, head["logit_exponent"]) for row in logits]
            vectors.compare("probabilities", probabilities, results["probabilities"])
    else:
        logits, probabilities = [], [] if head["classifier"] == "softmax" else None
    vectors.compare("labels", label(model, logits, probabilities, pixels, maps), results["labels"])
    print(f"{folder}: {vectors.compared} elements, {vectors.mismatches} mismatches")
    return vectors.mismatches


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        mismatches = sum(check(folder) for folder in sys.argv[1:])
    except (OSError, ValueError, KeyError) as error:
        print(f"numpy_check: {error}", file=sys.stderr)
        return 2
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
