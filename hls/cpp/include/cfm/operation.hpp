// An operation: one row of one layer, or one fully connected layer of a batch of segments.
#pragma once

#include "cfm/requantize.hpp"
#include "cfm/weight_memory.hpp"

namespace cfm {

// The array's path for some blocks of a row: window, weights, array and requantization side by side.
template <int PE, int L, int FEATURE_WORDS, int WEIGHT_WORDS, int CHANNELS, int ROW, int CLASSES, bool GENERAL_SCALE,
          bool AVERAGE_POOL>
void compute_blocks(const Word<PE> (&features)[L][FEATURE_WORDS], const Word<PE> (&weight_memory)[WEIGHT_WORDS],
                    const Word<PE>* external, const Sum (&biases)[CHANNELS], const ap_uint<21> (&scales)[CHANNELS],
                    Operation operation, Rows rows, std::uint16_t first_block, std::uint16_t blocks,
                    Word<PE> (&row)[L][ROW], std::int16_t (&logits)[L][CLASSES]) {
#pragma HLS DATAFLOW
    hls::stream<Tap<PE, L>> taps("taps");
    hls::stream<Word<PE>> weights("weights");
    hls::stream<Sums<PE, L>> sums("sums");
    // A tap ahead of the array, a burst of weights ahead of their use, a result while the next is summed.
#pragma HLS STREAM variable = taps depth = 2
#pragma HLS STREAM variable = weights depth = 32
#pragma HLS STREAM variable = sums depth = 2
#pragma HLS AGGREGATE variable = taps compact = bit
#pragma HLS AGGREGATE variable = sums compact = bit
    fetch_windows<PE, L, FEATURE_WORDS>(features, operation, rows, first_block, blocks, taps);
    feed_weights<PE, WEIGHT_WORDS>(weight_memory, external, operation, blocks, weights);
    run_array<PE, L>(operation, blocks, taps, weights, sums);
    finish_sums<PE, L, CHANNELS, ROW, CLASSES, GENERAL_SCALE, AVERAGE_POOL>(operation, blocks, biases, scales, sums,
                                                                            row, logits);
}

// Runs an operation and writes its row. `probe` sees every write, in simulation only.
//
// Reading and writing the feature memory take turns, a row buffer's worth of blocks at a time, because an array may
// have only one user in a dataflow region. No row is ever written that its own operation reads.
template <int PE, int L, int FEATURE_WORDS, int WEIGHT_WORDS, int CHANNELS, int ROW, int CLASSES, bool GENERAL_SCALE,
          bool AVERAGE_POOL, class Probe>
void run_operation(Word<PE> (&features)[L][FEATURE_WORDS], const Word<PE> (&weight_memory)[WEIGHT_WORDS],
                   const Word<PE>* external, const Sum (&biases)[CHANNELS], const ap_uint<21> (&scales)[CHANNELS],
                   const Operation& operation, const Rows& rows, std::uint32_t write_address, Word<PE> (&row)[L][ROW],
                   std::int16_t (&logits)[L][CLASSES], Probe& probe) {
    std::uint32_t address = write_address;
    std::uint16_t block = 0;
    while (block < operation.blocks) {
        // As many blocks as the row buffer holds, at least one.
        std::uint16_t blocks = 1;
        std::uint32_t words = operation.out_groups;
        while (block + blocks < operation.blocks && words + operation.out_groups <= ROW) {
#pragma HLS PIPELINE II = 1
            blocks++;
            words += operation.out_groups;
        }
        compute_blocks<PE, L, FEATURE_WORDS, WEIGHT_WORDS, CHANNELS, ROW, CLASSES, GENERAL_SCALE, AVERAGE_POOL>(
            features, weight_memory, external, biases, scales, operation, rows, block, blocks, row, logits);
        if (!operation.logits) {
            for (std::uint32_t n = 0; n < words; n++) {
#pragma HLS PIPELINE II = 1
                Word<PE> word[L];
#pragma HLS ARRAY_PARTITION variable = word dim = 0 complete
                for (int l = 0; l < L; l++) {
#pragma HLS UNROLL
                    word[l] = row[l][n];
                }
                write_block<PE, L, FEATURE_WORDS>(features, address + n, word);
                probe.array_write(word);
            }
        }
        address += words;
        block = static_cast<std::uint16_t>(block + blocks);
    }
}

}  // namespace cfm
