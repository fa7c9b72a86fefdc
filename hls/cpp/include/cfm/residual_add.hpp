// The residual addition: two taps of one channel each, weighted with powers of two that bring both tensors to one
// scale. It runs on the array like a depthwise layer of two taps; the zero points are in the bias, the scale in the
// requantization.
#pragma once

#include "cfm/control.hpp"
#include "cfm/faults.hpp"

namespace cfm {

// The weight of addend `tap` (0 or 1), for every channel: at most 2^14, so that 16 bits would hold it.
inline ap_int<17> addend_weight(const Operation& operation, std::uint16_t tap) {
#pragma HLS INLINE
    const bool second = tap != 0 && !fault(Fault::second_addend_weight);
    return ap_int<17>(operation.add_weights[second ? 1 : 0]);
}

}  // namespace cfm
