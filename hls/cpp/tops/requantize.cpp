#include "tops.hpp"

void top_requantize(cfm::Operation operation, std::uint16_t blocks, const cfm::Sum (&biases)[tops::CHANNELS],
                    const ap_uint<21> (&scales)[tops::CHANNELS], hls::stream<cfm::Sums<tops::PE, tops::L>>& sums,
                    tops::Word (&row)[tops::L][tops::ROW], std::int16_t (&logits)[tops::L][tops::CLASSES]) {
#pragma HLS INTERFACE axis port = sums
#pragma HLS ARRAY_PARTITION variable = row dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = logits dim = 1 complete
    cfm::finish_sums<tops::PE, tops::L, tops::CHANNELS, tops::ROW, tops::CLASSES, true, true>(
        operation, blocks, biases, scales, sums, row, logits);
}
