#include "tops.hpp"

cfm::Sum top_max_pool(cfm::Sum running, cfm::Byte value, bool inside) {
#pragma HLS PIPELINE II = 1
    return cfm::pool_maximum(running, value, inside);
}
