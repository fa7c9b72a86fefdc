// Weights: written in parts, fed in order, anew for every block, from inside and outside.
#include "check.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(12);
    static Word memory[WEIGHT_WORDS];
    std::vector<std::uint8_t> bytes(WEIGHT_WORDS * PE);
    for (int n = 0; n < WEIGHT_WORDS * PE / 4; n++) {
        const std::uint32_t data = chance.next();
        cfm::write_weight<PE, WEIGHT_WORDS>(memory, static_cast<std::uint32_t>(n), data);
        for (int i = 0; i < 4; i++)
            bytes[static_cast<std::size_t>(4 * n + i)] = static_cast<std::uint8_t>(data >> (8 * i));
    }
    static Word external[WEIGHT_WORDS];
    for (int w = 0; w < WEIGHT_WORDS; w++) external[w] = memory[WEIGHT_WORDS - 1 - w];
    for (int n = 0; n < 500; n++) {
        cfm::Operation o = {};
        o.kind = static_cast<cfm::Kind>(chance.below(5));
        o.inputs = static_cast<std::uint16_t>(chance.between(1, 20));
        o.out_groups = static_cast<std::uint16_t>(chance.between(1, 3));
        o.kernel_h = static_cast<std::uint16_t>(chance.between(1, 2));
        o.kernel_w = static_cast<std::uint16_t>(chance.between(1, 3));
        o.external_weights = chance.percent(50);
        const int words = o.kind == cfm::Kind::dense       ? o.inputs * o.out_groups * o.kernel_h * o.kernel_w
                          : o.kind == cfm::Kind::depthwise ? o.out_groups * o.kernel_h * o.kernel_w
                                                           : 0;
        o.weights = chance.below(static_cast<std::uint32_t>(WEIGHT_WORDS - words + 1));
        const int blocks = chance.between(1, 4);
        hls::stream<Word> weights("weights");
        top_weight_memory(memory, external, o, static_cast<std::uint16_t>(blocks), weights);
        for (int b = 0; b < blocks; b++) {
            for (int w = 0; w < words; w++) {
                const Word word = weights.read();
                const int at = static_cast<int>(o.weights) + w;
                const int from = o.external_weights ? WEIGHT_WORDS - 1 - at : at;
                for (int p = 0; p < PE; p++)
                    test::equal(word.range(8 * p + 7, 8 * p).to_uint(), bytes[static_cast<std::size_t>(from * PE + p)],
                                "case %d, word %d, channel %d", n, w, p);
            }
        }
        test::equal(weights.size(), 0, "case %d: nothing more", n);
    }
    return test::passed("weight_memory");
}
