// engine_axi.sv at its pins, driven from standard input, one command a line, with an answer for each (numbers are hexadecimal, but for w):
//
//   W OFFSET DATA [STROBES]  AXI4-Lite write; answers the response: 0 OKAY, 2 SLVERR, 3 DECERR
//   R OFFSET       AXI4-Lite read; answers the data and the response
//   t N            N writes and N reads of a scratch register, under way at the same time; answers "ok" if each read saw
//                  one of the values
//   m INDEX HEX... words of the memory for weights, from the 32-bit word INDEX on; answers "ok"
//   a              answers where that memory is on the engine's bus, in bytes, its 32-bit words, and the parameter STREAMS
//   i HEX...       beats for the image stream (8 PE bits each), queued; answers "ok"
//   k HEX...       words for the mask stream, likewise
//   q              answers the beats of image and masks that have not been taken, and the words of logits that have come
//   l N            answers N words of the logits stream, with `!` behind the one with tlast
//   d              throws queued beats away, as resetting a DMA does; answers "ok"
//   w N            lets N clocks pass; answers "ok"
//   r              aresetn, for ten clocks, also of what is queued; answers "ok"
//   h N            the memory for weights stands still (1) or not (0); answers "ok"
//   o N            nobody takes logits from the stream (1) or somebody does (0); answers "ok"
//   e N            the memory for weights answers SLVERR (1) or not (0); answers "ok"
//   s SEED P       every channel pauses in P of 16 cycles, at random; answers "ok"
//   c              answers the number of clocks so far
//
// Every clock the rules of the protocol are checked (`Rules`): a broken one is named on standard error, and the exit status
// is 3.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "Vengine_axi.h"
#include "verilated.h"

namespace {

constexpr uint32_t kWeights = 0x10000F80;   // not at a 4 KiB boundary: bursts have to be cut
constexpr uint32_t kWeightWords = 1 << 20;
constexpr int kPatience = 2000;             // clocks until an AXI4-Lite access has to be answered
constexpr unsigned kBytes = AXI_PE;         // of a beat

[[noreturn]] void broken(const std::string& rule, uint64_t clocks) {
    std::cerr << "axi_pins: clock " << clocks << ": " << rule << std::endl;
    std::exit(3);
}

// A beat of PE bytes, whatever type the simulator chose for it.
using Beat = std::vector<uint8_t>;
template <typename Wide>
void set_beat(Wide& pins, const Beat& beat) {
    if constexpr (std::is_integral_v<Wide>) {
        pins = 0;
        for (unsigned i = 0; i < kBytes; ++i) pins |= static_cast<Wide>(beat[i]) << 8 * i;
    } else {
        for (unsigned i = 0; i < kBytes; i += 4)
            pins[i / 4] = beat[i] | beat[i + 1] << 8 | beat[i + 2] << 16 | static_cast<uint32_t>(beat[i + 3]) << 24;
    }
}

// What the engine offers on a channel stays as it is until it is taken.
struct Offer {
    const char* name;
    bool waiting = false;
    uint64_t payload = 0;

    void look(bool valid, bool ready, uint64_t now, uint64_t clocks) {
        if (waiting && !valid) broken(std::string(name) + ": valid was taken back", clocks);
        if (waiting && now != payload) broken(std::string(name) + ": the payload changed while it waited", clocks);
        waiting = valid && !ready;
        payload = now;
    }
    void reset() { waiting = false; }
};

struct Burst {
    uint32_t address;
    unsigned beats;
    uint64_t not_before;
};

class Board {
public:
    Board() : memory_(kWeightWords) { reset(); }

    void reset() {
        top_.aresetn = 0;
        write_ = read_ = false;
        offer_aw_ = offer_w_ = offer_ar_ = false;
        bursts_.clear();
        image.clear(), masks.clear(), logits.clear();
        image_valid_ = masks_valid_ = r_valid_ = false;
        b_.reset(), r_.reset(), logits_rule_.reset(), ar_.reset();
        answers_due_ = reads_due_ = 0;
        aw_taken_ = w_taken_ = false;
        run(10);
        top_.aresetn = 1;
        run(2);
    }

    void run(uint64_t clocks) {
        for (uint64_t i = 0; i < clocks; ++i) clock();
    }

    void stalls(uint32_t seed, unsigned share) {
        random_ = seed * 2654435761u + 1;
        share_ = share;
    }
    void hold(bool held) { held_ = held; }
    void block(bool blocked) { blocked_ = blocked; }
    void fail(bool fails) { fails_ = fails; }
    uint64_t clocks() const { return clocks_; }
    void store(size_t index, uint32_t word) {
        if (index >= memory_.size()) broken("a weight beyond the memory", clocks_);
        memory_[index] = word;
    }

