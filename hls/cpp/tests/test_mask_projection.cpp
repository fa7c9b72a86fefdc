// Random segments on random axes against counting pixel by pixel.
#include "axis.hpp"
#include "check.hpp"
#include "tops.hpp"

namespace {

struct Area {
    long inside, total;
    bool centre;
};

// Bits of areas in order, with the fall-back.
std::vector<bool> bits_of(const std::vector<Area>& areas, cfm::MaskRule rule, long threshold) {
    std::vector<bool> bits;
    bool any = false;
    for (const Area& a : areas) {
        bool bit = false;
        if (a.total > 0) {
            if (rule == cfm::MaskRule::average) bit = a.inside * 65536 >= threshold * a.total;
            if (rule == cfm::MaskRule::maximum) bit = a.inside > 0;
            if (rule == cfm::MaskRule::nearest) bit = a.centre;
            if (rule == cfm::MaskRule::off) bit = true;
        }
        bits.push_back(bit);
        any |= bit;
    }
    if (!any) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < areas.size(); i++)
            if (areas[i].total > 0 &&
                (areas[best].total == 0 || areas[i].inside * areas[best].total > areas[best].inside * areas[i].total))
                best = i;
        bits[best] = true;
    }
    return bits;
}

}  // namespace

int main() {
    using namespace tops;
    sim::Chance chance(21);
    static std::uint32_t memory[SCORING];
    static cfm::CellMask<SIDE, L> mask;
    for (int n = 0; n < 1500; n++) {
        const test::Axis columns = test::random_axis(chance, 150, SIDE - 1),
                         rows = test::random_axis(chance, 40, SIDE - 1);
        for (std::uint32_t& word : memory) word = chance.next();
        columns.write(memory);
        rows.write(memory + SIDE);
        cfm::Header header = {};
        header.feature_width = static_cast<std::uint16_t>(columns.cells);
        header.feature_height = static_cast<std::uint16_t>(rows.cells);
        header.rule = static_cast<cfm::MaskRule>(chance.below(4));
        header.threshold = chance.percent(50) ? 32768 : chance.below(65535) + 1;
        const int level = chance.percent(50) ? 0 : chance.between(1, 5);

        // A segment: a box with a share of its pixels, at least one on every side.
        const int left = chance.between(0, columns.pixels - 1), right = chance.between(left, columns.pixels - 1);
        const int top = chance.between(0, rows.pixels - 1), bottom = chance.between(top, rows.pixels - 1);
        std::vector<bool> pixels(static_cast<std::size_t>(columns.pixels * rows.pixels));
        const auto pixel = [&](int x, int y) { return pixels[static_cast<std::size_t>(y * columns.pixels + x)]; };
        const unsigned share = chance.below(4) * 25 + 5;
        for (int y = top; y <= bottom; y++)
            for (int x = left; x <= right; x++)
                pixels[static_cast<std::size_t>(y * columns.pixels + x)] = chance.percent(share);
        hls::stream<std::uint32_t> masks("masks");
        masks.write(static_cast<std::uint32_t>(right | bottom << 16));
        for (int y = top; y <= bottom; y++)
            for (int x = left; x <= right; x += 32) {
                std::uint32_t word = 0;
                for (int i = 0; i < 32 && x + i <= right; i++) word |= static_cast<std::uint32_t>(pixel(x + i, y)) << i;
                masks.write(word);
            }
        top_mask_projection(memory, header, static_cast<std::uint16_t>(level),
                            static_cast<std::uint32_t>(left | top << 16), masks, mask);
        test::equal(masks.size(), 0, "segment %d: all words read", n);

        const int w_left = columns.cell(left), w_right = columns.cell(right) + 1;
        const int w_top = rows.cell(top), w_bottom = rows.cell(bottom) + 1;
        test::equal(mask.window.left, w_left, "segment %d: left", n);
        test::equal(mask.window.right, w_right, "segment %d: right", n);
        test::equal(mask.window.top, w_top, "segment %d: top", n);
        test::equal(mask.window.bottom, w_bottom, "segment %d: bottom", n);
        const auto area = [&](int r0, int r1, int c0, int c1) {
            Area a{0, 0, pixel(columns.centre(c0, c1 - 1), rows.centre(r0, r1 - 1))};
            for (int y = 0; y < rows.pixels; y++) {
                const int r = rows.cell(y);
                for (int x = 0; x < columns.pixels && r >= r0 && r < r1; x++) {
                    const int c = columns.cell(x);
                    if (c < c0 || c >= c1) continue;
                    a.total++;
                    a.inside += pixel(x, y);
                }
            }
            return a;
        };
        std::vector<Area> areas;
        for (int r = w_top; r < w_bottom; r++)
            for (int c = w_left; c < w_right; c++) areas.push_back(area(r, r + 1, c, c + 1));
        const std::vector<bool> bits = bits_of(areas, header.rule, header.threshold);
        for (std::size_t i = 0; i < bits.size(); i++) {
            const int r = w_top + static_cast<int>(i) / (w_right - w_left),
                      c = w_left + static_cast<int>(i) % (w_right - w_left);
            test::equal(bool(mask.bits[r][c / L][c % L]), bits[i], "segment %d, rule %d: cell (%d, %d)", n,
                        int(header.rule), r, c);
        }
        // Bins have no pixels for the rule "nearest": such models are refused.
        if (level == 0 || header.rule == cfm::MaskRule::nearest) continue;
        areas.clear();
        const auto first = [&](int i, int w) { return i * w / level; };
        const auto end = [&](int i, int w) { return ((i + 1) * w + level - 1) / level; };
        const int height = w_bottom - w_top, width = w_right - w_left;
        for (int i = 0; i < level; i++)
            for (int j = 0; j < level; j++)
                areas.push_back(area(w_top + first(i, height), w_top + end(i, height), w_left + first(j, width),
                                     w_left + end(j, width)));
        const std::vector<bool> bins = bits_of(areas, header.rule, header.threshold);
        for (std::size_t i = 0; i < bins.size(); i++)
            test::equal(mask.bins[i], bins[i], "segment %d, rule %d: bin %d of level %d", n, int(header.rule), int(i),
                        level);
    }
    return test::passed("mask_projection");
}
