// The banks against a plain tensor: rows written block by block, read from any position.
#include "check.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(7);
    static Word banks[L][FEATURE_WORDS];
    for (int n = 0; n < 300; n++) {
        const int width = chance.between(1, 60), groups = chance.between(1, 4);
        const int blocks = (width + L - 1) / L;
        const std::uint32_t row = chance.below(FEATURE_WORDS - static_cast<std::uint32_t>(blocks * groups) + 1);
        std::vector<std::int8_t> tensor(static_cast<std::size_t>(blocks * L * groups * PE));
        for (std::int8_t& q : tensor) q = chance.byte();
        const auto at = [&](int x, int g, int p) {
            return tensor[static_cast<std::size_t>((x * groups + g) * PE + p)];
        };
        ReadRequest request = {row,
                               {0, 0},
                               {static_cast<std::int16_t>(width / L), static_cast<std::uint16_t>(width % L)},
                               static_cast<std::uint16_t>(groups),
                               0};
        cfm::Neighbours<PE, L> cells;
        Word block[L];
        for (int b = 0; b < blocks; b++) {
            for (int g = 0; g < groups; g++) {
                for (int l = 0; l < L; l++)
                    for (int p = 0; p < PE; p++) cfm::set_byte<PE>(block[l], p, at(b * L + l, g, p));
                top_feature_memory(banks, row + static_cast<std::uint32_t>(b * groups + g), block, request, cells);
            }
        }
        for (int x = -2 * L; x < width + 2 * L; x++) {
            const int g = chance.between(0, groups - 1);
            const int q = (x + 4 * L) / L - 4;
            request.at = {static_cast<std::int16_t>(q), static_cast<std::uint16_t>(x - q * L)};
            request.group = static_cast<std::uint16_t>(g);
            // The last block again: writing what is there already.
            top_feature_memory(banks, row + static_cast<std::uint32_t>((blocks - 1) * groups + groups - 1), block,
                               request, cells);
            for (int i = 0; i < L; i++) {
                const int cell = x + i, bank = (cell + 4 * L) % L;
                const bool inside = cell >= 0 && cell < width;
                test::equal(bool(cells.inside[bank]), inside, "inside of cell %d of %d", cell, width);
                for (int p = 0; p < PE && inside; p++)
                    test::equal(cfm::byte_of<PE>(cells.bank[bank], p), at(cell, g, p), "cell %d, group %d, channel %d",
                                cell, g, p);
            }
        }
    }
    return test::passed("feature_memory");
}
