// Words, bytes and lanes: what every unit passes on.
#pragma once

#include <cstdint>

#include <ap_int.h>

#ifndef __SYNTHESIS__
#include <cstdio>
#include <cstdlib>
#endif

namespace cfm {

// PE channels (bytes) of one cell, channel 0 in the low byte.
template <int PE>
using Word = ap_uint<8 * PE>;

// A quantized value.
using Byte = std::int8_t;

// A sum of products, before or after the bias. The model's loader has proved that none overflows.
using Sum = ap_int<32>;

template <int PE>
Byte byte_of(const Word<PE>& word, int channel) {
#pragma HLS INLINE
    return static_cast<Byte>(word.range(8 * channel + 7, 8 * channel).to_uint());
}

template <int PE>
void set_byte(Word<PE>& word, int channel, Byte value) {
#pragma HLS INLINE
    word.range(8 * channel + 7, 8 * channel) = static_cast<std::uint8_t>(value);
}

// A word with the same value in every channel.
template <int PE>
Word<PE> broadcast(Byte value) {
#pragma HLS INLINE
    Word<PE> word = 0;
    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
        set_byte<PE>(word, p, value);
    }
    return word;
}

}  // namespace cfm

// What must hold whatever the program says: checked in simulation, absent from hardware.
#ifdef __SYNTHESIS__
#define CFM_CHECK(condition, what)
#else
#define CFM_CHECK(condition, what)                                         \
    do {                                                                   \
        if (!(condition)) {                                                \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, what); \
            std::exit(3);                                                  \
        }                                                                  \
    } while (0)
#endif
