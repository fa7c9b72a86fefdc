// Bench of the engine: loads an exported project (ENGINE.md, last section), drives every stream with random stalls and compares
// every write of the array's path, every write of masked_spp, every cell mask and every logit. Ends with an error at the first
// difference.
//
// Plusargs: project=DIRECTORY, seed=N, stall=P (a stream pauses in P of 16 cycles; default 4, 0 for the engine's own speed),
// frames=N (the same image and segments N times), timing (a line for every operation). Parameters: the engine's.
// Macros: NO_SCORING (tb/scoring_stub.sv in place of scoring.sv: the image program alone).
`timescale 1ns/1ps
module tb_engine;

    parameter PE = 8;
    parameter L = 10;
    parameter FEATURE_WORDS = 8192;
    parameter WEIGHT_WORDS = 8192;
    parameter CHANNELS = 2048;
    parameter STORE_WORDS = 4096;
    parameter SIDE = 256;
    parameter CLASSES = 64;
    parameter GENERAL_SCALE = 0;
    parameter AVERAGE_POOL = 1;
    parameter OUTER_WORDS = 1 << 20;            // external weights the bench has room for

    localparam WORD = 8 * PE;

    logic clock = 1'b0;
    logic reset = 1'b1;
    always #5 clock = !clock;

    logic            enable = 1'b0;
    logic            configuration_write = 1'b0;
    logic [19:0]     configuration_address;
    logic [31:0]     configuration_data;
    logic            image_valid = 1'b0, masks_valid = 1'b0, weights_valid = 1'b0, request_ready = 1'b0, logits_ready = 1'b0;
    wire             image_ready, masks_ready, weights_ready, request_valid, logits_valid, logits_last;
    logic [WORD-1:0] image_data, weights_data;
    logic [31:0]     masks_data;
    wire  [31:0]     request_address, request_words, logits_data;
    wire             idle, map_ready, configured;
    wire  [31:0]     fingerprint, frames, count_total, count_busy, count_input_stall, count_weight_stall;

    engine #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) dut (
        .clock(clock), .reset(reset), .enable(enable), .configuration_write(configuration_write),
        .configuration_address(configuration_address), .configuration_data(configuration_data),
        .image_valid(image_valid), .image_ready(image_ready), .image_data(image_data),
        .masks_valid(masks_valid), .masks_ready(masks_ready), .masks_data(masks_data),
        .weight_request_valid(request_valid), .weight_request_ready(request_ready),
        .weight_request_address(request_address), .weight_request_words(request_words),
        .weights_valid(weights_valid), .weights_ready(weights_ready), .weights_data(weights_data),
        .logits_valid(logits_valid), .logits_ready(logits_ready), .logits_data(logits_data), .logits_last(logits_last),
        .idle(idle), .map_ready(map_ready), .configured(configured), .fingerprint(fingerprint), .frames(frames),
        .count_total(count_total), .count_busy(count_busy), .count_input_stall(count_input_stall),
        .count_weight_stall(count_weight_stall)
    );

    // ---- random numbers, the same in every simulator ----

    logic [31:0] state = 32'd1;
    function automatic [31:0] advance(input [31:0] s);
        reg [31:0] t;
        begin
            t = s;
            t = t ^ (t << 13);
            t = t ^ (t >> 17);
            t = t ^ (t << 5);
            advance = t;
        end
    endfunction

    // ---- files ----

    localparam PATH = 8 * 4096;                 // bits of the longest path
    reg [PATH-1:0] project;
    integer seed, stall, frames_wanted;
    integer image_file, masks_file, writes_file, pooled_file, cells_file, logits_file;
    integer got, writes = 0, pooled = 0, cells = 0, logits = 0;
    logic [WORD-1:0]  outer [0:OUTER_WORDS-1];
    logic [19:0]      line_address;
    logic [31:0]      line_data;
    integer           config_file;

    function automatic integer open(input [PATH-1:0] directory, input [127:0] name, input integer needed);
        begin
            open = $fopen($sformatf("%0s/%0s", directory, name), "r");
            if (open == 0 && needed != 0) begin
                $display("%0s/%0s: cannot be opened", directory, name);
                $fatal;
            end
        end
    endfunction

    integer classes = 1;
    initial begin
        if (!$value$plusargs("project=%s", project)) begin
            $display("+project=DIRECTORY is missing");
            $fatal;
        end
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("stall=%d", stall)) stall = 4;
        if (!$value$plusargs("frames=%d", frames_wanted)) frames_wanted = 1;
        state = seed * 2654435 + 1;
        config_file = open(project, "config.hex", 1);
        image_file  = open(project, "image.hex", 1);
        masks_file  = open(project, "masks.hex", 1);
        writes_file = open(project, "writes.hex", 1);
        pooled_file = open(project, "pooled.hex", 1);
        cells_file  = open(project, "cells.hex", 1);
        logits_file = open(project, "logits.hex", 1);
        $readmemh($sformatf("%0s/weights.hex", project), outer);
        repeat (4) @(negedge clock);
        reset = 1'b0;
        got = $fscanf(config_file, "%h %h", line_address, line_data);
        while (got == 2) begin
            configuration_write   = 1'b1;
            configuration_address = line_address;
            configuration_data    = line_data;
            if (line_address == 20'd27) classes = line_data;
            @(negedge clock);
            got = $fscanf(config_file, "%h %h", line_address, line_data);
        end
        configuration_write = 1'b0;
        repeat (4) @(negedge clock);
        if (!configured) begin
            $display("the engine does not accept the configuration: other PE or L?");
            $fatal;
        end
        enable = 1'b1;
    end

    // ---- streams in ----

    logic            image_more = 1'b1, masks_more = 1'b1, image_have = 1'b0, masks_have = 1'b0;
    logic [WORD-1:0] image_next;
    logic [31:0]     masks_next;
    integer          image_frame = 1, masks_frame = 1, image_beats = 0;
    logic [31:0]     outer_address, outer_left = 32'd0, pending_address [0:15], pending_words [0:15];
    logic [3:0]      pending_in = 4'd0, pending_out = 4'd0;
    integer          total_words = 0;

    always @(posedge clock) if (enable) begin
        state = advance(state);

        // image
        if (image_valid && image_ready) image_beats = image_beats + 1;
        if (!image_valid || image_ready) begin
            if (!image_have && image_more) begin
                image_have = $fscanf(image_file, "%h", image_next) == 1;
                if (!image_have && image_frame < frames_wanted) begin
                    got = $rewind(image_file);
                    image_frame = image_frame + 1;
                    image_have = $fscanf(image_file, "%h", image_next) == 1;
                end
                image_more = image_have;
            end
            if (image_have && state[3:0] >= stall) begin
                image_valid <= 1'b1;
                image_data  <= image_next;
                image_have  = 1'b0;
            end else image_valid <= 1'b0;
        end

        // masks
        if (!masks_valid || masks_ready) begin
            if (!masks_have && masks_more) begin
                masks_have = $fscanf(masks_file, "%h", masks_next) == 1;
                if (!masks_have && masks_frame < frames_wanted) begin
                    got = $rewind(masks_file);
                    masks_frame = masks_frame + 1;
                    masks_have = $fscanf(masks_file, "%h", masks_next) == 1;
                end
                masks_more = masks_have;
            end
            if (masks_have && state[7:4] >= stall) begin
                masks_valid <= 1'b1;
                masks_data  <= masks_next;
                masks_have  = 1'b0;
            end else masks_valid <= 1'b0;
        end

        // weights from outside, in the order of the requests
        if (request_valid && request_ready) begin
            if (request_address + request_words > OUTER_WORDS) begin
                $display("weight request beyond the memory: %h + %h", request_address, request_words);
                $fatal;
            end
            pending_address[pending_in] = request_address;
            pending_words[pending_in]   = request_words;
            pending_in = pending_in + 4'd1;
        end
        request_ready <= state[11:8] >= stall && (pending_in + 4'd2 != pending_out) && (pending_in + 4'd1 != pending_out);
        if (!weights_valid || weights_ready) begin
            if (weights_valid) total_words = total_words + 1;
            if (outer_left == 32'd0 && pending_in != pending_out) begin
                outer_address = pending_address[pending_out];
                outer_left    = pending_words[pending_out];
                pending_out   = pending_out + 4'd1;
            end
            if (outer_left != 32'd0 && state[15:12] >= stall) begin
                weights_valid <= 1'b1;
                weights_data  <= outer[outer_address];
                outer_address = outer_address + 32'd1;
                outer_left    = outer_left - 32'd1;
            end else weights_valid <= 1'b0;
        end

        logits_ready <= state[19:16] >= stall;
    end

    // ---- comparisons ----

    logic [L*WORD-1:0] want_word;
    logic [L*WORD-1:0] want_mask;
    logic [L*PE-1:0]   want_bytes;              // a bit for each byte that counts
    logic [PE-1:0]     pooled_bytes;
    logic [WORD-1:0]   pooled_mask;
    logic [WORD-1:0]   want_pooled;
    logic [3:0]        want_lane;
    logic [31:0]       want_logit;
    integer            class_at = 0;
    integer            operations = 0, writes_of_operation = 0, image_cycles = 0, image_busy = 0, i;
    integer            operation_start = 0, operation_busy = 0, operation_end = 0;
    reg                timing = 0;
    initial timing = $test$plusargs("timing") != 0;

    task expect_end;                            // of the golden files
        begin
`ifndef NO_SCORING
            got = $fscanf(writes_file, "%h %h", want_word, want_bytes);
            if (got == 2) begin $display("golden writes are left after %0d", writes); $fatal; end
            got = $fscanf(pooled_file, "%h %h %h", want_lane, want_pooled, pooled_bytes);
            if (got == 3) begin $display("golden pooled words are left after %0d", pooled); $fatal; end
            got = $fscanf(logits_file, "%h", want_logit);
            if (got == 1) begin $display("golden logits are left after %0d", logits); $fatal; end
            expect_cells_end;
