// Whole frames of a small random model: image, feature map, masks, pyramids, two fully connected layers, logits. The
// control store is put together here from hls/ENGINE.md, without any exported project, and the results are recomputed
// from the plain tensors.
#include "axis.hpp"
#include "check.hpp"
#include "layer.hpp"
#include "tops.hpp"

namespace {

struct Sizes {
    static constexpr int PE = 4, L = 3, FEATURE_WORDS = 2048, WEIGHT_WORDS = 4096, CHANNELS = 256, STORE_WORDS = 2048,
                         SIDE = 64, CLASSES = 16, ROW_WORDS = 7;
};

// With a multiplier and a divider, or without either.
template <bool GENERAL>
struct Small : Sizes {
    static constexpr bool GENERAL_SCALE = GENERAL, AVERAGE_POOL = GENERAL;
};
constexpr int PE = Sizes::PE, L = Sizes::L, SIDE = Sizes::SIDE;

std::uint32_t u32(int value) {
    return static_cast<std::uint32_t>(value);
}

std::int64_t nearest_even(std::int64_t n, int shift) {
    const std::int64_t d = std::int64_t(1) << shift, floor = n >> shift, twice = 2 * (n - floor * d);
    return floor + (twice > d || (twice == d && floor % 2 != 0) ? 1 : 0);
}

// A layer's numbers: weights [output][input], where an input is a tap's channel, and the scale of every output.
struct Parameters {
    int inputs, outputs;
    std::vector<int> weight, bias, mantissa, shift;
    int z_out, low, high;

    std::int64_t scaled(int out, std::int64_t sum) const {
        const auto o = static_cast<std::size_t>(out);
        return nearest_even((sum + bias[o]) * mantissa[o], shift[o]);
    }
    std::int8_t activation(int out, std::int64_t sum) const {
        const std::int64_t v = scaled(out, sum) + z_out;
        return static_cast<std::int8_t>(v < low ? low : v > high ? high : v);
    }
};

Parameters random_parameters(sim::Chance& chance, bool general, int inputs, int outputs) {
    Parameters p{inputs, outputs, {}, {}, {}, {}, chance.between(-128, 127), -128, 127};
    if (chance.percent(50)) p.low = p.z_out;
    for (int n = 0; n < inputs * outputs; n++) p.weight.push_back(chance.between(-127, 127));
    for (int o = 0; o < outputs; o++) {
        p.bias.push_back(chance.between(-5000, 5000));
        p.mantissa.push_back(general ? chance.between(1 << 14, (1 << 15) - 1) : 1 << 14);
        p.shift.push_back(chance.between(20, 25));
    }
    return p;
}

// What the engine is given, as it is put together.
struct Build {
    std::vector<std::uint32_t> store = std::vector<std::uint32_t>(Sizes::STORE_WORDS);
    std::vector<cfm::Word<PE>> inside, outside;
    std::vector<std::uint32_t> channels;
    int operations = 0;

