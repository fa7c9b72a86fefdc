#include "tops.hpp"

std::uint16_t top_arg_max(const std::int16_t (&logits)[tops::CLASSES], std::uint16_t classes) {
    cfm::Best best = {0, 0};
    for (std::uint16_t c = 0; c < classes; c++) {
#pragma HLS PIPELINE II = 1
        cfm::consider_logit(best, c, logits[c]);
    }
    return best.index;
}
