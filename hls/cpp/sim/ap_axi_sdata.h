// The element of an AXI4-Stream for builds with g++, by the names that Vitis HLS gives its signals.
#pragma once

#include <ap_int.h>

template <int DATA, int USER, int ID, int DEST>
struct ap_axiu {
    static_assert(USER == 0 && ID == 0 && DEST == 0, "only data, keep, strb and last are simulated");
    ap_uint<DATA> data;
    ap_uint<(DATA + 7) / 8> keep;
    ap_uint<(DATA + 7) / 8> strb;
    ap_uint<1> last;
};