    void begin_write(uint32_t offset, uint32_t data, uint32_t strobes) {
        top_.s_axil_awaddr = offset;
        top_.s_axil_wdata = data;
        top_.s_axil_wstrb = strobes;
        write_ = offer_aw_ = offer_w_ = true;
        // Any order: one of the two comes later, or both at once.
        aw_delay_ = pause() ? random() % 6 : 0;
        w_delay_ = pause() ? random() % 6 : 0;
    }
    void begin_read(uint32_t offset) {
        top_.s_axil_araddr = offset;
        read_ = offer_ar_ = true;
        ar_delay_ = pause() ? random() % 4 : 0;
    }
    bool writing() const { return write_; }
    bool reading() const { return read_; }
    void finish() {
        for (int i = 0; write_ || read_; ++i) {
            if (i == kPatience) broken("an AXI4-Lite access is not answered", clocks_);
            clock();
        }
        // An answer too many would come now.
        if (share_ != 0 && random() % 4 == 0) run(random() % 6);
    }
    unsigned write(uint32_t offset, uint32_t data, uint32_t strobes = 15) {
        begin_write(offset, data, strobes);
        finish();
        return write_response;
    }
    uint32_t read(uint32_t offset) {
        begin_read(offset);
        finish();
        return read_data;
    }

    unsigned write_response = 0, read_response = 0;
    uint32_t read_data = 0;
    std::deque<Beat> image;
    std::deque<uint32_t> masks;
    std::deque<uint64_t> logits;  // bit 32: last

private:
    uint32_t random() {
        random_ ^= random_ << 13, random_ ^= random_ >> 17, random_ ^= random_ << 5;
        return random_;
    }
    bool pause() { return share_ != 0 && (random() >> 8) % 16 < share_; }

    // The outputs to which an input must have no way within a clock.
    uint64_t outputs() const {
        return top_.s_axil_awready | top_.s_axil_wready << 1 | top_.s_axil_bvalid << 2 | top_.s_axil_arready << 3 |
               top_.s_axil_rvalid << 4 | top_.s_axis_image_tready << 5 | top_.s_axis_masks_tready << 6 |
               top_.m_axis_logits_tvalid << 7 | top_.m_axi_arvalid << 8 | top_.m_axi_rready << 9;
    }

