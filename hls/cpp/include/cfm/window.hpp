// The sliding window: fetches, tap by tap, the cells that an operation's outputs look at.
//
// For output cell x the tap (ky, kx) is input cell `x * stride - padding + kx * dilation`. L output cells need L inputs
// `stride` apart, which may share banks; so a fetch takes `stride` passes of ceil(L / stride) lanes: the cells of a
// pass span at most L positions, no two in one bank.
#pragma once

#include <hls_stream.h>

#include "cfm/faults.hpp"
#include "cfm/feature_memory.hpp"

namespace cfm {

// One tap of one input group, for all lanes. Outside the tensor a lane holds the zero point.
template <int PE, int L>
struct Tap {
    Word<PE> lane[L];
    ap_uint<L> inside;
};

// Where the loops of an operation stand: block, output group, kernel row, kernel column, input group, pass.
template <int L>
struct WindowWalk {
    std::uint16_t out, ky, kx, group, pass;
    Position block, tap, at;  // first lane's cell: at tap 0, at this tap, in this pass
    std::uint32_t row;
    std::uint16_t first_lane;  // of the pass
};

// The row of kernel row 0, or of the first one inside.
template <int L>
void begin_rows(WindowWalk<L>& w, const Rows& rows) {
#pragma HLS INLINE
    w.ky = 0;
    w.row = rows.first;
}

// Steps to the next kernel row; the address moves on only inside the tensor.
template <int L>
void next_row(WindowWalk<L>& w, const Operation& operation, const Rows& rows) {
#pragma HLS INLINE
    if (operation.kind == Kind::add) {
        w.row = rows.second;
    } else if (w.ky >= rows.first_inside) {
        w.row += operation.row_step;
        const bool beyond = w.row >= operation.ring_first + operation.ring_words;
        if (operation.ring_words != 0 && beyond && !fault(Fault::ring_does_not_wrap)) w.row -= operation.ring_words;
    }
    w.ky++;
}

// Fetches every tap of `blocks` blocks of the output row from `first_block` on: for each output group anew, in the
// order [output group][ky][kx][input group].
//
// PE: channels of a word. L: lanes. WORDS: words of a bank.
template <int PE, int L, int WORDS>
void fetch_windows(const Word<PE> (&banks)[L][WORDS], Operation operation, Rows rows, std::uint16_t first_block,
                   std::uint16_t blocks, hls::stream<Tap<PE, L>>& taps) {
    const std::uint16_t groups = groups_per_tap(operation);
    const std::uint16_t passes = operation.stride;
    const std::uint16_t lanes = static_cast<std::uint16_t>((L + passes - 1) / passes);
    const std::uint32_t fetches =
        std::uint32_t(blocks) * operation.out_groups * operation.kernel_h * operation.kernel_w * groups * passes;

    WindowWalk<L> w;
    w.out = w.kx = w.group = w.pass = w.first_lane = 0;
    w.block = operation.start;
    w.block.q = static_cast<std::int16_t>(w.block.q + first_block * operation.stride);
    w.tap = w.at = w.block;
    begin_rows(w, rows);

    Tap<PE, L> tap;
    for (std::uint32_t n = 0; n < fetches; n++) {
#pragma HLS PIPELINE II = 1
        const bool row_inside = w.ky >= rows.first_inside && w.ky < rows.first_inside + rows.inside;
        Position at = w.at;
        if (fault(Fault::pass_off_by_one) && passes > 1) at.r = static_cast<std::uint16_t>((at.r + 1) % L);
        const Position no_width = {0, 0};
        const Neighbours<PE, L> cells =
            read_neighbours<PE, L, WORDS>(banks, w.row, at, row_inside ? operation.width : no_width,
                                          operation.in_groups, operation.kind == Kind::dense ? w.group : w.out);
        for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
            if (l >= w.first_lane && l < w.first_lane + lanes) {
                const int offset = at.r + (l - w.first_lane) * operation.stride;
                const int bank = offset >= L ? offset - L : offset;
                const bool inside = cells.inside[bank];
                const Byte padding = fault(Fault::padding_is_zero) ? Byte(0) : operation.z_in;
                tap.inside[l] = inside;
                tap.lane[l] = inside ? cells.bank[bank] : broadcast<PE>(padding);
            }
        }
        w.at = advance<L>(w.at, operation.pass);
        w.first_lane = static_cast<std::uint16_t>(w.first_lane + lanes);
        if (++w.pass < passes) continue;
        taps.write(tap);

        w.pass = w.first_lane = 0;
        if (++w.group == groups) {
            w.group = 0;
            w.tap = advance<L>(w.tap, operation.tap);
            if (++w.kx == operation.kernel_w) {
                w.kx = 0;
                w.tap = w.block;
                next_row(w, operation, rows);
                if (w.ky == operation.kernel_h) {
                    begin_rows(w, rows);
                    if (++w.out == operation.out_groups) {
                        w.out = 0;
                        w.block.q = static_cast<std::int16_t>(w.block.q + operation.stride);
                        w.tap = w.block;
                    }
                }
            }
        }
        w.at = w.tap;
    }
}

}  // namespace cfm
