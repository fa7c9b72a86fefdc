// Segments from masks to logits, but for the layers between: projection, pooling, batches of L segments, logits.
//
// Ports: see PORTS.md. A segment is projected while the one before it is pooled, and a batch is pooled while the array runs the
// one before it. Masks of a frame are taken from frame_begin (and a look through the pyramid) up to its end marker.
module scoring #(
    parameter PE = 8,
    parameter L = 8,
    parameter SIDE = 256,
    parameter CLASSES = 16
) (
    input  logic              clock,
    input  logic              reset,
    input  logic              configuration_write,
    input  logic [16:0]       configuration_address,
    input  logic [31:0]       configuration_data,
    input  logic [15:0]       image_width,
    input  logic [15:0]       image_height,
    input  logic [15:0]       map_address,
    input  logic [15:0]       map_row_words,
    input  logic [15:0]       map_groups,
    input  logic [7:0]        map_zero_point,
    input  logic [15:0]       map_height,
    input  logic [15:0]       map_width,
    input  logic [1:0]        mask_rule,
    input  logic [31:0]       mask_threshold,
    input  logic [7:0]        pyramid_entries,
    input  logic [15:0]       pooled_even,
    input  logic [15:0]       pooled_odd,
    input  logic [15:0]       classes,
    input  logic              frame_begin,
    input  logic              map_ready,
    input  logic              masks_valid,
    output logic              masks_ready,
    input  logic [31:0]       masks_data,
    output logic              read_request,
    output logic [15:0]       read_address,
    input  logic              read_grant,
    input  logic              read_valid,
    input  logic [8*PE*L-1:0] read_data,
    output logic              write_request,
    output logic [3:0]        write_lane,
    output logic [15:0]       write_address,
    output logic [8*PE-1:0]   write_data,
    input  logic              write_grant,
    output logic              batch_valid,
    output logic              batch_odd,
    output logic [4:0]        batch_count,
    output logic              batch_last,
    input  logic              batch_taken,
    output logic              logits_free,
    input  logic              logit_valid,
    input  logic [15:0]       logit_class,
    input  logic [16*L-1:0]   logit_values,
    input  logic              batch_done,
    output logic              logits_valid,
    input  logic              logits_ready,
    output logic [31:0]       logits_data,
    output logic              logits_last,
    output logic              frame_done,
    output logic              trace_window_valid,
    output logic [63:0]       trace_window,
    output logic              trace_row_valid,
    output logic [SIDE-1:0]   trace_row
);

    localparam SB = $clog2(SIDE);
    localparam BLOCKS = (SIDE + L - 1) / L;
    localparam BB = BLOCKS > 1 ? $clog2(BLOCKS) : 1;
    localparam BINS = 1024, NB = 10;            // the finest level of Design B has at most 32 x 32 bins
    localparam ENTRIES = 32, EB = 7;
    localparam [4:0] LANES = L;

    wire unused = &{1'b0, image_width, image_height, mask_threshold[31:17], map_height[15:SB], map_width[15:SB]};

    // Configuration: columns, rows, pyramid. One register stage.
    logic          geometry_write, geometry_rows, pyramid_write;
    logic [SB-1:0] geometry_cell;
    logic [EB-1:0] pyramid_address;
    logic [31:0]   table_data;
    wire  [16-SB:0] table_number = configuration_address[16:SB];
    wire  [16:0]   pyramid_word = configuration_address - 17'(2 * SIDE);
    always_ff @(posedge clock) begin
        geometry_write  <= configuration_write & table_number[16-SB:1] == 0;
        geometry_rows   <= table_number[0];
        geometry_cell   <= configuration_address[SB-1:0];
        pyramid_write   <= configuration_write & table_number[16-SB:1] != 0 & pyramid_word < 4 * ENTRIES;
        pyramid_address <= pyramid_word[EB-1:0];
        table_data      <= configuration_data;
    end

    wire           scanned;
    wire  [5:0]    bin_level;
    wire           segment_valid, segment_end;
    wire  [SB-1:0] top, left, bottom, right;
    logic          segment_done;
    wire           bits_next, bin_next, bin_bit, pooled_segment;
    wire  [SB-1:0] bits_row;
    wire  [BB-1:0] bits_block;
    wire  [L-1:0]  bits;
    wire  [NB-1:0] bin_index;
    logic          pool;

    mask_projection #(.L(L), .SIDE(SIDE), .BINS(BINS)) mask_projection (
        .clock(clock), .reset(reset),
        .geometry_write(geometry_write), .geometry_rows(geometry_rows), .geometry_cell(geometry_cell),
        .geometry_data(table_data), .map_height(map_height[SB-1:0]), .map_width(map_width[SB-1:0]),
        .rule(mask_rule), .threshold(mask_threshold[16:0]), .bin_level(bin_level), .begin_frame(scanned),
        .masks_valid(masks_valid), .masks_ready(masks_ready), .masks_data(masks_data),
        .segment_valid(segment_valid), .segment_end(segment_end),
        .top(top), .left(left), .bottom(bottom), .right(right), .segment_done(segment_done),
        .bits_next(bits_next), .bits_row(bits_row), .bits_block(bits_block), .bits(bits),
        .bin_next(bin_next), .bin_index(bin_index), .bin_bit(bin_bit),
        .trace_window_valid(trace_window_valid), .trace_window(trace_window),
        .trace_row_valid(trace_row_valid), .trace_row(trace_row)
    );

    masked_spp #(.PE(PE), .L(L), .SIDE(SIDE), .BINS(BINS), .ENTRIES(ENTRIES)) masked_spp (
        .clock(clock), .reset(reset),
        .pyramid_write(pyramid_write), .pyramid_address(pyramid_address), .pyramid_data(table_data),
        .entries(pyramid_entries), .map_address(map_address), .map_row_words(map_row_words), .map_groups(map_groups),
        .zero_point(map_zero_point), .begin_frame(frame_begin), .scanned(scanned), .bin_level(bin_level),
        .start(pool), .top(top), .left(left), .bottom(bottom), .right(right), .lane(batch_count[3:0]),
        .pooled(batch_odd ? pooled_odd : pooled_even), .done(pooled_segment),
        .bits_next(bits_next), .bits_row(bits_row), .bits_block(bits_block), .bits(bits),
        .bin_next(bin_next), .bin_index(bin_index), .bin_bit(bin_bit),
        .read_request(read_request), .read_address(read_address), .read_grant(read_grant),
        .read_valid(read_valid), .read_data(read_data),
        .write_request(write_request), .write_lane(write_lane), .write_address(write_address), .write_data(write_data),
        .write_grant(write_grant)
    );

    // Batches: lanes fill up until there are L, or the frame ends.
    localparam [1:0] CLOSED = 2'd0, NEXT = 2'd1, POOLING = 2'd2, BATCH = 2'd3;
    logic [1:0] state;
    wire        next_segment = state == NEXT & segment_valid & map_ready;
    assign pool         = next_segment & ~segment_end;
    assign segment_done = (next_segment & segment_end) | (state == POOLING & pooled_segment);
    assign batch_valid  = state == BATCH;

    always_ff @(posedge clock) begin
        case (state)
            CLOSED: begin
                batch_count <= 5'd0;
                batch_odd   <= 1'b0;
                batch_last  <= 1'b0;
                if (scanned) state <= NEXT;
            end
            NEXT: if (next_segment) begin
                batch_last <= segment_end;
                state      <= segment_end ? BATCH : POOLING;
            end
            POOLING: if (pooled_segment) begin
                batch_count <= batch_count + 5'd1;
                state       <= batch_count + 5'd1 == LANES ? BATCH : NEXT;
            end
            BATCH: if (batch_taken) begin
                batch_count <= 5'd0;
                batch_odd   <= ~batch_odd;
                state       <= batch_last ? CLOSED : NEXT;
            end
        endcase
        if (reset) state <= CLOSED;
    end

    logits #(.L(L), .CLASSES(CLASSES)) logits (
        .clock(clock), .reset(reset), .begin_frame(frame_begin), .classes(classes),
        .taken(batch_taken), .taken_count(batch_count), .taken_last(batch_last), .batch_done(batch_done),
        .logits_free(logits_free), .logit_valid(logit_valid), .logit_class(logit_class), .logit_values(logit_values),
        .logits_valid(logits_valid), .logits_ready(logits_ready), .logits_data(logits_data), .logits_last(logits_last),
        .frame_done(frame_done)
    );

endmodule
