// The control store's words, written down from hls/ENGINE.md, against what is read from them.
#include "check.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(20);
    for (int n = 0; n < 2000; n++) {
        static std::uint32_t store[FEATURE_WORDS];
        for (std::uint32_t& word : store) word = chance.next();
        store[0] = 0x314D4643;
        store[2] = PE | L << 8;
        if (n % 7 == 1) store[0]++;
        if (n % 7 == 2) store[2]++;
        const int o = chance.between(0, 4);
        std::uint32_t* d = store + 32 + 32 * o;
        const int width = chance.between(1, 4000);
        d[0] = chance.below(5);
        d[8] = static_cast<std::uint32_t>(width);
        const std::uint32_t values[][2] = {{1, 1000}, {2, 200}, {3, 200}, {4, 100}, {5, 255},
                                           {6, 255},  {7, 15},  {10, L},  {12, L},  {14, L}};
        for (const auto& v : values) d[v[0]] = chance.below(v[1]);
        const int start = chance.between(-100, 3);
        d[9] = static_cast<std::uint32_t>(start);
        d[11] = chance.below(20);
        d[13] = chance.below(20);
        const std::uint32_t index = chance.below(20);
        const cfm::Program program = {300, 40};
        std::uint32_t* r = store + program.address + 3 * index;
        const bool wait = chance.percent(30);
        const int inside = chance.between(0, 255), first = chance.between(0, 255);
        r[0] = static_cast<std::uint32_t>(wait) << 24 | static_cast<std::uint32_t>(inside) << 16 |
               static_cast<std::uint32_t>(first) << 8 | static_cast<std::uint32_t>(o);

        cfm::Header header;
        cfm::Record record;
        cfm::Operation op;
        top_control(store, program, index, header, record, op);
        test::equal(header.valid, n % 7 != 1 && n % 7 != 2, "valid");
        test::equal(header.image_program.address, store[3], "image program");
        test::equal(header.scoring_program[1].address, store[6], "odd scoring program");
        test::equal(header.scoring_program[1].records, store[7], "scoring records");
        test::equal(header.image.rows, store[10], "image ring");
        test::equal(header.image_height, store[11] & 0xFFFF, "image height");
        test::equal(header.feature_zero_point, static_cast<std::int8_t>(store[19] & 0xFF), "feature zero point");
        test::equal(header.pooled_address[1], store[26], "odd pooled address");
        test::equal(record.wait, wait, "wait");
        test::equal(record.rows_inside, inside, "rows inside");
        test::equal(record.first_row_inside, first, "first row inside");
        test::equal(record.operation, o, "operation");
        test::equal(record.write_address, r[1] >> 16, "write address");
        test::equal(record.read_address, r[1] % 65536, "read address");
        test::equal(record.second_address, r[2] % 65536, "second address");
        test::equal(static_cast<int>(op.kind), d[0], "kind");
        test::equal(op.width.q * L + op.width.r, width, "width");
        test::equal(op.start.q, start, "start q");
        test::equal(op.stride, d[7], "stride");
        test::equal(op.ring_words, d[17], "ring words");
        test::equal(op.external_weights, d[19] % 2, "external");
        test::equal(op.logits, d[19] / 2 % 2, "logits");
        test::equal(op.z_in, static_cast<std::int8_t>(d[21]), "z_in");
        test::equal(op.z_out, static_cast<std::int8_t>(d[21] >> 8), "z_out");
        test::equal(op.low, static_cast<std::int8_t>(d[21] >> 16), "low");
        test::equal(op.high, static_cast<std::int8_t>(d[21] >> 24), "high");
        test::equal(op.add_weights[0], d[22] % 65536, "first addend");
        test::equal(op.add_weights[1], d[22] / 65536, "second addend");
        test::equal(op.out_channels, d[23] % 65536, "out channels");
    }
    return test::passed("control");
}
