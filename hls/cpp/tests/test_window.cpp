// Fetched windows against plain indexing: strides, dilations, padding, rings that wrap, at three foldings.
#include "check.hpp"
#include "layer.hpp"
#include "tops.hpp"

namespace {

template <int PE, int L, int WORDS, class Unit>
void check(std::uint64_t seed, int cases, Unit unit) {
    sim::Chance chance(seed);
    static cfm::Word<PE> banks[L][WORDS];
    for (int n = 0; n < cases; n++) {
        const test::Tensor in =
            test::random_tensor(chance, chance.between(1, 9), chance.between(1, 4 * L), chance.between(1, 2 * PE));
        const test::Layer layer = test::random_layer(chance, in, 2 * PE);
        const int words = test::divide_up(in.width, L) * test::divide_up(in.channels, PE);
        const int needed = layer.dilation * (layer.kernel_h - 1) + 1;
        const test::Place place = {chance.between(0, 20), words, needed + chance.between(0, 2)};
        test::fill_with_noise<PE, L, WORDS>(banks, chance);
        test::place_rows<PE, L, WORDS>(banks, in, place, test::input_row(layer, 0),
                                       test::input_row(layer, layer.kernel_h - 1));
        cfm::Operation o = test::operation_of<PE, L>(layer, in, place);
        cfm::Rows rows = test::rows_of(layer, in, place);
        if (layer.kind == cfm::Kind::add) {
            rows.inside = 2;
            rows.second = rows.first;
        }
        const int first = chance.between(0, o.blocks - 1), blocks = chance.between(1, o.blocks - first);
        hls::stream<cfm::Tap<PE, L>> taps("taps");
        unit(banks, o, rows, static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(blocks), taps);
        const bool dense = layer.kind == cfm::Kind::dense;
        for (int b = first; b < first + blocks; b++)
            for (int out = 0; out < o.out_groups; out++)
                for (int ky = 0; ky < o.kernel_h; ky++)
                    for (int kx = 0; kx < layer.kernel_w; kx++)
                        for (int g = 0; g < (dense ? o.in_groups : 1); g++) {
                            const cfm::Tap<PE, L> tap = taps.read();
                            const int y = test::input_row(layer, layer.kind == cfm::Kind::add ? 0 : ky);
                            for (int l = 0; l < L; l++) {
                                const int x = test::input_column(layer, b * L + l, kx);
                                const bool inside = y >= 0 && y < in.height && x >= 0 && x < in.width;
                                test::equal(bool(tap.inside[l]), inside, "case %d: inside of (%d, %d)", n, y, x);
                                for (int p = 0; p < PE; p++) {
                                    const int c = (dense ? g : out) * PE + p;
                                    if (c >= in.channels) continue;
                                    test::equal(cfm::byte_of<PE>(tap.lane[l], p), inside ? in.at(y, x, c) : in.zero,
                                                "case %d: cell (%d, %d) channel %d, stride %d", n, y, x, c,
                                                layer.stride);
                                }
                            }
                        }
        test::equal(taps.size(), 0, "case %d: nothing more", n);
    }
}

}  // namespace

int main() {
    check<tops::PE, tops::L, tops::FEATURE_WORDS>(8, 400, top_window);
    check<4, 3, 256>(9, 600, cfm::fetch_windows<4, 3, 256>);
    check<16, 5, 256>(10, 100, cfm::fetch_windows<16, 5, 256>);
    check<4, 1, 256>(11, 100, cfm::fetch_windows<4, 1, 256>);
    return test::passed("window");
}
