// The control store: header, programs, operation descriptors. Only this file knows where a word's fields lie.
#pragma once

#include "cfm/types.hpp"

namespace cfm {

constexpr std::uint32_t MAGIC = 0x314D4643;  // "CFM1"
constexpr int DESCRIPTOR_BASE = 32;
constexpr int DESCRIPTOR_WORDS = 32;
constexpr int RECORD_WORDS = 3;

enum class Kind : std::uint8_t { dense = 0, depthwise = 1, add = 2, max_pool = 3, avg_pool = 4 };

enum class MaskRule : std::uint8_t { average = 0, maximum = 1, nearest = 2, off = 3 };

// A list of records in the control store.
struct Program {
    std::uint32_t address;
    std::uint32_t records;
};

// Where a tensor lies in the feature memory. Addresses and sizes in words of a bank.
struct Placement {
    std::uint32_t address;
    std::uint32_t row_words;
    std::uint32_t rows;  // in the ring
};

struct Header {
    bool valid;  // of this format, and for this folding
    std::uint32_t fingerprint;
    Program image_program;
    Program scoring_program[2];  // for even and odd batches
    Placement image;
    std::uint16_t image_height, image_width, image_groups;
    std::uint32_t feature_address, feature_row_words;
    std::uint16_t feature_groups, feature_height, feature_width;
    Byte feature_zero_point;
    MaskRule rule;
    std::uint32_t threshold;  // in 1/65536
    std::uint16_t pyramid_entries;
    std::uint32_t pooled_address[2];  // for even and odd batches
    std::uint16_t classes;
};

// A position along a row, in cells: q * L + r with 0 <= r < L, so that r is a bank.
struct Position {
    std::int16_t q;
    std::uint16_t r;
};

template <int L>
Position advance(const Position& from, const Position& by) {
#pragma HLS INLINE
    const int r = from.r + by.r;
    const bool carry = r >= L;
    Position to;
    to.q = static_cast<std::int16_t>(from.q + by.q + (carry ? 1 : 0));
    to.r = static_cast<std::uint16_t>(carry ? r - L : r);
    return to;
}

// What one operation computes; the record says on which rows.
struct Operation {
    Kind kind;
    std::uint16_t inputs, in_groups, out_groups;
    std::uint16_t blocks;
    std::uint16_t kernel_h, kernel_w;
    std::uint16_t stride;
    Position width;  // of the input row
    Position start, tap, pass;
    std::uint32_t row_step, ring_first, ring_words;
    std::uint32_t weights;
    bool external_weights, logits;
    std::uint32_t channels;
    Byte z_in, z_out, low, high;
    std::uint16_t add_weights[2];
    std::uint16_t out_channels;
};

struct Record {
    bool wait;  // for the next row of the image; nothing else counts then
    std::uint8_t operation;
    std::uint8_t first_row_inside, rows_inside;  // kernel rows
    std::uint32_t write_address, read_address, second_address;
};

// The rows that a run of an operation reads. Addresses in words of a bank.
struct Rows {
    std::uint32_t first, second;        // the first row inside the tensor; the row of the second addend
    std::uint8_t first_inside, inside;  // kernel rows
};

// Bits `high` to `low` of a word of the store.
inline std::uint32_t field(std::uint32_t word, int high, int low) {
#pragma HLS INLINE
    return (word >> low) & (0xFFFFFFFFu >> (31 - (high - low)));
}

inline Byte signed_byte(std::uint32_t word, int index) {
#pragma HLS INLINE
    return static_cast<Byte>(field(word, 8 * index + 7, 8 * index));
}

template <int PE, int L, int STORE_WORDS>
Header read_header(const std::uint32_t (&store)[STORE_WORDS]) {
    static_assert(STORE_WORDS >= DESCRIPTOR_BASE, "the control store holds at least the header");
    Header h;
    h.valid = store[0] == MAGIC && store[2] == (PE | L << 8);
    h.fingerprint = store[1];
    h.image_program = {store[3], store[4]};
    h.scoring_program[0] = {store[5], store[7]};
    h.scoring_program[1] = {store[6], store[7]};
    h.image = {store[8], store[9], store[10]};
    h.image_height = static_cast<std::uint16_t>(store[11]);
    h.image_width = static_cast<std::uint16_t>(store[12]);
    h.image_groups = static_cast<std::uint16_t>(store[13]);
    h.feature_address = store[16];
    h.feature_row_words = store[17];
    h.feature_groups = static_cast<std::uint16_t>(store[18]);
    h.feature_zero_point = signed_byte(store[19], 0);
    h.feature_height = static_cast<std::uint16_t>(store[20]);
    h.feature_width = static_cast<std::uint16_t>(store[21]);
    h.rule = static_cast<MaskRule>(field(store[22], 1, 0));
    h.threshold = store[23];
    h.pyramid_entries = static_cast<std::uint16_t>(store[24]);
    h.pooled_address[0] = store[25];
    h.pooled_address[1] = store[26];
    h.classes = static_cast<std::uint16_t>(store[27]);
    return h;
}

template <int L, int STORE_WORDS>
Operation read_operation(const std::uint32_t (&store)[STORE_WORDS], std::uint8_t index) {
    const int at = DESCRIPTOR_BASE + DESCRIPTOR_WORDS * index;
    CFM_CHECK(at + DESCRIPTOR_WORDS <= STORE_WORDS, "a descriptor beyond the control store");
    Operation o;
    o.kind = static_cast<Kind>(field(store[at + 0], 2, 0));
    o.inputs = static_cast<std::uint16_t>(store[at + 1]);
    o.in_groups = static_cast<std::uint16_t>(store[at + 2]);
    o.out_groups = static_cast<std::uint16_t>(store[at + 3]);
    o.blocks = static_cast<std::uint16_t>(store[at + 4]);
    o.kernel_h = static_cast<std::uint16_t>(store[at + 5]);
    o.kernel_w = static_cast<std::uint16_t>(store[at + 6]);
    o.stride = static_cast<std::uint16_t>(store[at + 7]);
    // L is a constant, so this is a multiplication, once per operation.
    o.width = {static_cast<std::int16_t>(store[at + 8] / L), static_cast<std::uint16_t>(store[at + 8] % L)};
    o.start = {static_cast<std::int16_t>(store[at + 9]), static_cast<std::uint16_t>(store[at + 10])};
    o.tap = {static_cast<std::int16_t>(store[at + 11]), static_cast<std::uint16_t>(store[at + 12])};
    o.pass = {static_cast<std::int16_t>(store[at + 13]), static_cast<std::uint16_t>(store[at + 14])};
    o.row_step = store[at + 15];
    o.ring_first = store[at + 16];
    o.ring_words = store[at + 17];
    o.weights = store[at + 18];
    o.external_weights = field(store[at + 19], 0, 0) != 0;
    o.logits = field(store[at + 19], 1, 1) != 0;
    o.channels = store[at + 20];
    o.z_in = signed_byte(store[at + 21], 0);
    o.z_out = signed_byte(store[at + 21], 1);
    o.low = signed_byte(store[at + 21], 2);
    o.high = signed_byte(store[at + 21], 3);
    o.add_weights[0] = static_cast<std::uint16_t>(field(store[at + 22], 15, 0));
    o.add_weights[1] = static_cast<std::uint16_t>(field(store[at + 22], 31, 16));
    o.out_channels = static_cast<std::uint16_t>(store[at + 23]);
    return o;
}

template <int STORE_WORDS>
Record read_record(const std::uint32_t (&store)[STORE_WORDS], const Program& program, std::uint32_t index) {
    const std::uint32_t at = program.address + RECORD_WORDS * index;
    CFM_CHECK(at + RECORD_WORDS <= STORE_WORDS, "a record beyond the control store");
    Record r;
    r.wait = field(store[at], 31, 24) == 1;
    r.rows_inside = static_cast<std::uint8_t>(field(store[at], 23, 16));
    r.first_row_inside = static_cast<std::uint8_t>(field(store[at], 15, 8));
    r.operation = static_cast<std::uint8_t>(field(store[at], 7, 0));
    r.write_address = field(store[at + 1], 31, 16);
    r.read_address = field(store[at + 1], 15, 0);
    r.second_address = field(store[at + 2], 15, 0);
    return r;
}

// Input groups that one tap of the operation reads: all of them, or the one of the output.
inline std::uint16_t groups_per_tap(const Operation& operation) {
#pragma HLS INLINE
    return operation.kind == Kind::dense ? operation.in_groups : std::uint16_t(1);
}

// Cycles of the array for one tap: an input each, or all channels of the output group at once.
inline std::uint16_t inputs_per_tap(const Operation& operation) {
#pragma HLS INLINE
    return operation.kind == Kind::dense ? operation.inputs : std::uint16_t(1);
}

inline bool has_weights(const Operation& operation) {
#pragma HLS INLINE
    return operation.kind == Kind::dense || operation.kind == Kind::depthwise;
}

}  // namespace cfm
