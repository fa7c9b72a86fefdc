// Requantization against its definition over the rationals: nearest integer, of two the even one.
#include "check.hpp"
#include "tops.hpp"

namespace {

using Wide = __int128;

// n / 2^shift to the nearest, in integers of 128 bits.
Wide nearest_even(Wide n, int shift) {
    const Wide d = Wide(1) << shift;
    Wide floor = n / d;
    if (n % d < 0) floor--;
    const Wide twice = 2 * (n - floor * d);
    if (twice > d || (twice == d && floor % 2 != 0)) floor++;
    return floor;
}

Wide clamp(Wide value, Wide low, Wide high) {
    return value < low ? low : value > high ? high : value;
}

template <bool GENERAL_SCALE>
void check_one(std::int32_t sum, std::int32_t bias, int mantissa, int shift, int zero, int low, int high) {
    if (std::int64_t(sum) + bias != std::int32_t(std::int64_t(sum) + bias)) return;
    const cfm::Channel channel = {bias, mantissa, shift};
    const Wide scaled = nearest_even(Wide(sum + bias) * mantissa, shift);
    const int found = cfm::requantize<GENERAL_SCALE>(sum, channel, cfm::Byte(zero), cfm::Byte(low), cfm::Byte(high));
    test::equal(found, clamp(scaled + zero, low, high), "(%d + %d) * %d >> %d, zero %d, %d..%d", sum, bias, mantissa,
                shift, zero, low, high);
    test::equal(cfm::requantize_logit<GENERAL_SCALE>(sum, channel), clamp(scaled, -32768, 32767),
                "logit (%d + %d) * %d >> %d", sum, bias, mantissa, shift);
}

template <bool GENERAL_SCALE>
void check_random(sim::Chance& chance) {
    const std::int32_t corners[] = {
        0, 1, -1, 2, 3, 5, -3, 127, -128, 32767, -32768, 65536, 0x7FFFFFFF, -0x7FFFFFFF - 1, 0x40000000, -0x40000000};
    for (int mantissa : {1 << 14, (1 << 15) - 1, 3 << 13}) {
        if (!GENERAL_SCALE && mantissa != 1 << 14) continue;
        for (int shift = GENERAL_SCALE ? 0 : 14; shift <= 62; shift++) {
            for (std::int32_t sum : corners) check_one<GENERAL_SCALE>(sum, 0, mantissa, shift, 0, -128, 127);
        }
    }
    for (int n = 0; n < 100000; n++) {
        const int shift = chance.between(GENERAL_SCALE ? 0 : 14, 62);
        const int mantissa = GENERAL_SCALE ? chance.between(1 << 14, (1 << 15) - 1) : 1 << 14;
        // Sums near the values where something happens: small multiples of half an output step.
        std::int32_t sum = static_cast<std::int32_t>(chance.next()) >> chance.below(31);
        if (chance.percent(50) && shift >= 15 && shift < 14 + 22) {
            sum = chance.between(-300, 300) * (1 << (shift - 15)) + chance.between(-1, 1);
        }
        const int bias = chance.percent(50) ? 0 : static_cast<std::int32_t>(chance.next()) >> chance.between(1, 30);
        const int a = chance.byte(), b = chance.byte();
        check_one<GENERAL_SCALE>(sum - (chance.percent(50) ? bias / 2 : 0), bias, mantissa, shift, chance.byte(),
                                 a < b ? a : b, a < b ? b : a);
    }
}

// Whole words, through the channel memory.
void check_words(sim::Chance& chance) {
    using namespace tops;
    static cfm::Sum biases[CHANNELS];
    static ap_uint<21> scales[CHANNELS];
    static Word row[L][ROW];
    static std::int16_t logits[L][CLASSES];
    for (int n = 0; n < 60; n++) {
        std::int32_t bias[CHANNELS];
        int mantissa[CHANNELS], shift[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) {
            bias[c] = chance.between(-5000, 5000);
            mantissa[c] = chance.between(1 << 14, (1 << 15) - 1);
            shift[c] = chance.between(14, 30);
            cfm::write_channel<CHANNELS>(biases, scales, 2 * c, static_cast<std::uint32_t>(bias[c]));
            cfm::write_channel<CHANNELS>(biases, scales, 2 * c + 1,
                                         static_cast<std::uint32_t>(mantissa[c] | shift[c] << 16));
        }
        cfm::Operation o = {};
        const int kinds[] = {0, 1, 2, 3, 4};
        o.kind = static_cast<cfm::Kind>(kinds[chance.below(5)]);
        o.logits = chance.percent(20) && n % 5 < 2;
        if (o.logits) o.kind = cfm::Kind::dense;
        o.out_groups = static_cast<std::uint16_t>(chance.between(1, 4));
        o.out_channels = static_cast<std::uint16_t>(o.out_groups * PE - chance.below(PE));
        o.channels = chance.below(CHANNELS - o.out_groups * PE + 1);
        o.z_in = chance.byte();
        o.z_out = chance.byte();
        o.low = -100;
        o.high = 101;
        const std::uint16_t blocks = static_cast<std::uint16_t>(o.logits ? 1 : chance.between(1, 5));
        hls::stream<cfm::Sums<PE, L>> sums("sums");
        std::vector<cfm::Sums<PE, L>> all;
        for (int w = 0; w < blocks * o.out_groups; w++) {
            cfm::Sums<PE, L> s;
            for (int l = 0; l < L; l++) {
                s.count[l] = static_cast<std::uint16_t>(chance.between(1, 49));
                for (int p = 0; p < PE; p++) {
                    s.sum[l][p] = o.kind == cfm::Kind::max_pool   ? int(chance.byte())
                                  : o.kind == cfm::Kind::avg_pool ? chance.between(-128 * s.count[l], 127 * s.count[l])
                                                                  : chance.between(-300000, 300000);
                }
            }
            sums.write(s);
            all.push_back(s);
        }
        top_requantize(o, blocks, biases, scales, sums, row, logits);
        for (int w = 0; w < blocks * o.out_groups; w++) {
            for (int l = 0; l < L; l++) {
                for (int p = 0; p < PE; p++) {
                    const int c = w % o.out_groups * PE + p;
                    const int at = static_cast<int>(o.channels) + c;
                    const std::int64_t sum = all[static_cast<std::size_t>(w)].sum[l][p].to_int();
                    const Wide scaled = nearest_even(Wide(sum + bias[at]) * mantissa[at], shift[at]);
                    if (o.logits) {
                        if (c < o.out_channels)
                            test::equal(logits[l][c], clamp(scaled, -32768, 32767), "logit %d of lane %d", c, l);
                        continue;
                    }
                    Wide expected = clamp(scaled + o.z_out, o.low, o.high);
                    if (o.kind == cfm::Kind::max_pool) expected = sum;
                    if (o.kind == cfm::Kind::avg_pool) {
                        // Nearest of all integers, by search.
                        const int count = all[static_cast<std::size_t>(w)].count[l];
                        const std::int64_t t = sum - count * o.z_in;
                        std::int64_t best = -300;
                        for (std::int64_t v = -299; v <= 299; v++) {
                            const std::int64_t d = std::llabs(v * count - t), e = std::llabs(best * count - t);
                            if (d < e || (d == e && v % 2 == 0)) best = v;
                        }
                        expected = clamp(best + o.z_in, o.low, o.high);
                    }
                    test::equal(cfm::byte_of<PE>(row[l][w], p), expected, "word %d, lane %d, channel %d, kind %d", w, l,
                                p, static_cast<int>(o.kind));
                }
            }
        }
    }
}

}  // namespace

int main() {
    sim::Chance chance(1);
    for (int shift = 14; shift < 24; shift++) {
        for (int sum = -3000; sum <= 3000; sum++) check_one<false>(sum, 0, 1 << 14, shift, 0, -128, 127);
    }
    check_random<false>(chance);
    check_random<true>(chance);
    check_words(chance);
    return test::passed("requantize");
}
