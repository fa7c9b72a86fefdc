// What the test benches share: a comparison that ends the program at the first difference, and counts.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "chance.hpp"

namespace test {

inline long& count() {
    static long n = 0;
    return n;
}

// Compares, and on the first difference says where (as printf does) and exits with 1.
template <class A, class B>
[[gnu::format(printf, 3, 4)]] void equal(const A& found, const B& expected, const char* where, ...) {
    count()++;
    if (static_cast<long long>(found) == static_cast<long long>(expected)) return;
    std::fprintf(stderr, "found %lld, expected %lld at ", static_cast<long long>(found),
                 static_cast<long long>(expected));
    va_list list;
    va_start(list, where);
    std::vfprintf(stderr, where, list);
    va_end(list);
    std::fputc('\n', stderr);
    std::exit(1);
}

inline int passed(const char* name) {
    std::printf("%-20s %9ld comparisons, all equal\n", name, count());
    return 0;
}

}  // namespace test
