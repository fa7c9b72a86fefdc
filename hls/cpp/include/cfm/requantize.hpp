// Requantization: `clamp(z_out + rne((acc + bias) * m, s), lo, hi)`, rne rounding to nearest, ties to even.
#pragma once

#include <hls_stream.h>

#include "cfm/avg_pool.hpp"
#include "cfm/mac_array.hpp"

namespace cfm {

// A channel record: bias at the accumulator's scale, and the multiplier m / 2^s.
struct Channel {
    Sum bias;
    ap_uint<15> mantissa;
    ap_uint<6> shift;
};

constexpr int EVEN_SHIFT = 14;  // m of a multiplier that is a power of two is 2^14

// value / 2^shift, rounded to nearest, ties to even. WIDTH: bits of the value; shift at most WIDTH.
template <int WIDTH>
ap_int<WIDTH> shift_ties_to_even(const ap_int<WIDTH>& value, unsigned shift) {
#pragma HLS INLINE
    // One bit more than the value, so that a shift by WIDTH still finds a sign to round.
    const ap_int<WIDTH + 1> wide = value;
    const ap_int<WIDTH + 1> floor = wide >> shift;
    const ap_uint<WIDTH + 1> below = ap_uint<WIDTH + 1>(wide - (floor << shift));
    const ap_uint<WIDTH + 1> half = ap_uint<WIDTH + 1>(ap_uint<WIDTH + 1>(1) << shift) >> 1;
    const bool tie = shift != 0 && below == half;
    const bool up = below > half || (tie && (floor[0] || fault(Fault::ties_up)));
    return ap_int<WIDTH>(floor + (up ? 1 : 0));
}

// `rne(value * m, s)`.
//
// GENERAL_SCALE = false: every m is 2^14 and s at least 14, so a rounding shift does, and there is no multiplier.
template <bool GENERAL_SCALE>
ap_int<47> scale(const Sum& value, const ap_uint<15>& mantissa, const ap_uint<6>& shift) {
#pragma HLS INLINE
    if constexpr (GENERAL_SCALE) {
        // Shifts beyond the product's 47 bits all give 0, and so does one of 47.
        const ap_int<47> product = value * ap_int<16>(mantissa);
        return shift_ties_to_even<47>(product, shift > 47 ? 47u : unsigned(shift));
    } else {
        CFM_CHECK(mantissa == (1 << EVEN_SHIFT) && shift >= EVEN_SHIFT, "a multiplier that is no power of two");
        const unsigned by = unsigned(shift) - EVEN_SHIFT;
        return shift_ties_to_even<32>(value, by > 32 ? 32u : by);
    }
}

template <class To, int WIDTH>
To saturate(const ap_int<WIDTH>& value, int low, int high) {
#pragma HLS INLINE
    if (fault(Fault::no_saturation)) return static_cast<To>(value.to_int());
    return static_cast<To>(value < low ? low : value > high ? high : value.to_int());
}

// The activation of an accumulator.
template <bool GENERAL_SCALE>
Byte requantize(const Sum& sum, const Channel& channel, Byte zero_point, Byte low, Byte high) {
#pragma HLS INLINE
    const Sum biased = sum + channel.bias;
    const ap_int<48> shifted = scale<GENERAL_SCALE>(biased, channel.mantissa, channel.shift) + zero_point;
    return saturate<Byte>(shifted, low, high);
}

// The logit of an accumulator: 16 bits, no zero point.
template <bool GENERAL_SCALE>
std::int16_t requantize_logit(const Sum& sum, const Channel& channel) {
#pragma HLS INLINE
    const Sum biased = sum + channel.bias;
    return saturate<std::int16_t>(scale<GENERAL_SCALE>(biased, channel.mantissa, channel.shift), -32768, 32767);
}

// The first word of a channel record is the bias, the second the multiplier: `m | s << 16`.
template <int CHANNELS>
void write_channel(Sum (&biases)[CHANNELS], ap_uint<21> (&scales)[CHANNELS], std::uint32_t address,
                   std::uint32_t data) {
    const std::uint32_t channel = address / 2;
    CFM_CHECK(channel < CHANNELS, "a channel beyond the channel memory");
    if (address % 2 == 0) {
        biases[channel] = static_cast<std::int32_t>(data);
    } else {
        // 15 bits of m, then, in the record from bit 16, 6 bits of s.
        scales[channel] = (data & 0x7FFF) | (data >> 16 & 0x3F) << 15;
    }
}

template <int CHANNELS>
Channel read_channel(const Sum (&biases)[CHANNELS], const ap_uint<21> (&scales)[CHANNELS], std::uint32_t channel) {
#pragma HLS INLINE
    CFM_CHECK(channel < CHANNELS, "a channel beyond the channel memory");
    const ap_uint<21> multiplier = scales[channel];
    Channel c;
    c.bias = biases[channel];
    c.mantissa = multiplier.range(14, 0);
    c.shift = multiplier.range(20, 15);
    return c;
}

// Turns the sums of `blocks` blocks into words: one channel of all lanes a cycle, PE cycles per output group.
//
// Words go to `row` (lane, block * out_groups + out), the classifier's logits to `logits` (lane, class).
// ROW: output words of a lane. CLASSES: logits of a lane. AVERAGE_POOL = false: no divider.
template <int PE, int L, int CHANNELS, int ROW, int CLASSES, bool GENERAL_SCALE, bool AVERAGE_POOL>
void finish_sums(Operation operation, std::uint16_t blocks, const Sum (&biases)[CHANNELS],
                 const ap_uint<21> (&scales)[CHANNELS], hls::stream<Sums<PE, L>>& sums, Word<PE> (&row)[L][ROW],
                 std::int16_t (&logits)[L][CLASSES]) {
    const std::uint32_t words = std::uint32_t(blocks) * operation.out_groups;
    CFM_CHECK(words <= ROW || operation.logits, "more output words than the row buffer holds");
    CFM_CHECK(AVERAGE_POOL || operation.kind != Kind::avg_pool, "this instance has no divider");
    const bool scaled = operation.kind != Kind::max_pool && operation.kind != Kind::avg_pool;

    Sums<PE, L> current;
    Word<PE> done[L];
#pragma HLS ARRAY_PARTITION variable = done dim = 0 complete
#pragma HLS ARRAY_PARTITION variable = current.sum dim = 0 complete
    std::uint32_t word = 0;
    std::uint16_t out = 0;
    int p = 0;
    for (std::uint32_t n = 0; n < words * PE; n++) {
#pragma HLS PIPELINE II = 1
        if (p == 0) current = sums.read();
        const int channel = out * PE + p;
        Channel c = {0, 1 << EVEN_SHIFT, EVEN_SHIFT};
        if (scaled) c = read_channel<CHANNELS>(biases, scales, operation.channels + channel);
        const int place = fault(Fault::swapped_channels) && p < 2 ? 1 - p : p;
        for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
            const Sum sum = current.sum[l][p];
            Byte value;
            if (scaled) {
                value = requantize<GENERAL_SCALE>(sum, c, operation.z_out, operation.low, operation.high);
            } else if (AVERAGE_POOL && operation.kind == Kind::avg_pool) {
                value = average(sum, current.count[l], operation.z_in, operation.low, operation.high);
            } else {
                value = static_cast<Byte>(sum.to_int());
            }
            set_byte<PE>(done[l], place, value);
            if (operation.logits && channel < operation.out_channels) {
                CFM_CHECK(channel < CLASSES, "more classes than the instance has");
                logits[l][channel] = requantize_logit<GENERAL_SCALE>(sum, c);
            }
        }
        if (++p < PE) continue;
        p = 0;
        if (!operation.logits) {
            for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
                row[l][word] = done[l];
            }
        }
        word++;
        if (++out == operation.out_groups) out = 0;
    }
}

}  // namespace cfm
