// The logits stream of a frame's batches.
#include "check.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(6);
    for (int n = 0; n < 200; n++) {
        cfm::Batch batch = cfm::begin_batches();
        int segment = 0;
        const std::uint16_t classes = static_cast<std::uint16_t>(chance.between(1, CLASSES));
        for (int b = 0; b < 4; b++) {
            std::int16_t logits[L][CLASSES];
            for (auto& lane : logits)
                for (std::int16_t& logit : lane) logit = static_cast<std::int16_t>(chance.next());
            batch.lanes = static_cast<std::uint16_t>(b < 3 ? L : chance.between(1, L));
            test::equal(cfm::half_of(batch), b % 2, "half of batch %d", b);
            hls::stream<cfm::LogitBeat> out("logits");
            top_scoring(logits, classes, batch, out);
            for (int lane = 0; lane < batch.lanes; lane++, segment++) {
                int best = 0;
                for (int c = 0; c < classes; c++) {
                    const cfm::LogitBeat beat = out.read();
                    test::equal(static_cast<std::int32_t>(beat.data.to_uint()), logits[lane][c],
                                "logit %d of segment %d", c, segment);
                    test::equal(beat.last.to_int(), 0, "last");
                    if (logits[lane][c] > logits[lane][best]) best = c;
                }
                const cfm::LogitBeat beat = out.read();
                test::equal(beat.data.to_uint(), best | segment << 16, "label of segment %d", segment);
                test::equal(beat.last.to_int(), 1, "last of segment %d", segment);
            }
            test::equal(out.size(), 0, "nothing left");
            batch = cfm::next_batch(batch);
        }
    }
    return test::passed("scoring");
}
