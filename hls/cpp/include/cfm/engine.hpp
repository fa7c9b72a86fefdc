// The engine: a frame is an image, then its segments. What it does is in hls/ENGINE.md.
#pragma once

#include "cfm/image_input.hpp"
#include "cfm/masked_spp.hpp"
#include "cfm/operation.hpp"
#include "cfm/probe.hpp"
#include "cfm/scoring.hpp"

namespace cfm {

// Everything the engine remembers. I: the instance, a type with the constants of instance.hpp.
template <class I>
struct Memories {
    Word<I::PE> features[I::L][I::FEATURE_WORDS];
    Word<I::PE> weights[I::WEIGHT_WORDS];
    Sum biases[I::CHANNELS];
    ap_uint<21> scales[I::CHANNELS];
    std::uint32_t store[I::STORE_WORDS];
    std::uint32_t scoring[SCORING_WORDS<I::SIDE>];
    // Between units.
    Word<I::PE> row[I::L][I::ROW_WORDS];
    std::int16_t logits[I::L][I::CLASSES];
    CellMask<I::SIDE, I::L> mask;
};

// A write on the configuration bus: `address[19:17]` chooses the memory.
template <class I>
void configure(Memories<I>& m, std::uint32_t address, std::uint32_t data) {
#pragma HLS INLINE
    const std::uint32_t at = field(address, 16, 0);
    if (field(address, 19, 19) != 0) {
        write_weight<I::PE, I::WEIGHT_WORDS>(m.weights, field(address, 18, 0), data);
        return;
    }
    switch (field(address, 18, 17)) {
        case 0:
            CFM_CHECK(at < I::STORE_WORDS, "configuration beyond the control store");
            m.store[at] = data;
            break;
        case 1: write_channel<I::CHANNELS>(m.biases, m.scales, at, data); break;
        case 2:
            CFM_CHECK(at < SCORING_WORDS<I::SIDE>, "configuration beyond the scoring memory");
            m.scoring[at] = data;
            break;
        default: break;
    }
}

// Runs one record's operation.
template <class I, class Probe>
void run_record(Memories<I>& m, const Record& record, const Word<I::PE>* external, Probe& probe) {
    const Operation operation = read_operation<I::L, I::STORE_WORDS>(m.store, record.operation);
    const Rows rows = {record.read_address, record.second_address, record.first_row_inside, record.rows_inside};
    run_operation<I::PE, I::L, I::FEATURE_WORDS, I::WEIGHT_WORDS, I::CHANNELS, I::ROW_WORDS, I::CLASSES,
                  I::GENERAL_SCALE, I::AVERAGE_POOL>(m.features, m.weights, external, m.biases, m.scales, operation,
                                                     rows, record.write_address, m.row, m.logits, probe);
}

// The image program: rows in, feature map complete.
template <class I, class Probe>
void run_image(Memories<I>& m, const Header& header, hls::stream<Word<I::PE>>& image, const Word<I::PE>* external,
               Probe& probe) {
    ImageProgress progress = begin_image();
    for (std::uint32_t n = 0; n < header.image_program.records; n++) {
        const Record record = read_record(m.store, header.image_program, n);
        if (record.wait) {
            await_row<I::PE, I::L, I::FEATURE_WORDS>(m.features, header, progress, image);
        } else {
            take_early<I::PE, I::L, I::FEATURE_WORDS>(m.features, header, progress, image);
            run_record<I>(m, record, external, probe);
        }
    }
}

// The scoring program of a batch, and its logits.
template <class I, class Probe>
void score_batch(Memories<I>& m, const Header& header, const Batch& batch, const Word<I::PE>* external,
                 hls::stream<LogitBeat>& logits, Probe& probe) {
    const Program program = header.scoring_program[half_of(batch)];
    for (std::uint32_t n = 0; n < program.records; n++) {
        run_record<I>(m, read_record(m.store, program, n), external, probe);
    }
    CFM_CHECK(header.classes <= I::CLASSES, "more classes than the instance has");
    send_logits<I::L, I::CLASSES>(m.logits, header.classes, batch, logits);
}

// Design B's masked level, or 0.
template <class I>
std::uint16_t masked_level(const Memories<I>& m, const Header& header) {
    std::uint16_t level = 0;
    for (std::uint16_t e = 0; e < header.pyramid_entries; e++) {
        const PyramidEntry entry = read_entry<I::SIDE>(m.scoring, e);
        if (entry.by_bin) level = entry.level;
    }
    return level;
}

// The frame's segments, until the mask stream says that it ends.
template <class I, class Probe>
void score_segments(Memories<I>& m, const Header& header, hls::stream<std::uint32_t>& masks,
                    const Word<I::PE>* external, hls::stream<LogitBeat>& logits, Probe& probe) {
    const std::uint16_t by_bin = masked_level<I>(m, header);
    Batch batch = begin_batches();
    bool more = true;
    while (more) {
        const std::uint32_t word = masks.read();
        more = word != END_OF_FRAME;
        if (more) {
            project_mask<I::SIDE, I::L>(m.scoring, header, by_bin, word, masks, m.mask);
            probe.segment(m.mask);
            pool_segment<I::PE, I::L, I::FEATURE_WORDS, I::SIDE>(m.features, m.scoring, header, m.mask, batch.lanes,
                                                                 header.pooled_address[batch.odd ? 1 : 0], probe);
            batch.lanes++;
        }
        if (batch.lanes == I::L || (!more && batch.lanes != 0)) {
            score_batch<I>(m, header, batch, external, logits, probe);
            batch = next_batch(batch);
        }
    }
}

// One frame. False, and nothing read, if the control store is not for this format and folding.
template <class I, class Probe>
bool run_frame(Memories<I>& m, hls::stream<Word<I::PE>>& image, hls::stream<std::uint32_t>& masks,
               const Word<I::PE>* external, hls::stream<LogitBeat>& logits, Probe& probe) {
    const Header header = read_header<I::PE, I::L, I::STORE_WORDS>(m.store);
    if (!header.valid) return false;
    run_image<I>(m, header, image, external, probe);
    score_segments<I>(m, header, masks, external, logits, probe);
    return true;
}

}  // namespace cfm
