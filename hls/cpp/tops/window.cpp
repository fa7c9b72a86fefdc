#include "tops.hpp"

void top_window(const tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], cfm::Operation operation, cfm::Rows rows,
                std::uint16_t first_block, std::uint16_t blocks, hls::stream<cfm::Tap<tops::PE, tops::L>>& taps) {
#pragma HLS ARRAY_PARTITION variable = banks dim = 1 complete
#pragma HLS INTERFACE axis port = taps
    cfm::fetch_windows<tops::PE, tops::L, tops::FEATURE_WORDS>(banks, operation, rows, first_block, blocks, taps);
}
