// Arg max against a search, with many equal logits.
#include <algorithm>

#include "check.hpp"
#include "tops.hpp"

int main() {
    sim::Chance chance(5);
    for (int n = 0; n < 20000; n++) {
        std::int16_t logits[tops::CLASSES];
        const int range = chance.percent(50) ? 2 : 32767;
        for (std::int16_t& logit : logits) logit = static_cast<std::int16_t>(chance.between(-range - 1, range));
        const int classes = chance.between(1, tops::CLASSES);
        const auto expected = std::max_element(logits, logits + classes) - logits;
        test::equal(top_arg_max(logits, static_cast<std::uint16_t>(classes)), expected, "list %d", n);
    }
    return test::passed("arg_max");
}
