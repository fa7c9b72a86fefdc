// The instance: the parameters of hls/ENGINE.md, from the command line or of an exported project (`-include
// PROJECT/parameters.hpp`).
#pragma once

// Channels of a memory word.
#ifndef CFM_PE
#define CFM_PE 8
#endif
// Lanes: cells, or segments, at a time.
#ifndef CFM_L
#define CFM_L 10
#endif
// Words of a bank of the feature memory.
#ifndef CFM_FEATURE_WORDS
#define CFM_FEATURE_WORDS 2048
#endif
// Words of the weight memory.
#ifndef CFM_WEIGHT_WORDS
#define CFM_WEIGHT_WORDS 16384
#endif
// Channel records.
#ifndef CFM_CHANNELS
#define CFM_CHANNELS 2048
#endif
// Words of the control store.
#ifndef CFM_STORE_WORDS
#define CFM_STORE_WORDS 8192
#endif
// Words of an axis' geometry: cells along a side, plus one.
#ifndef CFM_SIDE
#define CFM_SIDE 256
#endif
// Logits of a segment, at most.
#ifndef CFM_CLASSES
#define CFM_CLASSES 64
#endif
// 1: any multiplier; 0: powers of two only.
#ifndef CFM_GENERAL_SCALE
#define CFM_GENERAL_SCALE 1
#endif
// 1: average pooling; 0: no divider.
#ifndef CFM_AVERAGE_POOL
#define CFM_AVERAGE_POOL 1
#endif
// Words per lane of the buffer between the array and the feature memory: any size from the largest number of output groups
// on gives the same results.
#ifndef CFM_ROW_WORDS
#define CFM_ROW_WORDS 256
#endif

namespace cfm {

struct Instance {
    static constexpr int PE = CFM_PE;
    static constexpr int L = CFM_L;
    static constexpr int FEATURE_WORDS = CFM_FEATURE_WORDS;
    // All weights may be outside.
    static constexpr int WEIGHT_WORDS = CFM_WEIGHT_WORDS > 0 ? CFM_WEIGHT_WORDS : 1;
    static constexpr int CHANNELS = CFM_CHANNELS;
    static constexpr int STORE_WORDS = CFM_STORE_WORDS;
    static constexpr int SIDE = CFM_SIDE;
    static constexpr int CLASSES = CFM_CLASSES;
    static constexpr bool GENERAL_SCALE = CFM_GENERAL_SCALE != 0;
    static constexpr bool AVERAGE_POOL = CFM_AVERAGE_POOL != 0;
    static constexpr int ROW_WORDS = CFM_ROW_WORDS;
    static_assert(PE == 4 || PE == 8 || PE == 16, "PE is 4, 8 or 16");
    static_assert(L >= 1 && L <= 16, "1 to 16 lanes");
};

}  // namespace cfm
