// Window: fetches, for every tap and every group of input channels, the word of all L lanes, and queues it for the array.
//
// Ports:
//   start            one cycle; the operation's fields are constant from then until its last word has been popped
//   fields           see ENGINE.md; *_a are the fields times in_groups (an offset in words), *_ag one in_groups more
//   read_address     one address for each bank; read_data of all banks comes 3 cycles later
//   other_*          somebody else's reads: granted when the fetch needs none; other_valid marks read_data as theirs
//   head_*           tags of the word at the head of the queue; pop takes it
//   word, present     that word (of all lanes) and its lanes' flags, one cycle later (while head_valid and not popped they
//                    describe the head, so that a word can be used for as many cycles as it has channels)
// Latency: 13 cycles from start to head_valid; then a read (a pass) a cycle.
//
// The position of lane 0 is kept as q * L + r, the word offset of q beside it. Each stage of the pipeline updates one of
// them, one adder deep, and passes on what the next one needs to know: first the counters (which loop moves on), then r, then q
// and the offset, then the address. All banks are read at one of two addresses: those wrapped r belong to the next block.
module window #(
    parameter PE = 8,
    parameter L = 8
) (
    input  logic                clock,
    input  logic                reset,

    input  logic                start,
    input  logic [2:0]          kind,
    input  logic [15:0]         in_groups,
    input  logic [15:0]         out_groups,
    input  logic [15:0]         blocks,
    input  logic [7:0]          kernel_h,
    input  logic [7:0]          kernel_w,
    input  logic [3:0]          stride,
    input  logic [3:0]          tail,               // last channel of the last group
    input  logic signed [15:0]  start_q,
    input  logic [15:0]         start_a,
    input  logic [3:0]          start_r,
    input  logic signed [15:0]  tap_q,
    input  logic [15:0]         tap_a,
    input  logic [15:0]         tap_ag,
    input  logic [3:0]          tap_r,
    input  logic signed [15:0]  pass_q,
    input  logic [15:0]         pass_a,
    input  logic [15:0]         pass_ag,
    input  logic [3:0]          pass_r,
    input  logic [15:0]         stride_a,
    input  logic signed [16:0]  width_q,            // width = width_q * L + width_r
    input  logic [3:0]          width_r,
    input  logic [L*4-1:0]      lane_offset,        // position of each lane within its pass
    input  logic [L*4-1:0]      lane_pass,          // the pass that fetches it
    input  logic                ring,
    input  logic [15:0]         row_step,
    input  logic [15:0]         row_step_back,      // row_step - ring_words
    input  logic [15:0]         row_limit,          // ring_first + ring_words - row_step: from here on, a step wraps
    input  logic [7:0]          first_row,
    input  logic [7:0]          rows,
    input  logic [15:0]         row_address,
    input  logic [15:0]         second_address,
    input  logic [7:0]          zero,

    output logic [L*16-1:0]     read_address,
    input  logic [L*8*PE-1:0]   read_data,

    input  logic                other_request,
    input  logic [15:0]         other_address,
    output logic                other_grant,
    output logic                other_valid,

    output logic                head_valid,
    output logic [3:0]          head_last,          // the word's last channel (0 unless DENSE)
    output logic                head_single,        // which is its first one, too
    output logic                head_group_end,     // last word of an output group
    output logic                head_block_end,     // ... and of the block
    output logic                head_operation_end, // ... and of the operation
    input  logic                pop,
    output logic [L*8*PE-1:0]   word,
    output logic [L-1:0]        present
);

    localparam WORD = 8 * PE;
    localparam DENSE = 3'd0, ADD = 3'd2;
    localparam PASS = 3'd0, GROUP = 3'd1, TAP = 3'd2, ROW = 3'd3, OUT = 3'd4, BLOCK = 3'd5, START = 3'd6;

    // ---- counters: which loop moves on ----

    wire dense = kind == DENSE;
    wire [15:0] groups = dense ? in_groups : 16'd1;

    logic        active;
    logic [2:0]  move;                              // how the current position was reached
    logic [3:0]  pass;
    logic [15:0] group, out, block;
    logic [7:0]  tap, row;
    logic        pass_last, group_last, tap_last, row_last, out_last, block_last;   // true in the last turn of each loop
    logic        space;

    wire step      = active & space;
    wire group_end = pass_last & group_last;
    wire tap_end   = group_end & tap_last;
    wire row_end   = tap_end & row_last;
    wire out_end   = row_end & out_last;
    wire last_step = out_end & block_last;

    wire pass_one  = stride == 4'd1;
    wire group_one = groups == 16'd1;
    wire tap_one   = kernel_w == 8'd1;
    wire row_one   = kernel_h == 8'd1;
    wire out_one   = out_groups == 16'd1;
    wire block_one = blocks == 16'd1;

    always_ff @(posedge clock) begin
        if (reset) active <= 1'b0;
        else if (start) active <= 1'b1;
        else if (step & last_step) active <= 1'b0;

        if (start) begin
            move  <= START;
            pass  <= 4'd0;  pass_last  <= pass_one;
            group <= 16'd0; group_last <= group_one;
            tap   <= 8'd0;  tap_last   <= tap_one;
            row   <= 8'd0;  row_last   <= row_one;
            out   <= 16'd0; out_last   <= out_one;
            block <= 16'd0; block_last <= block_one;
        end else if (step) begin
            move <= !pass_last ? PASS : !group_last ? GROUP : !tap_last ? TAP : !row_last ? ROW : !out_last ? OUT : BLOCK;
            pass      <= pass_last ? 4'd0 : pass + 4'd1;
            pass_last <= pass_last ? pass_one : pass + 4'd2 == stride;
            if (pass_last) begin
                group      <= group_last ? 16'd0 : group + 16'd1;
                group_last <= group_last ? group_one : group + 16'd2 == groups;
            end
            if (group_end) begin
                tap      <= tap_last ? 8'd0 : tap + 8'd1;
                tap_last <= tap_last ? tap_one : tap + 8'd2 == kernel_w;
            end
            if (tap_end) begin
                row      <= row_last ? 8'd0 : row + 8'd1;
                row_last <= row_last ? row_one : row + 8'd2 == kernel_h;
            end
            if (row_end) begin
                out      <= out_last ? 16'd0 : out + 16'd1;
                out_last <= out_last ? out_one : out + 16'd2 == out_groups;
            end
            if (out_end) begin
                block      <= block + 16'd1;
                block_last <= block + 16'd2 == blocks;
            end
        end
    end

    // ---- 1: r ----

    logic        valid1, present1, row_next1, group_last1, row_end1, out_end1, last1, pass_last1;
    logic [2:0]  move1;
    logic [3:0]  pass1;
    logic [15:0] group1;
    wire  [7:0]  row_of = row - first_row;

    always_ff @(posedge clock) begin
        valid1      <= !reset & step;
        move1       <= move;
        pass1       <= pass;
        group1      <= dense ? group : out;
        present1     <= kind == ADD || (row >= first_row && row_of < rows);
        row_next1   <= row > first_row;
        pass_last1  <= pass_last;
        group_last1 <= group_last;
        row_end1    <= row_end;
        out_end1    <= out_end;
        last1       <= last_step;
    end

    logic [3:0] r, r_tap;
    wire  [3:0] r_base = move1 == PASS ? r : move1 == TAP || move1 == GROUP ? r_tap : start_r;
    wire  [3:0] r_step = move1 == PASS ? pass_r : move1 == TAP ? tap_r : 4'd0;
    wire  [4:0] r_sum  = r_base + r_step;
    wire        r_wrap = r_sum >= L;
    wire  [4:0] r_less = r_sum - L[4:0];
    wire  [3:0] r_new  = r_wrap ? r_less[3:0] : r_sum[3:0];

    // ---- 2: the step of q and of the offset ----

    logic        valid2, wrap2, present2, row_next2, group_last2, row_end2, out_end2, last2, pass_last2;
    logic [2:0]  move2;
    logic [3:0]  pass2;
    logic [15:0] group2;

    always_ff @(posedge clock) begin
        valid2 <= !reset & valid1;
        if (valid1) begin
            r <= r_new;
            if (move1 != PASS) r_tap <= r_new;
        end
        wrap2       <= r_wrap;
        move2       <= move1;
        pass2       <= pass1;
        group2      <= group1;
        present2     <= present1;
        row_next2   <= row_next1;
        pass_last2  <= pass_last1;
        group_last2 <= group_last1;
        row_end2    <= row_end1;
        out_end2    <= out_end1;
        last2       <= last1;
    end

    // ---- 3: q, the offset, the row ----

    logic               valid3, present3, row_next3, row_set3, row_second3, group_last3, row_end3, out_end3, last3, pass_last3;
    logic               from_pass3, from_tap3, from_start3, keep_tap3, keep_block3;
    logic [3:0]         r3, pass3;
    logic [15:0]        group3, step_a3;
    logic signed [15:0] step_q3;

    always_ff @(posedge clock) begin
        valid3      <= !reset & valid2;
        r3          <= r;
        pass3       <= pass2;
        group3      <= group2;
        present3     <= present2;
        pass_last3  <= pass_last2;
        group_last3 <= group_last2;
        row_end3    <= row_end2;
        out_end3    <= out_end2;
        last3       <= last2;

        step_q3 <= move2 == PASS ? pass_q + $signed({1'b0, wrap2}) : move2 == TAP ? tap_q + $signed({1'b0, wrap2})
                   : move2 == BLOCK ? $signed({12'd0, stride}) : 16'sd0;
        step_a3 <= move2 == PASS ? (wrap2 ? pass_ag : pass_a) : move2 == TAP ? (wrap2 ? tap_ag : tap_a)
                   : move2 == BLOCK ? stride_a : 16'd0;
        from_pass3  <= move2 == PASS;
        from_tap3   <= move2 == TAP || move2 == GROUP;
        from_start3 <= move2 == START;
        keep_tap3   <= valid2 && move2 != PASS;
        keep_block3 <= valid2 && (move2 == START || move2 == BLOCK);

        row_set3    <= valid2 && (move2 == START || move2 == BLOCK || move2 == OUT);
        row_second3 <= valid2 && move2 == ROW && kind == ADD;
        row_next3   <= valid2 && move2 == ROW && row_next2;
    end

    logic signed [15:0] q4, q_tap, q_block;
    logic [15:0]        a4, a_tap, a_block, row4, group4;
    logic               valid4, present4, group_last4, row_end4, out_end4, last4, pass_last4;
    logic [3:0]         r4, pass4;
    wire signed [15:0]  q_base = from_start3 ? start_q : from_pass3 ? q4 : from_tap3 ? q_tap : q_block;
    wire [15:0]         a_base = from_start3 ? start_a : from_pass3 ? a4 : from_tap3 ? a_tap : a_block;
    wire signed [15:0]  q_new = q_base + step_q3;
    wire [15:0]         a_new = a_base + step_a3;

    always_ff @(posedge clock) begin
        valid4 <= !reset & valid3;
        if (valid3) begin
            q4 <= q_new;
            a4 <= a_new;
        end
        if (keep_tap3) begin
            q_tap <= q_new;
            a_tap <= a_new;
        end
        if (keep_block3) begin
            q_block <= q_new;
            a_block <= a_new;
        end
        if (row_set3) row4 <= row_address;
        else if (row_second3) row4 <= second_address;
        else if (row_next3) row4 <= row4 + (ring && row4 >= row_limit ? row_step_back : row_step);
        r4          <= r3;
        pass4       <= pass3;
        group4      <= group3;
        present4     <= present3;
        pass_last4  <= pass_last3;
        group_last4 <= group_last3;
        row_end4    <= row_end3;
        out_end4    <= out_end3;
        last4       <= last3;
    end

    // ---- 5: sums; is q, is q + 1 present ----

    logic        valid5, present5, group_last5, row_end5, out_end5, last5, pass_last5;
    logic        low5, below5, at5, low_next5, below_next5, at_next5;
    logic [3:0]  r5, pass5;
    logic [15:0] base5, a5, a_next5;
    wire signed [16:0] q_wide = {q4[15], q4};
    wire signed [16:0] q_next = q_wide + 17'sd1;

    always_ff @(posedge clock) begin
        valid5      <= !reset & valid4;
        base5       <= row4 + group4;
        a5          <= a4;
        a_next5     <= a4 + in_groups;
        low5        <= !q4[15];
        below5      <= q_wide < width_q;
        at5         <= q_wide == width_q;
        low_next5   <= !q4[15] || &q4;
        below_next5 <= q_next < width_q;
        at_next5    <= q_next == width_q;
        r5          <= r4;
        pass5       <= pass4;
        present5     <= present4;
        pass_last5  <= pass_last4;
        group_last5 <= group_last4;
        row_end5    <= row_end4;
        out_end5    <= out_end4;
        last5       <= last4;
    end

    // ---- 6: the two addresses; which banks hold a cell present ----

    logic         valid6;
    logic [3:0]   r6;
    logic [15:0]  address6, address_next6;
    logic [L-1:0] present6;

    genvar b, l;
    generate
        for (b = 0; b < L; b = b + 1) begin : bank
            localparam [3:0] NUMBER = b;
            wire wrapped = NUMBER < r5;
            wire short  = NUMBER < width_r;
            logic [15:0] address7;
            always_ff @(posedge clock) begin
                present6[b] <= present5 && (wrapped ? low_next5 && (below_next5 || at_next5 && short)
                                                 : low5 && (below5 || at5 && short));
                address7   <= !valid6 ? other_address : NUMBER < r6 ? address_next6 : address6;
            end
            assign read_address[b*16 +: 16] = address7;
        end
    endgenerate

    // tags and flags from here to the crossbar
    logic [3:0]   other_pipeline;                   // stages 7 to 10
    logic         valid7, valid8, valid9, valid10, pass_last6, pass_last7, pass_last8, pass_last9, pass_last10;
    logic [3:0]   tags6, tags7, tags8, tags9, tags10;
    logic [3:0]   r7, r8, r9, pass6, pass7, pass8, pass9;
    logic [L-1:0] present7, present8, present9, present10;

    assign other_grant = other_request & !valid6;
    assign other_valid = other_pipeline[3];

    always_ff @(posedge clock) begin
        address6      <= base5 + a5;
        address_next6 <= base5 + a_next5;
        valid6 <= !reset & valid5;  r6 <= r5;  pass6 <= pass5;
        valid7 <= !reset & valid6;  r7 <= r6;  pass7 <= pass6;  present7 <= present6;
        valid8 <= !reset & valid7;  r8 <= r7;  pass8 <= pass7;  present8 <= present7;
        valid9 <= !reset & valid8;  r9 <= r8;  pass9 <= pass8;  present9 <= present8;
        valid10 <= !reset & valid9;                             present10 <= present9;
        tags6  <= {last5, out_end5, row_end5, group_last5};
        tags7  <= tags6;
        tags8  <= tags7;
        tags9  <= tags8;
        tags10 <= tags9;
        {pass_last10, pass_last9, pass_last8, pass_last7, pass_last6} <=
            {pass_last9, pass_last8, pass_last7, pass_last6, pass_last5};
        other_pipeline <= reset ? 4'd0 : {other_pipeline[2:0], other_grant};
    end

    // ---- 10 to 12: lanes from banks, the zero point outside ----

    logic         push;
    logic [3:0]   tags11, tags12;
    logic         valid11, pass_last11;
    logic [L*WORD-1:0] assembled;
    logic [L-1:0] assembled_present;

    generate
        for (l = 0; l < L; l = l + 1) begin : lane
            wire [4:0] sum = r9 + lane_offset[l*4 +: 4];
            wire [4:0] less = sum - L[4:0];
            logic [3:0] select10;
            logic active10, active11, present11;
            logic [WORD-1:0] data11;
            always_ff @(posedge clock) begin
                select10  <= sum >= L ? less[3:0] : sum[3:0];
                active10  <= lane_pass[l*4 +: 4] == pass9;
                active11  <= active10;
                present11 <= present10[select10];
                if (active11) begin
                    assembled[l*WORD +: WORD] <= present11 ? data11 : {PE{zero}};
                    assembled_present[l]       <= present11;
                end
            end
            always_ff @(posedge clock) data11 <= read_data[select10*WORD +: WORD];
        end
    endgenerate

    always_ff @(posedge clock) begin
        valid11     <= !reset & valid10;
        pass_last11 <= pass_last10;
        tags11      <= tags10;
        push        <= !reset & valid11 & pass_last11;
        tags12      <= tags11;
    end

    // ---- queue: 16 words, room for all that are under way, so that a step once begun never waits ----

    logic [L*WORD+L-1:0] queue [0:15];
    logic [7:0]          queue_tags [0:15];
    logic [3:0]          write_at, read_at;
    logic [4:0]          level, reserved;
    logic                pushed;
    wire  [3:0]          read_next  = read_at + {3'd0, pop};
    wire  [4:0]          level_next = level + {4'd0, pushed} - {4'd0, pop};
    wire  [4:0]          reserved_next = reserved + {4'd0, step & pass_last} - {4'd0, pop};
    wire  [3:0]          full_word = PE - 1;
    wire  [3:0]          push_last = dense ? (tags12[0] ? tail : full_word) : 4'd0;

    always_ff @(posedge clock) begin
        if (push) begin
            queue[write_at]      <= {assembled_present, assembled};
            queue_tags[write_at] <= {tags12[3:1], push_last == 4'd0, push_last};
        end
        {present, word} <= queue[read_at];
        {head_operation_end, head_block_end, head_group_end, head_single, head_last} <= queue_tags[read_next];
        if (reset) begin
            write_at   <= 4'd0;
            read_at    <= 4'd0;
            level      <= 5'd0;
            reserved   <= 5'd0;
            pushed     <= 1'b0;
            head_valid <= 1'b0;
            space      <= 1'b1;
        end else begin
            write_at   <= write_at + {3'd0, push};
            read_at    <= read_next;
            level      <= level_next;
            reserved   <= reserved_next;
            pushed     <= push;
            head_valid <= level_next != 5'd0;
            space      <= reserved_next < 5'd16;
        end
    end

endmodule
