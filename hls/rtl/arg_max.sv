// The class with the largest logit, the smallest of equals, of logits that come in the order of the classes.
//
// Ports: valid, first, value, index in; best out, one cycle later.
module arg_max (
    input  logic               clock,
    input  logic               valid,
    input  logic               first,
    input  logic signed [15:0] value,
    input  logic [15:0]        index,
    output logic [15:0]        best
);

    logic signed [15:0] largest;

    always_ff @(posedge clock) begin
`ifdef FAULT_TIE
        if (valid & (first | value >= largest)) begin
`else
        if (valid & (first | value > largest)) begin
`endif
            largest <= value;
            best    <= index;
        end
    end

endmodule
