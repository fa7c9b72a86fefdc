// Bench of masked_spp: random maps, windows, bits and pyramids, against maxima over all cells that overlap a bin's real
// interval. Grants come and go at random. Every write is compared, in order. The last line is PASS.
`timescale 1ns/1ps
module tb_masked_spp;
    parameter L = 8;
    parameter PE = 4;
    parameter LATENCY = 2;
    parameter RUNS = 60;
    parameter SIDE = 32;
    parameter ROWS = SIDE;                      // of the map, with one more
    localparam SB = $clog2(SIDE);
    localparam BLOCKS = (SIDE + L - 1) / L, BB = $clog2(BLOCKS), NB = 10, EB = 7;
    localparam WORD = 8 * PE;
    localparam DEPTH = 16384;

    logic clock = 0, reset = 1;
    always #5 clock = ~clock;

    logic              pyramid_write = 0;
    logic [EB-1:0]     pyramid_address = 0;
    logic [31:0]       pyramid_data = 0;
    logic [7:0]        entries = 1;
    logic [15:0]       map_address = 0, map_row_words = 0, map_groups = 1;
    logic [7:0]        zero_point = 0;
    logic              begin_frame = 0;
    wire               scanned;
    wire [5:0]         bin_level;
    logic              start = 0;
    logic [SB-1:0]     top = 0, left = 0, bottom = 0, right = 0;
    logic [3:0]        lane = 0;
    logic [15:0]       pooled = 0;
    wire               done;
    wire               bits_next;
    wire [SB-1:0]      bits_row;
    wire [BB-1:0]      bits_block;
    logic [L-1:0]      bits, bits_1;
    wire               bin_next;
    wire [NB-1:0]      bin_index;
    logic              bin_bit, bin_1;
    wire               read_request;
    wire [15:0]        read_address;
    wire               read_grant;
    wire               read_valid;
    wire [WORD*L-1:0]  read_data;
    wire               write_request;
    wire [3:0]         write_lane;
    wire [15:0]        write_address;
    wire [WORD-1:0]    write_data;
    wire               write_grant;

    masked_spp #(.PE(PE), .L(L), .SIDE(SIDE), .BINS(1024)) dut (.*);

    logic [WORD-1:0] memory [0:L*DEPTH-1];      // bank, address
    bit              mask [0:ROWS*SIDE-1], bin_mask [0:1023];
    int              read_chance = 3, write_chance = 3;

    function automatic int pick(input int low, input int high);
        pick = low + ($urandom & 32'h3FFFFFFF) % (high - low + 1);
    endfunction

    // The map's memory: LATENCY cycles.
    logic [LATENCY-1:0] valids = 0;
    logic [15:0]        addresses [0:LATENCY-1];
    wire                granted = read_grant & read_request;
    always @(posedge clock) begin
        valids       <= {valids[LATENCY-1:0], granted};
        addresses[0] <= read_address;
        for (int i = 1; i < LATENCY; i++) addresses[i] <= addresses[i-1];
    end
    assign read_valid = valids[LATENCY-1];
    genvar g;
    generate
        for (g = 0; g < L; g = g + 1) begin : bank
            assign read_data[g*WORD +: WORD] =
                read_valid ? memory[g*DEPTH+int'(addresses[LATENCY-1] % DEPTH)] : {WORD{1'b1}};
        end
    endgenerate
    logic read_wish = 0, write_wish = 0;
    always @(negedge clock) begin
        read_wish  = pick(0, 3) <= read_chance;
        write_wish = pick(0, 3) <= write_chance;
    end
    assign read_grant  = read_wish & read_request;
    assign write_grant = write_wish & write_request;

    // The bits: two steps.
    always @(posedge clock) begin
        if (bits_next) begin
            for (int i = 0; i < L; i++)
                bits_1[i] <= mask[(int'(bits_row)*SIDE+int'(bits_block)*L+i)%(ROWS*SIDE)];
            bits <= bits_1;
        end
        if (bin_next) begin bin_1 <= bin_mask[bin_index]; bin_bit <= bin_1; end
    end

    // What must be written.
    int              want_in = 0, want_out = 0;
    logic [15:0]     want_address [0:65535];
    logic [WORD-1:0] want_data [0:65535];

    task automatic fail(input string what);
        $display("FAIL %s at write %0d", what, want_out);
        $fatal(1);
    endtask

    always @(posedge clock) begin
        if (write_grant) begin
            if (want_out >= want_in) fail("too many writes");
            if (write_lane !== lane) fail("lane");
            if (write_address !== want_address[want_out%65536]) fail("address");
            if (write_data !== want_data[want_out%65536]) fail("data");
            want_out <= want_out + 1;
        end
    end

    function automatic bit overlaps(input int c, input int n, input int i, input int w);
        overlaps = c * n < (i + 1) * w && (c + 1) * n > i * w;
    endfunction

    initial begin
        int n, w, h, groups, entry_level [8], entry_kind [8], count, blocks, offset_m, offset_w, at_m, at_w, hit_m, hit_w, v;
        logic [WORD-1:0] word_m, word_w;
        int best_m, best_w, design_b, reads, cycles, total_reads, total_cycles;
        total_reads = 0; total_cycles = 0;
        repeat (4) @(negedge clock);
        reset = 0;
        for (int run = 0; run < RUNS; run++) begin
            // a map
            groups = pick(1, 3); blocks = BLOCKS;
            map_groups = groups[15:0];
            map_row_words = 16'(blocks * groups + pick(0, 2));
            map_address = 16'(pick(0, 1000));
            zero_point = 8'($urandom);
            for (int i = 0; i < L * DEPTH; i++) if (run == 0 || i % DEPTH < 4000) memory[i] = WORD'({$urandom, $urandom});
            read_chance = run < 4 ? 3 : pick(0, 3); write_chance = run < 4 ? 3 : pick(0, 3);
            // a pyramid
            count = pick(1, 4);
            entries = 8'(count);
            design_b = pick(0, 2) == 0 ? pick(0, count - 1) : -1;
            for (int e = 0; e < count; e++) begin
                entry_level[e] = pick(1, 7);
                entry_kind[e] = e == design_b ? 6 : pick(1, 3);
                offset_m = 16'h4000 * (e % 2) + 1000 * e; offset_w = offset_m + 500;
                for (int k = 0; k < 3; k++) begin
                    @(negedge clock);
                    pyramid_write = 1; pyramid_address = EB'(4 * e + k);
                    pyramid_data = k == 0 ? entry_kind[e] << 8 | entry_level[e] : k == 1 ? offset_m : offset_w;
                end
            end
            @(negedge clock); pyramid_write = 0;
            begin_frame = 1; @(negedge clock); begin_frame = 0;
            while (!scanned) @(negedge clock);
            if (int'(bin_level) != (design_b < 0 ? 0 : entry_level[design_b])) fail("level");
            for (int segment = 0; segment < 3; segment++) begin
                left = SB'(pick(0, SIDE - 2)); right = SB'(pick(int'(left) + 1, SIDE - 1));
                top = SB'(pick(0, ROWS - 2)); bottom = SB'(pick(int'(top) + 1, ROWS - 1));
                if (pick(0, 1) == 0 && int'(right) > int'(left) + 4) right = left + 3;
                if (pick(0, 1) == 0 && int'(bottom) > int'(top) + 4) bottom = top + 2;
                for (int i = 0; i < ROWS * SIDE; i++) mask[i] = pick(0, 3) != 0;
                for (int i = 0; i < 1024; i++) bin_mask[i] = pick(0, 1) == 0;
                lane = 4'(pick(0, L - 1)); pooled = 16'($urandom);
                w = int'(right) - int'(left); h = int'(bottom) - int'(top);
                reads = 0;
                for (int e = 0; e < count; e++) begin
                    n = entry_level[e];
                    offset_m = 16'h4000 * (e % 2) + 1000 * e; offset_w = offset_m + 500;
                    at_m = int'(pooled) + offset_m; at_w = int'(pooled) + offset_w;
                    for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) for (int k = 0; k < groups; k++) begin
                        for (int p = 0; p < PE; p++) begin
                            best_m = -1000; best_w = -1000;
                            for (int r = 0; r < h; r++) if (overlaps(r, n, i, h))
                                for (int c = 0; c < w; c++) if (overlaps(c, n, j, w)) begin
                                    v = int'(left) + c;
                                    word_m = memory[(v%L)*DEPTH+int'(map_address)+(int'(top)+r)*int'(map_row_words)+v/L*groups+k];
                                    hit_w = int'($signed(word_m[8*p +: 8]));
                                    hit_m = mask[(int'(top)+r)*SIDE+v] ? hit_w : int'($signed(zero_point));
                                    if (hit_m > best_m) best_m = hit_m;
                                    if (hit_w > best_w) best_w = hit_w;
                                end
                            if (e == design_b && !bin_mask[i*n+j]) best_w = int'($signed(zero_point));
                            want_data[want_in%65536][8*p +: 8] = best_m[7:0];
                            word_w[8*p +: 8] = best_w[7:0];
                        end
                        if ((entry_kind[e] & 1) != 0) begin
                            want_address[want_in%65536] = at_m[15:0]; at_m++; want_in++;
                        end
                        if ((entry_kind[e] & 2) != 0) begin
                            want_address[want_in%65536] = at_w[15:0]; want_data[want_in%65536] = word_w; at_w++; want_in++;
                        end
                    end
                end
                @(negedge clock); start = 1; @(negedge clock); start = 0; cycles = 0;
                while (!done) begin @(negedge clock); cycles++; if (granted) reads++; end
                if (run < 4) begin total_reads += reads; total_cycles += cycles; end
                @(negedge clock);
                if (want_out != want_in) fail("too few writes");
            end
        end
        $display("PASS masked_spp L=%0d PE=%0d latency %0d: %0d writes; free ports: %0d reads in %0d cycles", L, PE, LATENCY,
            want_out, total_reads, total_cycles);
        $finish;
    end

    initial begin
        #500000000;
        fail("time-out");
    end
endmodule
