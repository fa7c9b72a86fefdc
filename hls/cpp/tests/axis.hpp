// An axis of the image and of the feature map for the test benches, by brute force: nearest centres, no formulas.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "chance.hpp"

namespace test {

struct Axis {
    int pixels, cells, jump, offset2;

    // Cell of the nearest centre, ties to the smaller index.
    int cell(int x) const {
        int best = 0;
        for (int c = 1; c < cells; c++)
            if (std::abs(2 * x - 2 * jump * c - offset2) < std::abs(2 * x - 2 * jump * best - offset2)) best = c;
        return best;
    }
    // First pixel of a cell: as many pixels lie before it as belong to smaller cells.
    int start(int c) const {
        int n = 0;
        for (int x = 0; x < pixels; x++) n += cell(x) < c;
        return n;
    }
    // Pixel nearest the centre between those of two cells, ties to the smaller.
    int centre(int first, int last) const {
        int best = 0;
        const int centre4 = 2 * jump * (first + last) + 2 * offset2;
        for (int x = 1; x < pixels; x++)
            if (std::abs(4 * x - centre4) < std::abs(4 * best - centre4)) best = x;
        return best;
    }
    // The geometry words.
    void write(std::uint32_t* words) const {
        for (int c = 0; c <= cells; c++) {
            const int centre_pixel = c < cells ? centre(c, c) : 0;
            words[c] = static_cast<std::uint32_t>(start(c)) | static_cast<std::uint32_t>(centre_pixel) << 16;
        }
    }
};

inline Axis random_axis(sim::Chance& chance, int max_pixels, int max_cells) {
    Axis a{};
    a.pixels = chance.between(1, max_pixels);
    // Powers of two, as in real models, hit thresholds exactly.
    a.jump = chance.percent(50) ? 1 << chance.below(5) : chance.between(1, 12);
    a.cells = chance.between(1, std::min(max_cells, a.pixels / a.jump + 2));
    a.offset2 = chance.between(-2 * a.jump, 2 * a.jump + 2);
    return a;
}

}  // namespace test
