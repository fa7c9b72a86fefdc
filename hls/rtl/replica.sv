// A register that stays what it is: synthesis would make one of several with the same input, and the one would have to drive
// far wires. Replicas are for what goes everywhere (resets, operands that all lanes share).
//
// Ports: d in, q out a cycle later. With ECP5 defined these are its flip-flops, which yosys does not merge, else plain behaviour.
module replica #(
    parameter WIDTH = 1
) (
    input  logic             clock,
    input  logic [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);

`ifdef ECP5
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : bit_of
            TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), .REGSET("RESET")) register (
                .CLK(clock), .LSR(1'b0), .CE(1'b1), .DI(d[i]), .Q(q[i])
            );
        end
    endgenerate
`else
    always_ff @(posedge clock) q <= d;
`endif

endmodule
