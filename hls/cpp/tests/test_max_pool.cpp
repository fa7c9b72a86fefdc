// Maximum pooling of random windows; cells outside never win.
#include <algorithm>

#include "check.hpp"
#include "tops.hpp"

int main() {
    sim::Chance chance(3);
    for (int n = 0; n < 20000; n++) {
        cfm::Sum running = cfm::NO_MAXIMUM;
        int expected = -128;
        const int cells = chance.between(1, 9);
        for (int c = 0; c < cells; c++) {
            const bool inside = chance.percent(70);
            const cfm::Byte value = chance.byte();
            running = top_max_pool(running, value, inside);
            if (inside) expected = std::max<int>(expected, value);
        }
        test::equal(running.to_int(), expected, "window %d", n);
    }
    return test::passed("max_pool");
}
