// The engine: image, masks and weights in, logits out. See ENGINE.md for what it computes and PORTS.md for its ports.
//
// A frame: the image program (feature map), then the scoring program once for each batch of L segments, until `scoring` says
// that the last one has left. The array's fetch has the read ports and the array's results have the write ports; what
// they do not use in a cycle is for the image (writes) and for scoring (reads, writes).
module engine #(
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
    input  logic            enable,
    input  logic            configuration_write,
    input  logic [19:0]     configuration_address,
    input  logic [31:0]     configuration_data,

    input  logic            image_valid,
    output logic            image_ready,
    input  logic [8*PE-1:0] image_data,
    input  logic            masks_valid,
    output logic            masks_ready,
    input  logic [31:0]     masks_data,
    output logic            weight_request_valid,
    input  logic            weight_request_ready,
    output logic [31:0]     weight_request_address,
    output logic [31:0]     weight_request_words,
    input  logic            weights_valid,
    output logic            weights_ready,
    input  logic [8*PE-1:0] weights_data,
    output logic            logits_valid,
    input  logic            logits_ready,
    output logic [31:0]     logits_data,
    output logic            logits_last,

    output logic            idle,
    output logic            map_ready,
    output logic            configured,
    output logic [31:0]     fingerprint,
    output logic [31:0]     frames,
    output logic [31:0]     count_total,
    output logic [31:0]     count_busy,
    output logic [31:0]     count_input_stall,
    output logic [31:0]     count_weight_stall
);

    localparam WORD = 8 * PE;

    // ---- configuration bus, one register deep, so that its wires may be long ----

    // Reset goes everywhere: from registers, one for each part.
    wire         clear, clear_control, clear_path, clear_image, clear_scoring;
    replica resets [4:0] (.clock(clock), .d(reset), .q({clear, clear_control, clear_path, clear_image, clear_scoring}));

    logic        write_store, write_channel, write_scoring, write_weight;
    logic [18:0] bus_address;
    logic [31:0] bus_data;
    always_ff @(posedge clock) begin
        write_store   <= !reset && configuration_write && configuration_address[19:17] == 3'd0;
        write_channel <= !reset && configuration_write && configuration_address[19:17] == 3'd1;
        write_scoring <= !reset && configuration_write && configuration_address[19:17] == 3'd2;
        write_weight  <= !reset && configuration_write && configuration_address[19];
        bus_address   <= configuration_address[18:0];
        bus_data      <= configuration_data;
    end

    // ---- frames and programs ----

    localparam WAIT = 3'd0, IMAGE = 3'd1, SCORE = 3'd2, RUN = 3'd3, LEAVE = 3'd4;

    wire [1023:0] header;
    logic [2:0]   state;
    logic         frame_begin, program_start, batch_taken, batch_done, last_batch, frame_over;
    logic [15:0]  program_address, program_records;
    wire          program_done, batch_valid, batch_odd, batch_last, frame_done;
    wire  [4:0]   batch_count;
    localparam [31:0] FOLDING = PE | L << 8;

    assign fingerprint = header[1*32 +: 32];
    logic         enabled, batch_here, batch_some;
    assign idle        = state == WAIT & !enabled;

    always_ff @(posedge clock) begin
        enabled       <= enable;
        batch_here    <= batch_valid && state == SCORE && !batch_here;
        batch_some    <= batch_count != 5'd0;
        configured    <= header[0 +: 32] == 32'h314D4643 && header[2*32 +: 32] == FOLDING;
        frame_begin   <= 1'b0;
        program_start <= 1'b0;
        batch_taken   <= 1'b0;
        batch_done    <= 1'b0;
        if (frame_done) frame_over <= 1'b1;
        case (state)
            WAIT: if (enabled & configured) begin
                frame_begin     <= 1'b1;
                program_start   <= 1'b1;
                program_address <= header[3*32 +: 16];
                program_records <= header[4*32 +: 16];
                frame_over      <= 1'b0;
                state           <= IMAGE;
            end
            IMAGE: if (program_done) begin
                map_ready <= 1'b1;
                state     <= SCORE;
            end
            SCORE: if (batch_here) begin
                batch_taken     <= 1'b1;
                program_start   <= batch_some;
                program_address <= batch_odd ? header[6*32 +: 16] : header[5*32 +: 16];
                program_records <= header[7*32 +: 16];
                last_batch      <= batch_last;
                batch_done      <= 1'b0;
                state           <= RUN;
            end
            // a batch of nothing: done one cycle after it has been taken
            RUN: if (program_done | (batch_taken & !program_start)) begin
                batch_done <= 1'b1;
                state      <= last_batch ? LEAVE : SCORE;
            end
            LEAVE: if (frame_over) begin
                map_ready <= 1'b0;
                frames    <= frames + 32'd1;
                state     <= WAIT;
            end
            default: state <= WAIT;
        endcase
        if (clear) begin
            state         <= WAIT;
            map_ready     <= 1'b0;
            frames        <= 32'd0;
            // With `enable` in a reset a frame would begin twice.
            frame_begin   <= 1'b0;
            program_start <= 1'b0;
            batch_taken   <= 1'b0;
            batch_done    <= 1'b0;
        end
    end

    // ---- operations ----

    wire          start, finished, ring, external, logits, row_stored, row_taken, row_stall, logits_free, product, starved;
    wire [2:0]    kind;
    wire [15:0]   in_groups, out_groups, blocks, start_q, start_a, tap_q, tap_a, tap_ag, pass_q, pass_a, pass_ag, stride_a;
    wire [16:0]   width_q;
    wire [7:0]    kernel_h, kernel_w, first_row, rows;
    wire [3:0]    stride, tail, start_r, tap_r, pass_r, width_r;
    wire [L*4-1:0] lane_offset, lane_pass;
    wire [15:0]   row_step, row_step_back, row_limit, row_address, second_address, target_address, channels;
    wire [31:0]   weights, scale, add_weights;

    sequencer #(.PE(PE), .L(L), .STORE_WORDS(STORE_WORDS)) control (
        .clock(clock), .reset(clear_control), .configuration_write(write_store), .configuration_address(bus_address[16:0]),
        .configuration_data(bus_data), .header(header),
        .program_start(program_start), .program_address(program_address), .program_records(program_records),
        .program_done(program_done), .row_stored(row_stored), .row_taken(row_taken), .row_stall(row_stall),
        .logits_free(logits_free), .start(start), .finished(finished), .kind(kind), .in_groups(in_groups),
        .out_groups(out_groups), .blocks(blocks), .kernel_h(kernel_h), .kernel_w(kernel_w), .stride(stride), .tail(tail),
        .start_q(start_q), .start_a(start_a), .start_r(start_r), .tap_q(tap_q), .tap_a(tap_a), .tap_ag(tap_ag), .tap_r(tap_r),
        .pass_q(pass_q), .pass_a(pass_a), .pass_ag(pass_ag), .pass_r(pass_r), .stride_a(stride_a),
        .width_q(width_q), .width_r(width_r), .lane_offset(lane_offset), .lane_pass(lane_pass), .ring(ring),
        .row_step(row_step), .row_step_back(row_step_back), .row_limit(row_limit), .first_row(first_row), .rows(rows),
        .row_address(row_address), .second_address(second_address), .target_address(target_address), .weights(weights),
        .external(external), .logits(logits), .channels(channels), .scale(scale), .add_weights(add_weights),
        .request_valid(weight_request_valid), .request_ready(weight_request_ready),
        .request_address(weight_request_address), .request_words(weight_request_words)
    );

    wire [L*16-1:0]   read_address;
    wire [L*WORD-1:0] read_data;
    wire              scoring_read, scoring_read_grant, scoring_read_valid, far_read, far_read_grant;
    wire [15:0]       scoring_read_address, far_read_address;
    wire              word_valid, word_ready;
    wire [WORD-1:0]   outer_word;

    // What comes from far away comes through registers.
    register_slice #(.WIDTH(16)) read_slice (
        .clock(clock), .reset(clear_path), .in_valid(scoring_read), .in_ready(scoring_read_grant), .in_data(scoring_read_address),
        .out_valid(far_read), .out_ready(far_read_grant), .out_data(far_read_address)
    );
    register_slice #(.WIDTH(WORD)) weights_slice (
        .clock(clock), .reset(clear_path), .in_valid(weights_valid), .in_ready(weights_ready), .in_data(weights_data),
        .out_valid(word_valid), .out_ready(word_ready), .out_data(outer_word)
    );

    wire [31:0]       weight_address, bias;
    wire [WORD-1:0]   weight_data;
    wire [15:0]       channel_address, mantissa, result_address, logit_class;
    wire [5:0]        shift;
    wire              result_write, logit_valid;
    wire [L*WORD-1:0] result_data;
    wire [L*16-1:0]   logit_values;

    array_path #(.PE(PE), .L(L), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)) path (
        .clock(clock), .reset(clear_path), .start(start), .finished(finished), .kind(kind), .in_groups(in_groups),
        .out_groups(out_groups), .blocks(blocks), .kernel_h(kernel_h), .kernel_w(kernel_w), .stride(stride), .tail(tail),
        .start_q(start_q), .start_a(start_a), .start_r(start_r), .tap_q(tap_q), .tap_a(tap_a), .tap_ag(tap_ag), .tap_r(tap_r),
        .pass_q(pass_q), .pass_a(pass_a), .pass_ag(pass_ag), .pass_r(pass_r), .stride_a(stride_a),
        .width_q(width_q), .width_r(width_r), .lane_offset(lane_offset), .lane_pass(lane_pass), .ring(ring),
        .row_step(row_step), .row_step_back(row_step_back), .row_limit(row_limit), .first_row(first_row), .rows(rows),
        .row_address(row_address), .second_address(second_address), .target_address(target_address), .weights(weights),
        .external(external), .logits(logits), .channels(channels), .scale(scale), .add_weights(add_weights),
        .read_address(read_address), .read_data(read_data), .other_request(far_read),
        .other_address(far_read_address), .other_grant(far_read_grant), .other_valid(scoring_read_valid),
        .weight_address(weight_address), .weight_data(weight_data),
        .weights_valid(word_valid), .weights_ready(word_ready), .weights_data(outer_word),
        .channel_address(channel_address), .bias(bias), .mantissa(mantissa), .shift(shift),
        .result_write(result_write), .result_address(result_address), .result_data(result_data),
        .logit_valid(logit_valid), .logit_class(logit_class), .logit_values(logit_values),
        .product(product), .starved(starved)
    );

    // ---- memories ----

    wire             image_write, pool_write, pool_grant, far_write, far_write_grant;
    wire [3:0]       image_lane, pool_lane, far_lane;
    wire [15:0]      image_address, pool_address, far_address;
    wire [WORD-1:0]  image_word, pool_word, far_word;

    // Pooled words land a few cycles after scoring believes them written, long before an operation can begin to read them:
    // results, which go first, are PE cycles apart.
    register_slice #(.WIDTH(20 + WORD)) write_slice (
        .clock(clock), .reset(clear_path), .in_valid(far_write), .in_ready(far_write_grant),
        .in_data({far_lane, far_address, far_word}), .out_valid(pool_write), .out_ready(pool_grant),
        .out_data({pool_lane, pool_address, pool_word})
    );
    wire             image_grant = image_write & !result_write;
    assign           pool_grant  = !result_write & !image_write;
    wire [3:0]       other_lane  = image_write ? image_lane : pool_lane;
    wire [WORD-1:0]  other_word  = image_write ? image_word : pool_word;

    // A stage for both who write, copies for each bank of what chooses between them.
    wire  [L-1:0]      from_result, from_other;
    wire  [L*16-1:0]   memory_address;                  // the same for all banks
    logic [L*WORD-1:0] result_word, memory_data;
    logic [WORD-1:0]   kept_word;
    wire  [15:0]       chosen_address = result_write ? result_address : image_write ? image_address : pool_address;

    genvar b;
    generate
        for (b = 0; b < L; b = b + 1) begin : bank
            localparam [3:0] NUMBER = b;
            wire other = !clear && !result_write && (image_write || pool_write) && other_lane == NUMBER;
            replica #(.WIDTH(18)) choice (
                .clock(clock), .d({!clear && result_write, other, chosen_address}),
                .q({from_result[b], from_other[b], memory_address[b*16 +: 16]})
            );
            assign memory_data[b*WORD +: WORD] = from_result[b] ? result_word[b*WORD +: WORD] : kept_word;
        end
    endgenerate
    always_ff @(posedge clock) begin
        result_word <= result_data;
        kept_word   <= other_word;
    end

    feature_memory #(.PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS)) features (
        .clock(clock), .read_address(read_address), .read_data(read_data),
        .write(from_result | from_other), .write_address(memory_address), .write_data(memory_data)
    );

    weight_memory #(.PE(PE), .WEIGHT_WORDS(WEIGHT_WORDS)) inner_weights (
        .clock(clock), .write(write_weight), .write_address(bus_address), .write_data(bus_data),
        .read_address(weight_address), .read_data(weight_data)
    );

    channel_memory #(.CHANNELS(CHANNELS), .GENERAL_SCALE(GENERAL_SCALE)) channel_records (
        .clock(clock), .write(write_channel), .write_address(bus_address[16:0]), .write_data(bus_data),
        .read_address(channel_address), .bias(bias), .mantissa(mantissa), .shift(shift)
    );

    // ---- image ----

    wire            beat_valid, beat_ready, mask_valid, mask_ready;
    wire [WORD-1:0] beat;
    wire [31:0]     mask;
    register_slice #(.WIDTH(WORD)) image_slice (
        .clock(clock), .reset(clear_image), .in_valid(image_valid), .in_ready(image_ready), .in_data(image_data),
        .out_valid(beat_valid), .out_ready(beat_ready), .out_data(beat)
    );

    register_slice #(.WIDTH(32)) masks_slice (
        .clock(clock), .reset(clear_image), .in_valid(masks_valid), .in_ready(masks_ready), .in_data(masks_data),
        .out_valid(mask_valid), .out_ready(mask_ready), .out_data(mask)
    );

    image_input #(.PE(PE), .L(L)) images (
        .clock(clock), .reset(clear_image), .ring_address(header[8*32 +: 16]), .row_words(header[9*32 +: 16]),
        .ring_rows(header[10*32 +: 16]), .height(header[11*32 +: 16]), .width(header[12*32 +: 16]),
        .groups(header[13*32 +: 16]), .begin_image(frame_begin),
        .image_valid(beat_valid), .image_ready(beat_ready), .image_data(beat),
        .write_request(image_write), .write_lane(image_lane), .write_address(image_address), .write_data(image_word),
        .write_grant(image_grant), .row_stored(row_stored), .row_taken(row_taken)
    );

    // ---- segments ----

    wire            trace_window_valid, trace_row_valid;
    wire [63:0]     trace_window;
    wire [SIDE-1:0] trace_row;

    scoring #(.PE(PE), .L(L), .SIDE(SIDE), .CLASSES(CLASSES)) segments (
        .clock(clock), .reset(clear_scoring),
        .configuration_write(write_scoring), .configuration_address(bus_address[16:0]), .configuration_data(bus_data),
        .image_width(header[14*32 +: 16]), .image_height(header[15*32 +: 16]), .map_address(header[16*32 +: 16]),
        .map_row_words(header[17*32 +: 16]), .map_groups(header[18*32 +: 16]), .map_zero_point(header[19*32 +: 8]),
        .map_height(header[20*32 +: 16]), .map_width(header[21*32 +: 16]), .mask_rule(header[22*32 +: 2]),
        .mask_threshold(header[23*32 +: 32]), .pyramid_entries(header[24*32 +: 8]), .pooled_even(header[25*32 +: 16]),
        .pooled_odd(header[26*32 +: 16]), .classes(header[27*32 +: 16]), .frame_begin(frame_begin), .map_ready(map_ready),
        .masks_valid(mask_valid), .masks_ready(mask_ready), .masks_data(mask),
        .read_request(scoring_read), .read_address(scoring_read_address), .read_grant(scoring_read_grant),
        .read_valid(scoring_read_valid), .read_data(read_data),
        .write_request(far_write), .write_lane(far_lane), .write_address(far_address), .write_data(far_word),
        .write_grant(far_write_grant),
        .batch_valid(batch_valid), .batch_odd(batch_odd), .batch_count(batch_count), .batch_last(batch_last),
        .batch_taken(batch_taken), .logits_free(logits_free), .logit_valid(logit_valid), .logit_class(logit_class),
        .logit_values(logit_values), .batch_done(batch_done),
        .logits_valid(logits_valid), .logits_ready(logits_ready), .logits_data(logits_data), .logits_last(logits_last),
        .frame_done(frame_done), .trace_window_valid(trace_window_valid), .trace_window(trace_window),
        .trace_row_valid(trace_row_valid), .trace_row(trace_row)
    );

    // ---- counters ----

    logic product_before, row_stall_before, starved_before, product_counts, row_stall_counts, starved_counts;
    always_ff @(posedge clock) begin
        {product_counts, product_before}     <= {product_before, product};
        {row_stall_counts, row_stall_before} <= {row_stall_before, row_stall};
        {starved_counts, starved_before}     <= {starved_before, starved};
        if (clear | frame_begin) begin
            count_total        <= 32'd0;
            count_busy         <= 32'd0;
            count_input_stall  <= 32'd0;
            count_weight_stall <= 32'd0;
        end else if (state != WAIT) begin
            count_total        <= count_total + 32'd1;
            count_busy         <= count_busy + {31'd0, product_counts};
            count_input_stall  <= count_input_stall + {31'd0, row_stall_counts};
            count_weight_stall <= count_weight_stall + {31'd0, starved_counts};
        end
    end

endmodule
