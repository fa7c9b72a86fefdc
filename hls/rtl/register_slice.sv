// A register in a stream that cuts both ways: within a cycle, neither valid nor ready depends on the other side. No bubbles.
//
// Ports: in_*, out_*: valid/ready streams; a word leaves a cycle after it came, or later.
module register_slice #(
    parameter WIDTH = 32
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data
);

    logic             spare_valid;              // a word that came while the one before it could not leave
    logic [WIDTH-1:0] spare;
    wire              move = !out_valid | out_ready;

    assign in_ready = !spare_valid & !reset;     // what came in a reset would be lost

    always_ff @(posedge clock) begin
        if (move) out_data <= spare_valid ? spare : in_data;
        if (!spare_valid) spare <= in_data;
        if (reset) begin
            out_valid   <= 1'b0;
            spare_valid <= 1'b0;
        end else begin
            if (move) out_valid <= spare_valid | in_valid;
            spare_valid <= !move & (spare_valid | in_valid);
        end
    end

endmodule
