// Spatial pyramid pooling of one segment: for each pyramid entry, bin row, bin column and group, the maximum over the bin's
// cells of `bit ? q : z` (masked) and of q (whole), all L lanes of a block a cycle.
//
// Reads are issued ahead without waiting for their data: what belongs to a read (its lanes, their bits, first and last of a
// bin) waits in a queue. Maxima are found by a tree with a register at each level, then over the reads of a bin.
//
// Ports:
//   pyramid_write, pyramid_address, pyramid_data: words of the pyramid table
//   begin_frame: pulse; looks through the table for Design B's entry; scanned: pulse when bin_level is known
//   start: pulse; top, left, bottom, right (exclusive), lane, pooled (address of the vectors) are held until done (pulse, all
//   writes granted)
//   bits_*, bin_*: to mask_projection, 2 steps of bits_next and bin_next
//   read_*, write_*: see PORTS.md; at most 15 cycles from a grant to its data
// Latency: 5 + entries * (25 + bins * 6 + reads) cycles or so; a read a cycle where the port is free.
module masked_spp #(
    parameter PE = 8,
    parameter L = 8,
    parameter SIDE = 256,
    parameter BINS = 1024,
    parameter ENTRIES = 32,
    parameter SB = $clog2(SIDE),
    parameter BLOCKS = (SIDE + L - 1) / L,
    parameter BB = BLOCKS > 1 ? $clog2(BLOCKS) : 1,
    parameter NB = $clog2(BINS),
    parameter EB = $clog2(4 * ENTRIES)
) (
    input  logic              clock,
    input  logic              reset,
    input  logic              pyramid_write,
    input  logic [EB-1:0]     pyramid_address,
    input  logic [31:0]       pyramid_data,
    input  logic [7:0]        entries,
    input  logic [15:0]       map_address,
    input  logic [15:0]       map_row_words,
    input  logic [15:0]       map_groups,
    input  logic [7:0]        zero_point,
    input  logic              begin_frame,
    output logic              scanned,
    output logic [5:0]        bin_level,
    input  logic              start,
    input  logic [SB-1:0]     top,
    input  logic [SB-1:0]     left,
    input  logic [SB-1:0]     bottom,
    input  logic [SB-1:0]     right,
    input  logic [3:0]        lane,
    input  logic [15:0]       pooled,
    output logic              done,
    output logic              bits_next,
    output logic [SB-1:0]     bits_row,
    output logic [BB-1:0]     bits_block,
    input  logic [L-1:0]      bits,
    output logic              bin_next,
    output logic [NB-1:0]     bin_index,
    input  logic              bin_bit,
    output logic              read_request,
    output logic [15:0]       read_address,
    input  logic              read_grant,
    input  logic              read_valid,
    input  logic [8*PE*L-1:0] read_data,
    output logic              write_request,
    output logic [3:0]        write_lane,
    output logic [15:0]       write_address,
    output logic [8*PE-1:0]   write_data,
    input  logic              write_grant
);

    localparam WORD = 8 * PE;
    localparam LEVELS = $clog2(L);              // of the tree
    localparam LEAVES = 1 << LEVELS;
    localparam SPAN = WORD * LEAVES;            // bits of a level
    localparam [7:0] LOWEST = 8'h80;

    localparam [3:0]
        IDLE = 0,
        FETCH = 1,          // brings a word of the table to the front, to look for Design B, or as an entry's first
        SCAN = 2,
        ENTRY_0 = 3, ENTRY_1 = 4, ENTRY_2 = 5,
        DIVIDE = 6, DIVIDE_1 = 7,
        BIN = 8,            // four steps from a bin's bounds to its addresses
        BIN_1 = 9, BIN_2 = 10, BIN_3 = 11, BIN_4 = 12,
        ISSUE = 13,
        FLUSH = 14,         // the entry's reads are issued: waits until its last word is written
        DONE = 15;
    logic [3:0] state;

    // The pyramid.
    logic          table_set, table_next;
    logic [31:0]   table_word;
    logic [1:0]    prime;
    logic          scanning;
    logic [7:0]    entry;
    logic [5:0]    level;
    logic          want_masked, want_whole, by_bin;
    table_reader #(.WIDTH(32), .WORDS(4 * ENTRIES)) pyramid (
        .clock(clock), .write(pyramid_write), .write_address(pyramid_address), .write_data(pyramid_data),
        .set(table_set), .address({entry[EB-3:0], 2'b00}), .next(table_next), .value(table_word)
    );
    assign table_set  = state == FETCH & prime == 2'd0;
    assign table_next = (state == FETCH & prime != 2'd0) | state == ENTRY_0 | state == ENTRY_1;

    // The bin at hand.
    logic          columns_ready, rows_ready, next_column, next_row, first_column;
    logic [SB-1:0] column_first, column_end, row_first, row_end;
    logic [5:0]    bin_i, bin_j;
    bin_bounds #(.SIZE_BITS(SB)) columns (
        .clock(clock), .reset(reset), .start(state == DIVIDE), .size(right - left), .n(level),
        .restart(first_column), .next(next_column), .ready(columns_ready), .first(column_first), .last(column_end)
    );
    bin_bounds #(.SIZE_BITS(SB)) rows (
        .clock(clock), .reset(reset), .start(state == DIVIDE), .size(bottom - top), .n(level),
        .restart(1'b0), .next(next_row), .ready(rows_ready), .first(row_first), .last(row_end)
    );
    wire last_column = bin_j == level - 6'd1;
    wire last_row = bin_i == level - 6'd1;
    wire bin_over;
    assign first_column = bin_over & last_column;
    assign next_column  = bin_over & ~last_column;
    assign next_row     = bin_over & last_column;

    // Block and lane of a column: a product with the rounded-up reciprocal of L, exact for columns of 16 bits.
    localparam RECIPROCAL_BITS = 16 + $clog2(L);
    localparam [16:0] RECIPROCAL = ((1 << RECIPROCAL_BITS) + L - 1) / L;
    localparam [16:0] LANES = L;
    function automatic [BB-1:0] block_of(input [SB-1:0] column);
        reg [32:0] product;
        begin
            product = {{(33-SB){1'b0}}, column} * {16'd0, RECIPROCAL};
            block_of = product[RECIPROCAL_BITS +: BB];
        end
    endfunction

    logic [SB-1:0] row_0, row_1, column_0, column_1;
    logic [BB-1:0] block_0, block_1;
    logic [3:0]    lane_0, lane_1;
    logic [15:0]   row_offset, block_offset, bin_address;
    wire [16:0]    lane_0_now = {{(17-SB){1'b0}}, column_0} - {{(17-BB){1'b0}}, block_0} * LANES;
    wire [16:0]    lane_1_now = {{(17-SB){1'b0}}, column_1} - {{(17-BB){1'b0}}, block_1} * LANES;

    // The read to be issued next.
    logic [SB-1:0] row;
    logic [BB-1:0] block;
    logic [15:0]   group, group_address, line_address, address;
    logic          bin_first;
    logic          advance;
    wire           issue = state == ISSUE;
    logic          block_end, row_last, group_last;     // in the last turn of each loop
    logic          one_block, one_row;
    wire [15:0]    next_line = line_address + map_row_words;
    wire [15:0]    next_group = group_address + 16'd1;
    assign bin_over = issue & advance & block_end & row_last & group_last;

    // Two stages while the bits are fetched, the second one is the request.
    logic          p1_valid, p1_head, p1_tail, p1_first, p1_last, p2_valid, p2_first, p2_last;
    logic [15:0]   p1_address;
    logic [L-1:0]  from_lanes, to_lanes, p2_lanes;
    logic [3:0]    results;                     // of bins: asked for and not yet all written
    wire           room = ~p2_last | ~results[3];
    assign read_request = p2_valid & room;
    assign advance      = ~p2_valid | (read_grant & read_request);
    assign bits_next    = advance;
    assign bits_row     = row;
    assign bits_block   = block;
    assign bin_next     = advance;

    integer k;
    always_ff @(posedge clock) begin
        if (advance) begin
            p1_valid   <= issue;
            p1_address <= address;
            p1_first   <= bin_first;
            p1_last    <= block_end & row_last;
            p1_head    <= block == block_0;
            p1_tail    <= block_end;
            p2_valid     <= p1_valid;
            read_address <= p1_address;
            p2_first     <= p1_first;
            p2_last      <= p1_last;
            for (k = 0; k < L; k = k + 1)
                p2_lanes[k] <= (~p1_head | from_lanes[k]) & (~p1_tail | to_lanes[k]);
        end
        if (reset) begin
            p1_valid <= 1'b0;
            p2_valid <= 1'b0;
        end
    end

    // What waits for the data.
    logic [2*L+2:0] waiting [0:15];
    logic [3:0]     waiting_in, waiting_out;
    wire [2*L+2:0]  front = waiting[waiting_out];
    wire            granted = read_grant & read_request;
    wire            keep = ~by_bin | bin_bit;
    always_ff @(posedge clock) begin
        if (granted) waiting[waiting_in] <= {keep, p2_first, p2_last, p2_lanes, bits};
        if (reset) begin
            waiting_in  <= 4'd0;
            waiting_out <= 4'd0;
        end else begin
            waiting_in  <= waiting_in + {3'd0, granted};
            waiting_out <= waiting_out + {3'd0, read_valid};
        end
    end

    function automatic [7:0] larger(input [7:0] a, input [7:0] b);
        larger = $signed(a) > $signed(b) ? a : b;
    endfunction

    // Data meets its lanes and bits; lanes that do not count take the lowest value.
    logic                data_valid, data_keep, data_first, data_last;
    logic [L-1:0]        data_bits;
    wire  [L*PE-1:0]     data_lanes;            // a copy for each channel
    logic [WORD*L-1:0]   data;
    logic [LEVELS:0]     tree_valid, tree_keep, tree_first, tree_last;
    /* verilator lint_off UNUSEDSIGNAL */
    /* verilator lint_off UNDRIVEN */
    logic [(LEVELS+1)*SPAN-1:0] masked, whole;  // level 0 lowest; of every level half as much is used as of the one before
    /* verilator lint_on UNDRIVEN */
    /* verilator lint_on UNUSEDSIGNAL */
    integer              l, p;
    logic              early_valid, early_keep, early_first, early_last;
    logic [L-1:0]      early_lanes, early_bits;
    genvar copy;
    generate
        for (copy = 0; copy < L; copy = copy + 1) begin : lane_copies
            replica #(.WIDTH(PE)) register (.clock(clock), .d({PE{early_lanes[copy]}}), .q(data_lanes[copy*PE +: PE]));
        end
    endgenerate
    logic [WORD*L-1:0] early;
    always_ff @(posedge clock) begin
        early_valid <= read_valid & ~reset;
        early       <= read_data;
        {early_keep, early_first, early_last, early_lanes, early_bits} <= front;
        data_valid <= early_valid & ~reset;
        data       <= early;
        data_keep  <= early_keep;
        data_first <= early_first;
        data_last  <= early_last;
        data_bits  <= early_bits;
        tree_valid[0] <= data_valid & ~reset;
        tree_keep[0]  <= data_keep;
        tree_first[0] <= data_first;
        tree_last[0]  <= data_last;
    end
    genvar g, h, c;
    generate
        for (g = 0; g < LEAVES; g = g + 1) begin : leaf
            if (g < L) begin : real_lane
                for (c = 0; c < PE; c = c + 1) begin : channel
                    always_ff @(posedge clock) begin
                        masked[(g*PE+c)*8 +: 8] <= ~data_lanes[g*PE+c] ? LOWEST
                            : data_bits[g] ? data[(g*PE+c)*8 +: 8] : zero_point;
                        whole[(g*PE+c)*8 +: 8]  <= ~data_lanes[g*PE+c] ? LOWEST : data[(g*PE+c)*8 +: 8];
                    end
                end
            end else begin : no_lane
                always_ff @(posedge clock) begin
                    masked[g*WORD +: WORD] <= {PE{LOWEST}};
                    whole[g*WORD +: WORD]  <= {PE{LOWEST}};
                end
            end
        end
        for (h = 0; h < LEVELS; h = h + 1) begin : tree
            always_ff @(posedge clock) begin
                tree_valid[h+1] <= tree_valid[h] & ~reset;
                tree_keep[h+1]  <= tree_keep[h];
                tree_first[h+1] <= tree_first[h];
                tree_last[h+1]  <= tree_last[h];
            end
            for (g = 0; g < (LEAVES >> (h + 1)); g = g + 1) begin : node
                for (c = 0; c < PE; c = c + 1) begin : channel
                    always_ff @(posedge clock) begin
                        masked[(h+1)*SPAN+(g*PE+c)*8 +: 8] <=
                            larger(masked[h*SPAN+(2*g*PE+c)*8 +: 8], masked[h*SPAN+((2*g+1)*PE+c)*8 +: 8]);
                        whole[(h+1)*SPAN+(g*PE+c)*8 +: 8] <=
                            larger(whole[h*SPAN+(2*g*PE+c)*8 +: 8], whole[h*SPAN+((2*g+1)*PE+c)*8 +: 8]);
                    end
                end
            end
        end
    endgenerate

    // Over the reads of a bin.
    logic [WORD-1:0] best_masked, best_whole;
    logic            best_ready, best_keep;
    always_ff @(posedge clock) begin
        best_ready <= tree_valid[LEVELS] & tree_last[LEVELS] & ~reset;
        best_keep  <= tree_keep[LEVELS];
        if (tree_valid[LEVELS])
            for (p = 0; p < PE; p = p + 1) begin
                best_masked[p*8 +: 8] <= tree_first[LEVELS] ? masked[LEVELS*SPAN+p*8 +: 8]
                                       : larger(best_masked[p*8 +: 8], masked[LEVELS*SPAN+p*8 +: 8]);
                best_whole[p*8 +: 8]  <= tree_first[LEVELS] ? whole[LEVELS*SPAN+p*8 +: 8]
                                       : larger(best_whole[p*8 +: 8], whole[LEVELS*SPAN+p*8 +: 8]);
            end
    end

    // Results on their way to the vectors: of every bin first the masked word, then the whole one.
    logic [2*WORD-1:0] queue [0:7];
    logic [2:0]        queue_in, queue_out;
    logic [3:0]        queued;
    logic              second;
    logic [15:0]       masked_address, whole_address;
    wire [2*WORD-1:0]  oldest = queue[queue_out];
    wire               load = queued != 4'd0 & (~write_request | write_grant);
    wire               taking_whole = second | ~want_masked;
    wire               retire = load & (taking_whole | ~want_whole);
    wire               reserve = granted & p2_last;
`ifdef FAULT_CHANNEL
    wire [WORD-1:0]    masked_word = {oldest[WORD-17:0], oldest[WORD-1 -: 16]};
`else
    wire [WORD-1:0]    masked_word = oldest[WORD-1:0];
`endif
    assign write_lane = lane;

    always_ff @(posedge clock) begin
        if (best_ready) begin
            queue[queue_in] <= {best_keep ? best_whole : {PE{zero_point}}, best_masked};
            queue_in        <= queue_in + 3'd1;
        end
        if (write_grant) write_request <= 1'b0;
        if (load) begin
            write_request <= 1'b1;
            if (taking_whole) begin
                write_data    <= oldest[2*WORD-1:WORD];
                write_address <= whole_address;
                whole_address <= whole_address + 16'd1;
                second        <= 1'b0;
            end else begin
                write_data     <= masked_word;
                write_address  <= masked_address;
                masked_address <= masked_address + 16'd1;
                second         <= want_whole;
            end
            if (retire) queue_out <= queue_out + 3'd1;
        end
        queued  <= queued + {3'd0, best_ready} - {3'd0, retire};
        results <= results + {3'd0, reserve} - {3'd0, retire};
        if (state == ENTRY_1) masked_address <= pooled + table_word[15:0];
        if (state == ENTRY_2) whole_address <= pooled + table_word[15:0];
        if (reset) begin
            queue_in      <= 3'd0;
            queue_out     <= 3'd0;
            queued        <= 4'd0;
            results       <= 4'd0;
            write_request <= 1'b0;
            second        <= 1'b0;
        end
    end
    wire quiet = ~p1_valid & ~p2_valid & results == 4'd0 & ~write_request;

    always_ff @(posedge clock) begin
        done    <= 1'b0;
        scanned <= 1'b0;
        case (state)
            IDLE: begin
                entry <= 8'd0;
                prime <= 2'd0;
                if (begin_frame) begin
                    bin_level <= 6'd0;
                    scanning  <= 1'b1;
                    state     <= FETCH;
                end else if (start) begin
                    state <= FETCH;
                end
            end
            FETCH: begin
                prime <= prime + 2'd1;
                if (prime == 2'd2) state <= scanning ? SCAN : ENTRY_0;
            end
            SCAN: begin
                prime <= 2'd0;
                entry <= entry + 8'd1;
                if (table_word[10]) bin_level <= table_word[5:0];
                if (table_word[10] | entry + 8'd1 >= entries) begin
                    scanning <= 1'b0;
                    scanned  <= 1'b1;
                    state    <= IDLE;
                end else begin
                    state <= FETCH;
                end
            end
            ENTRY_0: begin
                level       <= table_word[5:0];
                want_masked <= table_word[8];
                want_whole  <= table_word[9];
                by_bin      <= table_word[10];
                prime       <= 2'd0;
                state       <= ENTRY_1;
            end
            ENTRY_1: state <= ENTRY_2;
            ENTRY_2: state <= DIVIDE;
            DIVIDE: begin
                bin_i     <= 6'd0;
                bin_j     <= 6'd0;
                bin_index <= {NB{1'b0}};
                state     <= DIVIDE_1;
            end
            DIVIDE_1: if (columns_ready & rows_ready) state <= BIN;
            BIN: begin
                row_0    <= top + row_first;
                row_1    <= top + row_end - 1'b1;
                column_0 <= left + column_first;
                column_1 <= left + column_end - 1'b1;
                state    <= BIN_1;
            end
            BIN_1: begin
                row_offset <= row_0 * map_row_words;
                block_0    <= block_of(column_0);
                block_1    <= block_of(column_1);
                state      <= BIN_2;
            end
            BIN_2: begin
                block_offset <= block_0 * map_groups;
                row_offset   <= row_offset + map_address;
                lane_0       <= lane_0_now[3:0];
                lane_1       <= lane_1_now[3:0];
                state        <= BIN_3;
            end
            BIN_3: begin
                bin_address <= row_offset + block_offset;
                state       <= BIN_4;
            end
            BIN_4: begin
                row           <= row_0;
                block         <= block_0;
                group         <= 16'd0;
                group_address <= bin_address;
                line_address  <= bin_address;
                address       <= bin_address;
                bin_first     <= 1'b1;
                one_block     <= block_0 == block_1;
                block_end     <= block_0 == block_1;
                one_row       <= row_0 == row_1;
                row_last      <= row_0 == row_1;
                group_last    <= map_groups == 16'd1;
                if (~p1_valid) begin        // the lanes of the bin before are no longer needed
                    for (l = 0; l < L; l = l + 1) begin
                        from_lanes[l] <= l >= {28'd0, lane_0};
                        to_lanes[l]   <= l <= {28'd0, lane_1};
                    end
                    state <= ISSUE;
                end
            end
            ISSUE: if (advance) begin
                bin_first <= 1'b0;
                if (~block_end) begin
                    block     <= block + 1'b1;
                    block_end <= block + 1'b1 == block_1;
                    address   <= address + map_groups;
                end else begin
                    block     <= block_0;
                    block_end <= one_block;
                    if (~row_last) begin
                        row          <= row + 1'b1;
                        row_last     <= row + 1'b1 == row_1;
                        address      <= next_line;
                        line_address <= next_line;
                    end else begin
                        row           <= row_0;
                        row_last      <= one_row;
                        group         <= group + 16'd1;
                        group_last    <= group + 16'd2 == map_groups;
                        group_address <= next_group;
                        line_address  <= next_group;
                        address       <= next_group;
                        bin_first     <= 1'b1;
                        if (group_last) begin
                            bin_j     <= last_column ? 6'd0 : bin_j + 6'd1;
                            bin_index <= bin_index + 1'b1;
                            if (last_column) bin_i <= bin_i + 6'd1;
                            state <= last_column & last_row ? FLUSH : BIN;
                        end
                    end
                end
            end
            FLUSH: if (quiet) begin
                entry <= entry + 8'd1;
                state <= entry + 8'd1 >= entries ? DONE : FETCH;
            end
            DONE: begin
                done  <= 1'b1;
                state <= IDLE;
            end
        endcase
        if (reset) begin
            state     <= IDLE;
            scanning  <= 1'b0;
            bin_level <= 6'd0;
        end
    end

endmodule
