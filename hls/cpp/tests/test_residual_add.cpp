// The residual addition against the definition with real scales: aligned by shifts, rounded once, ties to even.
#include <cmath>

#include "check.hpp"
#include "tops.hpp"

int main() {
    sim::Chance chance(4);
    for (int n = 0; n < 200000; n++) {
        // Exponents of both tensors and the result; the alignment goes to the finest.
        const int ea = chance.between(-8, 0), eb = chance.between(-8, 0), eo = chance.between(-6, 2);
        const int finest = std::min(std::min(ea, eb), eo);
        if (ea - finest > 15 || eb - finest > 15) continue;
        const int za = chance.byte(), zb = chance.byte();
        cfm::Operation o = {};
        o.kind = cfm::Kind::add;
        o.add_weights[0] = static_cast<std::uint16_t>(1 << (ea - finest));
        o.add_weights[1] = static_cast<std::uint16_t>(1 << (eb - finest));
        o.z_out = chance.byte();
        o.low = chance.percent(30) ? o.z_out : cfm::Byte(-128);
        o.high = 127;
        const cfm::Channel channel = {-(za * o.add_weights[0] + zb * o.add_weights[1]), 1 << 14, 14 + eo - finest};
        const cfm::Byte a = chance.byte(), b = chance.byte();
        // Exact in doubles, which round ties to even.
        const double real = std::ldexp(a - za, ea) + std::ldexp(b - zb, eb);
        const double value = o.z_out + std::nearbyint(std::ldexp(real, -eo));
        const double expected = std::min<double>(std::max<double>(value, o.low), o.high);
        test::equal(top_residual_add(o, a, b, channel), static_cast<int>(expected), "%d * 2^%d + %d * 2^%d", a - za, ea,
                    b - zb, eb);
    }
    return test::passed("residual_add");
}
