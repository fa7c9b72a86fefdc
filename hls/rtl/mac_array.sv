// The array: PE * L products a cycle, an accumulator for each.
//
// Ports:
//   a            operand of every (lane, channel): activations, a byte each, channel 0 of lane 0 lowest
//   b            operand of every channel, the same in all lanes: 18 bits each, signed
//   valid        a product is to be added; first: to zero instead of the sum so far; last: it completes the group
//   sums         sums of channel `channel` of all lanes, 32 bits each, 1 cycle after `channel`
//   done         the shadow registers change at the end of this cycle: `channel` may begin with 0 in the next one
// Latency: 4 cycles from a, b to the accumulator (3 in the multiplier), `done` in the cycle in which the sum is there.
//
// The shadow registers take the sums of a group so that the next group can be accumulated while its channels drain. Groups
// must therefore end PE cycles apart, or as many as the drain takes.
module mac_array #(
    parameter PE = 8,
    parameter L = 8
) (
    input  logic                clock,
    input  logic                reset,
    input  logic [L*8*PE-1:0]   a,
    input  logic [PE*18-1:0]    b,
    input  logic                valid,
    input  logic                first,
    input  logic                last,
    output logic                done,
    input  logic [3:0]          channel,
    output logic [L*32-1:0]     sums
);

    logic [2:0] valids, firsts, lasts;

    always_ff @(posedge clock) begin
        valids <= reset ? 3'd0 : {valids[1:0], valid};
        firsts <= {firsts[1:0], first};
        lasts  <= {lasts[1:0], last};
        done   <= !reset & valids[2] & lasts[2];
    end

    genvar l, p;
    generate
        for (l = 0; l < L; l = l + 1) begin : lane
            wire [PE*32-1:0] shadows;
            for (p = 0; p < PE; p = p + 1) begin : channels
                wire signed [25:0] product;
                logic signed [31:0] accumulator, shadow;
                multiplier #(.A_BITS(8), .B_BITS(18)) times (
                    .clock(clock), .a(a[(l*PE+p)*8 +: 8]), .b(b[p*18 +: 18]), .product(product)
                );
                always_ff @(posedge clock) begin
                    if (valids[2]) accumulator <= (firsts[2] ? 32'sd0 : accumulator) + product;
                    if (done) shadow <= accumulator;
                end
                assign shadows[p*32 +: 32] = shadow;
            end
            always_ff @(posedge clock) sums[l*32 +: 32] <= shadows[channel[$clog2(PE)-1:0]*32 +: 32];
        end
    endgenerate

endmodule
