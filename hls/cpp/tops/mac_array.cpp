#include "tops.hpp"

void top_mac_array(cfm::Operation operation, std::uint16_t blocks, hls::stream<cfm::Tap<tops::PE, tops::L>>& taps,
                   hls::stream<tops::Word>& weights, hls::stream<cfm::Sums<tops::PE, tops::L>>& sums) {
#pragma HLS INTERFACE axis port = taps
#pragma HLS INTERFACE axis port = weights
#pragma HLS INTERFACE axis port = sums
    cfm::run_array<tops::PE, tops::L>(operation, blocks, taps, weights, sums);
}
