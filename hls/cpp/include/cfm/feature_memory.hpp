// The feature memory: L banks of words of PE channels, one read and one write port each.
//
// A bank is `Word<PE>[WORDS]`; the memory is an array of L of them, partitioned, so that a cycle reads one word of
// every bank. Cell x of a row lies in bank x mod L: L neighbouring cells never collide, wherever they start.
#pragma once

#include "cfm/control.hpp"

namespace cfm {

// One word of every bank (`bank[k]` from bank k), for the L neighbouring cells that start at a position.
template <int PE, int L>
struct Neighbours {
    Word<PE> bank[L];
    ap_uint<L> inside;  // which banks' cells lie inside the row
};

// Reads group `group` of the cells `at`, `at + 1`, ... `at + L - 1` of a row; nothing is read outside the row.
//
// `row` is the row's address, `groups` the words of a cell.
template <int PE, int L, int WORDS>
Neighbours<PE, L> read_neighbours(const Word<PE> (&banks)[L][WORDS], std::uint32_t row, const Position& at,
                                  const Position& width, std::uint16_t groups, std::uint16_t group) {
#pragma HLS INLINE
    Neighbours<PE, L> cells;
    cells.inside = 0;
    for (int k = 0; k < L; k++) {
#pragma HLS UNROLL
        // Banks left of the start hold the cells after the wrap.
        const int q = at.q + (k < at.r ? 1 : 0);
        const bool inside = q >= 0 && (q < width.q || (q == width.q && k < width.r));
        const std::uint32_t address = row + q * groups + group;
        CFM_CHECK(!inside || address < WORDS, "a read beyond the feature memory");
        cells.inside[k] = inside;
        cells.bank[k] = banks[k][inside ? address : 0];
    }
    return cells;
}

// Writes one word into every bank at the same address: a group of L neighbouring cells that start at a block.
template <int PE, int L, int WORDS>
void write_block(Word<PE> (&banks)[L][WORDS], std::uint32_t address, const Word<PE> (&words)[L]) {
#pragma HLS INLINE
    CFM_CHECK(address < WORDS, "a write beyond the feature memory");
    for (int k = 0; k < L; k++) {
#pragma HLS UNROLL
        banks[k][address] = words[k];
    }
}

// Writes one word into one bank.
template <int PE, int L, int WORDS>
void write_word(Word<PE> (&banks)[L][WORDS], std::uint16_t bank, std::uint32_t address, const Word<PE>& word) {
#pragma HLS INLINE
    CFM_CHECK(bank < L && address < WORDS, "a write beyond the feature memory");
    for (int k = 0; k < L; k++) {
#pragma HLS UNROLL
        if (k == bank) banks[k][address] = word;
    }
}

}  // namespace cfm
