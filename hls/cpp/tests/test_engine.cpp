// The whole engine on an exported project: every write of the array's path, every pooled word, every cell's bit and
// every logit, in order, against the project's files. Usage: test_engine PROJECT
//
// Three frames: one on memories full of noise; one on what that left behind, with streams that stall; one through the
// top function, of which only the logits can be seen.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "check.hpp"
#include "tops.hpp"

namespace {

using I = cfm::Instance;
constexpr int PE = I::PE, L = I::L;

[[noreturn]] void refuse(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::exit(2);
}

// The lines of a file, split at white space; a file that is missing is refused.
std::vector<std::vector<std::string>> read_lines(const std::string& path) {
    std::ifstream file(path);
    if (!file) refuse("cannot read " + path);
    std::vector<std::vector<std::string>> lines;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::vector<std::string> items;
        for (std::string item; words >> item;) items.push_back(item);
        if (!items.empty()) lines.push_back(items);
    }
    return lines;
}

// Nibble `i` (0 is the lowest) of a hexadecimal number of any length.
unsigned nibble(const std::string& number, std::size_t i) {
    if (i >= number.size()) return 0;
    const char c = number[number.size() - 1 - i];
    if (!std::isxdigit(static_cast<unsigned char>(c))) refuse("not a hexadecimal number: " + number);
    return static_cast<unsigned>(std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : std::tolower(c) - 'a' + 10);
}

unsigned byte_at(const std::string& number, int i) {
    return nibble(number, 2 * static_cast<std::size_t>(i)) | nibble(number, 2 * static_cast<std::size_t>(i) + 1) << 4;
}

bool bit_at(const std::string& number, int i) {
    return (nibble(number, static_cast<std::size_t>(i) / 4) >> (i % 4) & 1) != 0;
}

std::uint32_t value(const std::string& number) {
    return static_cast<std::uint32_t>(std::stoul(number, nullptr, 16));
}

cfm::Word<PE> word_of(const std::string& number) {
    cfm::Word<PE> word;
    for (int p = 0; p < PE; p++) word.range(8 * p + 7, 8 * p) = byte_at(number, p);
    return word;
}

struct Project {
    std::map<std::string, long> parameters;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> config;
    std::vector<cfm::Word<PE>> image, weights;
    std::vector<std::uint32_t> masks, logits;
    std::vector<std::vector<std::string>> writes, pooled, cells;
};

std::vector<cfm::Word<PE>> read_words(const std::string& path) {
    std::vector<cfm::Word<PE>> words;
    for (const auto& line : read_lines(path)) words.push_back(word_of(line[0]));
    return words;
}

std::vector<std::uint32_t> read_values(const std::string& path) {
    std::vector<std::uint32_t> values;
    for (const auto& line : read_lines(path)) values.push_back(value(line[0]));
    return values;
}

void demand(const Project& project, const char* name, long here, bool exactly) {
    const auto found = project.parameters.find(name);
    if (found == project.parameters.end()) refuse(std::string("parameters.txt does not say ") + name);
    if (exactly ? found->second == here : found->second <= here) return;
    refuse(std::string(name) + " of the project is " + std::to_string(found->second) + ", of this build " +
           std::to_string(here));
}

