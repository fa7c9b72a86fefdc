// Scoring: batches of L segments, one per lane, at alternating addresses; logits in the order of the segments.
#pragma once

#include <ap_axi_sdata.h>
#include <hls_stream.h>

#include "cfm/arg_max.hpp"
#include "cfm/faults.hpp"
#include "cfm/types.hpp"

namespace cfm {

// A word of the logits stream, with the AXI4-Stream's `last`.
using LogitBeat = ap_axiu<32, 0, 0, 0>;

inline LogitBeat logit_beat(std::uint32_t data, bool last) {
#pragma HLS INLINE
    LogitBeat beat;
    beat.data = data;
    beat.keep = -1;
    beat.strb = -1;
    beat.last = last;
    return beat;
}

// Which segments are being collected.
struct Batch {
    std::uint16_t lanes;  // filled so far
    std::uint16_t first;  // index in the frame of lane 0's segment
    bool odd;
};

// The half of the double buffer that the batch uses.
inline int half_of(const Batch& batch) {
#pragma HLS INLINE
    return batch.odd && !fault(Fault::other_batch) ? 1 : 0;
}

inline Batch begin_batches() {
    return Batch{0, 0, false};
}

inline Batch next_batch(const Batch& batch) {
    return Batch{0, static_cast<std::uint16_t>(batch.first + batch.lanes), !batch.odd};
}

// Sends a batch's logits: a word per class, then arg max and index of the segment, with `last`.
template <int L, int CLASSES>
void send_logits(const std::int16_t (&logits)[L][CLASSES], std::uint16_t classes, const Batch& batch,
                 hls::stream<LogitBeat>& out) {
    for (std::uint16_t lane = 0; lane < batch.lanes; lane++) {
        Best best = {0, 0};
        for (std::uint16_t c = 0; c < classes; c++) {
#pragma HLS PIPELINE II = 1
            const std::int16_t logit = logits[lane][c];
            consider_logit(best, c, logit);
            out.write(logit_beat(static_cast<std::uint32_t>(static_cast<std::int32_t>(logit)), false));
        }
        const std::uint32_t segment = static_cast<std::uint16_t>(batch.first + lane);
        out.write(logit_beat(best.index | segment << 16, true));
    }
}

}  // namespace cfm
