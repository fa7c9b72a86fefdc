// Bench of requantize: random and corner values against the definition, in 64 bits with a remainder.
// Plusargs: seed=N, count=N. Parameter: GENERAL_SCALE.
`timescale 1ns/1ps
module tb_requantize;
    parameter GENERAL_SCALE = 0;
    localparam LATENCY = GENERAL_SCALE ? 11 : 7;

    logic clock = 1'b0;
    always #5 clock = !clock;

    logic signed [31:0] accumulator, bias;
    logic [15:0]        mantissa;
    logic [5:0]         shift;
    logic signed [7:0]  zero = 8'sd0;
    logic signed [15:0] low = -16'sd32768, high = 16'sd32767;
    wire  signed [15:0] result;
    requantize #(.GENERAL_SCALE(GENERAL_SCALE)) dut (
        .clock(clock), .accumulator(accumulator), .bias(bias), .mantissa(mantissa), .shift(shift), .zero(zero), .low(low),
        .high(high), .result(result)
    );

    function automatic signed [15:0] expected(input signed [31:0] t, input [15:0] m, input [5:0] s);
        reg signed [63:0] v, q, rest, half;
        begin
            v = t;
            v = v * $signed({48'd0, m});
            if (s == 6'd0) q = v;
            else begin
                q    = v >>> s;
                rest = v - (q <<< s);
                half = 64'sd1 <<< (s - 6'd1);
                if (rest > half || (rest == half && q[0])) q = q + 64'sd1;
            end
            q = q + zero;
            expected = q < low ? low : q > high ? high : q[15:0];
        end
    endfunction

    integer seed, count, i, k, checked = 0, ties = 0;
    logic signed [15:0] want [0:15];
    logic signed [32:0] total;
    logic [3:0] at;
    initial begin
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("count=%d", count)) count = 200000;
        for (i = 0; i < count; i = i + 1) begin
            @(negedge clock);
            if (i % 4096 == 0) begin                        // the operation's constants: with the pipeline empty
                repeat (LATENCY + 1) @(negedge clock);
                zero = $random(seed);
                low  = -16'sd128;
                high = 16'sd127;
                if (i % 8192 == 0) begin zero = 8'sd0; low = -16'sd32768; high = 16'sd32767; end
                else if (i % 3 == 0) begin low = zero; high = zero + 16'sd20; end
                for (k = 0; k < 16; k = k + 1) want[k] = 16'bx;
            end
            mantissa = GENERAL_SCALE ? {2'b01, $random(seed)} : 16'h4000;
            shift    = GENERAL_SCALE ? $unsigned($random(seed)) % 63 : 14 + $unsigned($random(seed)) % 49;
            if ($random(seed) & 1) shift = 14 + $unsigned($random(seed)) % 16;
            accumulator = $random(seed);
            bias        = $random(seed);
            case ($random(seed) & 7)
                0: begin accumulator = $random(seed) >>> 16; bias = $random(seed) >>> 20; end
                1: begin accumulator = (2 * ($random(seed) % 300) + 1) <<< (shift > 14 ? shift - 15 : 0); bias = 0; end     // ties
                2: begin accumulator = 32'h7fffffff; bias = 0; end
                3: begin accumulator = 32'h80000000; bias = 0; end
                4: begin accumulator = $random(seed) % 512; bias = $random(seed) % 512; end
                default: ;
            endcase
            total = accumulator + bias;
            if (total != $signed(total[31:0])) bias = 0;    // the loader refuses what may overflow
            at = i;
            want[at] = expected(accumulator + bias, mantissa, shift);
            if (i % 4096 >= LATENCY) begin
                at = i - LATENCY;
                if (result !== want[at]) begin
                    $display("requantize: value %0d: engine %0d, expected %0d", i - LATENCY, result, want[at]);
                    $fatal;
                end
                checked = checked + 1;
            end
        end
        $display("ok: requantize, GENERAL_SCALE %0d, %0d values", GENERAL_SCALE, checked);
        $finish;
    end
endmodule
