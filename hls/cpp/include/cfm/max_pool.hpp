// Maximum pooling: the array's accumulators as running maxima. Scale and zero point pass through.
#pragma once

#include "cfm/faults.hpp"
#include "cfm/types.hpp"

namespace cfm {

// Below every value: what a window without a cell so far has.
constexpr int NO_MAXIMUM = -128;

// One tap of one lane and channel; cells outside the tensor never win.
inline Sum pool_maximum(const Sum& running, Byte value, bool inside) {
#pragma HLS INLINE
    const bool counts = inside || fault(Fault::padding_wins);
    return counts && running < value ? Sum(value) : running;
}

}  // namespace cfm
