// Deliberate mistakes, one at a time, that the test benches must notice: -DCFM_FAULT=<number>. Never in hardware.
#pragma once

#ifndef CFM_FAULT
#define CFM_FAULT 0
#endif

#if defined(__SYNTHESIS__) && CFM_FAULT != 0
#error "a deliberate fault must not be synthesized"
#endif

namespace cfm {

enum class Fault {
    none = 0,
    ties_up = 1,                // requantization rounds ties up instead of to even
    bin_off_by_one = 2,         // pyramid bins end one cell early
    swapped_channels = 3,       // channels 0 and 1 of a result change places
    padding_is_zero = 4,        // padding is the number 0 instead of the zero point
    threshold_strict = 5,       // a cell exactly at the threshold is left out
    last_maximum = 6,           // of equal logits the last one wins
    ring_does_not_wrap = 7,     // rows run past the end of their ring
    division_truncates = 8,     // average pooling drops the remainder
    no_saturation = 9,          // results wrap instead of saturating
    second_addend_weight = 10,  // the second addend is scaled like the first
    padding_wins = 11,          // maximum pooling looks at cells outside the tensor
    carried_sum = 12,           // an output group starts with the sums of the one before
    pass_off_by_one = 13,       // every pass of a strided fetch looks one cell too far right
    other_batch = 14,           // odd batches are scored at the even batch's address
    image_not_centred = 15,     // samples are taken as they come
    fallback_last = 16,         // of equally covered cells the last one is set
    channel_words = 17,         // weights' parts are written in reverse order
};

constexpr bool fault(Fault which) {
    return static_cast<int>(which) == CFM_FAULT;
}

}  // namespace cfm
