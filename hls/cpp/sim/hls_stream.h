// hls::stream for builds with g++. Vitis HLS brings its own, which is not redistributable; this one is written from its
// documented interface, and adds what a test bench needs: sources that produce on demand, and stalls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "chance.hpp"

// Tells test benches that sources and stalls are there.
#define CFM_SIM_STREAM 1

namespace hls {

// A queue without bound. Processes of a dataflow region run one after the other here, each to its end.
//
// Stalls: with `stall(seed, percent)` an element that is there is refused by `empty` and `read_nb` that often, and the
// source (`set_source`) is asked for chunks of random length. A blocking read then simply takes longer, as in hardware.
template <class T, int DEPTH = 0>
class stream {
public:
    stream() = default;
    explicit stream(const char* name) : name_(name) {}
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    void write(const T& value) {
        queue_.push_back(value);
    }
    bool write_nb(const T& value) {
        write(value);
        return true;
    }
    T read() {
        while (queue_.empty() && produce()) {
        }
        if (queue_.empty()) {
            std::fprintf(stderr, "stream '%s': read although nothing will ever come\n", name_.c_str());
            std::exit(3);
        }
        T value = queue_.front();
        queue_.pop_front();
        return value;
    }
    void read(T& value) {
        value = read();
    }
    bool read_nb(T& value) {
        if (empty()) return false;
        value = queue_.front();
        queue_.pop_front();
        return true;
    }
    bool empty() {
        if (percent_ != 0 && chance_.below(100) < percent_) return true;
        if (queue_.empty()) produce();
        return queue_.empty();
    }
    bool full() const {
        return false;
    }
    std::size_t size() const {
        return queue_.size();
    }

    // Only in simulation: `source(n)` writes at most n elements and returns whether there are more.
    void set_source(std::function<bool(std::size_t)> source) {
        source_ = std::move(source);
    }
    // Only in simulation: refuse, with this probability, what is there.
    void stall(std::uint64_t seed, unsigned percent) {
        chance_ = sim::Chance(seed);
        percent_ = percent;
    }

private:
    // Whether the source may still produce something.
    bool produce() {
        if (!source_) return false;
        const std::size_t chunk = percent_ == 0 ? 1024 : chance_.below(17);
        if (!source_(chunk)) source_ = nullptr;
        return !queue_.empty() || source_ != nullptr;
    }

    std::deque<T> queue_;
    std::string name_ = "unnamed";
    std::function<bool(std::size_t)> source_;
    sim::Chance chance_{0};
    unsigned percent_ = 0;
};

}  // namespace hls