`endif
        end
    endtask

    always @(posedge clock) if (enable) begin
        if (dut.frame_begin && frames != 32'd0) begin
            expect_end;                         // opened anew: $rewind keeps Verilator's mark of the end
            $fclose(writes_file);
            writes_file = open(project, "writes.hex", 1);
            $fclose(pooled_file);
            pooled_file = open(project, "pooled.hex", 1);
            $fclose(cells_file);
            cells_file = open(project, "cells.hex", 1);
            $fclose(logits_file);
            logits_file = open(project, "logits.hex", 1);
        end
        if (dut.start) begin
            operations = operations + 1;
            writes_of_operation = 0;
            operation_start = count_total;
            operation_busy  = count_busy;
        end
        if (dut.finished && timing)
            $display("operation %0d kind %0d cycles %0d busy %0d pause %0d", operations, dut.kind, count_total - operation_start,
                     count_busy - operation_busy, operation_start - operation_end);
        if (dut.finished) operation_end = count_total;
        if (dut.map_ready && image_cycles == 0) begin
            image_cycles = count_total;
            image_busy   = count_busy;
        end

        if (dut.result_write) begin
            got = $fscanf(writes_file, "%h %h", want_word, want_bytes);
            if (got != 2) begin
                $display("operation %0d: write %0d is one too many", operations, writes);
                $fatal;
            end
            for (i = 0; i < L * PE; i = i + 1) want_mask[i*8 +: 8] = {8{want_bytes[i]}};
            if (((dut.result_data ^ want_word) & want_mask) != {L*WORD{1'b0}} || ^(dut.result_data & want_mask) === 1'bx) begin
                $display("operation %0d (kind %0d), its write %0d (%0d in all), address %h", operations, dut.kind,
                         writes_of_operation, writes, dut.result_address);
                $display("  engine %h", dut.result_data & want_mask);
                $display("  golden %h", want_word & want_mask);
                $display("  bits   %h", want_mask);
                $fatal;
            end
            writes = writes + 1;
            writes_of_operation = writes_of_operation + 1;
        end

`ifndef NO_SCORING
        if (dut.pool_write && dut.pool_grant) begin
            got = $fscanf(pooled_file, "%h %h %h", want_lane, want_pooled, pooled_bytes);
            for (i = 0; i < PE; i = i + 1) pooled_mask[i*8 +: 8] = {8{pooled_bytes[i]}};
            if (got != 3 || dut.pool_lane !== want_lane || (dut.pool_word & pooled_mask) !== (want_pooled & pooled_mask)) begin
                $display("pooled write %0d: engine lane %h %h, golden lane %h %h", pooled, dut.pool_lane, dut.pool_word,
                         want_lane, want_pooled);
                $fatal;
            end
            pooled = pooled + 1;
        end

        if (logits_valid && logits_ready) begin
            got = $fscanf(logits_file, "%h", want_logit);
            if (got != 1 || logits_data !== want_logit || logits_last !== (class_at == classes)) begin
                $display("logit word %0d: engine %h last %b, golden %h", logits, logits_data, logits_last, want_logit);
                $fatal;
            end
            class_at = class_at == classes ? 0 : class_at + 1;
            logits = logits + 1;
        end
`endif
    end

`ifndef NO_SCORING
    `include "tb_cells.svh"
`endif

    // ---- the end ----

    integer quiet = 0, last_progress = 0, expected_files;
    always @(posedge clock) if (enable) begin
        quiet = quiet + 1;
        if (writes + logits + pooled + image_beats + total_words != last_progress) begin
            last_progress = writes + logits + pooled + image_beats + total_words;
            quiet = 0;
        end
        if (quiet > 200000) begin
            $display("nothing happens any more after %0d writes, %0d pooled, %0d logit words (operation %0d)", writes, pooled,
                     logits, operations);
            $fatal;
        end
        if (frames == frames_wanted) begin
            expect_end;
            $display("ok: %0d operations, %0d writes, %0d pooled words, %0d masks of cells, %0d logit words", operations, writes,
                     pooled, cells, logits);
            $display("    last frame: %0d cycles, array busy %0d, input stalls %0d, weight stalls %0d; image program %0d, busy %0d",
                     count_total, count_busy, count_input_stall, count_weight_stall, image_cycles, image_busy);
            $finish;
        end
    end

endmodule
