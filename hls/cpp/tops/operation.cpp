#include "tops.hpp"

void top_operation(tops::Word (&features)[tops::L][tops::FEATURE_WORDS],
                   const tops::Word (&weights)[tops::WEIGHT_WORDS], const tops::Word* external,
                   const cfm::Sum (&biases)[tops::CHANNELS], const ap_uint<21> (&scales)[tops::CHANNELS],
                   cfm::Operation operation, cfm::Rows rows, std::uint32_t write_address,
                   tops::Word (&row)[tops::L][tops::ROW], std::int16_t (&logits)[tops::L][tops::CLASSES]) {
#pragma HLS INTERFACE m_axi port = external offset = slave bundle = weights depth = 512
#pragma HLS ARRAY_PARTITION variable = features dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = row dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = logits dim = 1 complete
    cfm::NoProbe probe;
    cfm::run_operation<tops::PE, tops::L, tops::FEATURE_WORDS, tops::WEIGHT_WORDS, tops::CHANNELS, tops::ROW,
                       tops::CLASSES, true, true>(features, weights, external, biases, scales, operation, rows,
                                                  write_address, row, logits, probe);
}
