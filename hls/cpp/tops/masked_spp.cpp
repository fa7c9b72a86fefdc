#include "tops.hpp"

void top_masked_spp(tops::Word (&features)[tops::L][tops::FEATURE_WORDS], const std::uint32_t (&memory)[tops::SCORING],
                    cfm::Header header, const cfm::CellMask<tops::SIDE, tops::L>& mask, std::uint16_t lane,
                    std::uint32_t pooled_address) {
#pragma HLS ARRAY_PARTITION variable = features dim = 1 complete
    cfm::NoProbe probe;
    cfm::pool_segment<tops::PE, tops::L, tops::FEATURE_WORDS, tops::SIDE>(features, memory, header, mask, lane,
                                                                          pooled_address, probe);
}
