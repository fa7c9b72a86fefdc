// Average pooling against a search for the nearest integer.
#include "check.hpp"
#include "tops.hpp"

namespace {

// The integer nearest to n / d, of two the even one, by search from below.
int nearest_even(int n, int d) {
    int v = -600;
    while ((v + 1) * d <= n) v++;
    const int below = n - v * d, above = (v + 1) * d - n;
    return below < above || (below == above && v % 2 == 0) ? v : v + 1;
}

void check(int sum, int count, int zero, int low, int high) {
    const int value = zero + nearest_even(sum - count * zero, count);
    const int expected = value < low ? low : value > high ? high : value;
    test::equal(top_avg_pool(sum, static_cast<std::uint16_t>(count), cfm::Byte(zero), cfm::Byte(low), cfm::Byte(high)),
                expected, "%d / %d, zero point %d", sum, count, zero);
}

}  // namespace

int main() {
    for (int count = 1; count <= 12; count++) {
        for (int sum = -128 * count; sum <= 127 * count; sum++) check(sum, count, 0, -128, 127);
    }
    sim::Chance chance(2);
    for (int n = 0; n < 20000; n++) {
        const int count = chance.percent(10) ? 255 * 255 : chance.between(1, 100);
        const int extreme = chance.percent(10) ? (chance.percent(50) ? -128 : 127) * count : 0;
        const int sum = extreme != 0 ? extreme : chance.between(-128 * count, 127 * count);
        check(sum, count, chance.byte(), chance.percent(80) ? -128 : -50, chance.percent(80) ? 127 : 60);
    }
    return test::passed("avg_pool");
}
