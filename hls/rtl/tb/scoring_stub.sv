// In place of scoring.sv for benches of the array's path alone: says at once that the frame has no segments.
// Ports: as scoring.sv.
module scoring #(
    parameter PE = 8, parameter L = 8, parameter SIDE = 256, parameter CLASSES = 16
) (
    input  logic clock, input logic reset,
    input  logic configuration_write, input logic [16:0] configuration_address, input logic [31:0] configuration_data,
    input  logic [15:0] image_width, input logic [15:0] image_height, input logic [15:0] map_address,
    input  logic [15:0] map_row_words, input logic [15:0] map_groups, input logic [7:0] map_zero_point,
    input  logic [15:0] map_height, input logic [15:0] map_width, input logic [1:0] mask_rule,
    input  logic [31:0] mask_threshold, input logic [7:0] pyramid_entries, input logic [15:0] pooled_even,
    input  logic [15:0] pooled_odd, input logic [15:0] classes, input logic frame_begin, input logic map_ready,
    input  logic masks_valid, output logic masks_ready, input logic [31:0] masks_data,
    output logic read_request, output logic [15:0] read_address, input logic read_grant,
    input  logic read_valid, input logic [L*8*PE-1:0] read_data,
    output logic write_request, output logic [3:0] write_lane, output logic [15:0] write_address,
    output logic [8*PE-1:0] write_data, input logic write_grant,
    output logic batch_valid, output logic batch_odd, output logic [4:0] batch_count, output logic batch_last,
    input  logic batch_taken, output logic logits_free, input logic logit_valid, input logic [15:0] logit_class,
    input  logic [L*16-1:0] logit_values, input logic batch_done,
    output logic logits_valid, input logic logits_ready, output logic [31:0] logits_data, output logic logits_last,
    output logic frame_done, output logic trace_window_valid, output logic [63:0] trace_window,
    output logic trace_row_valid, output logic [SIDE-1:0] trace_row
);
    assign masks_ready = 1'b0;
    assign write_request = 1'b0;
    assign write_lane = 4'd0;
    assign write_address = 16'd0;
    assign write_data = {8*PE{1'b0}};
    assign batch_valid = map_ready;
    assign batch_odd = 1'b0;
    assign batch_count = 5'd0;
    assign batch_last = 1'b1;
    assign logits_free = 1'b1;
    assign logits_valid = 1'b0;
    assign logits_last = 1'b0;
    assign frame_done = batch_done;
    assign trace_window_valid = 1'b0;
    assign trace_window = 64'd0;
    assign trace_row_valid = 1'b0;
    assign trace_row = {SIDE{1'b0}};

`ifdef SYNTHESIS
    // so that the results reach a pin
    logic [15:0]         address;
    logic [L*8*PE-1:0]   seen;
    logic [L*16-1:0]     values;
    logic                folded;
    integer i;
    always_ff @(posedge clock) begin
        address <= read_grant ? address + 16'd1 : address;
        if (read_valid) seen <= read_data; else seen <= {seen[0], seen[L*8*PE-1:1]};
        if (logit_valid) values <= logit_values; else values <= {values[0], values[L*16-1:1]};
        folded <= seen[0] ^ values[0];
    end
    assign read_request = map_ready;
    assign read_address = address;
    assign logits_data  = {31'd0, folded};
`else
    assign read_request = 1'b0;
    assign read_address = 16'd0;
    assign logits_data  = 32'd0;
`endif
endmodule
