#include "tops.hpp"

void top_feature_memory(tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], std::uint32_t write_address,
                        const tops::Word (&block)[tops::L], tops::ReadRequest request,
                        cfm::Neighbours<tops::PE, tops::L>& cells) {
#pragma HLS ARRAY_PARTITION variable = banks dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = block dim = 1 complete
    cfm::write_block<tops::PE, tops::L, tops::FEATURE_WORDS>(banks, write_address, block);
    cells = cfm::read_neighbours<tops::PE, tops::L, tops::FEATURE_WORDS>(banks, request.row, request.at, request.width,
                                                                         request.groups, request.group);
}
