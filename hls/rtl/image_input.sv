// Input: stores the image stream in its ring, one row ahead of the program.
//
// Ports:
//   header fields    address of the ring, words of a row, rows of the ring, width, height, groups of a cell
//   begin_image      one cycle: expect the first cell of the first row
//   image_*          stream, groups of a cell after each other, cells from left to right, rows from top to bottom; u8
//   write_*          request: a word into bank write_lane; taken in a cycle with write_grant
//   row_stored       a row is complete that the program has not taken yet; row_taken: it does so now
// Latency: a beat waits in one register until it is granted.
//
// Row j may be stored once the program has taken row j - 1: until then, the rows of the ring that it would overwrite may
// still be read.
module image_input #(
    parameter PE = 8,
    parameter L = 8
) (
    input  logic            clock,
    input  logic            reset,
    input  logic [15:0]     ring_address,
    input  logic [15:0]     row_words,
    input  logic [15:0]     ring_rows,
    input  logic [15:0]     width,
    input  logic [15:0]     height,
    input  logic [15:0]     groups,
    input  logic            begin_image,
    input  logic            image_valid,
    output logic            image_ready,
    input  logic [8*PE-1:0] image_data,
    output logic            write_request,
    output logic [3:0]      write_lane,
    output logic [15:0]     write_address,
    output logic [8*PE-1:0] write_data,
    input  logic            write_grant,
    output logic            row_stored,
    input  logic            row_taken
);

    logic        active;
    logic [15:0] row, row_in_ring, row_start, x, group, cell_address, stored;    // stored: rows complete and not taken
    logic [3:0]  lane;
    logic [1:0]  ahead;                                     // rows begun and not taken
    logic        end_pending;                               // the beat in the register ends a row

    logic last_group, last_cell, last_lane;                 // of the next beat
    logic last_row, last_in_ring;                           // of the row; a row begins only after the one before it is taken
    wire  one_group = groups == 16'd1;
    wire  one_cell  = width == 16'd1;
    wire row_end    = last_group & last_cell;
    wire accepted   = image_valid & image_ready;
    wire written    = write_request & write_grant;

    assign image_ready = active & (ahead == 2'd0) & (!write_request | write_grant);
    assign row_stored  = stored != 16'd0;

    always_ff @(posedge clock) begin
        if (reset) begin
            active        <= 1'b0;
            write_request <= 1'b0;
            stored        <= 16'd0;
            ahead         <= 2'd0;
        end else begin
            stored <= stored + {15'd0, written & end_pending} - {15'd0, row_taken};
            ahead  <= ahead + {1'b0, accepted & row_end} - {1'b0, row_taken};
            if (accepted) write_request <= 1'b1;
            else if (write_grant) write_request <= 1'b0;
            if (begin_image) active <= 1'b1;
            else if (accepted & row_end & last_row) active <= 1'b0;
        end

        if (begin_image) begin
            row          <= 16'd0;
            row_in_ring  <= 16'd0;
            row_start    <= ring_address;
            cell_address <= ring_address;
            x            <= 16'd0;
            lane         <= 4'd0;
            group        <= 16'd0;
            last_group   <= one_group;
            last_cell    <= one_cell;
            last_lane    <= L == 1;
            last_row     <= height == 16'd1;
            last_in_ring <= ring_rows == 16'd1;
        end else if (accepted) begin
            write_lane    <= lane;
            write_address <= cell_address + group;
            write_data    <= image_data ^ {PE{8'h80}};      // u8 to i8: minus 128
            end_pending   <= row_end;
            group         <= last_group ? 16'd0 : group + 16'd1;
            last_group    <= last_group ? one_group : group + 16'd2 == groups;
            if (last_group) begin
                x         <= last_cell ? 16'd0 : x + 16'd1;
                last_cell <= last_cell ? one_cell : x + 16'd2 == width;
                lane      <= last_cell | last_lane ? 4'd0 : lane + 4'd1;
                last_lane <= L == 1 || (!last_cell && !last_lane && lane == L - 2);
                if (last_lane) cell_address <= cell_address + groups;
            end
            if (row_end) begin
                row         <= row + 16'd1;
                row_in_ring <= last_in_ring ? 16'd0 : row_in_ring + 16'd1;
                row_start   <= last_in_ring ? ring_address : row_start + row_words;
                cell_address <= last_in_ring ? ring_address : row_start + row_words;
            end
        end else begin
            last_row     <= row + 16'd1 == height;
            last_in_ring <= row_in_ring + 16'd1 == ring_rows;
        end
    end

endmodule