Project read_project(const std::string& folder) {
    Project p;
    for (const auto& line : read_lines(folder + "/parameters.txt")) {
        if (line.size() < 2) refuse("parameters.txt: a name without a value");
        p.parameters[line[0]] = std::stol(line[1]);
    }
    demand(p, "PE", PE, true);
    demand(p, "L", L, true);
    demand(p, "SIDE", I::SIDE, true);
    demand(p, "FEATURE_WORDS", I::FEATURE_WORDS, false);
    demand(p, "WEIGHT_WORDS", I::WEIGHT_WORDS, false);
    demand(p, "CHANNELS", I::CHANNELS, false);
    demand(p, "STORE_WORDS", I::STORE_WORDS, false);
    demand(p, "CLASSES", I::CLASSES, false);
    demand(p, "GENERAL_SCALE", I::GENERAL_SCALE, false);
    demand(p, "AVERAGE_POOL", I::AVERAGE_POOL, false);
    for (const auto& line : read_lines(folder + "/config.hex")) {
        if (line.size() < 2) refuse("config.hex: an address without data");
        p.config.emplace_back(value(line[0]), value(line[1]));
    }
    p.image = read_words(folder + "/image.hex");
    p.weights = read_words(folder + "/weights.hex");
    p.masks = read_values(folder + "/masks.hex");
    p.logits = read_values(folder + "/logits.hex");
    p.writes = read_lines(folder + "/writes.hex");
    p.pooled = read_lines(folder + "/pooled.hex");
    p.cells = read_lines(folder + "/cells.hex");
    return p;
}

// Compares everything as it happens.
class Observer {
public:
    explicit Observer(const Project& project) : project_(project) {}

    void array_write(const cfm::Word<PE> (&words)[L]) {
        if (writes >= project_.writes.size()) difference("more array writes than expected");
        const auto& line = project_.writes[writes];
        if (line.size() < 2) refuse("writes.hex: no bits");
        for (int l = 0; l < L; l++)
            for (int p = 0; p < PE; p++) {
                const int at = l * PE + p;
                if (!bit_at(line[1], at)) continue;
                test::equal(static_cast<std::uint8_t>(cfm::byte_of<PE>(words[l], p)), byte_at(line[0], at),
                            "array write %zu, lane %d, channel %d", writes, l, p);
            }
        writes++;
    }

    void pooled_write(int lane, const cfm::Word<PE>& word) {
        if (pooled >= project_.pooled.size()) difference("more pooled writes than expected");
        const auto& line = project_.pooled[pooled];
        if (line.size() < 3) refuse("pooled.hex: no bits");
        test::equal(lane, value(line[0]), "lane of pooled write %zu", pooled);
        for (int p = 0; p < PE; p++) {
            if (!bit_at(line[2], p)) continue;
            test::equal(static_cast<std::uint8_t>(cfm::byte_of<PE>(word, p)), byte_at(line[1], p),
                        "pooled write %zu, channel %d", pooled, p);
        }
        pooled++;
    }

    template <class Mask>
    void segment(const Mask& mask) {
        if (segments >= project_.cells.size()) difference("more segments than expected");
        const auto& line = project_.cells[segments];
        if (line.size() < 5) refuse("cells.hex: no bits");
        const cfm::CellWindow w = mask.window;
        test::equal(w.top, value(line[0]), "top of segment %zu", segments);
        test::equal(w.left, value(line[1]), "left of segment %zu", segments);
        test::equal(w.bottom, value(line[2]), "bottom of segment %zu", segments);
        test::equal(w.right, value(line[3]), "right of segment %zu", segments);
        int i = 0;
        for (int r = w.top; r < w.bottom; r++)
            for (int c = w.left; c < w.right; c++, i++)
                test::equal(bool(mask.bits[r][c / L][c % L]), bit_at(line[4], i), "cell (%d, %d) of segment %zu", r, c,
                            segments);
        cells += static_cast<std::size_t>(i);
        segments++;
    }

    void finish() const {
        test::equal(writes, project_.writes.size(), "number of array writes");
        test::equal(pooled, project_.pooled.size(), "number of pooled writes");
        test::equal(segments, project_.cells.size(), "number of segments");
    }

    std::size_t writes = 0, pooled = 0, segments = 0, cells = 0;

private:
    [[noreturn]] void difference(const char* what) const {
        std::fprintf(stderr, "%s\n", what);
        std::exit(1);
    }

    const Project& project_;
};

