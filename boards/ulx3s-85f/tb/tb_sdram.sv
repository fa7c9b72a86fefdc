// Writes and reads runs of words through sdram.sv into the checked model, with random stalls, and compares.
`timescale 1ns / 1ps
module tb_sdram;
    localparam int WORD = 64;
    logic clk = 0, reset = 1, flush = 0;
    always #6.25 clk = ~clk;

    logic request_valid = 0, request_ready, read_valid, read_ready = 0, write_valid = 0, write_ready;
    logic [31:0] request_address, request_count, write_address;
    logic [WORD-1:0] read_data, write_data;
    logic cke, csn, rasn, casn, wen, enable;
    logic [1:0] ba, dqm;
    logic [12:0] a;
    logic [15:0] out, in;

    sdram #(.WORD(WORD), .CLOCK_KHZ(80_000)) dut (
        .clk, .reset, .flush, .request_valid, .request_ready, .request_address, .request_count, .read_valid, .read_ready, .read_data,
        .write_valid, .write_ready, .write_address, .write_data, .sdram_cke(cke), .sdram_csn(csn), .sdram_rasn(rasn),
        .sdram_casn(casn), .sdram_wen(wen), .sdram_ba(ba), .sdram_a(a), .sdram_dqm(dqm), .sdram_dq_out(out),
        .sdram_dq_enable(enable), .sdram_dq_in(in));
    sdram_model memory (
        .clk(~clk), .cke, .csn, .rasn, .casn, .wen, .ba, .a, .dqm, .dq_in(out), .dq_driven(enable), .dq_out(in));

    // What should be there: a function of the address and of how often it was written.
    localparam int SPAN = 3000;
    logic [63:0] expected [0:SPAN-1];
    int seed = 1, words = 0;
    int cycles = 0, started, taken, at, count;
    always @(posedge clk) begin
        cycles <= cycles + 1;
        if (cycles > 2_000_000) $fatal(1, "hangs");
    end

    // Everything is driven at the falling edge, and looked at before the rising one.
    task automatic put(input int at, input logic [63:0] value);
        write_valid = 1; write_address = at; write_data = value;
        #1;
        while (!write_ready) @(negedge clk) #1;
        @(negedge clk);
        write_valid = 0;
        expected[at] = value;
    endtask

    task automatic get(input int at, input int count, input int stall);
        request_valid = 1; request_address = at; request_count = count;
        #1;
        while (!request_ready) @(negedge clk) #1;
        @(negedge clk);
        request_valid = 0;
        taken = 0;
        while (taken < count) begin
            read_ready = $urandom_range(99) >= stall;
            #1;
            if (read_valid && read_ready) begin
                if (read_data !== expected[at + taken]) begin
                    $display("word %0d: %h, not %h", at + taken, read_data, expected[at + taken]);
                    $fatal(1);
                end
                taken = taken + 1;
                words = words + 1;
            end
            @(negedge clk);
        end
        read_ready = 0;
    endtask

    initial begin
        count = $urandom(seed);
        repeat (10) @(negedge clk);
        reset = 0;
        for (int i = 0; i < SPAN; i = i + 1) put(i, {$urandom, $urandom});
        started = cycles;
        get(0, SPAN, 0);
        $display("%0d words in %0d cycles", SPAN, cycles - started);
        // 4 cycles a word; 3 % for rows and refreshes.
        if (cycles - started > SPAN * 4 * 104 / 100) $fatal(1, "reads are too slow");
        for (int n = 0; n < 60; n = n + 1) begin
            at = $urandom_range(SPAN - 1);
            count = 1 + $urandom_range(SPAN - 1 - at) % 300;
            get(at, count, n % 3 * 40);
            // A run that is given up leaves nothing behind.
            if (n % 5 == 0) begin
                request_valid = 1; request_address = 0; request_count = 1000;
                #1;
                while (!request_ready) @(negedge clk) #1;
                @(negedge clk);
                request_valid = 0;
                repeat ($urandom_range(60)) @(negedge clk);
                flush = 1;
                repeat (10) @(negedge clk);
                flush = 0;
            end
            if (n % 4 == 0) put($urandom_range(SPAN - 1), {$urandom, $urandom});
            if (n % 7 == 0) repeat ($urandom_range(3000)) @(negedge clk);
        end
        $display("sdram: %0d words equal", words);
        $finish;
    end
endmodule