    void clock() {
        top_.aclk = 0;
        top_.eval();
        const uint64_t before = outputs();
        const bool running = top_.aresetn;

        // Masters: what has been offered stays offered.
        if (aw_delay_ > 0) --aw_delay_; else top_.s_axil_awvalid = running && offer_aw_;
        if (w_delay_ > 0) --w_delay_; else top_.s_axil_wvalid = running && offer_w_;
        if (ar_delay_ > 0) --ar_delay_; else top_.s_axil_arvalid = running && offer_ar_;
        if (!running) top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
        top_.s_axil_bready = !pause();
        top_.s_axil_rready = !pause();
        if (!image_valid_) image_valid_ = running && !image.empty() && !pause();
        if (!masks_valid_) masks_valid_ = running && !masks.empty() && !pause();
        top_.s_axis_image_tvalid = image_valid_;
        if (image_valid_) set_beat(top_.s_axis_image_tdata, image.front());
        top_.s_axis_masks_tvalid = masks_valid_;
        if (masks_valid_) top_.s_axis_masks_tdata = masks.front();
        top_.m_axis_logits_tready = !blocked_ && !pause();
        // The memory.
        top_.m_axi_arready = bursts_.size() < 4 && !held_ && !pause();
        if (!r_valid_) r_valid_ = running && !bursts_.empty() && !held_ && bursts_.front().not_before <= clocks_ && !pause();
        top_.m_axi_rvalid = r_valid_;
        if (r_valid_) {
            const Burst& burst = bursts_.front();
            Beat beat(kBytes);
            for (unsigned i = 0; i < kBytes; ++i) {
                const uint32_t at = burst.address - kWeights + i;
                beat[i] = memory_[at / 4 % memory_.size()] >> 8 * (at % 4);
                if (fails_) beat[i] ^= 0x5A;
            }
            set_beat(top_.m_axi_rdata, beat);
            top_.m_axi_rlast = burst.beats == 1;
            top_.m_axi_rresp = fails_ ? 2 : 0;
        }
        top_.eval();
        if (running && outputs() != before) broken("an output follows an input within a clock", clocks_);

        // Handshakes of this clock, and the rules.
        const bool aw = top_.s_axil_awvalid && top_.s_axil_awready, w = top_.s_axil_wvalid && top_.s_axil_wready;
        const bool b = top_.s_axil_bvalid && top_.s_axil_bready;
        const bool ar = top_.s_axil_arvalid && top_.s_axil_arready, r = top_.s_axil_rvalid && top_.s_axil_rready;
        const bool image_taken = image_valid_ && top_.s_axis_image_tready;
        const bool mask_taken = masks_valid_ && top_.s_axis_masks_tready;
        const bool logit = top_.m_axis_logits_tvalid && top_.m_axis_logits_tready;
        const bool asked = top_.m_axi_arvalid && top_.m_axi_arready, came = r_valid_ && top_.m_axi_rready;
        if (running) {
            b_.look(top_.s_axil_bvalid, top_.s_axil_bready, top_.s_axil_bresp, clocks_);
            r_.look(top_.s_axil_rvalid, top_.s_axil_rready,
                    static_cast<uint64_t>(top_.s_axil_rresp) << 32 | top_.s_axil_rdata, clocks_);
            logits_rule_.look(top_.m_axis_logits_tvalid, top_.m_axis_logits_tready,
                              static_cast<uint64_t>(top_.m_axis_logits_tlast) << 32 | top_.m_axis_logits_tdata, clocks_);
            ar_.look(top_.m_axi_arvalid, top_.m_axi_arready,
                     static_cast<uint64_t>(top_.m_axi_arlen) << 32 | top_.m_axi_araddr, clocks_);
            if (top_.s_axil_bvalid && answers_due_ == 0) broken("a write response without a write", clocks_);
            if (top_.s_axil_rvalid && reads_due_ == 0) broken("read data without a read", clocks_);
        } else if (top_.s_axil_bvalid || top_.s_axil_rvalid || top_.m_axis_logits_tvalid || top_.m_axi_arvalid) {
            if (clocks_ > 0 && reset_clocks_ > 1) broken("valid while aresetn is low", clocks_);
        }
        reset_clocks_ = running ? 0 : reset_clocks_ + 1;
        if (running && asked) {
            const uint32_t first = top_.m_axi_araddr, bytes = (top_.m_axi_arlen + 1u) * kBytes;
            if (top_.m_axi_arlen > 15) broken("a burst of more than 16 beats", clocks_);
            if (1u << top_.m_axi_arsize != kBytes || top_.m_axi_arburst != 1) broken("a burst of another kind", clocks_);
            if (first / 4096 != (first + bytes - 1) / 4096) broken("a burst across 4 KiB", clocks_);
            if (first % kBytes != 0) broken("a burst that is not aligned", clocks_);
            if (first < kWeights || first + bytes > kWeights + 4 * kWeightWords) broken("a burst beyond the memory", clocks_);
            bursts_.push_back({first, top_.m_axi_arlen + 1u, clocks_ + 2 + (share_ != 0 ? random() % 24 : 0)});
        }
        if (b) write_response = top_.s_axil_bresp;
        if (r) read_response = top_.s_axil_rresp, read_data = top_.s_axil_rdata;
        if (logit) logits.push_back(static_cast<uint64_t>(top_.m_axis_logits_tlast) << 32 | top_.m_axis_logits_tdata);

        top_.aclk = 1;
        top_.eval();
        ++clocks_;
        if (!running) return;

        if (aw) offer_aw_ = false, top_.s_axil_awvalid = 0, aw_taken_ = true;
        if (w) offer_w_ = false, top_.s_axil_wvalid = 0, w_taken_ = true;
        if (aw_taken_ && w_taken_) aw_taken_ = w_taken_ = false, ++answers_due_;
        if (ar) offer_ar_ = false, top_.s_axil_arvalid = 0, ++reads_due_;
        if (b) --answers_due_, write_ = false;
        if (r) --reads_due_, read_ = false;
        if (image_taken) image.pop_front(), image_valid_ = false;
        if (mask_taken) masks.pop_front(), masks_valid_ = false;
        if (came) {
            r_valid_ = false;
            bursts_.front().address += kBytes;
            if (--bursts_.front().beats == 0) bursts_.pop_front();
        }
    }

