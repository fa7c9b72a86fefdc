#include "tops.hpp"

void top_mask_projection(const std::uint32_t (&memory)[tops::SCORING], cfm::Header header, std::uint16_t masked_level,
                         std::uint32_t first_word, hls::stream<std::uint32_t>& masks,
                         cfm::CellMask<tops::SIDE, tops::L>& mask) {
#pragma HLS INTERFACE axis port = masks
    cfm::project_mask<tops::SIDE, tops::L>(memory, header, masked_level, first_word, masks, mask);
}
