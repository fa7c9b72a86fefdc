#include "tops.hpp"

bool cfm_engine(const ap_uint<64>* config, std::uint32_t config_writes, bool run,
                const cfm::Word<cfm::Instance::PE>* weights, hls::stream<cfm::Word<cfm::Instance::PE>>& image,
                hls::stream<std::uint32_t>& masks, hls::stream<cfm::LogitBeat>& logits) {
#pragma HLS INTERFACE s_axilite port = return
#pragma HLS INTERFACE s_axilite port = config_writes
#pragma HLS INTERFACE s_axilite port = run
#pragma HLS INTERFACE m_axi port = config offset = slave bundle = config depth = 65536 max_read_burst_length = 64
#pragma HLS INTERFACE m_axi port = weights offset = slave bundle = weights depth = 65536 max_read_burst_length = 64
#pragma HLS INTERFACE axis port = image
#pragma HLS INTERFACE axis port = masks
#pragma HLS INTERFACE axis port = logits
    // Kept from call to call: the configuration is written once and used for every frame.
    static cfm::Memories<cfm::Instance> memories;
#pragma HLS DISAGGREGATE variable = memories
#pragma HLS ARRAY_PARTITION variable = memories.features dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = memories.row dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = memories.logits dim = 1 complete
    for (std::uint32_t n = 0; n < config_writes; n++) {
#pragma HLS PIPELINE II = 2
        const ap_uint<64> word = config[n];
        cfm::configure<cfm::Instance>(memories, word.range(31, 0).to_uint(), word.range(63, 32).to_uint());
    }
    if (!run) return true;
    cfm::NoProbe probe;
    return cfm::run_frame<cfm::Instance>(memories, image, masks, weights, logits, probe);
}
