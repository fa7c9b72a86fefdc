// The array: PE * L multipliers and accumulators (a matrix-vector unit whose columns are the lanes).
//
// A dense layer takes one activation per lane and one weight per channel a cycle, an outer product; a depthwise one,
// and all that runs like it, one activation per lane and channel.
#pragma once

#include <hls_stream.h>

#include "cfm/max_pool.hpp"
#include "cfm/residual_add.hpp"
#include "cfm/window.hpp"

namespace cfm {

// The accumulators of one output group, and how many cells of the window lay inside the tensor.
template <int PE, int L>
struct Sums {
    Sum sum[L][PE];
    std::uint16_t count[L];
};

// What one cycle multiplies.
template <int PE, int L>
struct Operands {
    Byte value[L][PE];
    ap_int<17> weight[PE];
    ap_uint<L> counts;  // lanes that take part
};

// One cycle: every accumulator takes its product, or its maximum.
template <int PE, int L>
void accumulate(Sums<PE, L>& sums, const Operands<PE, L>& x, bool maximum, bool first) {
#pragma HLS INLINE
    for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
        for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
            const Sum start = maximum ? NO_MAXIMUM : 0;
            const Sum before = first && !fault(Fault::carried_sum) ? start : sums.sum[l][p];
            const ap_int<25> product = ap_int<8>(x.value[l][p]) * x.weight[p];
            if (maximum) {
                sums.sum[l][p] = pool_maximum(before, x.value[l][p], x.counts[l]);
            } else {
                sums.sum[l][p] = x.counts[l] ? Sum(before + product) : before;
            }
        }
        const std::uint16_t before = first ? std::uint16_t(0) : sums.count[l];
        sums.count[l] = static_cast<std::uint16_t>(before + (x.counts[l] ? 1 : 0));
    }
}

// The sums of every output group of `blocks` blocks, in order.
//
// Takes a tap per input group, and in layers with weights a weight word per cycle.
template <int PE, int L>
void run_array(Operation operation, std::uint16_t blocks, hls::stream<Tap<PE, L>>& taps, hls::stream<Word<PE>>& weights,
               hls::stream<Sums<PE, L>>& sums) {
    const std::uint16_t inputs = inputs_per_tap(operation);
    const std::uint16_t taps_per_group = static_cast<std::uint16_t>(operation.kernel_h * operation.kernel_w);
    const std::uint32_t cycles = std::uint32_t(blocks) * operation.out_groups * taps_per_group * inputs;
    const bool dense = operation.kind == Kind::dense;
    const bool pooling = operation.kind == Kind::max_pool || operation.kind == Kind::avg_pool;

    Tap<PE, L> tap;
    Sums<PE, L> running;
    for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
        tap.lane[l] = 0;
        running.count[l] = 0;
        for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
            running.sum[l][p] = 0;
        }
    }
#pragma HLS ARRAY_PARTITION variable = running.sum dim = 0 complete
#pragma HLS ARRAY_PARTITION variable = running.count dim = 0 complete

    std::uint16_t input = 0, tap_index = 0;
    for (std::uint32_t n = 0; n < cycles; n++) {
#pragma HLS PIPELINE II = 1
        const int channel = input % PE;
        if (channel == 0) tap = taps.read();
        Word<PE> word = 0;
        if (has_weights(operation)) word = weights.read();

        Operands<PE, L> x;
        x.counts = pooling ? tap.inside : ap_uint<L>(-1);
        for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
            switch (operation.kind) {
                case Kind::add: x.weight[p] = addend_weight(operation, tap_index); break;
                case Kind::avg_pool:
                case Kind::max_pool: x.weight[p] = 1; break;
                default: x.weight[p] = byte_of<PE>(word, p);
            }
        }
        for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
            const Byte scalar = byte_of<PE>(tap.lane[l], channel);
            for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
                x.value[l][p] = dense ? scalar : byte_of<PE>(tap.lane[l], p);
            }
        }
        accumulate<PE, L>(running, x, operation.kind == Kind::max_pool, input == 0 && tap_index == 0);

        if (++input < inputs) continue;
        input = 0;
        if (++tap_index < taps_per_group) continue;
        tap_index = 0;
        sums.write(running);
    }
}

}  // namespace cfm
