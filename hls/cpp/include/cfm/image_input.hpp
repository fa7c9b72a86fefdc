// The image's rows on their way from the stream into their ring in the feature memory.
#pragma once

#include <hls_stream.h>

#include "cfm/faults.hpp"
#include "cfm/feature_memory.hpp"

namespace cfm {

// How far the image has been stored. Row 0 is stored when the program waits for it, row k + 1 from the end of the wait
// for row k on: that is the row by which the ring is longer than its readers need.
struct ImageProgress {
    std::uint32_t stored, awaited;  // rows
    std::uint32_t slot;             // of the ring, that the next row goes to
    Position at;                    // next cell of that row
    std::uint16_t cell, group;
};

inline ImageProgress begin_image() {
    return ImageProgress{0, 0, 0, {0, 0}, 0, 0};
}

inline bool has_room(const Header& header, const ImageProgress& progress) {
#pragma HLS INLINE
    return progress.awaited != 0 && progress.stored <= progress.awaited && progress.stored < header.image_height;
}

// Stores one beat: one group of one cell. Samples become quantized values, `q = sample - 128`.
template <int PE, int L, int WORDS>
void store_beat(Word<PE> (&banks)[L][WORDS], const Header& header, ImageProgress& progress, const Word<PE>& beat) {
#pragma HLS INLINE
    Word<PE> word = beat;
    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
        if (!fault(Fault::image_not_centred)) word[8 * p + 7] = !word[8 * p + 7];
    }
    const std::uint32_t address = header.image.address + progress.slot * header.image.row_words +
                                  progress.at.q * header.image_groups + progress.group;
    write_word<PE, L, WORDS>(banks, progress.at.r, address, word);

    if (++progress.group < header.image_groups) return;
    progress.group = 0;
    progress.at = advance<L>(progress.at, Position{1 / L, 1 % L});
    if (++progress.cell < header.image_width) return;
    progress.cell = 0;
    progress.at = Position{0, 0};
    progress.stored++;
    if (++progress.slot == header.image.rows) progress.slot = 0;
}

// Waits until the next row has been stored.
template <int PE, int L, int WORDS>
void await_row(Word<PE> (&banks)[L][WORDS], const Header& header, ImageProgress& progress,
               hls::stream<Word<PE>>& image) {
    CFM_CHECK(progress.awaited < header.image_height, "the program waits for more rows than the image has");
    progress.awaited++;
    while (progress.stored < progress.awaited) {
#pragma HLS PIPELINE II = 1
        store_beat<PE, L, WORDS>(banks, header, progress, image.read());
    }
}

// Takes what the stream has and the ring has room for, between two operations.
template <int PE, int L, int WORDS>
void take_early(Word<PE> (&banks)[L][WORDS], const Header& header, ImageProgress& progress,
                hls::stream<Word<PE>>& image) {
    Word<PE> beat;
    while (has_room(header, progress) && image.read_nb(beat)) {
#pragma HLS PIPELINE II = 1
        store_beat<PE, L, WORDS>(banks, header, progress, beat);
    }
}

}  // namespace cfm
