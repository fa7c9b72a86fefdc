// One multiplier: product = a * b, both signed.
//
// Ports: a, b in; product out, 3 cycles later (input, pipeline and output register). No reset, no enable: what goes in comes
// out. This is the leaf that maps to a DSP block, so that the registers lie inside the block: yosys does not move them there
// by itself. With ECP5 defined it is a MULT18X18D, else plain behaviour of the same latency.
module multiplier #(
    parameter A_BITS = 9,
    parameter B_BITS = 18
) (
    input  logic                            clock,
    input  logic signed [A_BITS-1:0]        a,
    input  logic signed [B_BITS-1:0]        b,
    output logic signed [A_BITS+B_BITS-1:0] product
);

`ifdef ECP5
    wire [17:0] wide_a = {{(19 - A_BITS){a[A_BITS-1]}}, a[A_BITS-2:0]};
    wire [17:0] wide_b = {{(19 - B_BITS){b[B_BITS-1]}}, b[B_BITS-2:0]};
    wire [35:0] wide;
    assign product = wide[A_BITS+B_BITS-1:0];

    MULT18X18D #(
        .REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE0"), .REG_INPUTA_RST("RST0"),
        .REG_INPUTB_CLK("CLK0"), .REG_INPUTB_CE("CE0"), .REG_INPUTB_RST("RST0"),
        .REG_INPUTC_CLK("NONE"),
        .REG_PIPELINE_CLK("CLK0"), .REG_PIPELINE_CE("CE0"), .REG_PIPELINE_RST("RST0"),
        .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE0"), .REG_OUTPUT_RST("RST0"),
        .SOURCEB_MODE("B_SHIFT"), .MULT_BYPASS("DISABLED"), .RESETMODE("SYNC"), .GSR("DISABLED")
    ) block (
        .CLK0(clock), .CLK1(1'b0), .CLK2(1'b0), .CLK3(1'b0),
        .CE0(1'b1), .CE1(1'b1), .CE2(1'b1), .CE3(1'b1),
        .RST0(1'b0), .RST1(1'b0), .RST2(1'b0), .RST3(1'b0),
        .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
        .A0(wide_a[0]), .A1(wide_a[1]), .A2(wide_a[2]), .A3(wide_a[3]), .A4(wide_a[4]), .A5(wide_a[5]),
        .A6(wide_a[6]), .A7(wide_a[7]), .A8(wide_a[8]), .A9(wide_a[9]), .A10(wide_a[10]), .A11(wide_a[11]),
        .A12(wide_a[12]), .A13(wide_a[13]), .A14(wide_a[14]), .A15(wide_a[15]), .A16(wide_a[16]), .A17(wide_a[17]),
        .B0(wide_b[0]), .B1(wide_b[1]), .B2(wide_b[2]), .B3(wide_b[3]), .B4(wide_b[4]), .B5(wide_b[5]),
        .B6(wide_b[6]), .B7(wide_b[7]), .B8(wide_b[8]), .B9(wide_b[9]), .B10(wide_b[10]), .B11(wide_b[11]),
        .B12(wide_b[12]), .B13(wide_b[13]), .B14(wide_b[14]), .B15(wide_b[15]), .B16(wide_b[16]), .B17(wide_b[17]),
        .P0(wide[0]), .P1(wide[1]), .P2(wide[2]), .P3(wide[3]), .P4(wide[4]), .P5(wide[5]), .P6(wide[6]), .P7(wide[7]),
        .P8(wide[8]), .P9(wide[9]), .P10(wide[10]), .P11(wide[11]), .P12(wide[12]), .P13(wide[13]), .P14(wide[14]),
        .P15(wide[15]), .P16(wide[16]), .P17(wide[17]), .P18(wide[18]), .P19(wide[19]), .P20(wide[20]), .P21(wide[21]),
        .P22(wide[22]), .P23(wide[23]), .P24(wide[24]), .P25(wide[25]), .P26(wide[26]), .P27(wide[27]), .P28(wide[28]),
        .P29(wide[29]), .P30(wide[30]), .P31(wide[31]), .P32(wide[32]), .P33(wide[33]), .P34(wide[34]), .P35(wide[35])
    );
`else
    logic signed [A_BITS-1:0]        input_a;
    logic signed [B_BITS-1:0]        input_b;
    logic signed [A_BITS+B_BITS-1:0] pipeline;

    always_ff @(posedge clock) begin
        input_a  <= a;
        input_b  <= b;
        pipeline <= input_a * input_b;
        product  <= pipeline;
    end
`endif

endmodule
