// Projects segments onto the feature map: from the stream of masks (see ENGINE.md, Scoring) to one bit for each cell of the
// segment's window, and for Design B one bit for each bin of the finest level.
//
// A pixel row is counted a span a cycle: a span is what a 32-bit word of the mask and a cell have in common. After the last
// pixel row of a row of cells its cells are decided, one a cycle: inside * 65536 >= threshold * total for the average, and so
// on. While no bit is set, the best covered cell is kept; shares are compared exactly, by a multiplication a bit a cycle,
// and the pipeline waits for it. Results lie in two buffers, so that the next segment is projected while one is pooled.
//
// Ports:
//   geometry_write, geometry_rows (0 columns, 1 rows), geometry_cell, geometry_data: a word of the geometry tables
//   begin_frame: pulse; from here on masks are taken, up to the end marker. bin_level, rule and so on are stable by then
//   bin_level: Design B's masked level, 0 if there is none
//   segment_valid: the oldest result; with segment_end it stands for the end of the frame instead (no window, no bits)
//   top, left, bottom, right: the window in cells, the last two exclusive
//   segment_done: pulse: takes the result away
//   bits_next, bits_row, bits_block -> bits: lanes of a block of L columns (absolute), 2 steps of bits_next later
//   bin_next, bin_index -> bin_bit: 2 steps of bin_next later
//   trace_*: see PORTS.md; simulation only
// Latency of a segment: about (columns + rows of the map) / 1 + pixel rows * (spans + words + 9) + cells + 12 * rows of cells.
module mask_projection #(
    parameter L = 8,
    parameter SIDE = 256,
    parameter BINS = 1024,
    parameter SB = $clog2(SIDE),
    parameter BLOCKS = (SIDE + L - 1) / L,
    parameter BB = BLOCKS > 1 ? $clog2(BLOCKS) : 1,
    parameter NB = $clog2(BINS)
) (
    input  logic            clock,
    input  logic            reset,
    input  logic            geometry_write,
    input  logic            geometry_rows,
    input  logic [SB-1:0]   geometry_cell,
    input  logic [31:0]     geometry_data,
    input  logic [SB-1:0]   map_height,
    input  logic [SB-1:0]   map_width,
    input  logic [1:0]      rule,
    input  logic [16:0]     threshold,
    input  logic [5:0]      bin_level,
    input  logic            begin_frame,
    input  logic            masks_valid,
    output logic            masks_ready,
    input  logic [31:0]     masks_data,
    output logic            segment_valid,
    output logic            segment_end,
    output logic [SB-1:0]   top,
    output logic [SB-1:0]   left,
    output logic [SB-1:0]   bottom,
    output logic [SB-1:0]   right,
    input  logic            segment_done,
    input  logic            bits_next,
    input  logic [SB-1:0]   bits_row,
    input  logic [BB-1:0]   bits_block,
    output logic [L-1:0]    bits,
    input  logic            bin_next,
    input  logic [NB-1:0]   bin_index,
    output logic            bin_bit,
    output logic            trace_window_valid,
    output logic [63:0]     trace_window,
    output logic            trace_row_valid,
    output logic [SIDE-1:0] trace_row
);

    localparam [1:0] AVERAGE = 2'd0, MAXIMUM = 2'd1, NEAREST = 2'd2;
    localparam [3:0] LAST_LANE = L - 1;

    localparam [4:0]
        HEAD_0 = 0,         // waits for the first word of a box, or the end marker
        HEAD_1 = 1,         // waits for the second
        SEEK = 2,           // looks the window up
        BOUNDS = 3,         // Design B: bounds of the bins, a bin at a time (BOUNDS ... BOUNDS_4)
        BOUNDS_1 = 4, BOUNDS_2 = 5, BOUNDS_3 = 6, BOUNDS_4 = 7,
        CLAIM = 8,          // waits for a free buffer
        CLEAR = 9,          // nearest rule: clears the window
        NEAR_SKIP = 10,     // nearest rule: rows of cells whose pixel row is above this one
        NEAR_ROWS = 11,     // nearest rule: rows of cells whose pixel row is this one
        ROW = 12,           // starts a pixel row
        COUNT = 13,         // counts it
        DRAIN = 14,
        DECIDE = 15,        // starts the decisions of a row of cells
        DECIDE_1 = 16,      // a cell a cycle
        DECIDE_2 = 17,      // drains
        SUM = 18,           // Design B: adds the row's counts to the bins (SUM ... SUM_6)
        SUM_1 = 19, SUM_2 = 20, SUM_3 = 21, SUM_4 = 22, SUM_5 = 23, SUM_6 = 24,
        NEXT_ROW = 25,
        FALL_BACK = 26,     // sets the best covered cell if there is no bit
        BIN = 27,           // decides the bins, one a cycle
        BIN_1 = 28,
        BIN_FALL_BACK = 29,
        PUSH = 30,
        NEAR_WAIT = 31;     // nearest rule: waits for the tables

    logic [4:0] state;
    logic       open;

    // The box in pixels, and the window in cells.
    logic [15:0]   box_left, box_top, box_bottom;
    logic [16:0]   box_end;                     // right + 1
    logic [SB-1:0] left_cell, right_cell, top_cell, bottom_cell;
    logic [BB-1:0] left_block, right_block;
    logic [3:0]    left_lane;
    logic [15:0]   left_start;

    // Geometry tables, read in order.
    logic          column_set, column_step, row_set, row_step, near_column_set, near_column_step, near_row_set, near_row_step;
    logic [SB-1:0] column_address, row_address;
    logic [1:0]    column_prime, row_prime, near_column_prime, near_row_prime;
    logic [15:0]   column_value, row_value, near_column, near_row;
    wire           column_ready = column_prime == 2'd0;
    wire           row_ready = row_prime == 2'd0;
    wire           near_column_ready = near_column_prime == 2'd0;
    wire           near_row_ready = near_row_prime == 2'd0;

    table_reader #(.WIDTH(16), .WORDS(SIDE)) column_starts (
        .clock(clock), .write(geometry_write & ~geometry_rows), .write_address(geometry_cell),
        .write_data(geometry_data[15:0]), .set(column_set), .address(column_address),
        .next(column_step | ~column_ready), .value(column_value)
    );
    table_reader #(.WIDTH(16), .WORDS(SIDE)) row_starts (
        .clock(clock), .write(geometry_write & geometry_rows), .write_address(geometry_cell),
        .write_data(geometry_data[15:0]), .set(row_set), .address(row_address),
        .next(row_step | ~row_ready), .value(row_value)
    );
    table_reader #(.WIDTH(16), .WORDS(SIDE)) column_centres (
        .clock(clock), .write(geometry_write & ~geometry_rows), .write_address(geometry_cell),
        .write_data(geometry_data[31:16]), .set(near_column_set), .address(left_cell),
        .next(near_column_step | ~near_column_ready), .value(near_column)
    );
    table_reader #(.WIDTH(16), .WORDS(SIDE)) row_centres (
        .clock(clock), .write(geometry_write & geometry_rows), .write_address(geometry_cell),
        .write_data(geometry_data[31:16]), .set(near_row_set), .address(top_cell),
        .next(near_row_step | ~near_row_ready), .value(near_row)
    );

    always_ff @(posedge clock) begin
        if (reset) begin
            column_prime      <= 2'd0;
            row_prime         <= 2'd0;
            near_column_prime <= 2'd0;
            near_row_prime    <= 2'd0;
        end else begin
            column_prime      <= column_set ? 2'd2 : column_prime - {1'b0, ~column_ready};
            row_prime         <= row_set ? 2'd2 : row_prime - {1'b0, ~row_ready};
            near_column_prime <= near_column_set ? 2'd2 : near_column_prime - {1'b0, ~near_column_ready};
            near_row_prime    <= near_row_set ? 2'd2 : near_row_prime - {1'b0, ~near_row_ready};
        end
    end

    // Seeking the window.
    logic [SB-1:0] seek_column, seek_row;
    logic [BB-1:0] seek_block;
    logic [3:0]    seek_lane;
    logic [15:0]   seek_column_start, seek_row_start;
    logic          left_found, top_found, columns_found, rows_found;
    wire           column_last = seek_column == map_width - 1'b1;
    wire           row_last = seek_row == map_height - 1'b1;
    wire           left_here = column_value > box_left | column_last;
    wire           right_here = {1'b0, column_value} >= box_end | column_last;
    wire           top_here = row_value > box_top | row_last;
    wire           bottom_here = row_value > box_bottom | row_last;

    // Pixel rows.
    logic [15:0]   y, row_start, row_height;
    logic [SB-1:0] cell_row;
    logic          fresh;                       // the first pixel row of a row of cells
    wire  [16:0]   y_next = {1'b0, y} + 17'd1;
    logic          row_ends;                    // y is the last pixel row of the row of cells, or of the box

    // The word at hand: pixels word_start up to word_end, the latter exclusive.
    logic [31:0] word;
    logic        word_valid, word_last, spans_done, all_loaded;
    logic [16:0] word_start, word_end, next_start, next_end;
    logic        near_done;
    wire         row_runs = state == COUNT;
    assign masks_ready = (state == HEAD_0 & open) | state == HEAD_1 | (row_runs & ~word_valid & ~all_loaded);

    // A span.
    logic [SB-1:0] cell_at;
    logic [5:0]    position;
    logic          span_first;                  // the cell's first in this pixel row
    wire           span = state == COUNT & column_ready & word_valid & ~spans_done;
    wire           cell_ends = {1'b0, column_value} <= word_end;
    wire           word_ends = {1'b0, column_value} >= word_end | cell_at == right_cell;
    wire [5:0]     cell_position = column_value[5:0] - word_start[5:0];
    wire [5:0]     end_position = word_end[5:0] - word_start[5:0];
    wire [5:0]     span_end = (cell_ends & cell_at != right_cell) ? cell_position : end_position;

    logic          t1_valid, t2_valid, t3_valid, t4_valid, t1_first, t2_first, t3_first;
    logic [31:0]   t1_word, t2_word;
    logic [5:0]    t1_from, t1_to, t3_count;
    logic [SB-1:0] t1_cell, t2_cell, t3_cell, t4_cell;
    logic [31:0]   running;

    // Pixels inside, for each column of the row of cells at hand.
    (* no_rw_check *)
    logic [31:0]   counts [0:SIDE-1];
    logic [31:0]   count_fetched, count_value;
    logic [SB-1:0] issue_cell;
    wire  [SB-1:0] count_address = t1_valid ? t1_cell : issue_cell;
    wire  [31:0]   base = ~t3_first ? running : fresh ? 32'd0 : count_value;
    wire  [31:0]   sum = base + {26'd0, t3_count};
    logic          go;                          // the decisions move on

    // Bits set among four, and among 32.
    function automatic [2:0] ones_of_4(input [3:0] value);
        ones_of_4 = {2'd0, value[0]} + {2'd0, value[1]} + {2'd0, value[2]} + {2'd0, value[3]};
    endfunction
    function automatic [5:0] ones_of_32(input [31:0] value);
        ones_of_32 = (({3'd0, ones_of_4(value[3:0])} + {3'd0, ones_of_4(value[7:4])})
                    + ({3'd0, ones_of_4(value[11:8])} + {3'd0, ones_of_4(value[15:12])}))
                   + (({3'd0, ones_of_4(value[19:16])} + {3'd0, ones_of_4(value[23:20])})
                    + ({3'd0, ones_of_4(value[27:24])} + {3'd0, ones_of_4(value[31:28])}));
    endfunction

    integer k;
    always_ff @(posedge clock) begin
        t1_valid <= span & ~reset;
        t1_word  <= word;
        t1_from  <= position;
        t1_to    <= span_end;
        t1_cell  <= cell_at;
        t1_first <= span_first;

        t2_valid <= t1_valid & ~reset;
        t2_cell  <= t1_cell;
        t2_first <= t1_first;
        for (k = 0; k < 32; k = k + 1) t2_word[k] <= t1_word[k] & k >= t1_from & k < t1_to;

        t3_valid <= t2_valid & ~reset;
        t3_cell  <= t2_cell;
        t3_first <= t2_first;
        t3_count <= ones_of_32(t2_word);

        t4_valid <= t3_valid & ~reset;
        t4_cell  <= t3_cell;
        if (t3_valid) running <= sum;
        if (t4_valid) counts[t4_cell] <= running;
        if (go) begin
            count_fetched <= counts[count_address];
            count_value   <= count_fetched;
        end
    end
    wire counting = t1_valid | t2_valid | t3_valid | t4_valid;

    // Nearest rule: the cell's pixel in two steps, where it lies, then its bit.
    logic          near_active, near_flush, near_placed, near_inside, near_later;
    logic [4:0]    near_bit_at;
    logic [SB-1:0] near_cell, near_at_row, near_first, near_rows, flush_row, flush_left;
    logic [BB-1:0] near_block;
    logic [3:0]    near_lane;
    logic [L-1:0]  near_bits, flush_bits;
    logic [BB-1:0] flush_block;
    logic          near_finished, near_any;
    wire           near_bit = near_inside & word[near_bit_at];
    wire           near_run = state == COUNT & word_valid & ~near_done & ~near_flush & near_column_ready;

    // Decisions.
    logic          decide_issue, issue_last, issue_bin;
    logic [BB-1:0] issue_block;
    logic [3:0]    issue_lane;
    logic [15:0]   issue_width, issue_height, column_before;
    logic [NB-1:0] issue_index;
    logic          d1_valid, d2_valid, d3_valid, d4_valid, d5_valid, d6_valid;
    logic          d1_last, d2_last, d3_last, d4_last, d5_last, d6_last;
    logic [BB-1:0] d1_block, d2_block, d3_block, d4_block, d5_block, d6_block;
    logic [3:0]    d1_lane, d2_lane, d3_lane, d4_lane, d5_lane, d6_lane;
    logic [NB-1:0] d1_index, d2_index, d3_index, d4_index, d5_index, d6_index;
    logic [15:0]   d1_width, d1_height;
    logic [31:0]   d2_total, d3_total, d4_total, d5_total, d6_total;
    logic [31:0]   d3_inside, d4_inside, d5_inside, d6_inside;
    logic [32:0]   d3_low, d3_high;
    logic [49:0]   d4_need;
    logic          d5_enough, d5_some, d5_real, d6_bit, d6_some, d6_real;
    logic          deciding_bins;

    logic          any;
    logic          best_found, best_some;
    logic [31:0]   best_inside, best_total;
    logic [SB-1:0] best_row;
    logic [BB-1:0] best_block;
    logic [3:0]    best_lane;
    logic [NB-1:0] best_index;

    logic          comparing, compared, better;
    logic [5:0]    compare_left;
    logic [31:0]   compare_mine, compare_best;
    logic signed [32:0] compare_difference;
    logic signed [66:0] compare_value;
    logic signed [33:0] compare_term;

    assign compare_term = ~compare_mine[31] & ~compare_best[31] ? 34'sd0
                        : ~compare_mine[31] ? -$signed({2'b00, d6_total})
                        : ~compare_best[31] ? $signed({2'b00, best_total})
                        : {compare_difference[32], compare_difference};

    wire candidate = d6_valid & d6_real & ~d6_bit & ~any & ~compared;
    wire at_once = ~best_found | (~best_some & d6_some);
    wire contest = candidate & best_found & best_some & d6_some;
    assign go = ~contest;
    wire take = d6_valid & ((candidate & at_once) | (compared & better));

    wire decided = d1_valid | d2_valid | d3_valid | d4_valid | d5_valid | d6_valid;

    // Bins (Design B): bounds relative to the window, pixels, and sums.
    logic          bounds_start, bounds_next;
    logic          column_bounds_ready, row_bounds_ready;
    logic [SB-1:0] column_first, column_end, row_first, row_end;
    logic [5:0]    bin_i, bin_j;
    logic [15:0]   bin_left_pixel, bin_top_pixel;
    (* ram_style = "distributed" *)
    logic [2*SB+15:0] column_bins [0:31];
    (* ram_style = "distributed" *)
    logic [2*SB+15:0] row_bins [0:31];
    logic [2*SB+15:0] column_bin, row_bin;
    logic [31:0]   bin_sum, bin_fetched, bin_value;
    (* no_rw_check *)
    logic [31:0]   bin_sums [0:BINS-1];
    logic [NB-1:0] bin_at, bin_sum_at;
    logic          first_of_bin, bin_sum_write;
    logic [31:0]   bin_sum_value;
    logic [SB-1:0] sum_cell, sum_end;
    logic          sum_1, sum_2;
    logic [SB-1:0] relative_row;
    wire           row_in_bin = relative_row >= row_bin[SB-1:0] & relative_row < row_bin[2*SB-1:SB];
    logic          last_i, last_j;              // no state that changes bin_i or bin_j is followed by one that asks
    always_ff @(posedge clock) begin
        last_i <= bin_i == bin_level - 6'd1;
        last_j <= bin_j == bin_level - 6'd1;
    end

    wire [SB-1:0] window_width = right_cell - left_cell + 1'b1;
    wire [SB-1:0] window_height = bottom_cell - top_cell + 1'b1;

    bin_bounds #(.SIZE_BITS(SB)) column_bounds (
        .clock(clock), .reset(reset), .start(bounds_start), .size(window_width), .n(bin_level),
        .restart(1'b0), .next(bounds_next), .ready(column_bounds_ready), .first(column_first), .last(column_end)
    );
    bin_bounds #(.SIZE_BITS(SB)) row_bounds (
        .clock(clock), .reset(reset), .start(bounds_start), .size(window_height), .n(bin_level),
        .restart(1'b0), .next(bounds_next), .ready(row_bounds_ready), .first(row_first), .last(row_end)
    );

    wire [NB-1:0] bin_address = state == BIN ? issue_index : bin_at;
    always_ff @(posedge clock) begin
        if (state == BOUNDS_4 & column_ready & row_ready) begin
            column_bins[bin_i[4:0]] <= {column_value - bin_left_pixel, column_end, column_first};
            row_bins[bin_i[4:0]]    <= {row_value - bin_top_pixel, row_end, row_first};
        end
        column_bin <= column_bins[bin_j[4:0]];
        row_bin    <= row_bins[bin_i[4:0]];
        first_of_bin   <= relative_row == row_bin[SB-1:0];
        bin_sum_write  <= state == SUM_6;
        bin_sum_at     <= bin_at;
        bin_sum_value  <= bin_sum + (first_of_bin ? 32'd0 : bin_value);
        if (bin_sum_write) bin_sums[bin_sum_at] <= bin_sum_value;
        if (go) begin
            bin_fetched <= bin_sums[bin_address];
            bin_value   <= bin_fetched;
        end
    end

    // Results: two buffers.
    logic [1:0]    slot_valid, slot_end;
    logic          slot_in, slot_out;
    logic [4*SB-1:0] slot_window [0:1];
    wire [4*SB-1:0] window_out = slot_out ? slot_window[1] : slot_window[0];
    assign segment_valid = slot_valid[slot_out];
    assign segment_end   = slot_end[slot_out];
    assign {top, left, bottom, right} = window_out;

    logic          bits_write;
    logic [SB-1:0] bits_write_row;
    logic [BB-1:0] bits_write_block;
    logic [L-1:0]  bits_write_data, collected;
    (* no_rw_check *)
    logic [L-1:0]  bits_words [0:2*SIDE*(1<<BB)-1];
    logic [L-1:0]  bits_fetched;
    logic          bin_write, bin_write_bit;
    logic [NB-1:0] bin_write_index;
    (* no_rw_check *)
    logic          bin_words [0:2*BINS-1];
    logic          bin_fetched_bit;
    always_ff @(posedge clock) begin
        if (bits_write) bits_words[{slot_in, bits_write_row, bits_write_block}] <= bits_write_data;
        if (bits_next) begin
            bits_fetched <= bits_words[{slot_out, bits_row, bits_block}];
            bits         <= bits_fetched;
        end
        if (bin_write) bin_words[{slot_in, bin_write_index}] <= bin_write_bit;
        if (bin_next) begin
            bin_fetched_bit <= bin_words[{slot_out, bin_index}];
            bin_bit         <= bin_fetched_bit;
        end
    end

    wire [L-1:0] lane_one = {{(L-1){1'b0}}, 1'b1};
    wire [L-1:0] collected_now = collected | (d6_bit ? lane_one << d6_lane : {L{1'b0}});

    // What moves the tables.
    always_comb begin
        column_set       = 1'b0;
        column_address   = left_cell + 1'b1;
        column_step      = 1'b0;
        row_set          = 1'b0;
        row_address      = top_cell + 1'b1;
        row_step         = 1'b0;
        near_column_set  = 1'b0;
        near_column_step = 1'b0;
        near_row_set     = 1'b0;
        near_row_step    = 1'b0;
        bounds_start     = 1'b0;
        bounds_next      = 1'b0;
        case (state)
            HEAD_1: begin
                column_set     = 1'b1;
                row_set        = 1'b1;
                column_address = {{(SB-1){1'b0}}, 1'b1};
                row_address    = {{(SB-1){1'b0}}, 1'b1};
            end
            SEEK: begin
                column_step  = column_ready & ~columns_found;
                row_step     = row_ready & ~rows_found;
                bounds_start = columns_found & rows_found;
            end
            BOUNDS_2: begin
                column_set     = 1'b1;
                row_set        = 1'b1;
                column_address = left_cell + column_first;
                row_address    = top_cell + row_first;
            end
            BOUNDS_3: begin
                column_set     = column_ready;
                row_set        = row_ready;
                column_address = left_cell + column_end;
                row_address    = top_cell + row_end;
            end
            BOUNDS_4: bounds_next = column_ready & row_ready;
            CLAIM: begin
                row_set      = 1'b1;
                near_row_set = 1'b1;
            end
            NEAR_SKIP: near_row_step = near_at_row <= bottom_cell & near_row < y;
            NEAR_ROWS: near_row_step = near_at_row <= bottom_cell & near_row == y;
            ROW: begin
                column_set      = 1'b1;
                near_column_set = 1'b1;
            end
            COUNT: begin
                column_step      = span & cell_ends;
                near_column_step = near_run & near_placed & (~near_later | word_last);
            end
            DECIDE: column_set = 1'b1;
            DECIDE_1: column_step = column_ready & go;
            NEXT_ROW: row_step = 1'b1;
            default: ;
        endcase
    end

    assign decide_issue = (state == DECIDE_1 & column_ready) | state == BIN;
    assign issue_bin    = state == BIN;
    assign issue_last   = cell_at == right_cell;
    assign issue_width  = issue_bin ? column_bin[2*SB +: 16] : column_value - column_before;
    assign issue_height = issue_bin ? row_bin[2*SB +: 16] : row_height;
    always_comb begin
        issue_cell = cell_at;
        if (state == SUM_1) issue_cell = sum_cell;
    end

    wire [NB-1:0] level_step = {{(NB-6){1'b0}}, bin_level};

    always_ff @(posedge clock) begin
        bits_write <= 1'b0;
        bin_write  <= 1'b0;
        if (segment_done) begin
            slot_valid[slot_out] <= 1'b0;
            slot_out             <= ~slot_out;
        end
        if (begin_frame) open <= 1'b1;

        // decisions
        if (go) begin
            d1_valid  <= decide_issue;
            d1_last   <= issue_last;
            d1_block  <= issue_block;
            d1_lane   <= issue_lane;
            d1_index  <= issue_index;
            d1_width  <= issue_width;
            d1_height <= issue_height;
            d2_valid  <= d1_valid;  d2_last <= d1_last;  d2_block <= d1_block;  d2_lane <= d1_lane;  d2_index <= d1_index;
            d2_total  <= d1_width * d1_height;
            d3_valid  <= d2_valid;  d3_last <= d2_last;  d3_block <= d2_block;  d3_lane <= d2_lane;  d3_index <= d2_index;
            d3_total  <= d2_total;
            d3_inside <= deciding_bins ? bin_value : count_value;
            d3_low    <= d2_total[15:0] * threshold;
            d3_high   <= d2_total[31:16] * threshold;
            d4_valid  <= d3_valid;  d4_last <= d3_last;  d4_block <= d3_block;  d4_lane <= d3_lane;  d4_index <= d3_index;
            d4_total  <= d3_total;
            d4_inside <= d3_inside;
            d4_need   <= {1'b0, d3_high, 16'd0} + {17'd0, d3_low};
            d5_valid  <= d4_valid;  d5_last <= d4_last;  d5_block <= d4_block;  d5_lane <= d4_lane;  d5_index <= d4_index;
            d5_total  <= d4_total;
            d5_inside <= d4_inside;
`ifdef FAULT_THRESHOLD
            d5_enough <= {2'b00, d4_inside, 16'd0} > d4_need;
`else
            d5_enough <= {2'b00, d4_inside, 16'd0} >= d4_need;
`endif
            d5_some   <= |d4_inside;
            d5_real   <= |d4_total;
            d6_valid  <= d5_valid;  d6_last <= d5_last;  d6_block <= d5_block;  d6_lane <= d5_lane;  d6_index <= d5_index;
            d6_total  <= d5_total;
            d6_inside <= d5_inside;
            d6_some   <= d5_some;
            d6_real   <= d5_real;
            case (rule)
                AVERAGE: d6_bit <= d5_real & d5_enough;
                MAXIMUM: d6_bit <= d5_real & d5_some;
                NEAREST: d6_bit <= 1'b0;
                default: d6_bit <= d5_real;
            endcase
            if (d6_valid) begin
                compared <= 1'b0;
                if (deciding_bins) begin
                    bin_write       <= 1'b1;
                    bin_write_index <= d6_index;
                    bin_write_bit   <= d6_bit;
                    any             <= any | d6_bit;
                end else if (rule != NEAREST) begin
                    collected        <= collected_now;
                    bits_write_row   <= cell_row;
                    bits_write_block <= d6_block;
                    bits_write_data  <= collected_now;
                    if (d6_last | d6_lane == LAST_LANE) begin
                        bits_write <= 1'b1;
                        collected  <= {L{1'b0}};
                    end
                    any <= any | d6_bit;
                end
            end
            if (take) begin
                best_found  <= 1'b1;
                best_some   <= d6_some;
                best_inside <= d6_inside;
                best_total  <= d6_total;
                best_row    <= cell_row;
                best_block  <= d6_block;
                best_lane   <= d6_lane;
                best_index  <= d6_index;
            end
        end

        // inside * best_total - best_inside * total, the highest bit first; only its sign counts
        if (!comparing) begin
            compare_mine       <= d6_inside;
            compare_best       <= best_inside;
            compare_difference <= $signed({1'b0, best_total}) - $signed({1'b0, d6_total});
            compare_value      <= 67'sd0;
            compare_left       <= 6'd32;
            if (contest) comparing <= 1'b1;
        end else if (compare_left != 6'd0) begin
            compare_mine  <= {compare_mine[30:0], 1'b0};
            compare_best  <= {compare_best[30:0], 1'b0};
            compare_value <= {compare_value[65:0], 1'b0} + {{33{compare_term[33]}}, compare_term};
            compare_left  <= compare_left - 6'd1;
        end else begin
            comparing <= 1'b0;
            compared  <= 1'b1;
            better    <= ~compare_value[66] & |compare_value;
        end

        // nearest rule: bits of a block into all rows of cells whose centre lies in this pixel row
        if (near_flush) begin
            bits_write       <= 1'b1;
            bits_write_row   <= flush_row;
            bits_write_block <= flush_block;
            bits_write_data  <= flush_bits;
            flush_row        <= flush_row + 1'b1;
            flush_left       <= flush_left - 1'b1;
            if (flush_left == {{(SB-1){1'b0}}, 1'b1}) near_flush <= 1'b0;
        end

        row_ends <= y == box_bottom | y_next >= {1'b0, row_value};

        sum_1 <= state == SUM_1;
        sum_2 <= sum_1;
        if (sum_2) bin_sum <= bin_sum + count_value;

        // words of the mask
        if (row_runs & masks_valid & masks_ready) begin
            word       <= masks_data;
            word_valid <= 1'b1;
            word_start <= next_start;
            next_start <= next_end;
            next_end   <= next_end + 17'd32;
            spans_done <= 1'b0;
            near_done  <= ~near_active | near_finished;
            if (next_end >= box_end) begin
                word_end   <= box_end;
                word_last  <= 1'b1;
                all_loaded <= 1'b1;
            end else begin
                word_end  <= next_end;
                word_last <= 1'b0;
            end
        end

        case (state)
            HEAD_0: begin
                box_left <= masks_data[15:0];
                box_top  <= masks_data[31:16];
                if (masks_valid & masks_ready) begin
                    if (&masks_data) begin
                        open  <= 1'b0;
                        state <= PUSH;
                    end else begin
                        state <= HEAD_1;
                    end
                end
            end
            HEAD_1: begin
                box_end           <= {1'b0, masks_data[15:0]} + 17'd1;
                box_bottom        <= masks_data[31:16];
                seek_column       <= {SB{1'b0}};
                seek_row          <= {SB{1'b0}};
                seek_block        <= {BB{1'b0}};
                seek_lane         <= 4'd0;
                seek_column_start <= 16'd0;
                seek_row_start    <= 16'd0;
                left_found        <= 1'b0;
                top_found         <= 1'b0;
                columns_found     <= 1'b0;
                rows_found        <= 1'b0;
                if (masks_valid) state <= SEEK;
            end
            SEEK: begin
                if (column_ready & ~columns_found) begin
                    if (~left_found & left_here) begin
                        left_found <= 1'b1;
                        left_cell  <= seek_column;
                        left_block <= seek_block;
                        left_lane  <= seek_lane;
                        left_start <= seek_column_start;
                    end
                    right_cell        <= seek_column;
                    right_block       <= seek_block;
                    columns_found     <= right_here;
                    seek_column       <= seek_column + 1'b1;
                    seek_column_start <= column_value;
                    seek_lane         <= seek_lane == LAST_LANE ? 4'd0 : seek_lane + 4'd1;
                    if (seek_lane == LAST_LANE) seek_block <= seek_block + 1'b1;
                end
                if (row_ready & ~rows_found) begin
                    if (~top_found & top_here) begin
                        top_found <= 1'b1;
                        top_cell  <= seek_row;
                        row_start <= seek_row_start;
                    end
                    bottom_cell    <= seek_row;
                    rows_found     <= bottom_here;
                    seek_row       <= seek_row + 1'b1;
                    seek_row_start <= row_value;
                end
                bin_i <= 6'd0;
                if (columns_found & rows_found) state <= bin_level != 6'd0 ? BOUNDS : CLAIM;
            end
            BOUNDS: state <= BOUNDS_1;
            BOUNDS_1: if (column_bounds_ready & row_bounds_ready) state <= BOUNDS_2;
            BOUNDS_2: state <= BOUNDS_3;
            BOUNDS_3: begin
                bin_left_pixel <= column_value;
                bin_top_pixel  <= row_value;
                if (column_ready) state <= BOUNDS_4;
            end
            BOUNDS_4: if (column_ready & row_ready) begin
                bin_i <= bin_i + 6'd1;
                state <= last_i ? CLAIM : BOUNDS_2;
            end
            CLAIM: begin
                any          <= 1'b0;
                near_any     <= 1'b0;
                best_found   <= 1'b0;
                best_some    <= 1'b0;
                fresh        <= 1'b1;
                relative_row <= {SB{1'b0}};
                cell_row     <= top_cell;
                y            <= box_top;
                near_active  <= 1'b0;
                near_at_row  <= top_cell;
                deciding_bins <= 1'b0;
                bits_write_row   <= top_cell;
                bits_write_block <= left_block;
                bits_write_data  <= {L{1'b0}};
                if (~slot_valid[slot_in]) begin
                    bits_write <= rule == NEAREST;
                    state      <= rule == NEAREST ? CLEAR : ROW;
                end
            end
            CLEAR: begin
                bits_write <= 1'b1;
                if (bits_write_block != right_block) begin
                    bits_write_block <= bits_write_block + 1'b1;
                end else begin
                    bits_write_block <= left_block;
                    bits_write_row   <= bits_write_row + 1'b1;
                    if (bits_write_row == bottom_cell) begin
                        bits_write <= 1'b0;
                        state      <= NEAR_WAIT;
                    end
                end
            end
            NEAR_WAIT: if (near_row_ready) state <= NEAR_SKIP;
            NEAR_SKIP: begin
                if (near_row_step) near_at_row <= near_at_row + 1'b1;
                else state <= NEAR_ROWS;
                near_first <= near_at_row;
                near_rows  <= {SB{1'b0}};
            end
            NEAR_ROWS: begin
                near_active <= near_rows != {SB{1'b0}};
                if (near_row_step) begin
                    near_at_row <= near_at_row + 1'b1;
                    near_rows   <= near_rows + 1'b1;
                end else begin
                    state <= ROW;
                end
            end
            ROW: begin
                cell_at       <= left_cell;
                position      <= 6'd0;
                span_first    <= 1'b1;
                word_valid    <= 1'b0;
                all_loaded    <= 1'b0;
                next_start    <= {1'b0, box_left};
                next_end      <= {1'b0, box_left} + 17'd32;
                near_cell     <= left_cell;
                near_block    <= left_block;
                near_lane     <= left_lane;
                near_bits     <= {L{1'b0}};
                near_placed   <= 1'b0;
                near_finished <= 1'b0;
                state         <= COUNT;
            end
            COUNT: begin
                if (span) begin
                    position   <= word_ends ? 6'd0 : span_end;
                    span_first <= cell_ends;
                    if (cell_ends) cell_at <= cell_at + 1'b1;
                    spans_done <= word_ends;
                end
                if (near_run) begin
                    if (!near_placed) begin
                        near_placed <= 1'b1;
                        near_inside <= {1'b0, near_column} >= word_start & {1'b0, near_column} < word_end;
                        near_later  <= {1'b0, near_column} >= word_end;
                        near_bit_at <= near_column[4:0] - word_start[4:0];
                    end else begin
                        near_placed <= 1'b0;
                        if (near_later & ~word_last) begin
                            near_done <= 1'b1;
                        end else begin
                            near_any    <= near_any | near_bit;
                            near_cell   <= near_cell + 1'b1;
                            near_lane   <= near_lane == LAST_LANE ? 4'd0 : near_lane + 4'd1;
                            near_bits   <= near_bits | (near_bit ? lane_one << near_lane : {L{1'b0}});
                            flush_bits  <= near_bits | (near_bit ? lane_one << near_lane : {L{1'b0}});
                            flush_row   <= near_first;
                            flush_left  <= near_rows;
                            flush_block <= near_block;
                            if (near_lane == LAST_LANE | near_cell == right_cell) begin
                                near_flush <= 1'b1;
                                near_block <= near_block + 1'b1;
                                near_bits  <= {L{1'b0}};
                            end
                            if (near_cell == right_cell) begin
                                near_done     <= 1'b1;
                                near_finished <= 1'b1;
                            end
                        end
                    end
                end
                if (word_valid & spans_done & near_done) begin
                    word_valid <= 1'b0;
                    if (word_last) state <= DRAIN;
                end
            end
            DRAIN: if (~counting & ~near_flush) begin
                any   <= any | near_any;
                fresh <= 1'b0;
                y     <= y_next[15:0];
                if (row_ends) state <= DECIDE;
                else state <= rule == NEAREST ? NEAR_SKIP : ROW;
            end
            DECIDE: begin
                row_height    <= row_value - row_start;
                cell_at       <= left_cell;
                issue_block   <= left_block;
                issue_lane    <= left_lane;
                column_before <= left_start;
                collected     <= {L{1'b0}};
                compared      <= 1'b0;
                state         <= DECIDE_1;
            end
            DECIDE_1: if (column_ready & go) begin
                column_before <= column_value;
                cell_at       <= cell_at + 1'b1;
                issue_lane    <= issue_lane == LAST_LANE ? 4'd0 : issue_lane + 4'd1;
                if (issue_lane == LAST_LANE) issue_block <= issue_block + 1'b1;
                if (issue_last) state <= DECIDE_2;
            end
            DECIDE_2: begin
                bin_j <= 6'd0;
                if (~decided) state <= bin_level != 6'd0 ? SUM : NEXT_ROW;
            end
            // The counts of the row's cells, summed for each column of bins, go to every row of bins that this row is in.
            SUM: begin
                bin_sum  <= 32'd0;
                bin_i    <= 6'd0;
                bin_at   <= {{(NB-6){1'b0}}, bin_j};
                state    <= SUM_2;
            end
            SUM_2: begin
                sum_cell <= left_cell + column_bin[SB-1:0];
                sum_end  <= left_cell + column_bin[2*SB-1:SB] - 1'b1;
                state    <= SUM_1;
            end
            SUM_1: begin
                sum_cell <= sum_cell + 1'b1;
                if (sum_cell == sum_end) state <= SUM_3;
            end
            SUM_3: if (~sum_1 & ~sum_2) state <= SUM_4;
            SUM_4: begin
                if (row_in_bin) begin
                    state <= SUM_5;
                end else begin
                    bin_i  <= bin_i + 6'd1;
                    bin_at <= bin_at + level_step;
                    if (last_i) begin
                        bin_j <= bin_j + 6'd1;
                        state <= last_j ? NEXT_ROW : SUM;
                    end else begin
                        state <= SUM_3;
                    end
                end
            end
            SUM_5: state <= SUM_6;
            SUM_6: begin
                bin_i  <= bin_i + 6'd1;
                bin_at <= bin_at + level_step;
                if (last_i) begin
                    bin_j <= bin_j + 6'd1;
                    state <= last_j ? NEXT_ROW : SUM;
                end else begin
                    state <= SUM_3;
                end
            end
            NEXT_ROW: begin
                fresh        <= 1'b1;
                row_start    <= row_value;
                relative_row <= relative_row + 1'b1;
                cell_row     <= cell_row + 1'b1;
                if (cell_row == bottom_cell) state <= FALL_BACK;
                else state <= rule == NEAREST ? NEAR_SKIP : ROW;
            end
            FALL_BACK: begin
                bits_write       <= ~any;
                bits_write_row   <= best_row;
                bits_write_block <= best_block;
                bits_write_data  <= lane_one << best_lane;
                any              <= 1'b0;
                best_found       <= 1'b0;
                best_some        <= 1'b0;
                deciding_bins    <= 1'b1;
                bin_i            <= 6'd0;
                bin_j            <= 6'd0;
                issue_index      <= {NB{1'b0}};
                state            <= bin_level != 6'd0 ? BIN_1 : PUSH;
            end
            BIN: begin
                issue_index <= issue_index + 1'b1;
                bin_j       <= bin_j + 6'd1;
                if (last_j) begin
                    bin_j <= 6'd0;
                    bin_i <= bin_i + 6'd1;
                end
                state <= last_j & last_i ? BIN_FALL_BACK : BIN_1;
            end
            BIN_1: if (~decided) state <= BIN;  // one at a time: nothing waits while the tables are read
            BIN_FALL_BACK: if (~decided) begin
                if (~any) begin
                    bin_write       <= 1'b1;
                    bin_write_index <= best_index;
                    bin_write_bit   <= 1'b1;
                end
                state <= PUSH;
            end
            PUSH: if (~slot_valid[slot_in]) begin
                slot_valid[slot_in]  <= 1'b1;
                slot_end[slot_in]    <= ~open;
                slot_window[slot_in] <= {top_cell, left_cell, bottom_cell + 1'b1, right_cell + 1'b1};
                slot_in              <= ~slot_in;
                state                <= HEAD_0;
            end
            default: state <= HEAD_0;
        endcase

        if (reset) begin
            state      <= HEAD_0;
            open       <= 1'b0;
            slot_valid <= 2'b00;
            slot_in    <= 1'b0;
            slot_out   <= 1'b0;
            comparing  <= 1'b0;
            compared   <= 1'b0;
            near_flush <= 1'b0;
            word_valid <= 1'b0;
            d1_valid   <= 1'b0;
            d2_valid   <= 1'b0;
            d3_valid   <= 1'b0;
            d4_valid   <= 1'b0;
            d5_valid   <= 1'b0;
            d6_valid   <= 1'b0;
        end
    end

`ifndef SYNTHESIS
    // The windows and rows of bits of every result, in order, one a cycle.
    /* verilator lint_off WIDTH */
    /* verilator lint_off BLKSEQ */
    localparam TRACE = SIDE > 64 ? SIDE : 64;
    logic [TRACE:0] traces [0:4095];
    integer         trace_in, trace_out, trace_y, trace_x;
    logic [TRACE-1:0] trace_bits;
    logic           pushed;
    always @(posedge clock) begin
        pushed             <= state == PUSH & ~slot_valid[slot_in] & open & ~reset;
        trace_window_valid <= 1'b0;
        trace_row_valid    <= 1'b0;
        if (trace_in != trace_out) begin
            trace_window_valid <= traces[trace_out % 4096][TRACE];
            trace_row_valid    <= ~traces[trace_out % 4096][TRACE];
            trace_window       <= traces[trace_out % 4096][63:0];
            trace_row          <= traces[trace_out % 4096][SIDE-1:0];
            trace_out = trace_out + 1;
        end
        if (pushed) begin
            trace_bits = {TRACE{1'b0}};
            trace_bits[63:48] = top_cell;
            trace_bits[47:32] = left_cell;
            trace_bits[31:16] = slot_window[~slot_in][2*SB-1:SB];
            trace_bits[15:0]  = slot_window[~slot_in][SB-1:0];
            traces[trace_in % 4096] = {1'b1, trace_bits};
            trace_in = trace_in + 1;
            for (trace_y = top_cell; trace_y <= bottom_cell; trace_y = trace_y + 1) begin
                trace_bits = {TRACE{1'b0}};
                for (trace_x = left_cell; trace_x <= right_cell; trace_x = trace_x + 1)
                    trace_bits[trace_x - left_cell] =
                        bits_words[((slot_in ? 0 : SIDE) + trace_y) * (1 << BB) + trace_x / L][trace_x % L];
                traces[trace_in % 4096] = {1'b0, trace_bits};
                trace_in = trace_in + 1;
            end
        end
        if (reset) begin
            trace_in  = 0;
            trace_out = 0;
        end
    end
    /* verilator lint_on BLKSEQ */
    /* verilator lint_on WIDTH */
`else
    assign trace_window_valid = 1'b0;
    assign trace_window       = 64'd0;
    assign trace_row_valid    = 1'b0;
    assign trace_row          = {SIDE{1'b0}};
`endif

endmodule
