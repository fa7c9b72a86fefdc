// Requantization of one lane: result = clamp(zero + rne((accumulator + bias) * mantissa, shift), low, high).
//
// Ports: accumulator, bias, mantissa, shift in, one channel a cycle; zero, low, high constant during an operation; result out
// LATENCY cycles later: 7, with GENERAL_SCALE 11. Without GENERAL_SCALE every mantissa is 2^14, so that the product is a
// shift by 14 to the left, taken off `shift`.
//
// One step a stage: add, (multiply,) shift by 16s, by 4s, by 1s, saturate, round and add the zero point, clamp. What a shift
// drops is kept as one guard bit (the half) and one sticky bit (anything below it): rounding needs no more. Saturation to
// 18 bits before the adder is safe: a value outside of them is outside of every (low, high), and rounding keeps it there.
module requantize #(
    parameter GENERAL_SCALE = 0
) (
    input  logic               clock,
    input  logic signed [31:0] accumulator,
    input  logic signed [31:0] bias,
    input  logic [15:0]        mantissa,
    input  logic [5:0]         shift,
    input  logic signed [7:0]  zero,
    input  logic signed [15:0] low,
    input  logic signed [15:0] high,
    output logic signed [15:0] result
);

    localparam W = GENERAL_SCALE ? 48 : 32;

    // add
    logic signed [31:0] total;
    logic [5:0]         total_shift;
    always_ff @(posedge clock) begin
        total       <= accumulator + bias;
        total_shift <= GENERAL_SCALE ? shift : shift - 6'd14;
    end

    // multiply
    logic signed [W-1:0] scaled;
    logic [5:0]          scaled_shift;
    generate
        if (GENERAL_SCALE) begin : general
            logic [15:0]        total_mantissa;
            logic [23:0]        shifts;
            wire signed [33:0]  upper;                  // (total >> 16) * mantissa
            wire signed [34:0]  lower;                  // (total & 0xffff) * mantissa
            multiplier #(.A_BITS(16), .B_BITS(18)) upper_half (
                .clock(clock), .a(total[31:16]), .b({2'b00, total_mantissa}), .product(upper)
            );
            multiplier #(.A_BITS(17), .B_BITS(18)) lower_half (
                .clock(clock), .a({1'b0, total[15:0]}), .b({2'b00, total_mantissa}), .product(lower)
            );
            always_ff @(posedge clock) begin
                total_mantissa <= mantissa;
                shifts         <= {shifts[17:0], total_shift};
                scaled         <= {upper[31:0], 16'd0} + {{13{lower[34]}}, lower};
            end
            assign scaled_shift = shifts[23:18];
        end else begin : power
            assign scaled       = total;
            assign scaled_shift = total_shift;
        end
    endgenerate

    // shift
    wire signed [W:0]   u0 = {scaled, 1'b0};            // the lowest bit is the guard bit
    logic signed [W:0]  u1, u2, u3;
    logic               sticky1, sticky2, sticky3;
    logic [3:0]         shift1;
    logic [1:0]         shift2;
    always_ff @(posedge clock) begin
        shift1 <= scaled_shift[3:0];
        case (scaled_shift[5:4])
            2'd0: begin u1 <= u0;        sticky1 <= 1'b0;       end
            2'd1: begin u1 <= u0 >>> 16; sticky1 <= |u0[15:0];  end
            2'd2: begin u1 <= u0 >>> 32; sticky1 <= |u0[31:0];  end
            2'd3: begin u1 <= u0 >>> 48; sticky1 <= |u0;        end
        endcase
        shift2 <= shift1[1:0];
        case (shift1[3:2])
            2'd0: begin u2 <= u1;        sticky2 <= sticky1;              end
            2'd1: begin u2 <= u1 >>> 4;  sticky2 <= sticky1 | |u1[3:0];   end
            2'd2: begin u2 <= u1 >>> 8;  sticky2 <= sticky1 | |u1[7:0];   end
            2'd3: begin u2 <= u1 >>> 12; sticky2 <= sticky1 | |u1[11:0];  end
        endcase
        case (shift2)
            2'd0: begin u3 <= u2;       sticky3 <= sticky2;            end
            2'd1: begin u3 <= u2 >>> 1; sticky3 <= sticky2 | u2[0];    end
            2'd2: begin u3 <= u2 >>> 2; sticky3 <= sticky2 | |u2[1:0]; end
            2'd3: begin u3 <= u2 >>> 3; sticky3 <= sticky2 | |u2[2:0]; end
        endcase
    end

    // saturate
    wire                fits = &u3[W:18] | ~|u3[W:18];
    logic signed [17:0] kept;
    logic               up;
    always_ff @(posedge clock) begin
        kept <= fits ? u3[18:1] : {u3[W], {17{~u3[W]}}};
`ifdef FAULT_ROUND
        up   <= fits & u3[0];
`else
        up   <= fits & u3[0] & (sticky3 | u3[1]);
`endif
    end

    // round and add the zero point, clamp
    logic signed [18:0] rounded;
    always_ff @(posedge clock) begin
        rounded <= kept + zero + $signed({1'b0, up});
        if (rounded < low)       result <= low;
        else if (rounded > high) result <= high;
        else                     result <= rounded[15:0];
    end

endmodule
