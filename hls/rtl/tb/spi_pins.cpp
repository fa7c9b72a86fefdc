// engine_spi.sv at its pins, driven from standard input, one command a line, with an answer for each:
//
//   x HEX    one SPI transaction with these bytes; answers the bytes that came back
//   w N      let N system clocks pass; answers "ok"
//   r        the reset pin, for ten clocks; answers "ok"
//   h N      hold the weight memory still (1) or not (0): the engine gets stuck; answers "ok"
//   c        answers the number of system clocks so far
//   f N      half a period of the SPI clock takes N system clocks from here on; answers "ok"
//
// The memory for weights from outside is a plain array that answers a word a clock. SPI begins at half the system clock,
// as fast as it may.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "Vengine_spi.h"
#include "verilated.h"

namespace {

class Board {
public:
    Board() : memory_(1 << 20) {
        top_.csn = 1;
        top_.sck = 0;
        top_.mosi = 0;
        reset();
    }

    void reset() {
        top_.reset = 1;
        run(10);
        top_.reset = 0;
        reading_ = 0;
    }

    void run(int clocks) {
        for (int i = 0; i < clocks; ++i) clock();
    }

    std::vector<uint8_t> transfer(const std::vector<uint8_t>& sent) {
        std::vector<uint8_t> received;
        top_.csn = 0;
        run(half_bit_);
        for (uint8_t byte : sent) {
            uint8_t back = 0;
            for (int bit = 7; bit >= 0; --bit) {
                top_.mosi = byte >> bit & 1;
                run(half_bit_);
                // The master looks just before its rising edge.
                back = static_cast<uint8_t>(back << 1 | (top_.miso & 1));
                top_.sck = 1;
                run(half_bit_);
                top_.sck = 0;
            }
            received.push_back(back);
        }
        run(half_bit_);
        top_.csn = 1;
        run(4 * half_bit_);
        return received;
    }

    void half_bit(int clocks) { half_bit_ = clocks; }
    void hold(bool held) { held_ = held; }
    uint64_t clocks() const { return clocks_; }

private:
    void clock() {
        top_.clock = 0;
        top_.weight_request_ready = reading_ == 0;
        top_.weights_valid = reading_ != 0 && !held_;
        top_.weights_data = memory_[address_ % memory_.size()];
        top_.store_ready = 1;
        top_.eval();
        const bool request = top_.weight_request_valid && top_.weight_request_ready;
        const bool word = top_.weights_valid && top_.weights_ready;
        if (top_.store_valid) memory_[top_.store_address % memory_.size()] = top_.store_data;
        const uint32_t first = top_.weight_request_address, words = top_.weight_request_words;
        top_.clock = 1;
        top_.eval();
        if (word) {
            ++address_;
            --reading_;
        }
        if (request) {
            address_ = first;
            reading_ = words;
        }
        // A run for an engine that has been reset is given up.
        if (top_.engine_reset) reading_ = 0;
        ++clocks_;
    }

    Vengine_spi top_;
    std::vector<uint64_t> memory_;
    uint32_t address_ = 0, reading_ = 0;
    bool held_ = false;
    int half_bit_ = 1;
    uint64_t clocks_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Board board;
    std::string line;
    while (std::getline(std::cin, line)) {
        if (line.rfind("x ", 0) == 0) {
            std::vector<uint8_t> bytes;
            for (size_t i = 2; i + 1 < line.size(); i += 2)
                bytes.push_back(static_cast<uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
            std::string reply;
            char text[3];
            for (uint8_t byte : board.transfer(bytes)) {
                std::snprintf(text, sizeof text, "%02x", byte);
                reply += text;
            }
            std::cout << reply << std::endl;
        } else if (line.rfind("w ", 0) == 0) {
            board.run(std::stoi(line.substr(2)));
            std::cout << "ok" << std::endl;
        } else if (line == "r") {
            board.reset();
            std::cout << "ok" << std::endl;
        } else if (line.rfind("h ", 0) == 0) {
            board.hold(line[2] == '1');
            std::cout << "ok" << std::endl;
        } else if (line.rfind("f ", 0) == 0) {
            board.half_bit(std::stoi(line.substr(2)));
            std::cout << "ok" << std::endl;
        } else if (line == "c") {
            std::cout << board.clocks() << std::endl;
        } else {
            std::cerr << "unknown command: " << line << std::endl;
            return 2;
        }
    }
    return 0;
}
