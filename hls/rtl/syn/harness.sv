// For synthesis of the engine alone: its ports behind one pin each way, so that a package has pins enough and nothing is
// optimized away. Inputs come from a shift register, outputs leave through one; both are registers at the engine's ports.
module harness #(
    parameter PE = 8, parameter L = 10, parameter FEATURE_WORDS = 4096, parameter WEIGHT_WORDS = 4096,
    parameter CHANNELS = 1024, parameter STORE_WORDS = 4096, parameter SIDE = 64, parameter CLASSES = 16,
    parameter GENERAL_SCALE = 0, parameter AVERAGE_POOL = 0
) (
    input  logic clock,
    input  logic reset,
    input  logic in,
    output logic out
);
    localparam WORD = 8 * PE;
    localparam INS  = 1 + 1 + 20 + 32 + 1 + WORD + 1 + 32 + 1 + 1 + WORD + 1;
    localparam OUTS = 1 + 1 + 1 + 64 + 1 + 1 + 32 + 1 + 1 + 1 + 1 + 6 * 32;

    logic [INS-1:0]  held, shifting;
    logic [OUTS-1:0] leaving;
    logic [7:0]      count;
    logic            reset_held;
    wire  [OUTS-1:0] outs;

    always_ff @(posedge clock) begin
        reset_held <= reset;
        shifting   <= {shifting[INS-2:0], in};
        count      <= count + 8'd1;
        held       <= shifting;
        leaving    <= count == 8'd0 ? outs : {1'b0, leaving[OUTS-1:1]};
        out        <= leaving[0];
    end

    wire            enable, configuration_write, image_valid, masks_valid, weights_valid, request_ready, logits_ready;
    wire [19:0]     configuration_address;
    wire [31:0]     configuration_data, masks_data;
    wire [WORD-1:0] image_data, weights_data;
    assign {enable, configuration_write, configuration_address, configuration_data, image_valid, image_data, masks_valid,
            masks_data, request_ready, weights_valid, weights_data, logits_ready} = held;

    wire        image_ready, masks_ready, request_valid, weights_ready, logits_valid, logits_last, idle, map_ready, configured;
    wire [31:0] request_address, request_words, logits_data, fingerprint, frames, total, busy, input_stall, weight_stall;
    assign outs = {image_ready, masks_ready, request_valid, request_address, request_words, weights_ready, logits_valid,
                   logits_data, logits_last, idle, map_ready, configured, fingerprint, frames, total, busy, input_stall,
                   weight_stall};

    engine #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) dut (
        .clock(clock), .reset(reset_held), .enable(enable), .configuration_write(configuration_write),
        .configuration_address(configuration_address), .configuration_data(configuration_data),
        .image_valid(image_valid), .image_ready(image_ready), .image_data(image_data),
        .masks_valid(masks_valid), .masks_ready(masks_ready), .masks_data(masks_data),
        .weight_request_valid(request_valid), .weight_request_ready(request_ready),
        .weight_request_address(request_address), .weight_request_words(request_words),
        .weights_valid(weights_valid), .weights_ready(weights_ready), .weights_data(weights_data),
        .logits_valid(logits_valid), .logits_ready(logits_ready), .logits_data(logits_data), .logits_last(logits_last),
        .idle(idle), .map_ready(map_ready), .configured(configured), .fingerprint(fingerprint), .frames(frames),
        .count_total(total), .count_busy(busy), .count_input_stall(input_stall), .count_weight_stall(weight_stall)
    );
endmodule
