// The bins of one axis of a pyramid level: bin i of n over `size` cells is [floor(i size / n), ceil((i + 1) size / n)).
//
// Ports: start takes size and n (1 to 63) and divides, a bit a cycle; ready is high SIZE_BITS + 2 cycles later and bin 0 is at
// first, last (last is exclusive). restart goes back to bin 0, next to the following one (both in a cycle, only while
// ready, and at least 4 cycles apart). No divider but the serial one: a step adds the quotient, and the carry of the remainders.
module bin_bounds #(
    parameter SIZE_BITS = 8
) (
    input  logic                 clock,
    input  logic                 reset,
    input  logic                 start,
    input  logic [SIZE_BITS-1:0] size,
    input  logic [5:0]           n,
    input  logic                 restart,
    input  logic                 next,
    output logic                 ready,
    output logic [SIZE_BITS-1:0] first,
    output logic [SIZE_BITS-1:0] last
);

    logic [5:0]           level;
    logic [SIZE_BITS-1:0] quotient;         // the dividend leaves at the top, the quotient enters at the bottom
    logic [5:0]           remainder;
    logic [SIZE_BITS-1:0] steps;            // one bit moves up: the division is over when it falls out
    logic                 dividing;
    logic [SIZE_BITS-1:0] following;        // floor((i + 1) size / n)
    logic [5:0]           rest;             // (i + 1) size mod n

    wire [6:0] shifted = {remainder, quotient[SIZE_BITS-1]};
    wire [7:0] reduced = {1'b0, shifted} - {2'b00, level};
    logic [6:0] sum, sum_later;             // of the remainders, and what is left of it, a step a cycle
    logic [7:0] less;
    wire        carry = ~less[7];

    always_ff @(posedge clock) begin
        sum       <= {1'b0, rest} + {1'b0, remainder};
        sum_later <= sum;
        less      <= {1'b0, sum} - {2'b00, level};
        if (reset) begin
            dividing <= 1'b0;
            ready    <= 1'b0;
        end else if (start) begin
            level     <= n;
            quotient  <= size;
            remainder <= 6'd0;
            steps     <= {{(SIZE_BITS-1){1'b0}}, 1'b1};
            dividing  <= 1'b1;
            ready     <= 1'b0;
        end else if (dividing) begin
            quotient  <= {quotient[SIZE_BITS-2:0], ~reduced[7]};
            remainder <= reduced[7] ? shifted[5:0] : reduced[5:0];
            steps     <= {steps[SIZE_BITS-2:0], 1'b0};
            if (steps[SIZE_BITS-1]) dividing <= 1'b0;
        end else if (!ready || restart) begin
            ready     <= 1'b1;
            first     <= {SIZE_BITS{1'b0}};
            following <= quotient;
            rest      <= remainder;
        end else if (next) begin
            first     <= following;
            following <= following + quotient + {{(SIZE_BITS-1){1'b0}}, carry};
            rest      <= carry ? less[5:0] : sum_later[5:0];
        end
    end

`ifdef FAULT_BIN
    assign last = following;
`else
    assign last = following + {{(SIZE_BITS-1){1'b0}}, rest != 6'd0};
`endif

endmodule
