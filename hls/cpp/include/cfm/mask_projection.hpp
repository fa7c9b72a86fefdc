// Convolutional feature masking: a segment's pixels become bits of the feature map's cells.
//
// Pixels are counted by population count, a word of up to 32 pixels and one cell a cycle. Only one row of counters is
// needed, because every pixel row belongs to one row of cells.
#pragma once

#include <hls_stream.h>

#include "cfm/pyramid.hpp"

namespace cfm {

constexpr std::uint32_t END_OF_FRAME = 0xFFFFFFFF;
constexpr int MAX_MASK_WORDS = 8192 / 32;  // of one row: the model format's largest image

// Cells top .. bottom - 1, left .. right - 1.
struct CellWindow {
    std::uint16_t top, left, bottom, right;
};

// A segment's low-resolution mask. SIDE: more than the cells along a side. L: lanes, so cells of a block.
template <int SIDE, int L>
struct CellMask {
    static constexpr int BLOCKS = (SIDE + L - 1) / L;
    CellWindow window;
    ap_uint<L> bits[SIDE][BLOCKS];     // by absolute row and block
    bool bins[MAX_LEVEL * MAX_LEVEL];  // Design B: the bins of the masked level
};

// Pixels of the segment among pixels of the image.
struct Coverage {
    std::uint32_t inside, total;
};

inline bool covered_more(const Coverage& a, const Coverage& b) {
#pragma HLS INLINE
    return std::uint64_t(a.inside) * b.total > std::uint64_t(b.inside) * a.total;
}

// A bit by the rule; `centre` is whether the pixel nearest the centre belongs to the segment.
inline bool mask_bit(MaskRule rule, std::uint32_t threshold, const Coverage& coverage, bool centre) {
#pragma HLS INLINE
    if (coverage.total == 0) return false;
    switch (rule) {
        case MaskRule::average: {
            const std::uint64_t share = std::uint64_t(coverage.inside) << 16;
            const std::uint64_t needed = std::uint64_t(threshold) * coverage.total;
            return fault(Fault::threshold_strict) ? share > needed : share >= needed;
        }
        case MaskRule::maximum: return coverage.inside != 0;
        case MaskRule::nearest: return centre;
        default: return true;
    }
}

// The best covered of the areas seen so far, the first of equals; and whether any has its bit set.
struct Fallback {
    bool any, found;
    Coverage best;
    std::uint16_t row, column;
};

inline Fallback no_fallback() {
    return Fallback{false, false, {0, 0}, 0, 0};
}

inline void consider(Fallback& fallback, bool bit, const Coverage& coverage, std::uint16_t row, std::uint16_t column) {
#pragma HLS INLINE
    fallback.any = fallback.any || bit;
    const bool better = fallback.found ? covered_more(coverage, fallback.best) ||
                                             (fault(Fault::fallback_last) && !covered_more(fallback.best, coverage))
                                       : coverage.total != 0;
    if (better) {
        fallback.found = true;
        fallback.best = coverage;
        fallback.row = row;
        fallback.column = column;
    }
}

// Bits `from` to `to - 1` of a word, counted.
inline std::uint32_t count_bits(std::uint32_t word, std::uint32_t from, std::uint32_t to) {
#pragma HLS INLINE
    const ap_uint<32> below = to >= 32 ? ap_uint<32>(-1) : ap_uint<32>((1u << to) - 1);
    const ap_uint<32> kept = word & ((below >> from) << from);
    ap_uint<6> count = 0;
    for (int i = 0; i < 32; i++) {
#pragma HLS UNROLL
        count += kept[i];
    }
    return count;
}

// The cell that a pixel belongs to, among `cells` along an axis.
template <int WORDS>
std::uint16_t find_cell(const std::uint32_t (&memory)[WORDS], int base, std::uint16_t cells, std::uint32_t pixel) {
    std::uint16_t cell = 0;
    while (cell + 1 < cells && cell_start(memory, base, cell + 1) <= pixel) {
#pragma HLS PIPELINE II = 1
        cell++;
    }
    return cell;
}

// Pixel bounds of a segment, both inclusive.
struct PixelBox {
    std::uint16_t left, top, right, bottom;
};

// A pixel of the row in the buffer; outside the box nothing belongs to the segment.
inline bool pixel_of(const std::uint32_t (&row)[MAX_MASK_WORDS], const PixelBox& box, std::uint32_t x) {
#pragma HLS INLINE
    if (x < box.left || x > box.right) return false;
    const std::uint32_t at = x - box.left;
    return (row[at / 32] >> (at % 32) & 1) != 0;
}

// Reads one row of pixels into `row` and adds them to the counters of their cells.
template <int SIDE, int WORDS>
void count_row(const std::uint32_t (&memory)[WORDS], const PixelBox& box, const CellWindow& window,
               hls::stream<std::uint32_t>& masks, std::uint32_t (&row)[MAX_MASK_WORDS], std::uint32_t (&inside)[SIDE]) {
    const std::uint32_t end = box.right + 1u;
    std::uint32_t x = box.left;  // first pixel of the word
    std::uint16_t column = window.left;
    bool fresh = true;
    std::uint32_t word = 0, counted = 0;
    while (x < end) {
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = inside inter false
        // A cell's pixels of this row are summed in a register first: its counter is touched once a row.
        if (fresh) {
            word = masks.read();
            row[(x - box.left) / 32] = word;
        }
        const std::uint32_t cell_end = column + 1 < window.right ? cell_start(memory, 0, column + 1) : end;
        const std::uint32_t stop = cell_end < end ? cell_end : end;
        const std::uint32_t start = cell_start(memory, 0, column);
        const std::uint32_t from = start > x ? start - x : 0;
        const std::uint32_t to = stop < x + 32 ? stop - x : 32;
        counted += count_bits(word, from, to);
        const bool row_done = stop == end && stop <= x + 32;
        const bool cell_done = stop <= x + 32 && column + 1 < window.right;
        if (cell_done || row_done) {
            inside[column] += counted;
            counted = 0;
        }
        fresh = stop >= x + 32 || row_done;
        if (cell_done) column++;
        if (fresh) x += 32;
    }
}

// Reads a segment's mask from the stream, after its first word, and projects it.
//
// SIDE: where the rows' geometry begins, more than the cells along a side. masked_level: that of Design B, or 0.
template <int SIDE, int L, int WORDS>
void project_mask(const std::uint32_t (&memory)[WORDS], const Header& header, std::uint16_t masked_level,
                  std::uint32_t first_word, hls::stream<std::uint32_t>& masks, CellMask<SIDE, L>& mask) {
    constexpr int COLUMNS = 0, ROWS = SIDE;
    PixelBox box;
    box.left = static_cast<std::uint16_t>(field(first_word, 15, 0));
    box.top = static_cast<std::uint16_t>(field(first_word, 31, 16));
    const std::uint32_t second_word = masks.read();
    box.right = static_cast<std::uint16_t>(field(second_word, 15, 0));
    box.bottom = static_cast<std::uint16_t>(field(second_word, 31, 16));
    CFM_CHECK(box.left <= box.right && box.top <= box.bottom, "an empty box");

    CellWindow w;
    w.left = find_cell(memory, COLUMNS, header.feature_width, box.left);
    w.right = static_cast<std::uint16_t>(find_cell(memory, COLUMNS, header.feature_width, box.right) + 1);
    w.top = find_cell(memory, ROWS, header.feature_height, box.top);
    w.bottom = static_cast<std::uint16_t>(find_cell(memory, ROWS, header.feature_height, box.bottom) + 1);
    mask.window = w;
    const std::uint16_t width = static_cast<std::uint16_t>(w.right - w.left);
    const std::uint16_t height = static_cast<std::uint16_t>(w.bottom - w.top);

    std::uint32_t inside[SIDE];
    std::uint32_t bin_inside[MAX_LEVEL * MAX_LEVEL];
    Span bin_rows[MAX_LEVEL], bin_columns[MAX_LEVEL];
    for (int c = w.left; c < w.right; c++) {
#pragma HLS PIPELINE II = 1
        inside[c] = 0;
    }
    for (int r = w.top; r < w.bottom; r++) {
        for (int b = w.left / L; b <= (w.right - 1) / L; b++) {
#pragma HLS PIPELINE II = 1
            mask.bits[r][b] = 0;
        }
    }
    for (std::uint16_t i = 0; i < masked_level; i++) {
        bin_rows[i] = bin_span(height, masked_level, i);
        bin_columns[i] = bin_span(width, masked_level, i);
    }
    for (int i = 0; i < masked_level * masked_level; i++) {
#pragma HLS PIPELINE II = 1
        bin_inside[i] = 0;
    }

    std::uint32_t row[MAX_MASK_WORDS];
    Fallback fallback = no_fallback();
    std::uint16_t nearest_row = w.top;  // the next row of cells whose centre row is to come
    for (std::uint16_t r = w.top; r < w.bottom; r++) {
        const std::uint32_t row_start = cell_start(memory, ROWS, r);
        const std::uint32_t row_end = cell_start(memory, ROWS, r + 1);
        const std::uint32_t first = row_start > box.top ? row_start : box.top;
        const std::uint32_t end = row_end < box.bottom + 1u ? row_end : box.bottom + 1u;
        for (std::uint32_t y = first; y < end; y++) {
            count_row<SIDE, WORDS>(memory, box, w, masks, row, inside);
            if (header.rule != MaskRule::nearest) continue;
            // Every row of cells whose centre is on this row of pixels; centres never go back.
            while (nearest_row < w.bottom && cell_centre(memory, ROWS, nearest_row) <= y) {
                const bool on_row = cell_centre(memory, ROWS, nearest_row) == y &&
                                    cell_start(memory, ROWS, nearest_row + 1) > cell_start(memory, ROWS, nearest_row);
                for (std::uint16_t c = w.left; c < w.right; c++) {
                    const bool set = on_row && pixel_of(row, box, cell_centre(memory, COLUMNS, c)) &&
                                     cell_start(memory, COLUMNS, c + 1) > cell_start(memory, COLUMNS, c);
                    if (set) {
                        mask.bits[nearest_row][c / L][c % L] = 1;
                        fallback.any = true;
                    }
                }
                nearest_row++;
            }
        }
        // The row of cells is complete.
        for (std::uint16_t i = 0; i < masked_level; i++) {
            const std::uint16_t at = static_cast<std::uint16_t>(r - w.top);
            if (at < bin_rows[i].first || at >= bin_rows[i].end) continue;
            for (std::uint16_t j = 0; j < masked_level; j++) {
                std::uint32_t sum = 0;
                for (std::uint16_t c = bin_columns[j].first; c < bin_columns[j].end; c++) {
#pragma HLS PIPELINE II = 1
                    sum += inside[w.left + c];
                }
                bin_inside[i * masked_level + j] += sum;
            }
        }
        for (std::uint16_t c = w.left; c < w.right; c++) {
            const std::uint32_t columns = cell_start(memory, COLUMNS, c + 1) - cell_start(memory, COLUMNS, c);
            const Coverage coverage = {inside[c], (row_end - row_start) * columns};
            const bool bit =
                header.rule != MaskRule::nearest && mask_bit(header.rule, header.threshold, coverage, false);
            if (bit) mask.bits[r][c / L][c % L] = 1;
            consider(fallback, bit, coverage, r, c);
            inside[c] = 0;
        }
    }
    if (!fallback.any && fallback.found) mask.bits[fallback.row][fallback.column / L][fallback.column % L] = 1;

    fallback = no_fallback();
    for (std::uint16_t i = 0; i < masked_level; i++) {
        for (std::uint16_t j = 0; j < masked_level; j++) {
            const std::uint32_t rows =
                cell_start(memory, ROWS, w.top + bin_rows[i].end) - cell_start(memory, ROWS, w.top + bin_rows[i].first);
            const std::uint32_t columns = cell_start(memory, COLUMNS, w.left + bin_columns[j].end) -
                                          cell_start(memory, COLUMNS, w.left + bin_columns[j].first);
            const int at = i * masked_level + j;
            const Coverage coverage = {bin_inside[at], rows * columns};
            // No pixels any more: programs do not combine bins with the rule "nearest".
            mask.bins[at] = mask_bit(header.rule, header.threshold, coverage, false);
            consider(fallback, mask.bins[at], coverage, i, j);
        }
    }
    if (!fallback.any && fallback.found) mask.bins[fallback.row * masked_level + fallback.column] = true;
}

}  // namespace cfm
