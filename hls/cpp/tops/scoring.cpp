#include "tops.hpp"

void top_scoring(const std::int16_t (&logits)[tops::L][tops::CLASSES], std::uint16_t classes, cfm::Batch batch,
                 hls::stream<cfm::LogitBeat>& out) {
#pragma HLS INTERFACE axis port = out
    cfm::send_logits<tops::L, tops::CLASSES>(logits, classes, batch, out);
}
