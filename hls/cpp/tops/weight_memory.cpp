#include "tops.hpp"

void top_weight_memory(const tops::Word (&memory)[tops::WEIGHT_WORDS], const tops::Word* external,
                       cfm::Operation operation, std::uint16_t blocks, hls::stream<tops::Word>& weights) {
#pragma HLS INTERFACE m_axi port = external offset = slave bundle = weights depth = 512
#pragma HLS INTERFACE axis port = weights
    cfm::feed_weights<tops::PE, tops::WEIGHT_WORDS>(memory, external, operation, blocks, weights);
}
