// Pyramids and geometry as the scoring memory holds them.
#pragma once

#include "cfm/control.hpp"
#include "cfm/faults.hpp"

namespace cfm {

constexpr int MAX_LEVEL = 32;  // bins along a side, the model format's limit
constexpr int MAX_PYRAMID_ENTRIES = 16;
constexpr int PYRAMID_ENTRY_WORDS = 4;

// Words of the scoring memory. SIDE: words of an axis' geometry.
template <int SIDE>
constexpr int SCORING_WORDS = 2 * SIDE + PYRAMID_ENTRY_WORDS * MAX_PYRAMID_ENTRIES;

// First pixel of a cell (of an axis whose geometry is at `base`).
template <int WORDS>
std::uint32_t cell_start(const std::uint32_t (&memory)[WORDS], int base, std::uint32_t cell) {
#pragma HLS INLINE
    return field(memory[base + cell], 15, 0);
}

// Pixel nearest the centre of a cell.
template <int WORDS>
std::uint32_t cell_centre(const std::uint32_t (&memory)[WORDS], int base, std::uint32_t cell) {
#pragma HLS INLINE
    return field(memory[base + cell], 31, 16);
}

// A level of the pyramid, and which of its outputs are wanted, where.
struct PyramidEntry {
    std::uint16_t level;
    bool masked, whole;
    bool by_bin;                                // Design B: the whole output is masked bin by bin
    std::uint32_t masked_offset, whole_offset;  // from the pooled vectors' address
};

template <int SIDE, int WORDS>
PyramidEntry read_entry(const std::uint32_t (&memory)[WORDS], std::uint32_t index) {
    const std::uint32_t at = 2 * SIDE + PYRAMID_ENTRY_WORDS * index;
    CFM_CHECK(at + PYRAMID_ENTRY_WORDS <= WORDS, "a pyramid entry beyond the scoring memory");
    PyramidEntry e;
    e.level = static_cast<std::uint16_t>(field(memory[at], 7, 0));
    e.masked = field(memory[at], 8, 8) != 0;
    e.whole = field(memory[at], 9, 9) != 0;
    e.by_bin = field(memory[at], 10, 10) != 0;
    e.masked_offset = memory[at + 1];
    e.whole_offset = memory[at + 2];
    CFM_CHECK(e.level >= 1 && e.level <= MAX_LEVEL, "a pyramid level out of range");
    return e;
}

// Cells `first` to `end - 1`.
struct Span {
    std::uint16_t first, end;
};

// Bin `bin` of `level` bins over `cells` cells: [floor(bin * cells / level), ceil((bin + 1) * cells / level)).
inline Span bin_span(std::uint16_t cells, std::uint16_t level, std::uint16_t bin) {
    Span s;
    s.first = static_cast<std::uint16_t>(std::uint32_t(bin) * cells / level);
    s.end = static_cast<std::uint16_t>((std::uint32_t(bin + 1) * cells + level - 1) / level);
    if (fault(Fault::bin_off_by_one) && s.end > s.first + 1) s.end--;
    return s;
}

}  // namespace cfm
