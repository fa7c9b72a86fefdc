// The largest logit: the smallest index of equals.
#pragma once

#include "cfm/faults.hpp"
#include "cfm/types.hpp"

namespace cfm {

struct Best {
    std::uint16_t index;
    std::int16_t logit;
};

// Takes the next logit into account; the first one starts over.
inline void consider_logit(Best& best, std::uint16_t index, std::int16_t logit) {
#pragma HLS INLINE
    const bool better = fault(Fault::last_maximum) ? logit >= best.logit : logit > best.logit;
    if (index == 0 || better) best = Best{index, logit};
}

}  // namespace cfm
