// The array's path: window -> weights -> mac_array -> requantize (or max_pool, avg_pool) -> words to write, or logits.
//
// Ports:
//   start, fields    as of window; fields are constant until `finished`
//   finished         one cycle: the last word is on result_* in this cycle, or the last logit was on logit_* in the one before
//   weight_address   to weight_memory, weight_data 2 cycles later; weights_* the stream for operations with `external`
//   channel_address  to channel_memory, bias, mantissa, shift 2 cycles later
//   result_*         a word of all lanes; never refused
//   logit_*          one class of all lanes; never refused
//   product          the array takes a product in this cycle (statistics); starved: it lacks a weight from outside
// Latency: 13 (window) + 9 + PE + 9 cycles from start to the end of an operation of one word (GENERAL_SCALE 4 more).
//
// A product that has been issued never waits: only the issue looks at what may be missing (activations, weights from outside,
// and for the last product of a group the shadow registers).
module array_path #(
    parameter PE = 8,
    parameter L = 8,
    parameter GENERAL_SCALE = 0,
    parameter AVERAGE_POOL = 0
) (
    input  logic                clock,
    input  logic                reset,

    input  logic                start,
    output logic                finished,
    input  logic [2:0]          kind,
    input  logic [15:0]         in_groups,
    input  logic [15:0]         out_groups,
    input  logic [15:0]         blocks,
    input  logic [7:0]          kernel_h,
    input  logic [7:0]          kernel_w,
    input  logic [3:0]          stride,
    input  logic [3:0]          tail,
    input  logic [15:0]         start_q,
    input  logic [15:0]         start_a,
    input  logic [3:0]          start_r,
    input  logic [15:0]         tap_q,
    input  logic [15:0]         tap_a,
    input  logic [15:0]         tap_ag,
    input  logic [3:0]          tap_r,
    input  logic [15:0]         pass_q,
    input  logic [15:0]         pass_a,
    input  logic [15:0]         pass_ag,
    input  logic [3:0]          pass_r,
    input  logic [15:0]         stride_a,
    input  logic [16:0]         width_q,
    input  logic [3:0]          width_r,
    input  logic [L*4-1:0]      lane_offset,
    input  logic [L*4-1:0]      lane_pass,
    input  logic                ring,
    input  logic [15:0]         row_step,
    input  logic [15:0]         row_step_back,
    input  logic [15:0]         row_limit,
    input  logic [7:0]          first_row,
    input  logic [7:0]          rows,
    input  logic [15:0]         row_address,
    input  logic [15:0]         second_address,
    input  logic [15:0]         target_address,
    input  logic [31:0]         weights,
    input  logic                external,
    input  logic                logits,
    input  logic [15:0]         channels,
    input  logic [31:0]         scale,
    input  logic [31:0]         add_weights,

    output logic [L*16-1:0]     read_address,
    input  logic [L*8*PE-1:0]   read_data,
    input  logic                other_request,
    input  logic [15:0]         other_address,
    output logic                other_grant,
    output logic                other_valid,

    output logic [31:0]         weight_address,
    input  logic [8*PE-1:0]     weight_data,
    input  logic                weights_valid,
    output logic                weights_ready,
    input  logic [8*PE-1:0]     weights_data,

    output logic [15:0]         channel_address,
    input  logic [31:0]         bias,
    input  logic [15:0]         mantissa,
    input  logic [5:0]          shift,

    output logic                result_write,
    output logic [15:0]         result_address,
    output logic [L*8*PE-1:0]   result_data,
    output logic                logit_valid,
    output logic [15:0]         logit_class,
    output logic [L*16-1:0]     logit_values,

    output logic                product,
    output logic                starved
);

    localparam WORD = 8 * PE;
    localparam DENSE = 3'd0, DEPTHWISE = 3'd1, ADD = 3'd2, MAX_POOL = 3'd3, AVG_POOL = 3'd4;
    localparam AVERAGE_CYCLES = 16;                         // a channel of avg_pool
    localparam [3:0] LAST = PE - 1;

    // Registers: they are used all over the path, and only long after `start`.
    logic dense, maximum, average, add, depthwise;
    always_ff @(posedge clock) begin
        dense     <= kind == DENSE;
        depthwise <= kind == DEPTHWISE;
        add       <= kind == ADD;
        maximum   <= kind == MAX_POOL;
        average   <= AVERAGE_POOL != 0 && kind == AVG_POOL;
    end
    wire [7:0] zero_in  = scale[7:0];
    wire [7:0] zero_out = scale[15:8];

    // ---- activations ----

    wire              head_valid, head_single, head_group_end, head_block_end, head_operation_end, pop;
    wire [3:0]        head_last;
    wire [L*WORD-1:0] word;
    wire [L-1:0]      present;

    window #(.PE(PE), .L(L)) fetch (
        .clock(clock), .reset(reset), .start(start), .kind(kind), .in_groups(in_groups), .out_groups(out_groups),
        .blocks(blocks), .kernel_h(kernel_h), .kernel_w(kernel_w), .stride(stride), .tail(tail),
        .start_q(start_q), .start_a(start_a), .start_r(start_r), .tap_q(tap_q), .tap_a(tap_a), .tap_ag(tap_ag), .tap_r(tap_r),
        .pass_q(pass_q), .pass_a(pass_a), .pass_ag(pass_ag), .pass_r(pass_r), .stride_a(stride_a),
        .width_q(width_q), .width_r(width_r), .lane_offset(lane_offset), .lane_pass(lane_pass),
        .ring(ring), .row_step(row_step), .row_step_back(row_step_back), .row_limit(row_limit),
        .first_row(first_row), .rows(rows), .row_address(row_address), .second_address(second_address), .zero(zero_in),
        .read_address(read_address), .read_data(read_data),
        .other_request(other_request), .other_address(other_address), .other_grant(other_grant), .other_valid(other_valid),
        .head_valid(head_valid), .head_last(head_last), .head_single(head_single), .head_group_end(head_group_end), .head_block_end(head_block_end),
        .head_operation_end(head_operation_end), .pop(pop), .word(word), .present(present)
    );

    // ---- issue ----

    logic [3:0]  index;                                     // channel of the word
    logic        first;
    logic [8:0]  wait_count;                                // until the shadow registers may change again
    logic        hold;
    logic        index_zero, index_last;                    // index is 0; is head_last, if the head's word is not a new one
    wire         word_end  = index_zero ? head_single : index_last;
    wire  [3:0]  index_next = word_end ? 4'd0 : index + 4'd1;
    wire         group_end = word_end & head_group_end;
    logic        from_outside;
    wire         may_issue = head_valid & !(group_end & hold);

    assign product       = may_issue & (weights_valid | !from_outside);
    assign starved       = may_issue & from_outside & !weights_valid;
    assign weights_ready = may_issue & from_outside;
    assign pop           = product & word_end;

    always_ff @(posedge clock) begin
        from_outside <= external & (dense | depthwise);
        index_last   <= (product ? index + 4'd1 : index) == head_last;
        if (reset | start) begin
            index          <= 4'd0;
            index_zero     <= 1'b1;
            first          <= 1'b1;
            wait_count     <= 9'd0;
            hold           <= 1'b0;
        end else begin
            if (product) begin
                index <= index_next;
                index_zero <= word_end;
                first <= group_end;
            end
            if (product & group_end & !maximum) begin
                wait_count <= average ? PE * AVERAGE_CYCLES + 8 : PE - 1;
                hold       <= 1'b1;
            end else if (hold) begin
                wait_count <= wait_count - 9'd1;
                hold       <= wait_count > 9'd1;
            end
        end
        if (start) weight_address <= weights;
        else if (product) weight_address <= word_end & head_block_end ? weights : weight_address + 32'd1;
    end

    // ---- stages 1 to 3: the operands ----

    logic              valid1, first1, end1, valid2, first2, end2, valid3, first3, end3;
    logic [3:0]        index1;
    logic [WORD-1:0]   outside1, outside2;
    logic [L*8-1:0]    byte2;
    logic [L*WORD-1:0] word2, a3;
    logic [PE*18-1:0]  b3;
    wire  [WORD-1:0]   weight2 = external ? outside2 : weight_data;
    logic [7:0]        block_ends, operation_ends;          // tags, stages 1 to 8

    genvar l, p;
    always_ff @(posedge clock) begin
        valid1 <= !reset & product;
        valid2 <= !reset & valid1;
        valid3 <= !reset & valid2 & !maximum;
        {first3, first2, first1} <= {first2, first1, first};
        {end3, end2, end1}       <= {end2, end1, group_end};
        index1    <= index;
        outside1  <= weights_data;
        outside2  <= outside1;
        word2     <= word;
        block_ends     <= {block_ends[6:0], head_block_end};
        operation_ends <= {operation_ends[6:0], head_operation_end};
    end

    generate
        for (l = 0; l < L; l = l + 1) begin : lane_operand
            wire [WORD-1:0] lane_word = word[l*WORD +: WORD];
            always_ff @(posedge clock) begin
                byte2[l*8 +: 8] <= lane_word[index1[$clog2(PE)-1:0]*8 +: 8];
                a3[l*WORD +: WORD] <= dense ? {PE{byte2[l*8 +: 8]}} : word2[l*WORD +: WORD];
            end
        end
        for (p = 0; p < PE; p = p + 1) begin : channel_operand
            always_ff @(posedge clock)
                b3[p*18 +: 18] <= add ? {2'b00, first2 ? add_weights[15:0] : add_weights[31:16]}
                                : average ? 18'd1 : {{10{weight2[p*8+7]}}, weight2[p*8 +: 8]};
        end
    endgenerate

    // ---- stages 4 to 8: products and sums ----

    wire            done;
    logic [3:0]     channel;
    wire [L*32-1:0] sums;

    mac_array #(.PE(PE), .L(L)) array (
        .clock(clock), .reset(reset), .a(a3), .b(b3), .valid(valid3), .first(first3), .last(end3),
        .done(done), .channel(channel), .sums(sums)
    );

    // ---- drain: a channel of all lanes a cycle. The channel memory is asked one cycle before the shadow registers ----

    localparam DEPTH = 2 + (GENERAL_SCALE ? 11 : 7);        // from the request to the result
    logic             early_active;
    logic [3:0]       early_channel;
    logic             drain_block_end, drain_operation_end;
    logic [DEPTH-1:0] drain_valid, drain_last, drain_final;
    wire              early = (done & !average) | early_active;
    wire              early_last = early_channel == LAST;
    wire              block_end = done ? block_ends[7] : drain_block_end;
    wire              operation_end = done ? operation_ends[7] : drain_operation_end;

    logic             slow_active;
    logic [3:0]       slow_channel, slow_cycle;
    wire              slow_result = slow_active && slow_cycle == 4'd15;

    always_ff @(posedge clock) begin
        channel <= average ? slow_channel : early_channel;
        if (done) begin
            drain_block_end     <= block_ends[7];
            drain_operation_end <= operation_ends[7];
        end
        if (reset | start) begin
            early_active    <= 1'b0;
            early_channel   <= 4'd0;
        end else if (early) begin
            early_active    <= !early_last;
            early_channel   <= early_last ? 4'd0 : early_channel + 4'd1;
        end
        if (start) channel_address <= channels;
        else if (early) channel_address <= early_last & block_end ? channels : channel_address + 16'd1;
        drain_valid <= reset ? {DEPTH{1'b0}} : {drain_valid[DEPTH-2:0], early};
        drain_last  <= {drain_last[DEPTH-2:0], early_last};
        drain_final <= {drain_final[DEPTH-2:0], early_last & operation_end};

        if (reset | start) begin
            slow_active <= 1'b0;
        end else if (done & average) begin
            slow_active  <= 1'b1;
            slow_channel <= 4'd0;
            slow_cycle   <= 4'd0;
        end else if (slow_active) begin
            slow_cycle <= slow_cycle + 4'd1;
            if (slow_result) begin
                slow_channel <= slow_channel + 4'd1;
                slow_active  <= slow_channel != LAST;
            end
        end
    end

    wire              result_valid = average ? slow_result : drain_valid[DEPTH-1];
    wire              result_last  = average ? slow_channel == LAST : drain_last[DEPTH-1];
    wire              result_final = average ? slow_channel == LAST && drain_operation_end : drain_final[DEPTH-1];

    // ---- requantization, averages, assembly of words ----

    logic signed [15:0] low, high;
    logic signed [7:0]  zero;
    always_ff @(posedge clock) begin
        zero <= logits ? 8'd0 : zero_out;
        low  <= logits ? 16'h8000 : {{8{scale[23]}}, scale[23:16]};
        high <= logits ? 16'h7fff : {{8{scale[31]}}, scale[31:24]};
    end

    logic signed [31:0] offset, offset_kept;
    always_ff @(posedge clock) begin
        if (valid1) offset <= (first1 ? 32'sd0 : offset) + $signed(zero_in);
        if (valid2 & end2) offset_kept <= offset;
    end

    wire [L*16-1:0]    results;
    logic [L*WORD-1:0] assembled;
    generate
        for (l = 0; l < L; l = l + 1) begin : lane
            wire [7:0] result_byte;
            requantize #(.GENERAL_SCALE(GENERAL_SCALE)) scaling (
                .clock(clock), .accumulator(sums[l*32 +: 32]), .bias(bias), .mantissa(mantissa), .shift(shift),
                .zero(zero), .low(low), .high(high), .result(results[l*16 +: 16])
            );
            if (AVERAGE_POOL != 0) begin : averages
                logic [15:0] count, count_kept;
                wire  [7:0]  average_byte;
                always_ff @(posedge clock) begin
                    if (valid1) count <= (first1 ? 16'd0 : count) + {15'd0, present[l]};
                    if (valid2 & end2) count_kept <= count;
                end
                avg_pool divider (
                    .clock(clock), .begin_division(slow_active && slow_cycle == 4'd2), .sum(sums[l*32 +: 32]),
                    .offset(offset_kept), .count(count_kept), .zero(zero_in), .result(average_byte)
                );
                assign result_byte = average ? average_byte : results[l*16 +: 8];
            end else begin : none
                assign result_byte = results[l*16 +: 8];
            end
            always_ff @(posedge clock)
                if (result_valid) assembled[l*WORD +: WORD] <= {result_byte, assembled[l*WORD + 8 +: WORD - 8]};
        end
    endgenerate

    wire              max_ending;
    wire [L*WORD-1:0] max_word;
    max_pool #(.PE(PE), .L(L)) maxima (
        .clock(clock), .reset(reset), .valid(valid1 & maximum), .first(first1), .last(end1), .word(word), .present(present),
        .ending(max_ending), .maximum(max_word)
    );

    // What is decided here is needed everywhere: registers, a cycle early for words, a cycle late for the last logit.
    wire word_ending = maximum ? max_ending : result_valid & result_last & !logits;
    always_ff @(posedge clock) begin
        result_write <= !reset & word_ending;
        finished     <= !reset & (maximum ? max_ending & operation_ends[1] : result_valid & result_last & result_final);
        if (start) begin
            result_address <= target_address;
            logit_class    <= 16'd0;
        end else begin
            if (result_write) result_address <= result_address + 16'd1;
            if (logit_valid)  logit_class    <= logit_class + 16'd1;
        end
    end

`ifdef FAULT_SWAP
    // channels 0 and 1 of every word swapped
    wire [L*WORD-1:0] plain = maximum ? max_word : assembled;
    generate
        for (l = 0; l < L; l = l + 1) begin : swapped
            assign result_data[l*WORD +: WORD] = {plain[l*WORD+16 +: WORD-16], plain[l*WORD +: 8], plain[l*WORD+8 +: 8]};
        end
    endgenerate
`else
    assign result_data  = maximum ? max_word : assembled;
`endif
    assign logit_valid  = result_valid & logits;
    assign logit_values = results;

endmodule
