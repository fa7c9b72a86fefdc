// Bench of mask_projection: random geometry, boxes and masks, against the definitions pixel by pixel (nearest centre, pixels
// covered a cell, overlap of real intervals for the bins). Stalls on the stream and late readers. The last line is PASS.
`timescale 1ns/1ps
module tb_mask_projection;
    parameter L = 8;
    parameter FRAMES = 24;
    parameter SEGMENTS = 14;
    localparam SIDE = 64, SB = 6, PIXELS = 160;
    localparam BLOCKS = (SIDE + L - 1) / L, BB = $clog2(BLOCKS), NB = 10;
    localparam KEEP = 8;

    logic clock = 0, reset = 1;
    always #5 clock = ~clock;

    logic            geometry_write = 0, geometry_rows = 0;
    logic [SB-1:0]   geometry_cell = 0;
    logic [31:0]     geometry_data = 0;
    logic [SB-1:0]   map_height = 1, map_width = 1;
    logic [1:0]      rule = 0;
    logic [16:0]     threshold = 0;
    logic [5:0]      bin_level = 0;
    logic            begin_frame = 0, masks_valid = 0;
    wire             masks_ready;
    logic [31:0]     masks_data = 0;
    wire             segment_valid, segment_end;
    wire [SB-1:0]    top, left, bottom, right;
    logic            segment_done = 0, bits_next = 0, bin_next = 0;
    logic [SB-1:0]   bits_row = 0;
    logic [BB-1:0]   bits_block = 0;
    wire [L-1:0]     bits;
    logic [NB-1:0]   bin_index = 0;
    wire             bin_bit;
    wire             trace_window_valid, trace_row_valid;
    wire [63:0]      trace_window;
    wire [SIDE-1:0]  trace_row;

    mask_projection #(.L(L), .SIDE(SIDE)) dut (.*);

    // What a segment must become.
    int  want_end [KEEP], want_top [KEEP], want_left [KEEP], want_bottom [KEEP], want_right [KEEP], want_level [KEEP];
    bit  want_bits [KEEP*SIDE*SIDE];
    bit  want_bins [KEEP*1024];
    int  produced = 0, consumed = 0, traced = 0, trace_y = 0;
    int  fallbacks = 0;

    int  cells [2], pixels [2];
    int  cell_of [2*PIXELS], centre [2*SIDE], start [2*(SIDE+1)];
    bit  mask [PIXELS*PIXELS];
    int  covered [SIDE*SIDE];
    int  stall = 0;

    function automatic int pick(input int low, input int high);
        pick = low + ($urandom & 32'h3FFFFFFF) % (high - low + 1);
    endfunction

    task automatic fail(input string what);
        $display("FAIL %s at segment %0d", what, consumed);
        $fatal(1);
    endtask

    // The tables of an axis, by a search for the nearest centre.
    task automatic make_axis(input int axis);
        int jump, offset2, best, d, bd;
        begin
            jump = produced == 0 ? 8 : pick(1, 3) == 1 ? pick(1, 3) : pick(4, 40);      // 8: half a cell is a tie
            offset2 = pick(-jump, jump);
            pixels[axis] = produced == 0 ? 120 : pick(1, PIXELS - 1);
            cells[axis] = pixels[axis] / jump + pick(0, 1);
            if (cells[axis] < 1) cells[axis] = 1;
            if (cells[axis] > SIDE - 1) cells[axis] = SIDE - 1;
            for (int x = 0; x < pixels[axis]; x++) begin
                best = 0; bd = 1 << 30;
                for (int c = 0; c < cells[axis]; c++) begin
                    d = 2 * x - (2 * jump * c + offset2);
                    if (d < 0) d = -d;
                    if (d < bd) begin bd = d; best = c; end
                end
                cell_of[axis*PIXELS+x] = best;
            end
            for (int c = 0; c <= cells[axis]; c++) begin
                start[axis*(SIDE+1)+c] = pixels[axis];
                for (int x = pixels[axis] - 1; x >= 0; x--)
                    if (cell_of[axis*PIXELS+x] >= c) start[axis*(SIDE+1)+c] = x;
            end
            start[axis*(SIDE+1)] = 0;
            for (int c = 0; c < cells[axis]; c++) begin
                best = 0; bd = 1 << 30;
                for (int x = 0; x < pixels[axis]; x++) begin
                    d = 2 * x - (2 * jump * c + offset2);
                    if (d < 0) d = -d;
                    if (d < bd) begin bd = d; best = x; end
                end
                centre[axis*SIDE+c] = best;
            end
            for (int c = 0; c <= cells[axis]; c++) begin
                @(negedge clock);
                geometry_write = 1; geometry_rows = axis != 0; geometry_cell = c[SB-1:0];
                geometry_data = {c < cells[axis] ? centre[axis*SIDE+c][15:0] : 16'd0, start[axis*(SIDE+1)+c][15:0]};
            end
            @(negedge clock); geometry_write = 0;
        end
    endtask

    task automatic send(input [31:0] value);
        bit taken;
        begin
            while (stall != 0 && pick(0, 3) < stall) @(negedge clock);
            masks_valid = 1; masks_data = value; taken = 0;
            while (!taken) begin
                #1 taken = masks_ready;
                @(negedge clock);
            end
            masks_valid = 0; masks_data = $urandom;
        end
    endtask

    function automatic int overlaps(input int c, input int n, input int i, input int w);
        overlaps = (c * n < (i + 1) * w && (c + 1) * n > i * w) ? 1 : 0;
    endfunction

    function automatic bit decide(input longint in, input longint total);
        case (rule)
            0: decide = total > 0 && in * 65536 >= longint'(threshold) * total;
            1: decide = in > 0;
            default: decide = total > 0;
        endcase
    endfunction

    task automatic segment;
        int x0, x1, y0, y1, slot, style, cx0, cx1, cy0, cy1, best, n, w, h;
        longint total, best_in, best_total, in;
        bit any, b;
        logic [31:0] word;
        begin
            slot = produced % KEEP;
            x0 = pick(0, pixels[0] - 1); x1 = pick(x0, pixels[0] - 1);
            y0 = pick(0, pixels[1] - 1); y1 = pick(y0, pixels[1] - 1);
            if (pick(0, 2) == 0) begin
                if (x1 > x0 + 6) x1 = x0 + 6;
                if (y1 > y0 + 6) y1 = y0 + 6;
            end
            style = produced == 3 ? 1 : pick(0, 5);
            for (int y = 0; y < pixels[1]; y++)
                for (int x = 0; x < pixels[0]; x++)
                    mask[y*PIXELS+x] = x >= x0 && x <= x1 && y >= y0 && y <= y1 &&
                        (style == 0 ? 1'b1 : style == 1 ? (x + y) % 2 == 0 : style == 2 ? pick(0, 15) == 0
                         : style == 3 ? (x - x0) * (y1 - y0 + 1) <= (y - y0) * (x1 - x0 + 1) : style == 4 ? pick(0, 1) == 0
                         : (x / 8 + y / 8) % 2 == 0);
            mask[y0*PIXELS+x0] = 1;
            cx0 = cell_of[x0]; cx1 = cell_of[x1]; cy0 = cell_of[PIXELS+y0]; cy1 = cell_of[PIXELS+y1];
            for (int c = 0; c < SIDE * SIDE; c++) covered[c] = 0;
            for (int y = y0; y <= y1; y++)
                for (int x = x0; x <= x1; x++)
                    if (mask[y*PIXELS+x]) covered[cell_of[PIXELS+y]*SIDE+cell_of[x]]++;
            any = 0; best = -1; best_in = 0; best_total = 1;
            for (int r = cy0; r <= cy1; r++)
                for (int c = cx0; c <= cx1; c++) begin
                    total = 0;
                    total = longint'(start[SIDE+1+r+1] - start[SIDE+1+r]) * longint'(start[c+1] - start[c]);
                    in = longint'(covered[r*SIDE+c]);
                    b = rule == 2 ? mask[centre[SIDE+r]*PIXELS+centre[c]] : decide(in, total);
                    want_bits[(slot*SIDE+r)*SIDE+c] = b;
                    any |= b;
                    if (best < 0 ? total > 0 : in * best_total > best_in * total) begin
                        best = r * SIDE + c; best_in = in; best_total = total;
                    end
                end
            if (!any) begin want_bits[slot*SIDE*SIDE+best] = 1; fallbacks++; end
            n = int'(bin_level); w = cx1 - cx0 + 1; h = cy1 - cy0 + 1;
            any = 0; best = -1; best_in = 0; best_total = 1;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) begin
                    in = 0; total = 0;
                    for (int r = 0; r < h; r++)
                        for (int c = 0; c < w; c++)
                            if (overlaps(r, n, i, h) != 0 && overlaps(c, n, j, w) != 0) begin
                                in += longint'(covered[(cy0+r)*SIDE+cx0+c]);
                                total += longint'(start[SIDE+1+cy0+r+1] - start[SIDE+1+cy0+r])
                                       * longint'(start[cx0+c+1] - start[cx0+c]);
                            end
                    b = decide(in, total);
                    want_bins[slot*1024+i*n+j] = b;
                    any |= b;
                    if (best < 0 ? total > 0 : in * best_total > best_in * total) begin
                        best = i * n + j; best_in = in; best_total = total;
                    end
                end
            if (n > 0 && !any) want_bins[slot*1024+best] = 1;
            want_end[slot] = 0; want_level[slot] = n;
            want_top[slot] = cy0; want_left[slot] = cx0; want_bottom[slot] = cy1 + 1; want_right[slot] = cx1 + 1;
            produced++;
            send({y0[15:0], x0[15:0]});
            send({y1[15:0], x1[15:0]});
            for (int y = y0; y <= y1; y++)
                for (int x = x0; x <= x1; x += 32) begin
                    word = $urandom;                    // what lies outside the box does not count
                    for (int k = 0; k < 32; k++) if (x + k <= x1) word[k] = mask[y*PIXELS+x+k];
                    send(word);
                end
        end
    endtask

    initial begin
        repeat (4) @(negedge clock);
        reset = 0;
        for (int f = 0; f < FRAMES; f++) begin
            make_axis(0);
            make_axis(1);
            map_width = cells[0][SB-1:0]; map_height = cells[1][SB-1:0];
            rule = f[1:0];
            stall = f % 3;
            case (f == 0 ? 4 : pick(0, 4))
                0: threshold = 17'd1;
                1: threshold = 17'd65535;
                2: threshold = 17'($urandom % 65536);
                default: threshold = 17'd32768;
            endcase
            bin_level = rule == 2 || pick(0, 1) == 0 ? 6'd0 : pick(0, 5) == 0 ? 6'd32 : 6'(pick(1, 9));
            @(negedge clock); begin_frame = 1; @(negedge clock); begin_frame = 0;
            for (int s = 0; s < SEGMENTS; s++) segment;
            want_end[produced % KEEP] = 1; produced++;
            send(32'hFFFFFFFF);
            while (consumed != produced) @(negedge clock);
        end
        if (fallbacks == 0) fail("no fall-back was tried");
        if (traced + FRAMES != consumed) fail("windows traced");
        $display("PASS mask_projection L=%0d: %0d segments, %0d fall-backs", L, consumed - FRAMES, fallbacks);
        $finish;
    end

    // The reader.
    initial begin
        int slot, cx, n;
        forever begin
            @(negedge clock);
            if (segment_valid && !reset) begin
                repeat (pick(0, 60)) @(negedge clock);
                slot = consumed % KEEP;
                if (int'(segment_end) != want_end[slot]) fail("end");
                if (!segment_end) begin
                    if (int'(top) != want_top[slot] || int'(left) != want_left[slot] || int'(bottom) != want_bottom[slot]
                        || int'(right) != want_right[slot]) fail("window");
                    for (int r = want_top[slot]; r < want_bottom[slot]; r++)
                        for (int b = want_left[slot] / L; b <= (want_right[slot] - 1) / L; b++) begin
                            bits_next = 1; bits_row = r[SB-1:0]; bits_block = b[BB-1:0];
                            @(negedge clock); bits_row = 0; bits_block = 0;
                            bits_next = 0; repeat (pick(0, 1)) @(negedge clock);
                            bits_next = 1;
                            @(negedge clock); bits_next = 0;
                            for (int l = 0; l < L; l++) begin
                                cx = b * L + l;
                                if (cx >= want_left[slot] && cx < want_right[slot]
                                    && bits[l] !== want_bits[(slot*SIDE+r)*SIDE+cx]) fail("bit");
                            end
                        end
                    n = want_level[slot];
                    for (int i = 0; i < n * n; i++) begin
                        bin_next = 1; bin_index = i[NB-1:0];
                        @(negedge clock); @(negedge clock); bin_next = 0;
                        if (bin_bit !== want_bins[slot*1024+i]) fail("bin");
                    end
                end
                segment_done = 1;
                consumed++;
                @(negedge clock); segment_done = 0;
            end
        end
    end

    // The trace comes before the reader is through.
    int order = 0;
    always @(negedge clock) begin
        if (!reset && trace_window_valid) begin
            while (want_end[order % KEEP] == 1) order = order + 1;
            if (trace_window !== {want_top[order%KEEP][15:0], want_left[order%KEEP][15:0], want_bottom[order%KEEP][15:0],
                want_right[order%KEEP][15:0]}) fail("traced window");
            traced = traced + 1;
            trace_y = want_top[order%KEEP];
            order = order + 1;
        end
        if (!reset && trace_row_valid) begin
            for (int c = 0; c < SIDE; c++)
                if (trace_row[c] !== (c < want_right[(order-1)%KEEP] - want_left[(order-1)%KEEP] ?
                    want_bits[(((order-1)%KEEP)*SIDE+trace_y)*SIDE+want_left[(order-1)%KEEP]+c] : 1'b0)) fail("traced row");
            trace_y = trace_y + 1;
        end
    end

    initial begin
        #200000000;
        fail("time-out");
    end
endmodule
