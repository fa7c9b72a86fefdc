// The engine behind SPI: for a microcontroller beside an FPGA. See REGISTERS.md for the protocol.
//
// The memory for the weights from outside is the board's: it answers weight requests and takes words to store.
// `attention` is high while there are logits to read.
module engine_spi #(
    parameter PE = 8,
    parameter L = 8,
    parameter FEATURE_WORDS = 4096,
    parameter WEIGHT_WORDS = 4096,
    parameter CHANNELS = 1024,
    parameter STORE_WORDS = 2048,
    parameter SIDE = 256,
    parameter CLASSES = 16,
    parameter GENERAL_SCALE = 0,
    parameter AVERAGE_POOL = 0
) (
    input  logic            clock,
    input  logic            reset,

    input  logic            sck,
    input  logic            csn,
    input  logic            mosi,
    output logic            miso,
    output logic            attention,

    output logic            weight_request_valid,
    input  logic            weight_request_ready,
    output logic [31:0]     weight_request_address,
    output logic [31:0]     weight_request_words,
    input  logic            weights_valid,
    output logic            weights_ready,
    input  logic [8*PE-1:0] weights_data,
    output logic            store_valid,
    input  logic            store_ready,
    output logic [31:0]     store_address,
    output logic [8*PE-1:0] store_data,

    output logic            engine_reset,
    output logic            busy
);
    wire        register_write, push, logit_release, enable, idle, map_ready, configured;
    wire [4:0]  register_index;
    wire [31:0] register_write_data, register_read_data, push_data, logit_data;
    wire [2:0]  port;
    wire [15:0] space, sequence_number;
    wire [7:0]  logit_offset;
    wire [8:0]  logit_release_words;
    wire        configuration_write;
    wire [19:0] configuration_address;
    wire [31:0] configuration_data;
    wire        image_valid, image_ready, masks_valid, masks_ready, logits_valid, logits_ready, logits_last;
    wire [8*PE-1:0] image_data;
    wire [31:0] masks_data, logits_data, fingerprint, frames;
    wire [31:0] count_total, count_busy, count_input_stall, count_weight_stall;

    assign busy = !idle;

    spi_slave spi (
        .clock, .reset, .sck, .csn, .mosi, .miso, .register_write, .register_index, .register_write_data,
        .register_read_data, .port, .space, .sequence_number, .push, .push_data, .logit_offset, .logit_data,
        .logit_release, .logit_release_words);

    engine_registers #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) registers (
        .clock, .reset, .register_write, .register_index, .register_write_data, .register_read_data, .port, .space,
        .sequence_number, .push, .push_data, .logit_offset, .logit_data, .logit_release, .logit_release_words, .attention,
        .engine_reset, .enable, .configuration_write, .configuration_address, .configuration_data, .image_valid,
        .image_ready, .image_data, .masks_valid, .masks_ready, .masks_data, .external_valid(store_valid),
        .external_ready(store_ready), .external_address(store_address), .external_data(store_data), .logits_valid,
        .logits_ready, .logits_data, .idle, .map_ready, .configured, .fingerprint, .frames, .count_total, .count_busy,
        .count_input_stall, .count_weight_stall);

    engine #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) engine (
        .clock, .reset(reset | engine_reset), .enable, .configuration_write, .configuration_address, .configuration_data,
        .image_valid, .image_ready, .image_data, .masks_valid, .masks_ready, .masks_data, .weight_request_valid,
        .weight_request_ready, .weight_request_address, .weight_request_words, .weights_valid, .weights_ready, .weights_data,
        .logits_valid, .logits_ready, .logits_data, .logits_last, .idle, .map_ready, .configured, .fingerprint, .frames,
        .count_total, .count_busy, .count_input_stall, .count_weight_stall);
endmodule
