// Rows of an image in their ring, with a stream that stalls: how much comes early must not matter.
#include "check.hpp"
#include "tops.hpp"

int main() {
    using namespace tops;
    sim::Chance chance(19);
    static Word banks[L][FEATURE_WORDS];
    for (int n = 0; n < 100; n++) {
        const int width = chance.between(1, 35), height = chance.between(1, 9), groups = chance.between(1, 2);
        const int blocks = (width + L - 1) / L;
        cfm::Header header = {};
        header.image = {chance.below(10), static_cast<std::uint32_t>(blocks * groups),
                        static_cast<std::uint32_t>(chance.between(2, 4))};
        header.image_width = static_cast<std::uint16_t>(width);
        header.image_height = static_cast<std::uint16_t>(height);
        header.image_groups = static_cast<std::uint16_t>(groups);
        std::vector<std::uint8_t> samples(static_cast<std::size_t>(height * width * groups * PE));
        for (std::uint8_t& s : samples) s = static_cast<std::uint8_t>(chance.byte());
        hls::stream<Word> image("image");
        std::size_t sent = 0;
        const auto produce = [&](std::size_t beats) {
            for (; beats > 0 && sent < samples.size(); beats--) {
                Word beat;
                for (int p = 0; p < PE; p++) beat.range(8 * p + 7, 8 * p) = samples[sent++];
                image.write(beat);
            }
            return sent < samples.size();
        };
#ifdef CFM_SIM_STREAM
        image.set_source(produce);
        if (n % 2 == 1) image.stall(static_cast<std::uint64_t>(n), 20);
#else
        produce(samples.size());
#endif
        cfm::ImageProgress progress = cfm::begin_image();
        for (int y = 0; y < height; y++) {
            top_image_input(banks, header, progress, image);
            // The row waited for and the ones before it that the ring still has: one slot is the early row's.
            for (int r = std::max(0, y + 2 - static_cast<int>(header.image.rows)); r <= y; r++)
                for (int x = 0; x < width; x++)
                    for (int c = 0; c < groups * PE; c++) {
                        const std::uint32_t at =
                            header.image.address +
                            static_cast<std::uint32_t>(r) % header.image.rows * header.image.row_words +
                            static_cast<std::uint32_t>(x / L * groups + c / PE);
                        test::equal(cfm::byte_of<PE>(banks[x % L][at], c % PE),
                                    samples[static_cast<std::size_t>((r * width + x) * groups * PE + c)] - 128,
                                    "image %d, after row %d: row %d, cell %d, channel %d", n, y, r, x, c);
                    }
        }
        test::equal(progress.stored, height, "rows stored");
    }
    return test::passed("image_input");
}
