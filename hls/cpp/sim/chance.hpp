// Chance for test benches: the same on every machine (xorshift64*).
#pragma once

#include <cstdint>

namespace sim {

class Chance {
public:
    explicit Chance(std::uint64_t seed) : state_((seed + 1) * 0x9E3779B97F4A7C15ull | 1) {}

    std::uint32_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<std::uint32_t>((state_ * 0x2545F4914F6CDD1Dull) >> 32);
    }

    // 0 <= result < n
    std::uint32_t below(std::uint32_t n) {
        return n == 0 ? 0 : static_cast<std::uint32_t>((std::uint64_t(next()) * n) >> 32);
    }

    // low <= result <= high
    int between(int low, int high) {
        return low + static_cast<int>(below(static_cast<std::uint32_t>(high - low + 1)));
    }

    std::int8_t byte() {
        // Corners as often as all else together.
        switch (below(8)) {
            case 0: return -128;
            case 1: return 127;
            case 2: return 0;
            case 3: return static_cast<std::int8_t>(between(-2, 2));
            default: return static_cast<std::int8_t>(next());
        }
    }

    bool percent(unsigned p) {
        return below(100) < p;
    }

private:
    std::uint64_t state_;
};

}  // namespace sim
