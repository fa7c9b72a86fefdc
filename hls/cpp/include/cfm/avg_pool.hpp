// Average pooling: the array sums the cells inside the tensor and counts them; here the sum is divided.
#pragma once

#include "cfm/faults.hpp"
#include "cfm/types.hpp"

namespace cfm {

// numerator / denominator, rounded to nearest, ties to even. 1 <= denominator; |numerator| <= 255 * denominator.
inline ap_int<10> divide_ties_to_even(const ap_int<26>& numerator, const ap_uint<16>& denominator) {
#pragma HLS INLINE
    // Magnitudes: hardware division truncates, and ties to even is symmetric about 0.
    const bool negative = numerator < 0;
    const ap_uint<25> magnitude = negative ? ap_uint<25>(-numerator) : ap_uint<25>(numerator);
    const ap_uint<10> quotient = ap_uint<10>(magnitude / denominator);
    const ap_uint<17> twice = ap_uint<17>(2 * (magnitude % denominator));
    const bool up = twice > denominator || (twice == denominator && quotient[0]);
    const ap_int<11> rounded = quotient + (up && !fault(Fault::division_truncates) ? 1 : 0);
    return negative ? ap_int<10>(-rounded) : ap_int<10>(rounded);
}

// The average of `count` cells whose values sum up to `sum`, as a quantized value.
inline Byte average(const Sum& sum, std::uint16_t count, Byte zero_point, Byte low, Byte high) {
#pragma HLS INLINE
    // Lanes beyond the row have no cells. Their result counts for nothing, but a simulation must not divide by 0.
    const ap_uint<16> divisor = count == 0 ? 1 : int(count);
    const ap_int<26> centred = sum - ap_int<26>(ap_int<8>(zero_point) * ap_int<17>(count));
    const ap_int<11> value = zero_point + divide_ties_to_even(centred, divisor);
    return value < low ? low : value > high ? high : static_cast<Byte>(value.to_int());
}

}  // namespace cfm
