#!/usr/bin/env python3
"""Writes a random project for tb_engine: an image program of operations of all kinds with random shapes, and what the engine
has to write. An independent model of ENGINE.md: tensors, not addresses; nothing of it comes from the exporter.

    random_project.py DIRECTORY --pe 8 --lanes 10 --seed 1 [--operations 12] [--general] [--average]
"""
import argparse
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("directory")
parser.add_argument("--pe", type=int, default=4)
parser.add_argument("--lanes", type=int, default=3)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--operations", type=int, default=12)
parser.add_argument("--general", action="store_true", help="any mantissa")
parser.add_argument("--average", action="store_true", help="with AVG_POOL")
arguments = parser.parse_args()
PE, L = arguments.pe, arguments.lanes
rng = random.Random(arguments.seed)
DENSE, DEPTHWISE, ADD, MAX_POOL, AVG_POOL = range(5)


def ceil_div(a, b):
    return -(-a // b)


def rne_shift(t, s):
    if s == 0:
        return t
    q, rest = t >> s, t & ((1 << s) - 1)
    half = 1 << (s - 1)
    return q + (rest > half or (rest == half and q & 1))


def rne_div(t, n):
    q, rest = divmod(t, n)
    return q + (2 * rest > n or (2 * rest == n and q & 1))


def byte(x):
    return x & 0xFF


class Tensor:
    """A tensor of height x width x channels, its place in memory: a ring of all its rows that begins at any of them."""
    free = 0

    def __init__(self, height, width, channels, zero, rows=None):
        self.height, self.width, self.channels, self.zero = height, width, channels, zero
        self.groups = ceil_div(channels, PE)
        self.blocks = ceil_div(width, L)
        self.row_words = self.groups * self.blocks
        self.rows = rows or height
        self.first = Tensor.free
        Tensor.free += self.row_words * self.rows
        self.turn = 0 if rows else rng.randrange(height)
        self.data = [[[0] * channels for _ in range(width)] for _ in range(height)]

    def address(self, row):
        return self.first + (row + self.turn) % self.rows * self.row_words


records, descriptors, weight_words, outer_words, channel_records, writes = [], [], [], [], [], []


def write_row(tensor, row):
    """The words the engine writes for a row of a tensor, and which bytes of them count."""
    for block in range(tensor.blocks):
        for group in range(tensor.groups):
            data, mask = "", 0
            for lane in reversed(range(L)):
                for p in reversed(range(PE)):
                    x, c = block * L + lane, group * PE + p
                    counts = x < tensor.width and c < tensor.channels
                    data += "%02x" % byte(tensor.data[row][x][c] if counts else 0)
                    mask = 2 * mask + counts
            writes.append(data + " %x" % mask)


def operate(source, second, kind, kh, kw, stride, vstride, dilation, pads, out_channels):
    top, left, bottom, right = pads
    extent_h, extent_w = dilation * (kh - 1) + 1, dilation * (kw - 1) + 1
    height = (source.height + top + bottom - extent_h) // vstride + 1
    width = (source.width + left + right - extent_w) // stride + 1
    zero_out = source.zero if kind in (MAX_POOL, AVG_POOL) else rng.randint(-20, 20)
    target = Tensor(height, width, out_channels, zero_out)
    in_groups, out_groups = source.groups, target.groups
    low, high = (-128, 127) if rng.random() < 0.5 else (max(zero_out, -128), rng.randint(zero_out, 127))
    external = kind in (DENSE, DEPTHWISE) and rng.random() < 0.5
    store = outer_words if external else weight_words
    weights_at, channels_at = len(store), len(channel_records)
    inputs = source.channels
    taps = kh * kw

    # parameters
    weight, bias, mantissa, shift = {}, [], [], []
    sa, sb = rng.randint(0, 7), rng.randint(0, 7)
    if kind in (DENSE, DEPTHWISE):
        for o in range(out_groups * PE):
            for t in range(taps):
                for i in range(inputs if kind == DENSE else 1):
                    weight[o, t, i] = rng.choice([rng.randint(-127, 127), rng.randint(-127, 127), 127, -127, 0]) if o < out_channels else 0
        for group in range(out_groups):
            for t in range(taps):
                for i in range(inputs if kind == DENSE else 1):
                    store.append([byte(weight[group * PE + p, t, i]) for p in range(PE)])
    for o in range(out_groups * PE if kind in (DENSE, DEPTHWISE, ADD) else 0):
        real = o < out_channels
        size = 7 + (taps * (inputs if kind == DENSE else 1)).bit_length() if kind != ADD else max(sa, sb) + 1
        bias.append(rng.randint(-(1 << size + 5), 1 << size + 5) if real else 0)
        mantissa.append(rng.randint(1 << 14, (1 << 15) - 1) if real and arguments.general else 1 << 14)
        shift.append(14 + max(0, size - rng.randint(0, 3)) if real else 14)
        if real and rng.random() < 0.05:
            shift[-1] = rng.choice([14, 30, 46, 47, 62] + ([0, 3] if arguments.general else []))
        channel_records.append((bias[-1] & 0xFFFFFFFF, mantissa[-1] | shift[-1] << 16))

    def requantize(total, o):
        return min(max(zero_out + rne_shift((total + bias[o]) * mantissa[o], shift[o]), low), high)

    def divided(value):
        return value // L, value % L

    start, tap, a_pass = divided(-left), divided(dilation), divided(ceil_div(L, stride) * stride)
    operation = len(descriptors)
    u32 = 0xFFFFFFFF
    descriptors.append([
        kind, inputs, in_groups, out_groups, target.blocks, kh, kw, stride, source.width,
        start[0] & u32, start[1], tap[0] & u32, tap[1], a_pass[0] & u32, a_pass[1],
        dilation * source.row_words, source.first, source.rows * source.row_words,
        weights_at, int(external), channels_at,
        byte(source.zero) | byte(zero_out) << 8 | byte(low) << 16 | byte(high) << 24, 1 << sa | 1 << sb << 16, out_channels])

    waited = 0
    for y in range(height):
        y0 = y * vstride - top
        present = [k for k in range(kh) if 0 <= y0 + k * dilation < source.height]
        if source is image:                         # the input's rows arrive one by one
            last = max((y0 + k * dilation for k in present), default=-1)
            while waited <= last:
                records.append((1 << 24, 0, 0))
                waited += 1
        first = present[0] if present else 0
        address = source.address(y0 + first * dilation) if present else 0
        if kind == ADD:
            first, present, address = 0, [0, 1], source.address(y)
        records.append((len(present) << 16 | first << 8 | operation, target.address(y) << 16 | address,
                        second.address(y) if second else 0))
        for x in range(width):
            for o in range(out_channels):
                if kind == ADD:
                    total = (source.data[y][x][o] << sa) + (second.data[y][x][o] << sb)
                    target.data[y][x][o] = requantize(total, o)
                    continue
                total, count, greatest = 0, 0, -128
                for k in range(kh):
                    for j in range(kw):
                        yy, xx = y0 + k * dilation, x * stride - left + j * dilation
                        inside = 0 <= yy < source.height and 0 <= xx < source.width
                        cell = source.data[yy][xx] if inside else [source.zero] * inputs
                        if kind == DENSE:
                            total += sum(cell[i] * weight[o, k * kw + j, i] for i in range(inputs))
                        elif kind == DEPTHWISE:
                            total += cell[o] * weight[o, k * kw + j, 0]
                        elif inside:
                            total, count, greatest = total + cell[o], count + 1, max(greatest, cell[o])
                if kind == MAX_POOL:
                    target.data[y][x][o] = greatest
                elif kind == AVG_POOL:
                    target.data[y][x][o] = source.zero + rne_div(total - count * source.zero, count)
                else:
                    target.data[y][x][o] = requantize(total, o)
        write_row(target, y)
    if source is image:
        while waited < image.height:
            records.append((1 << 24, 0, 0))
            waited += 1
    return target


height, width = rng.randint(5, 9), rng.randint(5, max(9, 4 * L))
image_channels = rng.choice([1, 3, 3, PE + 1])
# the first operation: rows of the ring = the reach of its kernel, and one more
kernel, dilation = rng.choice([(3, 1), (3, 2), (2, 1), (1, 1), (5, 1)])
image = Tensor(height, width, image_channels, 0, rows=dilation * (kernel - 1) + 2)
for row in image.data:
    for cell in row:
        for c in range(image_channels):
            cell[c] = rng.choice([rng.randint(-128, 127), -128, 127, 0])
stride = rng.choice([1, 2, 1, 3])
tensors = [operate(image, None, DENSE, kernel, kernel, stride, rng.choice([1, 2]), dilation,
                   (kernel // 2,) * 4 if dilation == 1 else (dilation,) * 4, rng.choice([PE, 2 * PE, PE + 1]))]
while len(tensors) < arguments.operations:
    source = rng.choice(tensors[-3:])
    kind = rng.choice([DENSE, DENSE, DEPTHWISE, DEPTHWISE, ADD, MAX_POOL] + ([AVG_POOL, AVG_POOL] if arguments.average else []))
    second = None
    if kind == ADD:
        same = [t for t in tensors if (t.height, t.width, t.channels) == (source.height, source.width, source.channels)]
        second = rng.choice(same)
        tensors.append(operate(source, second, ADD, 2, 1, 1, 1, 1, (0, 0, 1, 0), source.channels))
        continue
    dilation = rng.choice([1, 1, 1, 2, 3])
    kh, kw = rng.choice([(1, 1), (3, 3), (3, 3), (2, 2), (1, 3), (3, 1), (5, 5)])
    stride = rng.choice([1, 1, 1, 2, 2, 3, 4, min(L, 15), 15])
    pads = [rng.randint(0, (k - 1) * dilation) for k in (kh, kw, kh, kw)]
    if kind in (MAX_POOL, AVG_POOL):                # no window without a cell
        dilation, pads = 1, [rng.randint(0, k - 1) for k in (kh, kw, kh, kw)]
        if kw > source.width or kh > source.height:
            continue
    if source.height + pads[0] + pads[2] < dilation * (kh - 1) + 1 or source.width + pads[1] + pads[3] < dilation * (kw - 1) + 1:
        continue
    out = rng.choice([1, PE - 1, PE, PE + 1, 2 * PE, 3 * PE]) if kind == DENSE else source.channels
    tensors.append(operate(source, second, kind, kh, kw, stride, rng.choice([1, 1, 2]), dilation, pads, out))

store = [0] * 32
descriptor_words = 32 + 32 * len(descriptors)
header = {0: 0x314D4643, 1: 0x12345678, 2: PE | L << 8, 3: descriptor_words, 4: len(records), 8: image.first,
          9: image.row_words, 10: image.rows, 11: height, 12: width, 13: image.groups, 14: width, 15: height}
for k, v in header.items():
    store[k] = v
for d in descriptors:
    store += d + [0] * (32 - len(d))
for r in records:
    store += r

os.makedirs(arguments.directory, exist_ok=True)


def save(name, lines):
    with open(os.path.join(arguments.directory, name), "w") as f:
        f.writelines(line + "\n" for line in lines)


config = ["%05x %08x" % (a, w & 0xFFFFFFFF) for a, w in enumerate(store)]
for c, pair in enumerate(channel_records):
    config += ["%05x %08x" % ((1 << 17) + 2 * c + i, pair[i]) for i in range(2)]
for w, word in enumerate(weight_words):
    for part in range(PE // 4):
        value = sum(word[part * 4 + i] << 8 * i for i in range(4))
        config.append("%05x %08x" % ((4 << 17) + w * (PE // 4) + part, value))
save("config.hex", config)
save("weights.hex", ["".join("%02x" % b for b in reversed(word)) for word in outer_words] or ["0" * 2 * PE])
beats = []
for row in image.data:
    for cell in row:
        for g in range(image.groups):
            channel = cell[g * PE:(g + 1) * PE]
            channel = [c + 128 for c in channel] + [rng.randint(0, 255) for _ in range(PE - len(channel))]
            beats.append("".join("%02x" % b for b in reversed(channel)))
save("image.hex", beats)
save("writes.hex", writes)
for name in "masks.hex", "pooled.hex", "cells.hex", "logits.hex":
    save(name, [])
save("parameters.txt", ["%s %d" % item for item in [
    ("PE", PE), ("L", L), ("FEATURE_WORDS", Tensor.free), ("WEIGHT_WORDS", max(1, len(weight_words))),
    ("CHANNELS", len(channel_records)), ("STORE_WORDS", len(store)), ("SIDE", 32), ("CLASSES", 4),
    ("GENERAL_SCALE", int(arguments.general)), ("AVERAGE_POOL", int(arguments.average)), ("NO_SCORING", 1)]])