// Lets a stream produce `values` on demand where that is simulated; else all at once.
template <class T>
void feed(hls::stream<T>& stream, const std::vector<T>& values, [[maybe_unused]] std::uint64_t stalls) {
#ifdef CFM_SIM_STREAM
    stream.set_source([&stream, &values, at = std::size_t(0)](std::size_t n) mutable {
        for (; n > 0 && at < values.size(); n--) stream.write(values[at++]);
        return at < values.size();
    });
    if (stalls != 0) stream.stall(stalls, 30);
#else
    for (const T& value : values) stream.write(value);
#endif
}

void check_logits(hls::stream<cfm::LogitBeat>& logits, const Project& project) {
    const auto classes =
        static_cast<std::size_t>(project.logits.size()) / std::max<std::size_t>(project.cells.size(), 1);
    for (std::size_t n = 0; n < project.logits.size(); n++) {
        if (logits.empty()) test::equal(n, project.logits.size(), "number of logits");
        const cfm::LogitBeat beat = logits.read();
        test::equal(beat.data.to_uint(), project.logits[n], "word %zu of the logits", n);
        test::equal(beat.last.to_int(), n % classes == classes - 1, "last of word %zu", n);
    }
    test::equal(logits.size(), 0, "logits beyond the last");
}

void fill_with_noise(cfm::Memories<I>& m) {
    sim::Chance chance(99);
    const auto noise = [&](cfm::Word<PE>& word) {
        for (int p = 0; p < PE; p++) word.range(8 * p + 7, 8 * p) = chance.next() & 0xFF;
    };
    for (auto& bank : m.features)
        for (auto& word : bank) noise(word);
    for (auto& lane : m.row)
        for (auto& word : lane) noise(word);
    for (auto& lane : m.logits)
        for (auto& logit : lane) logit = static_cast<std::int16_t>(chance.next());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) refuse("usage: test_engine PROJECT");
    const Project project = read_project(argv[1]);
    static cfm::Memories<I> memories;
    fill_with_noise(memories);
    for (const auto& [address, data] : project.config) cfm::configure<I>(memories, address, data);

    // At least as long as the top function says to co-simulation.
    std::vector<cfm::Word<PE>> weights = project.weights;
    weights.resize(std::max<std::size_t>(weights.size(), 65536));
    for (std::uint64_t stalls = 0; stalls < 2; stalls++) {
        hls::stream<cfm::Word<PE>> image("image");
        hls::stream<std::uint32_t> masks("masks");
        hls::stream<cfm::LogitBeat> logits("logits");
        feed(image, project.image, stalls);
        feed(masks, project.masks, stalls);
        Observer observer(project);
        if (!cfm::run_frame<I>(memories, image, masks, weights.data(), logits, observer))
            refuse("the configuration is refused");
        observer.finish();
        check_logits(logits, project);
        test::equal(image.size() + masks.size(), 0, "words left in the streams");
        std::printf("%s: %zu array writes, %zu pooled writes, %zu segments, %zu cells, %zu logit words%s: equal\n",
                    argv[1], observer.writes, observer.pooled, observer.segments, observer.cells, project.logits.size(),
                    stalls == 0 ? "" : ", with stalls");
        std::fflush(stdout);
    }

    hls::stream<cfm::Word<PE>> image("image");
    hls::stream<std::uint32_t> masks("masks");
    hls::stream<cfm::LogitBeat> logits("logits");
    feed(image, project.image, 2);
    feed(masks, project.masks, 2);
    std::vector<ap_uint<64>> config;
    for (const auto& [address, data] : project.config) {
        ap_uint<64> word;
        word.range(31, 0) = address;
        word.range(63, 32) = data;
        config.push_back(word);
    }
    const auto writes = static_cast<std::uint32_t>(config.size());
    config.resize(std::max<std::size_t>(config.size(), 65536));
    if (!cfm_engine(config.data(), writes, true, weights.data(), image, masks, logits))
        refuse("the configuration is refused");
    check_logits(logits, project);
    return test::passed("engine");
}