    // Adds a dense operation's weights, channels and descriptor. `taps` taps of `width` channels are its inputs.
    int dense(const Parameters& p, int kernel_h, int kernel_w, int width, bool external, bool logits) {
        std::vector<cfm::Word<PE>>& memory = external ? outside : inside;
        const int groups = test::divide_up(p.outputs, PE), at = static_cast<int>(memory.size());
        const int first_channel = static_cast<int>(channels.size()) / 2;
        for (int g = 0; g < groups; g++) {
            for (int i = 0; i < p.inputs; i++) {
                cfm::Word<PE> word = 0;
                for (int c = 0; c < PE && g * PE + c < p.outputs; c++)
                    cfm::set_byte<PE>(word, c,
                                      cfm::Byte(p.weight[static_cast<std::size_t>((g * PE + c) * p.inputs + i)]));
                memory.push_back(word);
            }
            for (int c = g * PE; c < (g + 1) * PE; c++) {
                const auto o = static_cast<std::size_t>(c);
                const bool used = c < p.outputs;
                channels.push_back(used ? u32(p.bias[o]) : 0);
                channels.push_back(used ? u32(p.mantissa[o] | p.shift[o] << 16) : (1 << 14 | 14 << 16));
            }
        }
        std::uint32_t* d = &store[static_cast<std::size_t>(32 + 32 * operations)];
        d[0] = 0;
        d[1] = u32(width);
        d[2] = u32(test::divide_up(width, PE));
        d[3] = u32(groups);
        d[4] = 1;
        d[5] = u32(kernel_h);
        d[6] = u32(kernel_w);
        d[7] = 1;
        d[8] = L;
        d[12] = 1;
        d[13] = 1;
        d[15] = d[2];
        d[18] = u32(at);
        d[19] = u32((external ? 1 : 0) | (logits ? 2 : 0));
        d[20] = u32(first_channel);
        d[21] = u32((p.z_out & 255) << 8 | (p.low & 255) << 16 | (p.high & 255) << 24);
        d[23] = u32(p.outputs);
        return operations++;
    }
    std::uint32_t* descriptor(int operation) {
        return &store[static_cast<std::size_t>(32 + 32 * operation)];
    }
};

template <bool GENERAL>
void run_case(int n, sim::Chance& chance) {
    // The model: a convolution to the feature map; Design A or the plain design; one hidden layer; the classifier.
    const int kernel = chance.between(1, 3), stride = chance.between(1, 3), pad = chance.between(0, kernel - 1);
    test::Tensor image{chance.between(kernel, 24), chance.between(kernel, 24), chance.between(1, 5), 0, {}};
    std::vector<std::uint8_t> samples(static_cast<std::size_t>(image.height * image.width * image.channels));
    for (std::uint8_t& s : samples) {
        s = static_cast<std::uint8_t>(chance.byte());
        image.q.push_back(static_cast<std::int8_t>(s - 128));
    }
    const auto axis = [&](int pixels) {
        const int cells = (pixels + 2 * pad - kernel) / stride + 1;
        return test::Axis{pixels, cells, stride, kernel - 1 - 2 * pad};
    };
    const test::Axis columns = axis(image.width), rows = axis(image.height);
    const int depth = chance.between(1, 6), level = chance.between(1, 3), hidden = chance.between(1, 9),
              classes = chance.between(1, 9);
    const bool region = chance.percent(50), external = chance.percent(50);
    const int bins = level * level;
    const Parameters convolution = random_parameters(chance, GENERAL, kernel * kernel * image.channels, depth);
    const int vector_bins = region ? 2 * bins : bins;
    const Parameters first = random_parameters(chance, GENERAL, vector_bins * depth, hidden);
    const Parameters classifier = random_parameters(chance, GENERAL, hidden, classes);

    // Memory: the image's ring, the feature map, pooled vectors and hidden layer twice.
    const int image_groups = test::divide_up(image.channels, PE), groups = test::divide_up(depth, PE);
    const test::Place ring = {0, test::divide_up(image.width, L) * image_groups, std::max(kernel, stride) + 1};
    const test::Place map = {ring.words * ring.rows, test::divide_up(columns.cells, L) * groups, rows.cells};
    const int pooled[2] = {map.address + map.words * map.rows,
                           map.address + map.words * map.rows + vector_bins * groups};
    const int hidden_at = pooled[1] + vector_bins * groups;

    Build b;
    const int conv_op = b.dense(convolution, kernel, kernel, image.channels, external, false);
    std::uint32_t* d = b.descriptor(conv_op);
    d[4] = u32(test::divide_up(columns.cells, L));
    d[7] = u32(stride);
    d[8] = u32(image.width);
    const auto put = [&](int word, int cells) {
        const cfm::Position p = test::position<L>(cells);
        d[word] = u32(p.q);
        d[word + 1] = p.r;
    };
    put(9, -pad);
    put(11, 1);
    put(13, test::divide_up(L, stride) * stride);
    d[15] = u32(ring.words);
    d[16] = u32(ring.address);
    d[17] = u32(ring.words * ring.rows);
    const int first_op = b.dense(first, vector_bins, 1, depth, chance.percent(50), false);
    b.descriptor(first_op)[21] |= u32(convolution.z_out & 255);
    const int class_op = b.dense(classifier, 1, 1, hidden, chance.percent(50), true);

    // Programs: every feature row as soon as its last image row is there.
    std::size_t at = 32 + 32 * 3;
    std::vector<std::uint32_t>& s = b.store;
    const auto record = [&](std::uint32_t w0, int write, int read) {
        s[at] = w0;
        s[at + 1] = u32(write) << 16 | u32(read);
        at += 3;
    };
    s[0] = 0x314D4643;
    s[2] = PE | L << 8;
    s[3] = static_cast<std::uint32_t>(at);
    int row = 0;
    for (int y = 0; y < image.height; y++) {
        record(1u << 24, 0, 0);
        while (row < rows.cells && std::min(row * stride - pad + kernel, image.height) <= y + 1) {
            const test::Layer layer{cfm::Kind::dense, kernel, kernel, stride, 1, pad, pad, depth, columns.cells, row};
            const cfm::Rows r = test::rows_of(layer, image, ring);
            record(u32(r.inside << 16 | r.first_inside << 8 | conv_op), map.address + row * map.words,
                   static_cast<int>(r.first));
            row++;
        }
    }
    s[4] = (static_cast<std::uint32_t>(at) - s[3]) / 3;
    for (int half = 0; half < 2; half++) {
        s[static_cast<std::size_t>(5 + half)] = static_cast<std::uint32_t>(at);
        record(u32(vector_bins << 16 | first_op), hidden_at, pooled[half]);
        record(u32(1 << 16 | class_op), 0, hidden_at);
    }
    s[7] = 2;
    const int header[] = {ring.address, ring.words,   ring.rows,   image.height, image.width, image_groups,
                          image.width,  image.height, map.address, map.words,    groups,      convolution.z_out & 255,
                          rows.cells,   columns.cells};
    for (std::size_t i = 0; i < 14; i++) s[8 + i] = u32(header[i]);
    const auto rule = static_cast<cfm::MaskRule>(chance.below(4));
    const long threshold = chance.percent(50) ? 32768 : chance.between(1, 65535);
    s[22] = static_cast<std::uint32_t>(rule);
    s[23] = static_cast<std::uint32_t>(threshold);
    s[24] = 1;
    s[25] = u32(pooled[0]);
    s[26] = u32(pooled[1]);
    s[27] = u32(classes);

    static cfm::Memories<Small<GENERAL>> memories;
    test::fill_with_noise<PE, L, Sizes::FEATURE_WORDS>(memories.features, chance);
    for (std::uint32_t i = 0; i < s.size(); i++) cfm::configure<Small<GENERAL>>(memories, i, s[i]);
    for (std::uint32_t i = 0; i < b.channels.size(); i++)
        cfm::configure<Small<GENERAL>>(memories, 1 << 17 | i, b.channels[i]);
    for (std::uint32_t i = 0; i < b.inside.size(); i++)
        cfm::configure<Small<GENERAL>>(memories, 4 << 17 | i, b.inside[i].to_uint());
    std::vector<std::uint32_t> geometry(2 * SIDE + 4);
    columns.write(&geometry[0]);
    rows.write(&geometry[SIDE]);
    geometry[2 * SIDE] = u32(level | 1 << 8 | (region ? 1 << 9 : 0));
    geometry[2 * SIDE + 2] = u32(bins * groups);
    for (std::uint32_t i = 0; i < geometry.size(); i++)
        cfm::configure<Small<GENERAL>>(memories, 2 << 17 | i, geometry[i]);
    b.outside.resize(b.outside.size() + 1);

    // Streams: the image, then some segments.
    hls::stream<cfm::Word<PE>> beats("image");
    hls::stream<std::uint32_t> masks("masks");
    hls::stream<cfm::LogitBeat> logits("logits");
    for (int cell = 0; cell < image.width * image.height; cell++)
        for (int g = 0; g < image_groups; g++) {
            cfm::Word<PE> word = 0;
            for (int p = 0; p < PE && g * PE + p < image.channels; p++)
                word.range(8 * p + 7, 8 * p) = samples[static_cast<std::size_t>(cell * image.channels + g * PE + p)];
            beats.write(word);
        }
#ifdef CFM_SIM_STREAM
    beats.stall(static_cast<std::uint64_t>(n), 20);
#endif
    struct Segment {
        int left, top, right, bottom;
        std::vector<bool> pixels;
    };
    std::vector<Segment> segments;
    for (int k = chance.between(0, 8); k > 0; k--) {
        Segment g{};
        g.left = chance.between(0, image.width - 1);
        g.right = chance.between(g.left, image.width - 1);
        g.top = chance.between(0, image.height - 1);
        g.bottom = chance.between(g.top, image.height - 1);
        masks.write(u32(g.left | g.top << 16));
        masks.write(u32(g.right | g.bottom << 16));
        const unsigned share = 20 + chance.below(81);
        for (int y = g.top; y <= g.bottom; y++) {
            std::uint32_t word = 0;
            for (int x = g.left; x <= g.right; x++) {
                const bool set = chance.percent(share);
                g.pixels.push_back(set);
                word |= static_cast<std::uint32_t>(set) << (x - g.left);
            }
            masks.write(word);
        }
        segments.push_back(g);
    }
    masks.write(cfm::END_OF_FRAME);
    cfm::NoProbe probe;
    test::equal(cfm::run_frame<Small<GENERAL>>(memories, beats, masks, b.outside.data(), logits, probe), true,
                "case %d: accepted", n);

    // The feature map, plainly.
    std::vector<std::int8_t> features;
    for (int y = 0; y < rows.cells; y++)
        for (int x = 0; x < columns.cells; x++)
            for (int o = 0; o < depth; o++) {
                std::int64_t sum = 0;
                int i = o * convolution.inputs;
                for (int ky = 0; ky < kernel; ky++)
                    for (int kx = 0; kx < kernel; kx++)
                        for (int c = 0; c < image.channels; c++, i++) {
                            const int iy = y * stride - pad + ky, ix = x * stride - pad + kx;
                            if (iy < 0 || iy >= image.height || ix < 0 || ix >= image.width) continue;
                            sum += image.at(iy, ix, c) * convolution.weight[static_cast<std::size_t>(i)];
                        }
                const std::int8_t q = convolution.activation(o, sum);
                features.push_back(q);
                const int word = map.address + y * map.words + x / L * groups + o / PE;
                test::equal(cfm::byte_of<PE>(memories.features[x % L][word], o % PE), q,
                            "case %d: feature (%d, %d) channel %d", n, y, x, o);
            }
    // Every segment, plainly.
    for (std::size_t k = 0; k < segments.size(); k++) {
        const Segment& g = segments[k];
        const auto pixel = [&](int x, int y) {
            if (x < g.left || x > g.right || y < g.top || y > g.bottom) return false;
            return bool(g.pixels[static_cast<std::size_t>((y - g.top) * (g.right - g.left + 1) + x - g.left)]);
        };
        const int left = columns.cell(g.left), right = columns.cell(g.right) + 1, top = rows.cell(g.top),
                  bottom = rows.cell(g.bottom) + 1;
        std::vector<bool> bits;
        bool any = false;
        long best_inside = 0, best_total = 0;
        std::size_t best = 0;
        for (int r = top; r < bottom; r++)
            for (int c = left; c < right; c++) {
                long inside = 0;
                for (int y = rows.start(r); y < rows.start(r + 1); y++)
                    for (int x = columns.start(c); x < columns.start(c + 1); x++) inside += pixel(x, y);
                const long total = long(rows.start(r + 1) - rows.start(r)) * (columns.start(c + 1) - columns.start(c));
                bool bit = total > 0;
                if (rule == cfm::MaskRule::average) bit = bit && inside * 65536 >= threshold * total;
                if (rule == cfm::MaskRule::maximum) bit = bit && inside > 0;
                if (rule == cfm::MaskRule::nearest) bit = bit && pixel(columns.centre(c, c), rows.centre(r, r));
                if (total > 0 && (best_total == 0 || inside * best_total > best_inside * total))
                    best = bits.size(), best_inside = inside, best_total = total;
                bits.push_back(bit);
                any |= bit;
            }
        if (!any) bits[best] = true;
        std::vector<std::int8_t> vector;
        for (int whole = 0; whole <= (region ? 1 : 0); whole++)
            for (int i = 0; i < level; i++)
                for (int j = 0; j < level; j++)
                    for (int o = 0; o < depth; o++) {
                        int maximum = -128;
                        const int h = bottom - top, w = right - left;
                        for (int r = i * h / level; r < ((i + 1) * h + level - 1) / level; r++)
                            for (int c = j * w / level; c < ((j + 1) * w + level - 1) / level; c++) {
                                const int q = features[static_cast<std::size_t>(
                                    ((top + r) * columns.cells + left + c) * depth + o)];
                                maximum = std::max(maximum, whole != 0 || bits[static_cast<std::size_t>(r * w + c)]
                                                                ? q
                                                                : convolution.z_out);
                            }
                        vector.push_back(static_cast<std::int8_t>(maximum));
                    }
        std::vector<std::int64_t> middle, scores;
        const auto product = [](const Parameters& p, int o, const auto& in) {
            std::int64_t sum = 0;
            for (std::size_t i = 0; i < in.size(); i++)
                sum += in[i] * p.weight[static_cast<std::size_t>(o * p.inputs) + i];
            return sum;
        };
        for (int o = 0; o < hidden; o++) middle.push_back(first.activation(o, product(first, o, vector)));
        for (int o = 0; o < classes; o++)
            scores.push_back(
                std::clamp<std::int64_t>(classifier.scaled(o, product(classifier, o, middle)), -32768, 32767));
        for (int o = 0; o < classes; o++) {
            const cfm::LogitBeat beat = logits.read();
            test::equal(static_cast<std::int32_t>(beat.data.to_uint()), scores[static_cast<std::size_t>(o)],
                        "case %d: segment %d, class %d", n, int(k), o);
            test::equal(beat.last.to_int(), 0, "case %d: last", n);
        }
        const cfm::LogitBeat beat = logits.read();
        test::equal(beat.data.to_uint(),
                    (std::max_element(scores.begin(), scores.end()) - scores.begin()) | static_cast<long>(k) << 16,
                    "case %d: label", n);
        test::equal(beat.last.to_int(), 1, "case %d: last", n);
    }
    test::equal(logits.size(), 0, "case %d: no more logits", n);
}

}  // namespace

int main() {
    sim::Chance chance(23);
    for (int n = 0; n < 150; n++) {
        if (n % 3 == 0) {
            run_case<false>(n, chance);
        } else {
            run_case<true>(n, chance);
        }
    }
    return test::passed("frame");
}
