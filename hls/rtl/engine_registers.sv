// The registers and ports of REGISTERS.md, between a bus (spi_slave.sv, or a memory-mapped one) and the engine.
//
// Register reads: `register_read_data` is the register of the cycle before. Pushes: one word a cycle while the port's `space` is not 0.
// Logits: `logit_data` is the word at `logit_offset` (of the cycle before) behind the oldest that has not been released.
// `space` and `sequence_number` are those of `port`, combinational. `logit_data` comes a cycle later still.
module engine_registers #(
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

    input  logic            register_write,
    input  logic [4:0]      register_index,
    input  logic [31:0]     register_write_data,
    output logic [31:0]     register_read_data,

    input  logic [2:0]      port,
    output logic [15:0]     space,
    output logic [15:0]     sequence_number,
    input  logic            push,
    input  logic [31:0]     push_data,
    input  logic [7:0]      logit_offset,
    output logic [31:0]     logit_data,
    input  logic            logit_release,
    input  logic [8:0]      logit_release_words,
    output logic            attention,

    output logic            engine_reset,
    output logic            enable,
    output logic            configuration_write,
    output logic [19:0]     configuration_address,
    output logic [31:0]     configuration_data,
    output logic            image_valid,
    input  logic            image_ready,
    output logic [8*PE-1:0] image_data,
    output logic            masks_valid,
    input  logic            masks_ready,
    output logic [31:0]     masks_data,
    output logic            external_valid,
    input  logic            external_ready,
    output logic [31:0]     external_address,
    output logic [8*PE-1:0] external_data,
    input  logic            logits_valid,
    output logic            logits_ready,
    input  logic [31:0]     logits_data,

    input  logic            idle,
    input  logic            map_ready,
    input  logic            configured,
    input  logic [31:0]     fingerprint,
    input  logic [31:0]     frames,
    input  logic [31:0]     count_total,
    input  logic [31:0]     count_busy,
    input  logic [31:0]     count_input_stall,
    input  logic [31:0]     count_weight_stall
);
    localparam CONFIG = 0, IMAGE = 1, MASKS = 2, EXTERNAL = 3, LOGITS = 4;
    localparam BITS = 7;                    // 128 words: a push of 64 while the one before drains
    localparam LOGIT_BITS = 8;

    // ---- what can be written ----

    logic        overflow;
    logic [19:0] config_address;
    logic [31:0] config_check;
    logic [31:0] external_next;
    logic [7:0]  image_channels;
    logic [15:0] image_row_bytes;

    // Reset goes everywhere: from a register, which is this module's own.
    logic clear;
    always_ff @(posedge clock) clear <= reset | engine_reset;

    always_ff @(posedge clock) begin
        if (register_write && register_index == 5'd3)  {engine_reset, enable} <= register_write_data[1:0];
        if (register_write && register_index == 5'd14) image_channels <= register_write_data[7:0];
        if (register_write && register_index == 5'd15) image_row_bytes <= register_write_data[15:0];
        if (reset) begin
            {engine_reset, enable} <= 2'b10;
            image_channels <= 8'd3;
            image_row_bytes <= 16'd0;
        end
    end

    // ---- ports 0 to 3: FIFOs; CONFIG needs none, its words leave at once ----

    logic [BITS:0]   filled [0:3];
    logic [15:0]     taken  [0:3];
    logic [3:0]      word_valid, word_taken;
    logic [31:0]     word_data [0:3];
    wire  [3:0]      pushed = {push && port == EXTERNAL, push && port == MASKS, push && port == IMAGE, push && port == CONFIG};
    wire  [3:0]      take = pushed & ~{filled[3][BITS], filled[2][BITS], filled[1][BITS], filled[0][BITS]};

    assign filled[CONFIG] = '0;
    for (genvar p = 0; p < 4; p = p + 1) begin : ports
        always_ff @(posedge clock)
            if (clear) taken[p] <= 16'd0;
            else if (take[p]) taken[p] <= taken[p] + 16'd1;
        if (p != CONFIG) begin : queued
            fifo #(.WIDTH(32), .BITS(BITS)) queue (
                .clock, .reset(clear), .put(take[p]), .put_data(push_data), .filled(filled[p]), .out_valid(word_valid[p]),
                .out_ready(word_taken[p]), .out_data(word_data[p]));
        end
    end
    always_ff @(posedge clock) begin
        word_valid[CONFIG] <= !clear && take[CONFIG];
        word_data[CONFIG]  <= push_data;
    end

    always_ff @(posedge clock) begin
        if (push && port < LOGITS && filled[port[1:0]][BITS]) overflow <= 1'b1;
        if (clear) overflow <= 1'b0;
    end

    // ---- CONFIG: a word a cycle onto the configuration bus ----

    function automatic [31:0] crc32(input [31:0] crc, input [31:0] word);
        integer i;
        begin
            crc32 = crc ^ word;
            for (i = 0; i < 32; i = i + 1) crc32 = crc32[0] ? {1'b0, crc32[31:1]} ^ 32'hEDB88320 : {1'b0, crc32[31:1]};
        end
    endfunction

    assign configuration_write = word_valid[CONFIG];
    assign configuration_address = config_address;
    assign configuration_data = word_data[CONFIG];
    assign word_taken[CONFIG] = 1'b1;
    // The CRC is linear: the word's part of it is found a cycle before.
    logic        part_valid;
    logic [31:0] word_part;
    always_ff @(posedge clock) begin
        part_valid <= !clear && take[CONFIG];
        word_part  <= crc32(32'd0, push_data);
        if (part_valid) config_check <= crc32(config_check, 32'd0) ^ word_part;
        if (configuration_write) config_address <= config_address + 20'd1;
        if (register_write && register_index == 5'd11) begin
            config_address <= register_write_data[19:0];
            config_check <= 32'hFFFFFFFF;
        end
    end

    // ---- IMAGE: a sample a cycle into a beat ----

    logic [1:0]  sample;
    logic [7:0]  channel;
    logic [15:0] row_byte;
    localparam PLACE_BITS = $clog2(PE);
    logic [PLACE_BITS-1:0] place;
    wire sample_taken = word_valid[IMAGE] && (!image_valid || image_ready);
    logic last_channel, last_of_row;
    wire  one_channel = image_channels == 8'd1;
    wire  one_byte    = image_row_bytes == 16'd1;
    assign word_taken[IMAGE] = sample_taken && (sample == 2'd3 || last_of_row);
    always_ff @(posedge clock) begin
        if (image_ready) image_valid <= 1'b0;
        if (sample_taken) begin
            image_data[8*place +: 8] <= word_data[IMAGE][8*sample +: 8];
            image_valid <= last_channel || &place;
            place    <= last_channel ? '0 : place + 1'b1;
            channel  <= last_channel ? 8'd0 : channel + 8'd1;
            sample   <= last_of_row ? 2'd0 : sample + 2'd1;
            row_byte <= last_of_row ? 16'd0 : row_byte + 16'd1;
            last_channel <= last_channel ? one_channel : channel + 8'd2 == image_channels;
            last_of_row  <= last_of_row ? one_byte : row_byte + 16'd2 == image_row_bytes;
        end else begin
            last_channel <= channel + 8'd1 == image_channels;
            last_of_row  <= row_byte + 16'd1 == image_row_bytes;
        end
        if (clear) begin
            image_valid <= 1'b0;
            image_data <= '0;
            place <= '0;
            channel <= 8'd0;
            sample <= 2'd0;
            row_byte <= 16'd0;
        end
    end

    // ---- MASKS ----

    assign masks_valid = word_valid[MASKS];
    assign masks_data = word_data[MASKS];
    assign word_taken[MASKS] = masks_ready;

    // ---- EXTERNAL: PE / 4 words to a weight word ----

    localparam PARTS = PE / 4;
    logic [3:0] part;
    wire part_taken = word_valid[EXTERNAL] && (!external_valid || external_ready);
    assign word_taken[EXTERNAL] = !external_valid || external_ready;
    assign external_address = external_next;
    always_ff @(posedge clock) begin
        if (external_valid && external_ready) begin
            external_valid <= 1'b0;
            external_next <= external_next + 32'd1;
        end
        if (part_taken) begin
            external_data[32*part +: 32] <= word_data[EXTERNAL];
            part <= part + 4'd1 == PARTS ? 4'd0 : part + 4'd1;
            if (part + 4'd1 == PARTS) external_valid <= 1'b1;
        end
        if (register_write && register_index == 5'd13) external_next <= register_write_data;
        if (clear) begin
            external_valid <= 1'b0;
            part <= 4'd0;
        end
    end

    // ---- LOGITS ----

    logic [31:0]           logits [0:(1<<LOGIT_BITS)-1];
    logic [LOGIT_BITS:0]   logits_filled;
    logic [LOGIT_BITS-1:0] logits_head, logits_tail;
    logic [15:0]           logits_released;
    wire                   logit_taken = logits_valid && logits_ready;
    logic                  logit_stored;            // a word counts a cycle after it came, when it can be read
    logic [31:0]           logit_fetched;
    assign attention = logits_filled != 0;
    always_ff @(posedge clock) begin
        if (logit_taken) logits[logits_tail] <= logits_data;
        logit_fetched <= logits[logits_head + logit_offset];
        logit_data <= logit_fetched;
        logit_stored <= !clear && logit_taken;
        logits_ready <= !clear && logits_filled < (1 << LOGIT_BITS) - 3;    // those that are under way find room
        if (logit_taken) logits_tail <= logits_tail + 1'b1;
        if (logit_release) begin
            logits_head <= logits_head + logit_release_words[LOGIT_BITS-1:0];
            logits_released <= logits_released + {7'd0, logit_release_words};
        end
        logits_filled <= logits_filled + {{LOGIT_BITS{1'b0}}, logit_stored} - (logit_release ? logit_release_words : '0);
        if (clear) begin
            logits_head <= '0;
            logits_tail <= '0;
            logits_filled <= '0;
            logits_released <= '0;
        end
    end

    // ---- what can be read ----

    assign space = port == LOGITS ? {7'd0, logits_filled} : {8'd0, (8'd1 << BITS) - filled[port[1:0]]};
    assign sequence_number = port == LOGITS ? logits_released : taken[port[1:0]];

    wire [2:0] read_port = register_index[2:0];
    always_ff @(posedge clock) begin
        case (register_index)
            5'd0:  register_read_data <= 32'h314D4643;
            5'd1:  register_read_data <= 32'h00010001;
            5'd2:  register_read_data <= PE | L << 8;
            5'd3:  register_read_data <= {30'd0, engine_reset, enable};
            5'd4:  register_read_data <= {28'd0, overflow, configured, map_ready, idle};
            5'd5:  register_read_data <= fingerprint;
            5'd6:  register_read_data <= frames;
            5'd7:  register_read_data <= count_total;
            5'd8:  register_read_data <= count_busy;
            5'd9:  register_read_data <= count_input_stall;
            5'd10: register_read_data <= count_weight_stall;
            5'd11: register_read_data <= {12'd0, config_address};
            5'd12: register_read_data <= ~config_check;
            5'd13: register_read_data <= external_next;
            5'd14: register_read_data <= {24'd0, image_channels};
            5'd15: register_read_data <= {16'd0, image_row_bytes};
            5'd21: register_read_data <= FEATURE_WORDS;
            5'd22: register_read_data <= WEIGHT_WORDS;
            5'd23: register_read_data <= CHANNELS;
            5'd29: register_read_data <= STORE_WORDS;
            5'd30: register_read_data <= SIDE;
            5'd31: register_read_data <= CLASSES | GENERAL_SCALE << 16 | AVERAGE_POOL << 17;
            default: begin
                register_read_data <= 32'd0;
                if (read_port == LOGITS) register_read_data <= register_index[3] ? {23'd0, logits_filled} : {16'd0, logits_released};
                else
                    register_read_data <= register_index[3] ? {24'd0, (8'd1 << BITS) - filled[read_port[1:0]]}
                                                            : {16'd0, taken[read_port[1:0]]};
            end
        endcase
    end
endmodule
