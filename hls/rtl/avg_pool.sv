// Average of one lane: result = zero + rne_div(sum - taps * zero, count), where the sum runs over all taps of the window (those
// outside of the tensor contribute the zero point, so that they cancel) and count is the number of cells inside.
//
// Ports: begin_division with sum, offset (taps * zero) and count; result holds from 13 cycles later on until the next division
// ends. One quotient bit a cycle: a quotient has 8 bits at most, since no average exceeds the values it is made of.
module avg_pool (
    input  logic               clock,
    input  logic               begin_division,
    input  logic signed [31:0] sum,
    input  logic signed [31:0] offset,
    input  logic [15:0]        count,
    input  logic signed [7:0]  zero,
    output logic [7:0]         result
);

    logic signed [24:0] difference;
    logic [24:0]        remainder;
    logic [23:0]        divisor;
    logic [8:0]         quotient;
    logic               negative;
    logic [12:0]        stage;

    wire [24:0] trial = remainder - {1'b0, divisor};
    wire [25:0] twice = {remainder, 1'b0};
    wire up = twice > {10'd0, count} || (twice == {10'd0, count} && quotient[0]);
    logic [8:0] magnitude;

    always_ff @(posedge clock) begin
        stage <= {stage[11:0], begin_division};
        if (begin_division) difference <= sum[24:0] - offset[24:0];
        if (stage[0]) begin
            negative  <= difference[24];
            remainder <= difference[24] ? -difference : difference;
            divisor   <= {count, 8'd0};
            quotient  <= 9'd0;
        end else if (stage[9:1] != 9'd0) begin
            if (!trial[24]) remainder <= trial;
            quotient <= {quotient[7:0], !trial[24]};
            divisor  <= divisor >> 1;
        end
        if (stage[10]) magnitude <= quotient + {8'd0, up};
        if (stage[11]) result <= negative ? zero - magnitude[7:0] : zero + magnitude[7:0];
    end

endmodule
