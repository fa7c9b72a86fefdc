// Weights on their way to the array, one word of PE channels a cycle: from the memory on chip, or from outside.
#pragma once

#include <hls_stream.h>

#include "cfm/control.hpp"
#include "cfm/faults.hpp"

namespace cfm {

// Weight words that one block of an operation takes.
inline std::uint32_t weight_words(const Operation& operation) {
#pragma HLS INLINE
    return std::uint32_t(operation.out_groups) * operation.kernel_h * operation.kernel_w * inputs_per_tap(operation);
}

// Stores a part (32 bits, low channels first) of a weight word.
template <int PE, int WORDS>
void write_weight(Word<PE> (&memory)[WORDS], std::uint32_t address, std::uint32_t data) {
    constexpr int PARTS = PE / 4;
    const std::uint32_t word = address / PARTS;
    const int part = static_cast<int>(fault(Fault::channel_words) ? PARTS - 1 - address % PARTS : address % PARTS);
    CFM_CHECK(word < WORDS, "a weight beyond the weight memory");
    for (int i = 0; i < PARTS; i++) {
#pragma HLS UNROLL
        if (i == part) memory[word].range(32 * i + 31, 32 * i) = data;
    }
}

// Sends an operation's weights, anew for every block; nothing for operations without weights.
//
// From outside, a block's words are one burst: what the request and answer streams of the RTL are.
template <int PE, int WORDS>
void feed_weights(const Word<PE> (&memory)[WORDS], const Word<PE>* external, Operation operation, std::uint16_t blocks,
                  hls::stream<Word<PE>>& weights) {
    const std::uint32_t words = has_weights(operation) ? weight_words(operation) : 0;
    for (std::uint16_t block = 0; block < blocks; block++) {
        if (operation.external_weights) {
            for (std::uint32_t n = 0; n < words; n++) {
#pragma HLS PIPELINE II = 1
                weights.write(external[operation.weights + n]);
            }
        } else {
            for (std::uint32_t n = 0; n < words; n++) {
#pragma HLS PIPELINE II = 1
                CFM_CHECK(operation.weights + n < WORDS, "a weight beyond the weight memory");
                weights.write(memory[operation.weights + n]);
            }
        }
    }
}

}  // namespace cfm
