// Bench of scoring: frames of random segments from the mask stream to the logits stream, the bench standing in for the engine: it
// grants reads and writes at random, keeps the pooled vectors, and for every batch makes up logits from them, when the
// batch's time is nearly over. Expected words are computed from pixels. The last line is PASS.
`timescale 1ns/1ps
module tb_scoring;
    parameter L = 8;
    parameter PE = 4;
    parameter FRAMES = 24;
    localparam SIDE = 32, PIXELS = 96, CLASSES = 8, WORD = 8 * PE;
    localparam DEPTH = 8192;
    localparam WORDS = 65536;

    logic clock = 0, reset = 1;
    always #5 clock = ~clock;

    logic              configuration_write = 0;
    logic [16:0]       configuration_address = 0;
    logic [31:0]       configuration_data = 0;
    logic [15:0]       image_width = 0, image_height = 0, map_address = 0, map_row_words = 0, map_groups = 1;
    logic [7:0]        map_zero_point = 0;
    logic [15:0]       map_height = 0, map_width = 0;
    logic [1:0]        mask_rule = 0;
    logic [31:0]       mask_threshold = 32768;
    logic [7:0]        pyramid_entries = 1;
    logic [15:0]       pooled_even = 0, pooled_odd = 0, classes = 5;
    logic              frame_begin = 0, map_ready = 0, masks_valid = 0;
    wire               masks_ready;
    logic [31:0]       masks_data = 0;
    wire               read_request, read_grant, read_valid;
    wire [15:0]        read_address;
    logic [WORD*L-1:0] read_data;
    wire               write_request, write_grant;
    wire [3:0]         write_lane;
    wire [15:0]        write_address;
    wire [WORD-1:0]    write_data;
    wire               batch_valid, batch_odd, batch_last;
    wire [4:0]         batch_count;
    logic              batch_taken = 0;
    wire               logits_free;
    logic              logit_valid = 0;
    logic [15:0]       logit_class = 0;
    logic [16*L-1:0]   logit_values = 0;
    logic              batch_done = 0;
    wire               logits_valid;
    logic              logits_ready = 0;
    wire [31:0]        logits_data;
    wire               logits_last, frame_done;
    wire               trace_window_valid, trace_row_valid;
    wire [63:0]        trace_window;
    wire [SIDE-1:0]    trace_row;

    scoring #(.PE(PE), .L(L), .SIDE(SIDE), .CLASSES(CLASSES)) dut (.*);

    function automatic int pick(input int low, input int high);
        pick = low + ($urandom & 32'h3FFFFFFF) % (high - low + 1);
    endfunction

    // Feature memory: two cycles to read, as the engine's.
    logic [WORD-1:0] memory [0:L*DEPTH-1];
    logic            valid_1 = 0, valid_2 = 0;
    logic [15:0]     address_1;
    int              chance = 3;
    logic            read_wish = 0, write_wish = 0;
    always @(negedge clock) begin
        read_wish  = pick(0, 3) <= chance;
        write_wish = pick(0, 3) <= chance;
    end
    assign read_grant  = read_wish & read_request;
    assign write_grant = write_wish & write_request;
    assign read_valid  = valid_2;
    always @(posedge clock) begin
        valid_1   <= read_grant;
        valid_2   <= valid_1;
        address_1 <= read_address;
        for (int l = 0; l < L; l++)
            read_data[l*WORD +: WORD] <= valid_1 ? memory[l*DEPTH+int'(address_1)%DEPTH] : {WORD{1'b1}};
        if (write_grant) memory[int'(write_lane)*DEPTH+int'(write_address)%DEPTH] <= write_data;
        if (read_grant && !map_ready) fail("read before the map is ready");
    end

    // What must come out.
    int          want_in = 0, want_out = 0, frames_done = 0;
    logic [32:0] want [0:WORDS-1];

    task automatic fail(input string what);
        $display("FAIL %s at word %0d", what, want_out);
        $fatal(1);
    endtask

    int  cells [2], pixels [2];
    int  cell_of [2*PIXELS], first_pixel [2*SIDE];
    bit  mask [PIXELS*PIXELS];
    int  covered [SIDE*SIDE];
    bit  bit_of [SIDE*SIDE], bin_of [1024];
    int  level [8], kind [8], count, vector_words, groups, design_b;
    int  offset_masked [8], offset_whole [8];

    task automatic write_table(input int at, input int value);
        @(negedge clock);
        configuration_write = 1; configuration_address = at[16:0]; configuration_data = value;
        @(negedge clock);
        configuration_write = 0;
    endtask

    task automatic make_axis(input int axis);
        int jump, offset2, best, d, bd;
        begin
            jump = pick(3, 9);
            offset2 = pick(-jump, jump);
            pixels[axis] = pick(1, PIXELS - 1);
            cells[axis] = pixels[axis] / jump + 1;
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
                first_pixel[axis*SIDE+c] = pixels[axis];
                for (int x = pixels[axis] - 1; x >= 0; x--)
                    if (cell_of[axis*PIXELS+x] >= c) first_pixel[axis*SIDE+c] = x;
                if (c == 0) first_pixel[axis*SIDE] = 0;
                write_table(axis * SIDE + c, first_pixel[axis*SIDE+c]);
            end
        end
    endtask

    task automatic configure;
        begin
            make_axis(0);
            make_axis(1);
            map_width = cells[0][15:0]; map_height = cells[1][15:0];
            image_width = pixels[0][15:0]; image_height = pixels[1][15:0];
            groups = pick(1, 2); map_groups = groups[15:0];
            map_row_words = 16'((cells[0] + L - 1) / L * groups);
            map_address = 16'(pick(0, 200));
            map_zero_point = 8'($urandom);
            mask_rule = pick(0, 5) == 0 ? 2'd3 : 2'(pick(0, 1));
            mask_threshold = pick(0, 1) == 0 ? 32'd32768 : 32'(pick(1, 65535));
            count = pick(1, 3);
            pyramid_entries = count[7:0];
            design_b = pick(0, 1) == 0 ? pick(0, count - 1) : -1;
            vector_words = 0;
            for (int e = 0; e < count; e++) begin
                level[e] = pick(1, 4);
                kind[e] = e == design_b ? 6 : pick(1, 3);
                offset_masked[e] = vector_words;
                if ((kind[e] & 1) != 0) vector_words += level[e] * level[e] * groups;
                offset_whole[e] = vector_words;
                if ((kind[e] & 2) != 0) vector_words += level[e] * level[e] * groups;
                write_table(2 * SIDE + 4 * e, kind[e] << 8 | level[e]);
                write_table(2 * SIDE + 4 * e + 1, offset_masked[e]);
                write_table(2 * SIDE + 4 * e + 2, offset_whole[e]);
            end
            pooled_even = 16'd6000; pooled_odd = 16'(6000 + vector_words);
            classes = 16'(pick(1, CLASSES));
        end
    endtask

    function automatic bit overlaps(input int c, input int n, input int i, input int w);
        overlaps = c * n < (i + 1) * w && (c + 1) * n > i * w;
    endfunction

    function automatic bit decide(input longint in, input longint total);
        case (mask_rule)
            0: decide = in * 65536 >= longint'(mask_threshold) * total;
            1: decide = in > 0;
            default: decide = 1;
        endcase
    endfunction

    // Logits made up from a vector: a running hash of its bytes; few values, so that there are ties.
    function automatic int mix(input int hash, input [7:0] value);
        mix = ((hash * 31 + int'(value)) & 32'h00FFFFFF) ^ (hash >> 13);
    endfunction
    function automatic int made_up(input int hash, input int k);
        made_up = ((hash * (2 * k + 3)) >> 4) % 5 - 2;
    endfunction

    task automatic send(input [31:0] value);
        bit taken;
        begin
            while (chance != 3 && pick(0, 5) == 0) @(negedge clock);
            masks_valid = 1; masks_data = value; taken = 0;
            while (!taken) begin
                #1 taken = masks_ready;
                @(negedge clock);
            end
            masks_valid = 0;
        end
    endtask

    // Segments are made up, and what becomes of them, while the map is not ready.
    logic [31:0] words [0:WORDS-1];
    int          words_in = 0, words_out = 0;

    task automatic segment(input int number);
        int x0, x1, y0, y1, style, cx0, cx1, cy0, cy1, best, w, h, hash, best_class, best_value, v, q, n;
        longint total, best_in, best_total, in;
        bit any;
        logic [31:0] word;
        logic [WORD-1:0] data;
        logic [7:0] vector [4096];
        begin
            x0 = pick(0, pixels[0] - 1); x1 = pick(x0, pixels[0] - 1);
            y0 = pick(0, pixels[1] - 1); y1 = pick(y0, pixels[1] - 1);
            style = pick(0, 3);
            for (int i = 0; i < SIDE * SIDE; i++) covered[i] = 0;
            words[words_in%WORDS] = {y0[15:0], x0[15:0]}; words_in++;
            words[words_in%WORDS] = {y1[15:0], x1[15:0]}; words_in++;
            for (int y = y0; y <= y1; y++)
                for (int x = x0; x <= x1; x += 32) begin
                    word = style == 0 ? $urandom & $urandom & $urandom : style == 1 ? 32'hFFFFFFFF : $urandom;
                    words[words_in%WORDS] = word; words_in++;
                    for (int k = 0; k < 32; k++)
                        if (x + k <= x1 && word[k]) covered[cell_of[PIXELS+y]*SIDE+cell_of[x+k]]++;
                end
            cx0 = cell_of[x0]; cx1 = cell_of[x1]; cy0 = cell_of[PIXELS+y0]; cy1 = cell_of[PIXELS+y1];
            w = cx1 - cx0 + 1; h = cy1 - cy0 + 1;
            any = 0; best = -1; best_in = 0; best_total = 1;
            for (int r = cy0; r <= cy1; r++)
                for (int c = cx0; c <= cx1; c++) begin
                    in = longint'(covered[r*SIDE+c]);
                    total = longint'(first_pixel[SIDE+r+1] - first_pixel[SIDE+r]) * longint'(first_pixel[c+1] - first_pixel[c]);
                    bit_of[r*SIDE+c] = decide(in, total);
                    any |= bit_of[r*SIDE+c];
                    if (best < 0 || in * best_total > best_in * total) begin best = r * SIDE + c; best_in = in; best_total = total; end
                end
            if (!any) bit_of[best] = 1;
            if (design_b >= 0) begin
                n = level[design_b]; any = 0; best = -1; best_in = 0; best_total = 1;
                for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) begin
                    in = 0; total = 0;
                    for (int r = 0; r < h; r++) if (overlaps(r, n, i, h))
                        for (int c = 0; c < w; c++) if (overlaps(c, n, j, w)) begin
                            in += longint'(covered[(cy0+r)*SIDE+cx0+c]);
                            total += longint'(first_pixel[SIDE+cy0+r+1] - first_pixel[SIDE+cy0+r])
                                   * longint'(first_pixel[cx0+c+1] - first_pixel[cx0+c]);
                        end
                    bin_of[i*n+j] = decide(in, total);
                    any |= bin_of[i*n+j];
                    if (best < 0 || in * best_total > best_in * total) begin best = i * n + j; best_in = in; best_total = total; end
                end
                if (!any) bin_of[best] = 1;
            end
            for (int e = 0; e < count; e++) begin
                n = level[e];
                for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) for (int k = 0; k < groups; k++) for (int p = 0; p < PE; p++) begin
                    int m_best, w_best, at;
                    m_best = -1000; w_best = -1000;
                    for (int r = 0; r < h; r++) if (overlaps(r, n, i, h))
                        for (int c = 0; c < w; c++) if (overlaps(c, n, j, w)) begin
                            v = cx0 + c;
                            data = memory[(v%L)*DEPTH+int'(map_address)+(cy0+r)*int'(map_row_words)+v/L*groups+k];
                            q = int'($signed(data[8*p +: 8]));
                            if (q > w_best) w_best = q;
                            if (!bit_of[(cy0+r)*SIDE+v]) q = int'($signed(map_zero_point));
                            if (q > m_best) m_best = q;
                        end
                    if (e == design_b && !bin_of[i*n+j]) w_best = int'($signed(map_zero_point));
                    at = ((i * n + j) * groups + k) * PE + p;
                    if ((kind[e] & 1) != 0) vector[offset_masked[e]*PE+at] = m_best[7:0];
                    if ((kind[e] & 2) != 0) vector[offset_whole[e]*PE+at] = w_best[7:0];
                end
            end
            hash = 1;
            for (int i = 0; i < vector_words * PE; i++) hash = mix(hash, vector[i]);
            best_value = -1000; best_class = 0;
            for (int k = 0; k < int'(classes); k++) begin
                v = made_up(hash, k);
                if (v > best_value) begin best_value = v; best_class = k; end
                want[want_in%WORDS] = {1'b0, v[31:0]}; want_in++;
            end
            want[want_in%WORDS] = {1'b1, number[15:0], best_class[15:0]}; want_in++;
        end
    endtask

    initial begin
        int segments;
        repeat (4) @(negedge clock);
        reset = 0;
        for (int i = 0; i < L * DEPTH; i++) memory[i] = 0;
        for (int f = 0; f < FRAMES; f++) begin
            chance = f % 4 == 0 ? 3 : pick(0, 3);
            configure;
            for (int i = 0; i < L; i++)
                for (int a = 0; a < 3000; a++) memory[i*DEPTH+a] = WORD'({$urandom, $urandom});
            segments = f == 1 ? 0 : f == 2 ? L : f == 3 ? 2 * L : pick(0, 3 * L);
            frame_begin = 1; @(negedge clock); frame_begin = 0;
            for (int s = 0; s < segments; s++) segment(s);
            words[words_in%WORDS] = 32'hFFFFFFFF; words_in++;
            repeat (pick(0, 400)) @(negedge clock);
            map_ready = 1;
            while (frames_done == f) @(negedge clock);
            if (want_in != want_out) fail("logits missing");
            map_ready = 0;
        end
        $display("PASS scoring L=%0d PE=%0d: %0d frames, %0d words", L, PE, FRAMES, want_out);
        $finish;
    end

    initial begin
        @(negedge reset);
        forever begin
            while (words_out == words_in) @(negedge clock);
            send(words[words_out%WORDS]);
            words_out++;
        end
    end

    // The array: takes a batch, and when its time is over makes up its logits.
    initial begin
        int hash [16], n, base;
        bit last;
        @(negedge reset);
        forever begin
            @(negedge clock);
            if (batch_valid) begin
                repeat (pick(0, 20)) @(negedge clock);
                n = int'(batch_count); base = batch_odd ? int'(pooled_odd) : int'(pooled_even); last = batch_last;
                batch_taken = 1; @(negedge clock); batch_taken = 0;
                repeat (pick(0, 4000)) @(negedge clock);
                if (n > 0) begin
                    while (!logits_free) @(negedge clock);
                    for (int l = 0; l < n; l++) begin
                        hash[l] = 1;
                        for (int i = 0; i < vector_words; i++)
                            for (int p = 0; p < PE; p++) hash[l] = mix(hash[l], memory[l*DEPTH+base+i][8*p +: 8]);
                    end
                    for (int k = 0; k < CLASSES; k++) begin
                        logit_valid = 1; logit_class = k[15:0];
                        for (int l = 0; l < L; l++)
                            logit_values[16*l +: 16] = l < n && k < int'(classes) ? 16'(made_up(hash[l], k)) : 16'h7FFF;
                        @(negedge clock);
                        logit_valid = 0;
                        repeat (pick(0, 2)) @(negedge clock);
                    end
                end
                batch_done = 1; @(negedge clock); batch_done = 0;
                if (last && batch_valid) fail("batch after the last");
            end
        end
    end

    always @(negedge clock) logits_ready = pick(0, 3) <= chance;
    always @(posedge clock) begin
        if (!reset && logits_valid && logits_ready) begin
            if (want_out >= want_in) fail("too many words");
            if ({logits_last, logits_data} !== want[want_out%WORDS]) begin
                $display("got %h want %h", {logits_last, logits_data}, want[want_out%WORDS]);
                fail("logits");
            end
            want_out <= want_out + 1;
        end
        if (!reset && frame_done) frames_done <= frames_done + 1;
    end

    initial begin
        #500000000;
        fail("time-out");
    end
endmodule
