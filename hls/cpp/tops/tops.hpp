// The units as functions that Vitis HLS can take as top, one per file of this folder, at one folding.
#pragma once

#include "cfm/engine.hpp"
#include "cfm/instance.hpp"

namespace tops {

constexpr int PE = 8, L = 10;
constexpr int FEATURE_WORDS = 512, WEIGHT_WORDS = 512, CHANNELS = 128, ROW = 32, CLASSES = 32, SIDE = 64;
constexpr int SCORING = cfm::SCORING_WORDS<SIDE>;

using Word = cfm::Word<PE>;

struct ReadRequest {
    std::uint32_t row;
    cfm::Position at, width;
    std::uint16_t groups, group;
};

}  // namespace tops

// Writes a block, then reads L neighbours (in this order, so that a test sees both ports).
void top_feature_memory(tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], std::uint32_t write_address,
                        const tops::Word (&block)[tops::L], tops::ReadRequest request,
                        cfm::Neighbours<tops::PE, tops::L>& cells);

void top_window(const tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], cfm::Operation operation, cfm::Rows rows,
                std::uint16_t first_block, std::uint16_t blocks, hls::stream<cfm::Tap<tops::PE, tops::L>>& taps);

void top_weight_memory(const tops::Word (&memory)[tops::WEIGHT_WORDS], const tops::Word* external,
                       cfm::Operation operation, std::uint16_t blocks, hls::stream<tops::Word>& weights);

void top_mac_array(cfm::Operation operation, std::uint16_t blocks, hls::stream<cfm::Tap<tops::PE, tops::L>>& taps,
                   hls::stream<tops::Word>& weights, hls::stream<cfm::Sums<tops::PE, tops::L>>& sums);

void top_requantize(cfm::Operation operation, std::uint16_t blocks, const cfm::Sum (&biases)[tops::CHANNELS],
                    const ap_uint<21> (&scales)[tops::CHANNELS], hls::stream<cfm::Sums<tops::PE, tops::L>>& sums,
                    tops::Word (&row)[tops::L][tops::ROW], std::int16_t (&logits)[tops::L][tops::CLASSES]);

cfm::Sum top_max_pool(cfm::Sum running, cfm::Byte value, bool inside);

cfm::Byte top_avg_pool(cfm::Sum sum, std::uint16_t count, cfm::Byte zero_point, cfm::Byte low, cfm::Byte high);

cfm::Byte top_residual_add(cfm::Operation operation, cfm::Byte first, cfm::Byte second, cfm::Channel channel);

void top_operation(tops::Word (&features)[tops::L][tops::FEATURE_WORDS],
                   const tops::Word (&weights)[tops::WEIGHT_WORDS], const tops::Word* external,
                   const cfm::Sum (&biases)[tops::CHANNELS], const ap_uint<21> (&scales)[tops::CHANNELS],
                   cfm::Operation operation, cfm::Rows rows, std::uint32_t write_address,
                   tops::Word (&row)[tops::L][tops::ROW], std::int16_t (&logits)[tops::L][tops::CLASSES]);

// Waits for a row, then takes what has come early.
void top_image_input(tops::Word (&banks)[tops::L][tops::FEATURE_WORDS], cfm::Header header,
                     cfm::ImageProgress& progress, hls::stream<tops::Word>& image);

void top_mask_projection(const std::uint32_t (&memory)[tops::SCORING], cfm::Header header, std::uint16_t masked_level,
                         std::uint32_t first_word, hls::stream<std::uint32_t>& masks,
                         cfm::CellMask<tops::SIDE, tops::L>& mask);

void top_masked_spp(tops::Word (&features)[tops::L][tops::FEATURE_WORDS], const std::uint32_t (&memory)[tops::SCORING],
                    cfm::Header header, const cfm::CellMask<tops::SIDE, tops::L>& mask, std::uint16_t lane,
                    std::uint32_t pooled_address);

void top_scoring(const std::int16_t (&logits)[tops::L][tops::CLASSES], std::uint16_t classes, cfm::Batch batch,
                 hls::stream<cfm::LogitBeat>& out);

// The largest logit's index.
std::uint16_t top_arg_max(const std::int16_t (&logits)[tops::CLASSES], std::uint16_t classes);

// Reads a descriptor and its record.
void top_control(const std::uint32_t (&store)[tops::FEATURE_WORDS], cfm::Program program, std::uint32_t index,
                 cfm::Header& header, cfm::Record& record, cfm::Operation& operation);

// The engine. First `config_writes` words of configuration, `address | data << 32`; then, if `run`, one frame: `image`
// in, `masks` in, `logits` out. `weights` is the external weight memory. False if the configuration is not for this
// instance.
bool cfm_engine(const ap_uint<64>* config, std::uint32_t config_writes, bool run,
                const cfm::Word<cfm::Instance::PE>* weights, hls::stream<cfm::Word<cfm::Instance::PE>>& image,
                hls::stream<std::uint32_t>& masks, hls::stream<cfm::LogitBeat>& logits);
