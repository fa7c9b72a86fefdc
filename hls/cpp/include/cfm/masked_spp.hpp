// Spatial pyramid pooling over the masked feature map, over the whole window, or both at once.
#pragma once

#include "cfm/feature_memory.hpp"
#include "cfm/mask_projection.hpp"

namespace cfm {

// Running maxima of one bin and one group.
template <int PE>
struct BinMaxima {
    Byte masked[PE], whole[PE];
};

// Takes a block of L cells of a row into the maxima: `in_bin` says which lanes, `bits` which of them are in the mask.
template <int PE, int L>
void take_block(BinMaxima<PE>& maxima, const Neighbours<PE, L>& cells, const ap_uint<L>& in_bin, const ap_uint<L>& bits,
                Byte zero_point) {
#pragma HLS INLINE
    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
        for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
            const Byte q = byte_of<PE>(cells.bank[l], p);
            const Byte m = bits[l] ? q : zero_point;
            if (in_bin[l] && q > maxima.whole[p]) maxima.whole[p] = q;
            if (in_bin[l] && m > maxima.masked[p]) maxima.masked[p] = m;
        }
    }
}

// Lanes of block `block` whose cells are among `first` .. `end - 1`.
template <int L>
ap_uint<L> lanes_between(int block, int first, int end) {
#pragma HLS INLINE
    ap_uint<L> lanes = 0;
    for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
        lanes[l] = block * L + l >= first && block * L + l < end;
    }
    return lanes;
}

// Pools one segment and writes its vectors into the bank of its lane, from `pooled_address` on; a block of L cells a
// cycle. For every entry, bin row, bin column and group: first the masked word, then the whole one.
template <int PE, int L, int FEATURE_WORDS, int SIDE, int WORDS, class Probe>
void pool_segment(Word<PE> (&features)[L][FEATURE_WORDS], const std::uint32_t (&memory)[WORDS], const Header& header,
                  const CellMask<SIDE, L>& mask, std::uint16_t lane, std::uint32_t pooled_address, Probe& probe) {
    const CellWindow w = mask.window;
    const std::uint16_t width = static_cast<std::uint16_t>(w.right - w.left);
    const std::uint16_t height = static_cast<std::uint16_t>(w.bottom - w.top);
    const std::uint16_t groups = header.feature_groups;
    const Position everything = {32767, 0};

    for (std::uint16_t e = 0; e < header.pyramid_entries; e++) {
        const PyramidEntry entry = read_entry<SIDE, WORDS>(memory, e);
        for (std::uint16_t i = 0; i < entry.level; i++) {
            const Span rows = bin_span(height, entry.level, i);
            for (std::uint16_t j = 0; j < entry.level; j++) {
                const Span columns = bin_span(width, entry.level, j);
                const int first = w.left + columns.first, end = w.left + columns.end;
                const std::uint16_t bin = static_cast<std::uint16_t>(i * entry.level + j);
                for (std::uint16_t g = 0; g < groups; g++) {
                    BinMaxima<PE> maxima;
#pragma HLS ARRAY_PARTITION variable = maxima.masked dim = 0 complete
#pragma HLS ARRAY_PARTITION variable = maxima.whole dim = 0 complete
                    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
                        maxima.masked[p] = maxima.whole[p] = -128;
                    }
                    for (int r = w.top + rows.first; r < w.top + rows.end; r++) {
                        for (int b = first / L; b <= (end - 1) / L; b++) {
#pragma HLS PIPELINE II = 1
                            const Position at = {static_cast<std::int16_t>(b), 0};
                            const Neighbours<PE, L> cells = read_neighbours<PE, L, FEATURE_WORDS>(
                                features, header.feature_address + r * header.feature_row_words, at, everything, groups,
                                g);
                            take_block<PE, L>(maxima, cells, lanes_between<L>(b, first, end), mask.bits[r][b],
                                              header.feature_zero_point);
                        }
                    }
                    Word<PE> masked = 0, whole = 0;
                    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
                        const bool off = entry.by_bin && !mask.bins[bin];
                        set_byte<PE>(masked, p, maxima.masked[p]);
                        set_byte<PE>(whole, p, off ? header.feature_zero_point : maxima.whole[p]);
                    }
                    const std::uint32_t at = pooled_address + bin * groups + g;
                    if (entry.masked) {
                        write_word<PE, L, FEATURE_WORDS>(features, lane, at + entry.masked_offset, masked);
                        probe.pooled_write(lane, masked);
                    }
                    if (entry.whole) {
                        write_word<PE, L, FEATURE_WORDS>(features, lane, at + entry.whole_offset, whole);
                        probe.pooled_write(lane, whole);
                    }
                }
            }
        }
    }
}

}  // namespace cfm
