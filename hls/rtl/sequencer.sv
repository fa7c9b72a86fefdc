// Sequencer: reads the control store and runs its programs.
//
// Ports:
//   configuration_*  writes of address[19:17] = 0; the header's words are also kept in registers, they are the outputs below
//   program_start    one cycle, with program_address and program_records; program_done: all records have been run
//   start            an operation begins; its fields are constant until `finished`
//   row_stored       the image's next row is complete; row_taken: the program has consumed it
//   logits_free      an operation that makes logits may begin
// An operation's record and descriptor are read, and what the window needs besides is calculated, while the one before it runs.
// That takes about 45 cycles. Between two operations lie 3 cycles.
module sequencer #(
    parameter PE = 8,
    parameter L = 8,
    parameter STORE_WORDS = 2048
) (
    input  logic                clock,
    input  logic                reset,

    input  logic                configuration_write,
    input  logic [16:0]         configuration_address,
    input  logic [31:0]         configuration_data,

    output logic [1023:0]       header,                 // words 0 to 31

    input  logic                program_start,
    input  logic [15:0]         program_address,
    input  logic [15:0]         program_records,
    output logic                program_done,

    input  logic                row_stored,
    output logic                row_taken,
    output logic                row_stall,
    input  logic                logits_free,

    output logic                start,
    input  logic                finished,
    output logic [2:0]          kind,
    output logic [15:0]         in_groups,
    output logic [15:0]         out_groups,
    output logic [15:0]         blocks,
    output logic [7:0]          kernel_h,
    output logic [7:0]          kernel_w,
    output logic [3:0]          stride,
    output logic [3:0]          tail,
    output logic [15:0]         start_q,
    output logic [15:0]         start_a,
    output logic [3:0]          start_r,
    output logic [15:0]         tap_q,
    output logic [15:0]         tap_a,
    output logic [15:0]         tap_ag,
    output logic [3:0]          tap_r,
    output logic [15:0]         pass_q,
    output logic [15:0]         pass_a,
    output logic [15:0]         pass_ag,
    output logic [3:0]          pass_r,
    output logic [15:0]         stride_a,
    output logic [16:0]         width_q,
    output logic [3:0]          width_r,
    output logic [L*4-1:0]      lane_offset,
    output logic [L*4-1:0]      lane_pass,
    output logic                ring,
    output logic [15:0]         row_step,
    output logic [15:0]         row_step_back,
    output logic [15:0]         row_limit,
    output logic [7:0]          first_row,
    output logic [7:0]          rows,
    output logic [15:0]         row_address,
    output logic [15:0]         second_address,
    output logic [15:0]         target_address,
    output logic [31:0]         weights,
    output logic                external,
    output logic                logits,
    output logic [15:0]         channels,
    output logic [31:0]         scale,
    output logic [31:0]         add_weights,

    output logic                request_valid,
    input  logic                request_ready,
    output logic [31:0]         request_address,
    output logic [31:0]         request_words
);

    localparam BITS = $clog2(STORE_WORDS);

    // ---- control store and header ----

    logic [BITS-1:0] store_address;
    wire  [31:0]     store_data;
    memory #(.WIDTH(32), .WORDS(STORE_WORDS), .FAR(1)) store (
        .clock(clock), .write(configuration_write), .write_address(configuration_address[BITS-1:0]),
        .write_data(configuration_data), .read_address(store_address), .read_data(store_data)
    );

    logic        header_write;
    logic [4:0]  header_index;
    logic [31:0] header_data;
    always_ff @(posedge clock) begin
        header_write <= configuration_write && configuration_address[16:5] == 12'd0;
        header_index <= configuration_address[4:0];
        header_data  <= configuration_data;
    end
    genvar h;
    generate
        for (h = 0; h < 32; h = h + 1) begin : word
            localparam [4:0] NUMBER = h;
            // Like the store that it is a copy of, it survives a reset.
            initial header[h*32 +: 32] = 32'd0;
            always_ff @(posedge clock) if (header_write && header_index == NUMBER) header[h*32 +: 32] <= header_data;
        end
    endgenerate

    // ---- loader: the next operation into next_* ----

    localparam IDLE = 3'd0, RECORD = 3'd1, CHOOSE = 3'd2, DESCRIPTOR = 3'd3, CALCULATE = 3'd4, READY = 3'd5, END = 3'd6;

    logic [2:0]  state;
    logic [15:0] record_address, records_left;
    logic [4:0]  count;                                 // cycle of the state
    logic        taken;                                 // the next operation has been taken over
    logic [15:0] next_waits;                            // of its waits in a row there may be one for each row of the image

    logic [2:0]  next_kind;
    logic [15:0] next_inputs, next_in_groups, next_out_groups, next_blocks, next_width, next_start_q, next_tap_q, next_pass_q;
    logic [7:0]  next_kernel_h, next_kernel_w, next_first_row, next_rows, operation;
    logic [3:0]  next_stride, next_start_r, next_tap_r, next_pass_r;
    logic [15:0] next_row_step, next_ring_first, next_ring_words, next_row_address, next_second_address, next_target_address;
    logic [31:0] next_weights, next_scale, next_add_weights;
    logic [1:0]  next_flags;
    logic [15:0] next_channels;
    logic [L*4-1:0] next_lane_offset, next_lane_pass;
    logic [15:0] next_start_a, next_tap_a, next_pass_a, next_stride_a;
    logic [15:0] next_width_q;
    logic        skip;                                  // the record only waits

    localparam [4:0] ASKED = -5'd3;                     // of `count`, when a record or descriptor is asked for: it is then
                                                        // the word that store_data holds (the store's latency is 3)

    // the multiplier: products of descriptor fields
    localparam RECIPROCAL_BITS = 16 + $clog2(L);
    localparam [17:0] RECIPROCAL = ((1 << RECIPROCAL_BITS) + L - 1) / L;   // width / L = width * RECIPROCAL >> RECIPROCAL_BITS
    logic signed [17:0] factor_a, factor_b;
    wire  signed [35:0] factor_product;
    multiplier #(.A_BITS(18), .B_BITS(18)) factors (.clock(clock), .a(factor_a), .b(factor_b), .product(factor_product));

    // the lanes' positions within a pass: `stride` apart, while they lie below L
    logic [3:0] offset, pass;
    wire [4:0]  offset_next = offset + next_stride;

    logic [31:0] words, next_words;
    logic [15:0] words_high;

    always_ff @(posedge clock) begin
        count         <= count + 5'd1;
        store_address <= store_address + 1'b1;
        case (state)
            IDLE: if (program_start) begin
                record_address <= program_address;
                records_left   <= program_records;
                store_address  <= program_address[BITS-1:0];
                next_waits     <= 16'd0;
                count          <= ASKED;
                state          <= program_records == 16'd0 ? END : RECORD;
            end
            RECORD: begin
                if (count == 5'd0) begin
                    skip           <= store_data[31:24] == 8'd1;
                    next_rows      <= store_data[23:16];
                    next_first_row <= store_data[15:8];
                    operation      <= store_data[7:0];
                end
                if (count == 5'd1) {next_target_address, next_row_address} <= store_data;
                if (count == 5'd2) begin
                    next_second_address <= store_data[15:0];
                    records_left        <= records_left - 16'd1;
                    state               <= CHOOSE;
                end
                if (count == 5'd1) record_address <= record_address + 16'd3;
            end
            CHOOSE: begin
                count <= ASKED;
                if (skip) begin
                    next_waits    <= next_waits + 16'd1;
                    store_address <= record_address[BITS-1:0];
                    state         <= records_left == 16'd0 ? END : RECORD;
                end else begin
                    store_address <= {{1'b0, operation} + 9'd1, 5'd0};
                    state         <= DESCRIPTOR;
                end
            end
            DESCRIPTOR: begin
                case (count)
                    5'd0:  next_kind        <= store_data[2:0];
                    5'd1:  next_inputs      <= store_data[15:0];
                    5'd2:  next_in_groups   <= store_data[15:0];
                    5'd3:  next_out_groups  <= store_data[15:0];
                    5'd4:  next_blocks      <= store_data[15:0];
                    5'd5:  next_kernel_h    <= store_data[7:0];
                    5'd6:  next_kernel_w    <= store_data[7:0];
                    5'd7:  next_stride      <= store_data[3:0];
                    5'd8:  next_width       <= store_data[15:0];
                    5'd9:  next_start_q     <= store_data[15:0];
                    5'd10: next_start_r     <= store_data[3:0];
                    5'd11: next_tap_q       <= store_data[15:0];
                    5'd12: next_tap_r       <= store_data[3:0];
                    5'd13: next_pass_q      <= store_data[15:0];
                    5'd14: next_pass_r      <= store_data[3:0];
                    5'd15: next_row_step    <= store_data[15:0];
                    5'd16: next_ring_first  <= store_data[15:0];
                    5'd17: next_ring_words  <= store_data[15:0];
                    5'd18: next_weights     <= store_data;
                    5'd19: next_flags       <= store_data[1:0];
                    5'd20: next_channels    <= store_data[15:0];
                    5'd21: next_scale       <= store_data;
                    5'd22: next_add_weights <= store_data;
                    default: ;
                endcase
                if (count == 5'd22) begin
                    count <= 5'd0;
                    state <= CALCULATE;
                end
            end
            CALCULATE: if (count == (next_flags[0] ? 5'd21 : 5'd10)) state <= READY;
            READY: if (taken) begin
                next_waits    <= 16'd0;
                count         <= ASKED;
                store_address <= record_address[BITS-1:0];
                state         <= records_left == 16'd0 ? END : RECORD;
            end
            END: if (program_done) state <= IDLE;
            default: state <= IDLE;
        endcase
        if (reset) state <= IDLE;
    end

    // the lanes, one a cycle, from the cycle on in which the stride is there
    logic       lanes_begin, lanes_move;
    logic [4:0] lanes_left;
    wire  [L*4+3:0] lane_offsets = {offset, next_lane_offset};
    wire  [L*4+3:0] lane_passes = {pass, next_lane_pass};
    always_ff @(posedge clock) begin
        lanes_begin <= state == DESCRIPTOR && count == 5'd7;
        if (reset) lanes_move <= 1'b0;
        else if (lanes_begin) lanes_move <= 1'b1;
        else if (lanes_left == 5'd0) lanes_move <= 1'b0;
        if (lanes_begin) begin
            lanes_left <= L - 1;
            offset     <= 4'd0;
            pass       <= 4'd0;
        end else if (lanes_move) begin
            lanes_left       <= lanes_left - 5'd1;
            next_lane_offset <= lane_offsets[L*4+3:4];
            next_lane_pass   <= lane_passes[L*4+3:4];
            offset           <= offset_next >= L ? 4'd0 : offset_next[3:0];
            pass             <= offset_next >= L ? pass + 4'd1 : pass;
        end
    end

    // sums; they settle long before READY
    logic [15:0] next_ring_end, next_row_limit, next_row_step_back, next_tap_ag, next_pass_ag;
    logic [3:0]  next_tail, next_width_r;
    wire  [3:0]  next_width_rest = next_width[3:0] - next_width_q[3:0] * L[3:0];    // the low bits suffice (L = 16: L[3:0] is 0)
    always_ff @(posedge clock) begin
        next_ring_end      <= next_ring_first + next_ring_words;
        next_row_limit     <= next_ring_end - next_row_step;
        next_row_step_back <= next_row_step - next_ring_words;
        next_tap_ag        <= next_tap_a + next_in_groups;
        next_pass_ag       <= next_pass_a + next_in_groups;
        next_tail          <= (next_inputs[3:0] - 4'd1) & (PE - 1);
        next_width_r       <= next_width_rest;
    end

    // the factors of CALCULATE, by cycle; the product of cycle c is there in cycle c + 4
    always_ff @(posedge clock) begin
        factor_a <= {2'b00, next_in_groups};
        case (count)
            5'd0: factor_b <= {{2{next_start_q[15]}}, next_start_q};
            5'd1: factor_b <= {{2{next_tap_q[15]}}, next_tap_q};
            5'd2: factor_b <= {{2{next_pass_q[15]}}, next_pass_q};
            5'd3: factor_b <= {14'd0, next_stride};
            5'd4: begin factor_a <= {2'b00, next_width}; factor_b <= RECIPROCAL; end
            // the number of weights of a block, only needed if they come from outside: taps, times inputs, times groups
            5'd5: begin factor_a <= {10'd0, next_kernel_h}; factor_b <= {10'd0, next_kernel_w}; end
            5'd10: begin
                factor_a <= {2'b00, words[15:0]};
                factor_b <= {2'b00, next_kind == 3'd0 ? next_inputs : 16'd1};
            end
            5'd15: begin factor_a <= {2'b00, words[15:0]}; factor_b <= {2'b00, next_out_groups}; end
            5'd16: begin factor_a <= {2'b00, words_high}; factor_b <= {2'b00, next_out_groups}; end
            default: ;
        endcase
        if (state == CALCULATE) begin
            case (count)
                5'd4: next_start_a  <= factor_product[15:0];
                5'd5: next_tap_a    <= factor_product[15:0];
                5'd6: next_pass_a   <= factor_product[15:0];
                5'd7: next_stride_a <= factor_product[15:0];
                5'd8: next_width_q  <= factor_product[RECIPROCAL_BITS +: 16];
                5'd9: words <= factor_product[31:0];
                5'd14: begin words <= factor_product[31:0]; words_high <= factor_product[31:16]; end
                5'd19: next_words <= factor_product[31:0];
                5'd20: next_words <= next_words + {factor_product[15:0], 16'd0};
                default: ;
            endcase
        end
    end

    // ---- run: wait for rows, take the next operation over ----

    logic       running;
    logic [15:0] waits;                                 // rows waited for since the last operation
    wire        waited = waits == next_waits;
    wire        may_wait = !running & (state == READY || state == END) & !waited & !row_taken;

    assign row_stall    = may_wait & !row_stored;
    assign taken        = state == READY && waited && (!running | finished) && (logits_free | !next_flags[1]);
    assign program_done = state == END && waited && !running;

    logic [15:0] requests_left;
    assign request_address = weights;

    // The fields of the next operation are taken over a cycle after `taken`: theirs are long wires.
    logic take;

    always_ff @(posedge clock) begin
        take  <= !reset & taken;
        start <= !reset & take;
        if (reset) running <= 1'b0;
        else if (taken) running <= 1'b1;
        else if (finished) running <= 1'b0;

        row_taken <= !reset & may_wait & row_stored;
        if (reset | taken | program_done) waits <= 16'd0;
        else if (row_taken) waits <= waits + 16'd1;

        if (reset) begin
            request_valid <= 1'b0;
        end else if (start && external && (kind == 3'd0 || kind == 3'd1)) begin
            requests_left <= blocks;
            request_valid <= blocks != 16'd0;
        end else if (request_valid & request_ready) begin
            requests_left <= requests_left - 16'd1;
            request_valid <= requests_left != 16'd1;
        end

        if (take) begin
            kind          <= next_kind;
            in_groups     <= next_in_groups;
            out_groups    <= next_out_groups;
            blocks        <= next_blocks;
            kernel_h      <= next_kernel_h;
            kernel_w      <= next_kernel_w;
            stride        <= next_stride;
            tail          <= next_tail;
            start_q       <= next_start_q;
            start_a       <= next_start_a;
            start_r       <= next_start_r;
            tap_q         <= next_tap_q;
            tap_a         <= next_tap_a;
            tap_ag        <= next_tap_ag;
            tap_r         <= next_tap_r;
            pass_q        <= next_pass_q;
            pass_a        <= next_pass_a;
            pass_ag       <= next_pass_ag;
            pass_r        <= next_pass_r;
            stride_a      <= next_stride_a;
            width_q       <= {1'b0, next_width_q};
            width_r       <= next_width_r;
            lane_offset   <= next_lane_offset;
            lane_pass     <= next_lane_pass;
            ring          <= next_ring_words != 16'd0;
            row_step      <= next_row_step;
            row_step_back <= next_row_step_back;
            row_limit     <= next_row_limit;
            first_row     <= next_first_row;
            rows          <= next_rows;
            row_address   <= next_row_address;
            second_address <= next_second_address;
            target_address <= next_target_address;
            weights       <= next_weights;
            external      <= next_flags[0];
            logits        <= next_flags[1];
            channels      <= next_channels;
            scale         <= next_scale;
            add_weights   <= next_add_weights;
            request_words <= next_words;
        end
    end

endmodule
