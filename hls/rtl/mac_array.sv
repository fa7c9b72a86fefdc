// The array: PE * L products a cycle, an accumulator for each.
//
// Ports:
//   a            operand of every (lane, channel): activations, a byte each, channel 0 of lane 0 lowest
//   b            operand of every channel, the same in all lanes: 18 bits each, signed
//   valid        a product is to be added; first: to zero instead of the sum so far; last: it completes the group
//   sums         sums of channel `channel` of all lanes, 32 bits each, 1 cycle after `channel`
//   done         the shadow registers change at the end of this cycle: `channel` may begin with 0 in the next one
// Latency: 5 cycles from a, b to the accumulator (a register on the way to each lane, 3 in the multiplier), `done` in the cycle
// in which the sum is there.
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

    logic [3:1] valids, firsts, lasts;          // stages 1 to 3
    logic       lasting;                        // 4
    logic [L*8*PE-1:0] near_a;

    always_ff @(posedge clock) near_a <= a;

    always_ff @(posedge clock) begin
        valids <= reset ? 3'd0 : {valids[2:1], valid};
        firsts <= {firsts[2:1], first};
        lasts  <= {lasts[2:1], last};
        lasting <= !reset & valids[3] & lasts[3];
        done    <= !reset & lasting;
    end

    genvar l, p;
    generate
        for (l = 0; l < L; l = l + 1) begin : lane
            wire [PE*32-1:0] shadows;
            wire [PE*18-1:0] near_b;
            wire             now, first_now, done_now;
            replica #(.WIDTH(PE * 18 + 3)) copy (
                .clock(clock), .d({b, !reset & valids[3], firsts[3], !reset & lasting}), .q({near_b, now, first_now, done_now})
            );
            for (p = 0; p < PE; p = p + 1) begin : channels
                wire signed [25:0] product;
                logic signed [31:0] accumulator, shadow;
                multiplier #(.A_BITS(8), .B_BITS(18)) times (
                    .clock(clock), .a(near_a[(l*PE+p)*8 +: 8]), .b(near_b[p*18 +: 18]), .product(product)
                );
                always_ff @(posedge clock) begin
                    if (now) accumulator <= (first_now ? 32'sd0 : accumulator) + product;
                    if (done_now) shadow <= accumulator;
                end
                assign shadows[p*32 +: 32] = shadow;
            end
            always_ff @(posedge clock) sums[l*32 +: 32] <= shadows[channel[$clog2(PE)-1:0]*32 +: 32];
        end
    endgenerate

endmodule
