// An SDR SDRAM for simulation: 4 banks of 8192 rows of 512 columns of 16 bits, CAS latency 2, bursts of 1 to 8.
// Ends the simulation with an error when a command breaks a timing rule of a -75 part or an order of commands.
`timescale 1ns / 1ps
module sdram_model (
    input  logic        clk,
    input  logic        cke,
    input  logic        csn,
    input  logic        rasn,
    input  logic        casn,
    input  logic        wen,
    input  logic [1:0]  ba,
    input  logic [12:0] a,
    input  logic [1:0]  dqm,
    input  logic [15:0] dq_in,
    input  logic        dq_driven,
    output logic [15:0] dq_out
);
    // What is not written reads as a function of its address; a test touches little of the 32 MB.
    logic [15:0] memory [0:(1<<20)-1];

    logic        open    [0:3];
    logic [12:0] row     [0:3];
    realtime     activated [0:3], precharged [0:3], written [0:3];
    realtime     refreshed, moded;
    int          refreshes;
    logic        ready;
    int          burst;

    // Reads under way: the data of the next cycles.
    logic [15:0] pipe [0:15];
    logic        pipe_valid [0:15];
    // A write under way.
    int          write_left;
    logic [23:0] write_at;

    function automatic logic [19:0] place(logic [1:0] bank, logic [12:0] r, logic [8:0] column);
        // The low rows are kept, which is enough.
        place = {r[8:0], bank, column};
    endfunction

    task automatic fail(input string what);
        $display("sdram: %s at %t", what, $realtime);
        $fatal(1);
    endtask

    initial begin
        ready = 0; refreshes = 0; burst = 0; write_left = 0; refreshed = 0; moded = 0;
        for (int b = 0; b < 4; b = b + 1) begin
            open[b] = 0; activated[b] = -1000; precharged[b] = -1000; written[b] = -1000;
        end
        for (int i = 0; i < 16; i = i + 1) begin pipe_valid[i] = 0; pipe[i] = 0; end
        dq_out = 'x;
    end

    wire [2:0] command = {rasn, casn, wen};
    always @(posedge clk) if (cke && !csn) begin
        // What a read returns is on the pins CAS latency cycles later, 5.4 ns after the edge.
        dq_out <= #5.4 pipe_valid[1] ? pipe[1] : 16'hxxxx;
        for (int i = 0; i < 15; i = i + 1) begin
            pipe[i] = pipe[i + 1];
            pipe_valid[i] = pipe_valid[i + 1];
        end
        pipe_valid[15] = 0;
        if (write_left > 0 && command == 3'b111) begin
            if (!dq_driven) fail("a write beat is not driven");
            memory[write_at[19:0]] = dq_in;
            write_at = write_at + 1;
            write_left = write_left - 1;
            written[ba] = $realtime;
        end
        if (ready && $realtime - refreshed > 7812.5 * 9 && command != 3'b001) fail("rows are not refreshed");
        case (command)
            3'b000: begin
                if (refreshes < 2) fail("mode before refresh");
                if (a[6:4] != 2) fail("CAS latency");
                burst = 1 << a[2:0];
                ready = 1;
                moded = $realtime;
            end
            3'b001: begin
                for (int b = 0; b < 4; b = b + 1) begin
                    if (open[b]) fail("refresh of an open bank");
                    if ($realtime - precharged[b] < 20) fail("tRP before refresh");
                end
                if (refreshes > 0 && $realtime - refreshed < 66) fail("tRFC");
                refreshed = $realtime;
                refreshes = refreshes + 1;
            end
            3'b010: begin
                for (int b = 0; b < 4; b = b + 1) if (a[10] || ba == b) begin
                    if (open[b] && $realtime - activated[b] < 44) fail("tRAS");
                    if ($realtime - written[b] < 15) fail("tWR");
                    open[b] = 0;
                    precharged[b] = $realtime;
                end
                // A precharge ends a burst after CAS latency - 1 more beats.
                for (int i = 2; i < 16; i = i + 1) pipe_valid[i] = 0;
            end
            3'b011: begin
                if (!ready) fail("activate before mode");
                if (open[ba]) fail("activate of an open bank");
                if ($realtime - precharged[ba] < 20) fail("tRP");
                if ($realtime - refreshed < 66) fail("tRFC");
                if ($realtime - moded < 15) fail("tMRD");
                open[ba] = 1;
                row[ba] = a;
                activated[ba] = $realtime;
            end
            3'b100: begin
                if (!open[ba]) fail("write to a closed bank");
                if ($realtime - activated[ba] < 20) fail("tRCD");
                if (!dq_driven) fail("a write is not driven");
                memory[place(ba, row[ba], a[8:0])] = dq_in;
                write_at = {4'b0, place(ba, row[ba], a[8:0])} + 1;
                write_left = burst - 1;
                written[ba] = $realtime;
            end
            3'b101: begin
                if (!open[ba]) fail("read of a closed bank");
                if ($realtime - activated[ba] < 20) fail("tRCD");
                if (dq_driven) fail("both drive");
                for (int i = 0; i < burst; i = i + 1) begin
                    pipe[i + 1] = memory[place(ba, row[ba], (a[8:0] & ~9'(burst - 1)) | ((a[8:0] + 9'(i)) & 9'(burst - 1)))];
                    pipe_valid[i + 1] = 1;
                end
            end
            default: ;
        endcase
    end
endmodule
