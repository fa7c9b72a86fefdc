// Benches of the small units, against plain models: multiplier, mac_array, max_pool, avg_pool.
// Plusargs: seed=N, count=N.
`timescale 1ns/1ps
module tb_units;
    localparam PE = 4, L = 3, CELLS = L * PE;

    logic clock = 1'b0;
    always #5 clock = !clock;
    logic reset = 1'b1;

    integer seed, count, i, j, l, p, groups = 0, averages = 0;

    // ---- mac_array (and in it multiplier), max_pool: the same stream of groups ----

    logic [CELLS*8-1:0] a;
    logic [PE*18-1:0]   b;
    logic               valid = 1'b0, first = 1'b0, last = 1'b0;
    wire                done, max_ending;
    logic               max_done = 1'b0;
    logic [3:0]         channel = 4'd0;
    wire  [L*32-1:0]    sums;
    wire  [CELLS*8-1:0] maximum;
    logic [L-1:0]       present;

    mac_array #(.PE(PE), .L(L)) array (
        .clock(clock), .reset(reset), .a(a), .b(b), .valid(valid), .first(first), .last(last), .done(done), .channel(channel),
        .sums(sums)
    );
    max_pool #(.PE(PE), .L(L)) maxima (
        .clock(clock), .reset(reset), .valid(valid), .first(first), .last(last), .word(a), .present(present), .ending(max_ending),
        .maximum(maximum)
    );

    always @(posedge clock) max_done <= max_ending;

    // models: what is expected of the groups in order, a queue of 8
    logic signed [31:0] sum [0:CELLS-1], want_sum [0:8*CELLS-1];
    logic signed [7:0]  most [0:CELLS-1], want_most [0:8*CELLS-1];
    integer             put = 0, take = 0, take_max = 0, left, slot = PE, asked = -1;
    logic signed [7:0]  x;
    logic signed [17:0] y;

    always @(negedge clock) if (!reset) begin
        if (max_done) begin
            for (j = 0; j < CELLS; j = j + 1)
                if (maximum[j*8 +: 8] !== want_most[take_max % 8 * CELLS + j]) begin
                    $display("max_pool: group %0d value %0d: %0d, expected %0d", take_max, j, $signed(maximum[j*8 +: 8]),
                             want_most[take_max % 8 * CELLS + j]);
                    $fatal;
                end
            take_max = take_max + 1;
        end
        // channel c is asked for in the (c + 1)th cycle after done, its sums are there one later
        if (asked >= 0) begin
            for (l = 0; l < L; l = l + 1)
                if (sums[l*32 +: 32] !== want_sum[take % 8 * CELLS + l * PE + asked]) begin
                    $display("mac_array: group %0d lane %0d channel %0d: %0d, expected %0d", take, l, asked,
                             $signed(sums[l*32 +: 32]), want_sum[take % 8 * CELLS + l * PE + asked]);
                    $fatal;
                end
            if (asked == PE - 1) take = take + 1;
        end
        asked = slot < PE ? slot : -1;
        channel = slot;
        slot = done ? 0 : slot < PE ? slot + 1 : slot;
    end

    // ---- avg_pool ----

    logic               begin_division = 1'b0;
    logic signed [31:0] total, offset;
    logic [15:0]        cells;
    logic signed [7:0]  zero;
    wire  [7:0]         average;
    integer             q, rest;
    avg_pool divider (
        .clock(clock), .begin_division(begin_division), .sum(total), .offset(offset), .count(cells), .zero(zero),
        .result(average)
    );

    initial begin
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("count=%d", count)) count = 2000;
        repeat (3) @(negedge clock);
        #1 reset = 1'b0;
        repeat (3) @(negedge clock);
        for (i = 0; i < count; i = i + 1) begin
            left = PE + $unsigned($random(seed)) % 9;       // groups end PE cycles apart at least
            for (j = 0; j < CELLS; j = j + 1) begin sum[j] = 0; most[j] = -8'sd128; end
            first = 1'b1;
            while (left > 0) begin
                a = {$random(seed), $random(seed), $random(seed)};
                for (p = 0; p < PE; p = p + 1) begin
                    y = $random(seed);
                    if (y[1:0] == 2'd0) y = 18'sd1 <<< y[5:2];
                    else y = {{10{y[7]}}, y[7:0]};
                    b[p*18 +: 18] = y;
                end
                present = $random(seed);
                valid = ($random(seed) & 3) != 0;
                last  = left == 1;
                if (valid) begin
                    for (j = 0; j < CELLS; j = j + 1) begin
                        x = a[j*8 +: 8];
                        y = b[j % PE * 18 +: 18];
                        sum[j] = sum[j] + x * y;
                        if (present[j / PE] && x > most[j]) most[j] = x;
                    end
                    left = left - 1;
                    if (last) begin
                        for (j = 0; j < CELLS; j = j + 1) begin
                            want_sum[put % 8 * CELLS + j]  = sum[j];
                            want_most[put % 8 * CELLS + j] = most[j];
                        end
                        put = put + 1;
                    end
                end
                @(negedge clock);
                #1 if (valid) first = 1'b0;
            end
            valid = 1'b0;
        end
        repeat (20) @(negedge clock);
        if (take != count || take_max != count) begin
            $display("groups: %0d sums, %0d maxima of %0d", take, take_max, count);
            $fatal;
        end

        for (i = 0; i < count; i = i + 1) begin
            cells  = i % 7 == 0 ? 16'd65025 : 1 + $unsigned($random(seed)) % (i % 2 ? 9 : 300);
            zero   = $random(seed);
            x      = i % 3 == 0 ? zero : i % 3 == 1 ? ($random(seed) & 1 ? -8'sd128 : 8'sd127) : $random(seed);
            // any sum of `cells` values: cells * x, and a part of one more step towards the middle
            total  = x * $signed({1'b0, cells}) + (x < 0 ? 1 : -1) * $signed({1'b0, $unsigned($random(seed)) % cells});
            offset = zero * $signed({1'b0, cells});
            // the model divides the difference, to nearest, ties to even
            q    = total - offset;
            rest = q % $signed({1'b0, cells});
            q    = q / $signed({1'b0, cells});
            if (rest < 0) begin q = q - 1; rest = rest + cells; end
            if (2 * rest > cells || (2 * rest == cells && q[0])) q = q + 1;
            q = q + zero;
            begin_division = 1'b1;
            @(negedge clock);
            #1 begin_division = 1'b0;
            repeat (12) @(negedge clock);
            if (average !== q[7:0]) begin
                $display("avg_pool: (%0d - %0d) / %0d + %0d = %0d, expected %0d", total, offset, cells, zero, $signed(average), q);
                $fatal;
            end
            averages = averages + 1;
            #1;
        end
        $display("ok: %0d groups of sums and maxima, %0d averages", take, averages);
        $finish;
    end
endmodule