    Vengine_axi top_;
    std::vector<uint32_t> memory_;
    std::deque<Burst> bursts_;
    Offer b_{"B"}, r_{"R"}, logits_rule_{"logits"}, ar_{"AR of the weights"};
    bool write_ = false, read_ = false, offer_aw_ = false, offer_w_ = false, offer_ar_ = false;
    bool aw_taken_ = false, w_taken_ = false, image_valid_ = false, masks_valid_ = false, r_valid_ = false;
    bool held_ = false, fails_ = false, blocked_ = false;
    unsigned aw_delay_ = 0, w_delay_ = 0, ar_delay_ = 0, answers_due_ = 0, reads_due_ = 0, share_ = 0;
    uint32_t random_ = 1;
    uint64_t clocks_ = 0, reset_clocks_ = 0;

public:
    // What a DMA does when it is reset; a beat that is offered already stays (its channel is not reset).
    void discard() {
        while (image.size() > (image_valid_ ? 1u : 0u)) image.pop_back();
        while (masks.size() > (masks_valid_ ? 1u : 0u)) masks.pop_back();
    }
};

Beat beat_of(const std::string& digits) {
    Beat beat(kBytes);
    for (unsigned i = 0; i < kBytes; ++i)
        beat[i] = static_cast<uint8_t>(std::stoul(digits.substr(digits.size() - 2 * (i + 1), 2), nullptr, 16));
    return beat;
}

// Reads and writes of IMAGE_ROW_BYTES at the same time.
bool together(Board& board, unsigned count) {
    constexpr uint32_t kScratch = 4 * 15;
    uint32_t old = board.read(kScratch);
    for (unsigned i = 1; i <= count; ++i) {
        const uint32_t value = (i * 40503u) & 0xFFFF;
        board.begin_write(kScratch, value, 15);
        board.begin_read(kScratch);
        board.finish();
        if (board.write_response != 0 || board.read_response != 0) return false;
        if (board.read_data != value && board.read_data != old) return false;
        if (board.read(kScratch) != value) return false;
        old = value;
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Board board;
    std::string line;
    std::cout << std::hex;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        words >> std::hex;
        char command = 0;
        uint32_t a = 0, b = 0, c = 15;
        words >> command;
        if (command == 'W') {
            words >> a >> b;
            if (!(words >> c)) c = 15;
            std::cout << board.write(a, b, c) << std::endl;
        } else if (command == 'R') {
            words >> a;
            const uint32_t data = board.read(a);
            std::cout << data << ' ' << board.read_response << std::endl;
        } else if (command == 't') {
            words >> a;
            std::cout << (together(board, a) ? "ok" : "wrong") << std::endl;
        } else if (command == 'm') {
            words >> a;
            while (words >> b) board.store(a++, b);
            std::cout << "ok" << std::endl;
        } else if (command == 'a') {
            std::cout << kWeights << ' ' << kWeightWords << ' ' << AXI_STREAMS << std::endl;
        } else if (command == 'i') {
            std::string beat;
            while (words >> beat) board.image.push_back(beat_of(beat));
            std::cout << "ok" << std::endl;
        } else if (command == 'k') {
            while (words >> b) board.masks.push_back(b);
            std::cout << "ok" << std::endl;
        } else if (command == 'q') {
            std::cout << board.image.size() << ' ' << board.masks.size() << ' ' << board.logits.size() << std::endl;
        } else if (command == 'l') {
            words >> a;
            for (uint32_t i = 0; i < a && !board.logits.empty(); ++i) {
                std::cout << static_cast<uint32_t>(board.logits.front()) << (board.logits.front() >> 32 ? "! " : " ");
                board.logits.pop_front();
            }
            std::cout << std::endl;
        } else if (command == 'd') {
            board.discard();
            std::cout << "ok" << std::endl;
        } else if (command == 'w') {
            words >> std::dec >> a;
            board.run(a);
            std::cout << "ok" << std::endl;
        } else if (command == 'r') {
            board.reset();
            std::cout << "ok" << std::endl;
        } else if (command == 'h') {
            words >> a;
            board.hold(a != 0);
            std::cout << "ok" << std::endl;
        } else if (command == 'o') {
            words >> a;
            board.block(a != 0);
            std::cout << "ok" << std::endl;
        } else if (command == 'e') {
            words >> a;
            board.fail(a != 0);
            std::cout << "ok" << std::endl;
        } else if (command == 's') {
            words >> a >> b;
            board.stalls(a, b);
            std::cout << "ok" << std::endl;
        } else if (command == 'c') {
            std::cout << board.clocks() << std::endl;
        } else {
            std::cerr << "unknown command: " << line << std::endl;
            return 2;
        }
    }
    return 0;
}
