// A random layer for the test benches: plain tensors, and the words that the engine's units take for it. What the
// numbers of a descriptor are is written down here a second time, from hls/ENGINE.md, not taken from the units.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cfm/control.hpp"
#include "chance.hpp"

namespace test {

// A plain tensor: q[(y * width + x) * channels + c].
struct Tensor {
    int height, width, channels;
    std::int8_t zero;
    std::vector<std::int8_t> q;

    std::int8_t at(int y, int x, int c) const {
        return q[static_cast<std::size_t>((y * width + x) * channels + c)];
    }
};

inline Tensor random_tensor(sim::Chance& chance, int height, int width, int channels) {
    Tensor t{height, width, channels, chance.byte(), {}};
    t.q.resize(static_cast<std::size_t>(height * width * channels));
    for (std::int8_t& q : t.q) q = chance.byte();
    return t;
}

inline int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

// A layer on a tensor: one output row `y` of it is what is run.
struct Layer {
    cfm::Kind kind;
    int kernel_h, kernel_w, stride, dilation, pad_top, pad_left;
    int outputs, out_width;
    int y;
};

// Input row of kernel row ky.
inline int input_row(const Layer& l, int ky) {
    return l.y * l.stride - l.pad_top + ky * l.dilation;
}

inline int input_column(const Layer& l, int x, int kx) {
    return x * l.stride - l.pad_left + kx * l.dilation;
}

inline Layer random_layer(sim::Chance& chance, const Tensor& in, int max_outputs) {
    Layer l{};
    l.kind = static_cast<cfm::Kind>(chance.below(5));
    const bool add = l.kind == cfm::Kind::add;
    do {
        l.kernel_h = add ? 1 : chance.between(1, 4);
        l.kernel_w = add ? 1 : chance.between(1, 4);
        l.stride = add ? 1 : chance.between(1, chance.percent(10) ? 15 : 4);
        l.dilation = add || l.kind >= cfm::Kind::max_pool ? 1 : chance.between(1, 3);
        l.pad_top = add ? 0 : chance.between(0, l.kernel_h - 1);
        l.pad_left = add ? 0 : chance.between(0, l.kernel_w - 1);
        const int reach = l.dilation * (l.kernel_w - 1) + 1;
        const int right = add ? 0 : chance.between(0, l.kernel_w - 1);
        l.out_width =
            in.width + l.pad_left + right < reach ? 0 : (in.width + l.pad_left + right - reach) / l.stride + 1;
        l.outputs = l.kind == cfm::Kind::dense ? chance.between(1, max_outputs) : in.channels;
        l.y = chance.between(0, (in.height - 1) / l.stride);
        // A window with nothing inside is refused for pools; demand a real cell everywhere.
    } while (l.out_width == 0 || input_row(l, l.kernel_h - 1) < 0 || input_row(l, 0) >= in.height ||
             input_column(l, 0, l.kernel_w - 1) < 0 || input_column(l, l.out_width - 1, 0) >= in.width);
    return l;
}

// A tensor's place in the banks. The rows are a ring of `rows`, `words` each.
struct Place {
    int address, words, rows;
};

template <int L>
cfm::Position position(int cells) {
    const int q = cells >= 0 ? cells / L : -divide_up(-cells, L);
    return {static_cast<std::int16_t>(q), static_cast<std::uint16_t>(cells - q * L)};
}

template <int PE, int L>
cfm::Operation operation_of(const Layer& l, const Tensor& in, const Place& place) {
    cfm::Operation o = {};
    o.kind = l.kind;
    o.inputs = static_cast<std::uint16_t>(in.channels);
    o.in_groups = static_cast<std::uint16_t>(divide_up(in.channels, PE));
    o.out_groups = static_cast<std::uint16_t>(divide_up(l.outputs, PE));
    o.blocks = static_cast<std::uint16_t>(divide_up(l.out_width, L));
    o.kernel_h = static_cast<std::uint16_t>(l.kind == cfm::Kind::add ? 2 : l.kernel_h);
    o.kernel_w = static_cast<std::uint16_t>(l.kernel_w);
    o.stride = static_cast<std::uint16_t>(l.stride);
    o.width = position<L>(in.width);
    o.start = position<L>(-l.pad_left);
    o.tap = position<L>(l.dilation);
    o.pass = position<L>(divide_up(L, l.stride) * l.stride);
    o.row_step = static_cast<std::uint32_t>(l.dilation * place.words);
    o.ring_first = static_cast<std::uint32_t>(place.address);
    o.ring_words = static_cast<std::uint32_t>(place.rows * place.words);
    o.z_in = in.zero;
    o.out_channels = static_cast<std::uint16_t>(l.outputs);
    return o;
}

// Which kernel rows lie inside, and where the first of them is.
inline cfm::Rows rows_of(const Layer& l, const Tensor& in, const Place& place) {
    cfm::Rows rows = {};
    int first = -1, inside = 0;
    for (int ky = 0; ky < l.kernel_h; ky++) {
        const int y = input_row(l, ky);
        if (y < 0 || y >= in.height) continue;
        if (first < 0) first = ky;
        inside++;
    }
    rows.first_inside = static_cast<std::uint8_t>(first);
    rows.inside = static_cast<std::uint8_t>(inside);
    rows.first = static_cast<std::uint32_t>(place.address + input_row(l, first) % place.rows * place.words);
    return rows;
}

// Puts the rows of a tensor that a layer reads into the banks; everything else there is noise.
template <int PE, int L, int WORDS>
void place_rows(cfm::Word<PE> (&banks)[L][WORDS], const Tensor& t, const Place& place, int first_row, int last_row) {
    const int groups = divide_up(t.channels, PE);
    for (int y = std::max(first_row, 0); y <= std::min(last_row, t.height - 1); y++) {
        for (int x = 0; x < t.width; x++) {
            for (int c = 0; c < t.channels; c++) {
                const int at = place.address + y % place.rows * place.words + x / L * groups + c / PE;
                banks[x % L][at].range(8 * (c % PE) + 7, 8 * (c % PE)) = static_cast<std::uint8_t>(t.at(y, x, c));
            }
        }
    }
}

template <int PE, int L, int WORDS>
void fill_with_noise(cfm::Word<PE> (&banks)[L][WORDS], sim::Chance& chance) {
    for (auto& bank : banks)
        for (auto& word : bank)
            for (int p = 0; p < PE; p++) word.range(8 * p + 7, 8 * p) = static_cast<std::uint8_t>(chance.next());
}

}  // namespace test
