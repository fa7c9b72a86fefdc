// Whole rows of random layers against plain convolution, pooling and addition.
#include "check.hpp"
#include "layer.hpp"
#include "tops.hpp"

namespace {

using cfm::Kind;

// Nearest integer to n / d, of two the even one.
std::int64_t nearest_even(std::int64_t n, std::int64_t d) {
    std::int64_t floor = n / d - (n % d < 0 ? 1 : 0);
    const std::int64_t twice = 2 * (n - floor * d);
    return floor + (twice > d || (twice == d && floor % 2 != 0) ? 1 : 0);
}

template <int PE, int L, int WORDS, int WEIGHTS, int CHANNELS, int ROW, int CLASSES, class Unit>
void check(std::uint64_t seed, int cases, Unit unit) {
    sim::Chance chance(seed);
    static cfm::Word<PE> banks[L][WORDS], weight_memory[WEIGHTS], row[L][ROW];
    static cfm::Sum biases[CHANNELS];
    static ap_uint<21> scales[CHANNELS];
    static std::int16_t logits[L][CLASSES];
    for (int n = 0; n < cases; n++) {
        const test::Tensor in =
            test::random_tensor(chance, chance.between(1, 8), chance.between(1, 3 * L), chance.between(1, 2 * PE));
        test::Tensor other = test::random_tensor(chance, in.height, in.width, in.channels);
        const test::Layer layer = test::random_layer(chance, in, 2 * PE);
        const int words = test::divide_up(in.width, L) * test::divide_up(in.channels, PE);
        const int needed = layer.dilation * (layer.kernel_h - 1) + 1;
        const test::Place place = {chance.between(0, 20), words, needed + chance.between(0, 2)};
        const test::Place second = {place.address + place.rows * place.words, words, 1};
        const int target = second.address + words;
        test::fill_with_noise<PE, L, WORDS>(banks, chance);
        test::place_rows<PE, L, WORDS>(banks, in, place, test::input_row(layer, 0),
                                       test::input_row(layer, layer.kernel_h - 1));
        test::place_rows<PE, L, WORDS>(banks, other, second, layer.y, layer.y);

        cfm::Operation o = test::operation_of<PE, L>(layer, in, place);
        cfm::Rows rows = test::rows_of(layer, in, place);
        o.z_out = chance.byte();
        o.low = chance.percent(50) ? o.z_out : cfm::Byte(-128);
        o.high = chance.percent(50) ? cfm::Byte(127) : cfm::Byte(std::max<int>(o.low, 60));
        if (layer.kind == Kind::avg_pool || layer.kind == Kind::max_pool) o.low = -128, o.high = 127;
        if (layer.kind == Kind::add) {
            rows.inside = 2;
            rows.second = static_cast<std::uint32_t>(second.address);
            o.add_weights[0] = static_cast<std::uint16_t>(1 << chance.below(5));
            o.add_weights[1] = static_cast<std::uint16_t>(1 << chance.below(5));
        }
        o.external_weights = chance.percent(30);
        o.channels = chance.below(static_cast<std::uint32_t>(CHANNELS - o.out_groups * PE + 1));

        // Plain weights [output][ky][kx][input], and the words made of them.
        const int inputs = layer.kind == Kind::dense ? in.channels : 1;
        const int taps = layer.kernel_h * layer.kernel_w;
        std::vector<int> w(static_cast<std::size_t>(layer.outputs * taps * inputs));
        for (int& v : w) v = std::max<int>(-127, chance.byte());
        const auto weight = [&](int out, int ky, int kx, int i) {
            return w[static_cast<std::size_t>(((out * layer.kernel_h + ky) * layer.kernel_w + kx) * inputs + i)];
        };
        if (layer.kind == Kind::dense || layer.kind == Kind::depthwise) {
            o.weights = chance.below(static_cast<std::uint32_t>(WEIGHTS - o.out_groups * taps * inputs + 1));
            std::uint32_t at = o.weights;
            for (int g = 0; g < o.out_groups; g++)
                for (int ky = 0; ky < layer.kernel_h; ky++)
                    for (int kx = 0; kx < layer.kernel_w; kx++)
                        for (int i = 0; i < inputs; i++, at++)
                            for (int p = 0; p < PE; p++) {
                                const int out = g * PE + p;
                                cfm::set_byte<PE>(
                                    weight_memory[at], p,
                                    out < layer.outputs ? cfm::Byte(weight(out, ky, kx, i)) : cfm::Byte(0));
                            }
        }
        std::vector<std::int64_t> bias(static_cast<std::size_t>(layer.outputs)), m = bias, s = bias;
        for (int c = 0; c < o.out_groups * PE; c++) {
            const bool used = c < layer.outputs;
            const int b = used ? chance.between(-20000, 20000) : 0,
                      mm = used ? chance.between(1 << 14, (1 << 15) - 1) : 1 << 14,
                      ss = used ? chance.between(16, 28) : 14;
            if (used)
                bias[static_cast<std::size_t>(c)] = b, m[static_cast<std::size_t>(c)] = mm,
                s[static_cast<std::size_t>(c)] = ss;
            cfm::write_channel<CHANNELS>(biases, scales, 2 * (o.channels + static_cast<std::uint32_t>(c)),
                                         static_cast<std::uint32_t>(b));
            cfm::write_channel<CHANNELS>(biases, scales, 2 * (o.channels + static_cast<std::uint32_t>(c)) + 1,
                                         static_cast<std::uint32_t>(mm | ss << 16));
        }
        // Outside and inside memories differ, so that a wrong choice shows.
        static cfm::Word<PE> empty[WEIGHTS];
        if (o.external_weights)
            unit(banks, empty, weight_memory, biases, scales, o, rows, static_cast<std::uint32_t>(target), row, logits);
        else
            unit(banks, weight_memory, empty, biases, scales, o, rows, static_cast<std::uint32_t>(target), row, logits);

        for (int x = 0; x < layer.out_width; x++)
            for (int c = 0; c < layer.outputs; c++) {
                std::int64_t sum = 0, count = 0, maximum = -128;
                for (int ky = 0; ky < layer.kernel_h; ky++)
                    for (int kx = 0; kx < layer.kernel_w; kx++) {
                        const int y = test::input_row(layer, ky), ix = test::input_column(layer, x, kx);
                        const bool inside = y >= 0 && y < in.height && ix >= 0 && ix < in.width;
                        const auto q = [&](int channel) { return inside ? in.at(y, ix, channel) : in.zero; };
                        if (layer.kind == Kind::dense)
                            for (int i = 0; i < inputs; i++) sum += q(i) * weight(c, ky, kx, i);
                        if (layer.kind == Kind::depthwise) sum += q(c) * weight(c, ky, kx, 0);
                        if (layer.kind == Kind::add)
                            sum += in.at(y, ix, c) * o.add_weights[0] + other.at(y, ix, c) * o.add_weights[1];
                        if (inside) {
                            count++;
                            if (layer.kind == Kind::max_pool) maximum = std::max<std::int64_t>(maximum, q(c));
                            if (layer.kind == Kind::avg_pool) sum += q(c) - in.zero;
                        }
                    }
                const std::size_t k = static_cast<std::size_t>(c);
                std::int64_t value = o.z_out + nearest_even((sum + bias[k]) * m[k], std::int64_t(1) << s[k]);
                if (layer.kind == Kind::avg_pool) value = in.zero + nearest_even(sum, count);
                if (layer.kind == Kind::max_pool) value = maximum;
                value = std::min<std::int64_t>(std::max<std::int64_t>(value, o.low), o.high);
                const int at = target + x / L * o.out_groups + c / PE;
                test::equal(cfm::byte_of<PE>(banks[x % L][at], c % PE), value, "case %d: cell %d, channel %d, kind %d",
                            n, x, c, int(layer.kind));
            }
    }
}

// A small row buffer splits the operation; the results must not change.
template <int ROW>
void unit_4x3(cfm::Word<4> (&features)[3][512], const cfm::Word<4> (&weights)[512], const cfm::Word<4>* external,
              const cfm::Sum (&biases)[64], const ap_uint<21> (&scales)[64], cfm::Operation operation, cfm::Rows rows,
              std::uint32_t write_address, cfm::Word<4> (&row)[3][ROW], std::int16_t (&logits)[3][8]) {
    cfm::NoProbe probe;
    cfm::run_operation<4, 3, 512, 512, 64, ROW, 8, true, true>(features, weights, external, biases, scales, operation,
                                                               rows, write_address, row, logits, probe);
}

}  // namespace

int main() {
    check<tops::PE, tops::L, tops::FEATURE_WORDS, tops::WEIGHT_WORDS, tops::CHANNELS, tops::ROW, tops::CLASSES>(
        16, 200, top_operation);
    check<4, 3, 512, 512, 64, 3, 8>(17, 600, unit_4x3<3>);
    check<4, 3, 512, 512, 64, 64, 8>(18, 200, unit_4x3<64>);
    return test::passed("operation");
}
