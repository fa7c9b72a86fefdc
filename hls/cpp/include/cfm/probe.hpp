// What a test bench may watch. The hardware has the empty probe, which leaves nothing behind.
#pragma once

#include "cfm/types.hpp"

namespace cfm {

struct NoProbe {
    // A write of the array's path: a word of every lane.
    template <class Words>
    void array_write(const Words&) {}
    // A write of the masked pyramid.
    template <class W>
    void pooled_write(int, const W&) {}
    // A segment's mask is complete.
    template <class Mask>
    void segment(const Mask&) {}
};

}  // namespace cfm
