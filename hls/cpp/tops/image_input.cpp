#include "tops.hpp"

void top_image_input(tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], cfm::Header header,
                     cfm::ImageProgress& progress, hls::stream<tops::Word>& image) {
#pragma HLS ARRAY_PARTITION variable = banks dim = 1 complete
#pragma HLS INTERFACE axis port = image
    cfm::await_row<tops::PE, tops::L, tops::FEATURE_WORDS>(banks, header, progress, image);
    cfm::take_early<tops::PE, tops::L, tops::FEATURE_WORDS>(banks, header, progress, image);
}
