// The array's sums against plain loops, for every kind of operation.
#include "check.hpp"
#include "tops.hpp"

namespace {

template <int PE, int L, class Unit>
void check(std::uint64_t seed, int cases, Unit unit) {
    sim::Chance chance(seed);
    for (int n = 0; n < cases; n++) {
        cfm::Operation o = {};
        o.kind = static_cast<cfm::Kind>(chance.below(5));
        const bool dense = o.kind == cfm::Kind::dense, add = o.kind == cfm::Kind::add;
        o.inputs = static_cast<std::uint16_t>(chance.between(1, 3 * PE));
        o.in_groups = static_cast<std::uint16_t>((o.inputs + PE - 1) / PE);
        o.out_groups = static_cast<std::uint16_t>(chance.between(1, 3));
        o.kernel_h = static_cast<std::uint16_t>(add ? 2 : chance.between(1, 3));
        o.kernel_w = static_cast<std::uint16_t>(add ? 1 : chance.between(1, 3));
        o.add_weights[0] = static_cast<std::uint16_t>(1 << chance.below(16));
        o.add_weights[1] = static_cast<std::uint16_t>(1 << chance.below(16));
        const int blocks = chance.between(1, 3);
        const int taps_per_group = o.kernel_h * o.kernel_w;
        hls::stream<cfm::Tap<PE, L>> taps("taps");
        hls::stream<cfm::Word<PE>> weights("weights");
        hls::stream<cfm::Sums<PE, L>> sums("sums");
        std::vector<std::int64_t> expected;
        std::vector<int> counts;
        for (int g = 0; g < blocks * o.out_groups; g++) {
            std::vector<std::int64_t> sum(L * PE, o.kind == cfm::Kind::max_pool ? -128 : 0);
            std::vector<int> count(L, 0);
            for (int t = 0; t < taps_per_group; t++) {
                for (int i = 0; i < (dense ? o.in_groups : 1); i++) {
                    cfm::Tap<PE, L> tap;
                    int q[L][PE];
                    for (int l = 0; l < L; l++) {
                        tap.inside[l] = chance.percent(70);
                        count[static_cast<std::size_t>(l)] += bool(tap.inside[l]);
                        for (int p = 0; p < PE; p++) {
                            q[l][p] = chance.byte();
                            cfm::set_byte<PE>(tap.lane[l], p, cfm::Byte(q[l][p]));
                        }
                    }
                    taps.write(tap);
                    const int cycles = dense ? std::min(PE, o.inputs - i * PE) : 1;
                    for (int c = 0; c < cycles; c++) {
                        cfm::Word<PE> word;
                        int w[PE];
                        for (int p = 0; p < PE; p++) {
                            w[p] = chance.byte();
                            cfm::set_byte<PE>(word, p, cfm::Byte(w[p]));
                            if (add) w[p] = o.add_weights[t];
                            if (o.kind == cfm::Kind::avg_pool) w[p] = 1;
                        }
                        if (dense || o.kind == cfm::Kind::depthwise) weights.write(word);
                        for (int l = 0; l < L; l++) {
                            for (int p = 0; p < PE; p++) {
                                std::int64_t& s = sum[static_cast<std::size_t>(l * PE + p)];
                                const bool inside = bool(tap.inside[l]);
                                switch (o.kind) {
                                    case cfm::Kind::dense: s += q[l][c] * w[p]; break;
                                    case cfm::Kind::max_pool: s = inside && q[l][p] > s ? q[l][p] : s; break;
                                    case cfm::Kind::avg_pool: s += inside ? q[l][p] : 0; break;
                                    default: s += std::int64_t(q[l][p]) * w[p];
                                }
                            }
                        }
                    }
                }
            }
            expected.insert(expected.end(), sum.begin(), sum.end());
            counts.insert(counts.end(), count.begin(), count.end());
        }
        unit(o, static_cast<std::uint16_t>(blocks), taps, weights, sums);
        for (int g = 0; g < blocks * o.out_groups; g++) {
            const cfm::Sums<PE, L> s = sums.read();
            for (int l = 0; l < L; l++) {
                if (o.kind == cfm::Kind::avg_pool)
                    test::equal(s.count[l], counts[static_cast<std::size_t>(g * L + l)], "case %d: count", n);
                for (int p = 0; p < PE; p++)
                    test::equal(s.sum[l][p].to_int(), expected[static_cast<std::size_t>((g * L + l) * PE + p)],
                                "case %d: group %d, lane %d, channel %d, kind %d", n, g, l, p, int(o.kind));
            }
        }
        test::equal(sums.size() + taps.size() + weights.size(), 0, "case %d: nothing left", n);
    }
}

}  // namespace

int main() {
    check<tops::PE, tops::L>(13, 300, top_mac_array);
    check<4, 3>(14, 500, cfm::run_array<4, 3>);
    check<16, 2>(15, 100, cfm::run_array<16, 2>);
    return test::passed("mac_array");
}
