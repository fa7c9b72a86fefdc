// Pooled vectors of random masks against plain maxima.
#include "check.hpp"
#include "layer.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(22);
    static Word banks[L][FEATURE_WORDS];
    static std::uint32_t memory[SCORING];
    static cfm::CellMask<SIDE, L> mask;
    for (int n = 0; n < 400; n++) {
        const test::Tensor map =
            test::random_tensor(chance, chance.between(1, 12), chance.between(1, 3 * L), chance.between(1, 2 * PE));
        const int groups = test::divide_up(map.channels, PE);
        const test::Place place = {chance.between(0, 5), test::divide_up(map.width, L) * groups, map.height};
        test::fill_with_noise<PE, L, FEATURE_WORDS>(banks, chance);
        test::place_rows<PE, L, FEATURE_WORDS>(banks, map, place, 0, map.height - 1);
        cfm::Header header = {};
        header.feature_address = static_cast<std::uint32_t>(place.address);
        header.feature_row_words = static_cast<std::uint32_t>(place.words);
        header.feature_groups = static_cast<std::uint16_t>(groups);
        header.feature_height = static_cast<std::uint16_t>(map.height);
        header.feature_width = static_cast<std::uint16_t>(map.width);
        header.feature_zero_point = map.zero;
        header.pyramid_entries = static_cast<std::uint16_t>(chance.between(1, 3));

        const int left = chance.between(0, map.width - 1), right = chance.between(left + 1, map.width);
        const int top = chance.between(0, map.height - 1), bottom = chance.between(top + 1, map.height);
        mask.window = {static_cast<std::uint16_t>(top), static_cast<std::uint16_t>(left),
                       static_cast<std::uint16_t>(bottom), static_cast<std::uint16_t>(right)};
        const unsigned share = chance.below(5) * 25;
        for (auto& row : mask.bits)
            for (auto& block : row)
                for (int l = 0; l < L; l++) block[l] = chance.percent(share);
        for (bool& bin : mask.bins) bin = chance.percent(50);

        // Vectors after the map; entries one after the other.
        const int pooled = place.address + place.rows * place.words;
        struct Entry {
            int level, masked, whole;  // offsets, or -1
            bool by_bin;
        };
        std::vector<Entry> entries;
        int offset = 0;
        for (int e = 0; e < header.pyramid_entries; e++) {
            Entry entry{chance.between(1, 3), -1, -1, chance.percent(30)};
            const int words = entry.level * entry.level * groups;
            if (chance.percent(70)) entry.masked = offset, offset += words;
            if (entry.masked < 0 || chance.percent(50)) entry.whole = offset, offset += words;
            std::uint32_t* w = memory + 2 * SIDE + 4 * e;
            w[0] = static_cast<std::uint32_t>(entry.level | (entry.masked >= 0) << 8 | (entry.whole >= 0) << 9 |
                                              entry.by_bin << 10);
            w[1] = static_cast<std::uint32_t>(entry.masked);
            w[2] = static_cast<std::uint32_t>(entry.whole);
            entries.push_back(entry);
        }
        const int lane = chance.between(0, L - 1);
        top_masked_spp(banks, memory, header, mask, static_cast<std::uint16_t>(lane),
                       static_cast<std::uint32_t>(pooled));

        for (const Entry& entry : entries)
            for (int i = 0; i < entry.level; i++)
                for (int j = 0; j < entry.level; j++)
                    for (int c = 0; c < map.channels; c++) {
                        int masked = -128, whole = -128;
                        for (int y = top; y < bottom; y++)
                            for (int x = left; x < right; x++) {
                                // The real intervals of cell and bin overlap.
                                const int h = bottom - top, w = right - left, v = entry.level;
                                if ((y - top) * v >= (i + 1) * h || (y - top + 1) * v <= i * h) continue;
                                if ((x - left) * v >= (j + 1) * w || (x - left + 1) * v <= j * w) continue;
                                const int q = map.at(y, x, c);
                                whole = std::max(whole, q);
                                masked = std::max(masked, mask.bits[y][x / L][x % L] ? q : int(map.zero));
                            }
                        const int bin = i * entry.level + j;
                        if (entry.by_bin && !mask.bins[bin]) whole = map.zero;
                        const auto found = [&](int base) {
                            return cfm::byte_of<PE>(banks[lane][pooled + base + bin * groups + c / PE], c % PE);
                        };
                        if (entry.masked >= 0)
                            test::equal(found(entry.masked), masked, "case %d: masked bin (%d, %d) of %d, channel %d",
                                        n, i, j, entry.level, c);
                        if (entry.whole >= 0)
                            test::equal(found(entry.whole), whole, "case %d: whole bin (%d, %d) of %d, channel %d", n,
                                        i, j, entry.level, c);
                    }
    }
    return test::passed("masked_spp");
}
