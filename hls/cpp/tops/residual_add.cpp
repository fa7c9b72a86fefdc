#include "tops.hpp"

cfm::Byte top_residual_add(cfm::Operation operation, cfm::Byte first, cfm::Byte second, cfm::Channel channel) {
#pragma HLS PIPELINE II = 1
    const cfm::Sum sum =
        ap_int<8>(first) * cfm::addend_weight(operation, 0) + ap_int<8>(second) * cfm::addend_weight(operation, 1);
    return cfm::requantize<true>(sum, channel, operation.z_out, operation.low, operation.high);
}
