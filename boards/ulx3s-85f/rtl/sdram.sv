// The SDRAM as the engine's external weight memory: runs of weight words are read in bursts, single words are written.
//
// For the 16-bit SDR SDRAM of the ULX3S (32 MB: 4 banks of 8192 rows of 512 columns; -75 grade or faster). A weight word
// of WORD bits takes WORD / 16 columns and is one burst; words follow each other through a row, then the same row of the next
// bank.
//
// Reads: a request (address and number of words) is taken when `request_ready`; its words leave in order on `read_*`. Inside a
// row a word takes WORD / 16 cycles, without a gap while there is room for it. Writes: one word each, when no read is under way.
// Refresh comes between words.
//
// `sdram_clk` must be the inverted `clk`: outputs change half a cycle before the memory samples them, and what it drives (CAS
// latency 2, valid up to 6 ns after its edge) is registered here at the falling edge of `clk`, a whole cycle later.
module sdram #(
    parameter int WORD      = 64,
    parameter int CLOCK_KHZ = 80_000
) (
    input  logic            clk,
    input  logic            reset,
    input  logic            flush,           // gives up the run that is being read

    input  logic            request_valid,
    output logic            request_ready,
    input  logic [31:0]     request_address,
    input  logic [31:0]     request_count,

    output logic            read_valid,
    input  logic            read_ready,
    output logic [WORD-1:0] read_data,

    input  logic            write_valid,
    output logic            write_ready,
    input  logic [31:0]     write_address,
    input  logic [WORD-1:0] write_data,

    output logic            sdram_cke,
    output logic            sdram_csn,
    output logic            sdram_rasn,
    output logic            sdram_casn,
    output logic            sdram_wen,
    output logic [1:0]      sdram_ba,
    output logic [12:0]     sdram_a,
    output logic [1:0]      sdram_dqm,
    output logic [15:0]     sdram_dq_out,
    output logic            sdram_dq_enable,
    input  logic [15:0]     sdram_dq_in
);
    localparam int BURST = WORD / 16;
    localparam int BURST_BITS = $clog2(BURST);
    localparam int WORDS_PER_ROW = 512 / BURST;
    localparam int ROW_BITS = $clog2(WORDS_PER_ROW);

    // Data-sheet times in cycles, rounded up, of a -75 part.
    localparam int T_POWER_UP = CLOCK_KHZ / 5;                       // 200 us
    localparam int T_RCD      = (CLOCK_KHZ * 20 + 999_999) / 1_000_000; // 20 ns
    localparam int T_RP       = (CLOCK_KHZ * 20 + 999_999) / 1_000_000; // 20 ns
    localparam int T_RFC      = (CLOCK_KHZ * 66 + 999_999) / 1_000_000; // 66 ns
    localparam int T_WR       = 2;
    localparam int T_MRD      = 2;
    // 8192 rows in 64 ms, less what a word and a change of row may take.
    localparam int T_REFRESH  = CLOCK_KHZ * 64 / 8192 - 40;

    localparam logic [2:0] NOP = 3'b111, ACTIVATE = 3'b011, READ = 3'b101, WRITE = 3'b100, PRECHARGE = 3'b010,
                           REFRESH = 3'b001, MODE = 3'b000;

    localparam logic [3:0] S_POWER_UP = 0, S_INIT_REFRESH_1 = 2, S_INIT_REFRESH_2 = 3, S_INIT_MODE = 4,
                           S_IDLE = 5, S_ACTIVATE = 6, S_ACTIVE = 7, S_WRITE = 8, S_PRECHARGE = 9;

    logic [3:0] state;
    localparam int WAIT_BITS = $clog2(T_POWER_UP + 1);
    // Counters to -1: their sign says that they are through, no comparison.
    logic [WAIT_BITS:0] wait_cycles;
    logic [16:0] refresh_timer;
    logic refresh_due;
    wire  waited = wait_cycles[WAIT_BITS];

    // The run being read.
    logic        reading, writing;
    logic [31:0] address, left;
    logic [BURST_BITS:0] write_beat;
    logic [WORD-1:0] write_word;

    // A burst's beats arrive in order; a word is complete with the last of them.
    // READ at the pins in cycle t (the memory samples it half a cycle later), the first beat in `dq` in t + 3.
    localparam int LATENCY = 3;
    logic [LATENCY+BURST-1:0] beats;
    logic [15:0] dq_fall, dq;
    logic [BURST_BITS:0] beat;
    logic [WORD-1:0] assembled;

    // Room for what is on its way: two bursts, and what has not been taken.
    localparam int FIFO_BITS = 3;
    logic [WORD-1:0] fifo [0:(1<<FIFO_BITS)-1];
    logic [FIFO_BITS:0] filled, promised;
    logic [FIFO_BITS-1:0] head, tail;
    logic [BURST_BITS:0] spacing;

    wire [1:0]  bank = address[ROW_BITS +: 2];
    wire [12:0] row  = address[ROW_BITS + 2 +: 13];
    wire [8:0]  column = {address[ROW_BITS-1:0], {BURST_BITS{1'b0}}};
    wire last_of_row = &address[ROW_BITS-1:0];

    // A flushed run is read no further, and what is on its way is taken as if somebody wanted it.
    wire pop = filled != 0 && (read_ready || flush);
    wire word_done = beats[0] && beat == BURST[BURST_BITS:0] - 1;
    // The last burst has been issued BURST cycles ago, and the FIFO has room for one more.
    wire issue = state == S_ACTIVE && reading && waited && spacing == 0 && !flush && !promised[FIFO_BITS] && !refresh_due;

    assign read_valid = filled != 0 && !flush;
    assign read_data = fifo[head];
    // Decided a cycle before, in which nothing else begins: the one who asks is far away.
    logic open;
    assign request_ready = open;
    assign write_ready = open && !request_valid;
    assign sdram_cke = 1;
    assign sdram_csn = 0;
    assign sdram_dqm = 0;

    logic [2:0] command;
    assign {sdram_rasn, sdram_casn, sdram_wen} = command;

    always_ff @(negedge clk) dq_fall <= sdram_dq_in;

    always_ff @(posedge clk) begin
        command <= NOP;
        sdram_dq_enable <= 0;
        dq <= dq_fall;
        beats <= beats >> 1;
        open <= state == S_IDLE && waited && !refresh_due && !reading && !writing && !open;
        if (!waited) wait_cycles <= wait_cycles - 1;
        if (spacing != 0) spacing <= spacing - 1;
        if (!refresh_timer[16]) refresh_timer <= refresh_timer - 1;
        else refresh_due <= 1;

        if (beats[0]) begin
            assembled <= {dq, assembled[WORD-1:16]};
            beat <= word_done ? 0 : beat + 1;
            if (word_done) begin
                fifo[tail] <= {dq, assembled[WORD-1:16]};
                tail <= tail + 1;
            end
        end
        if (pop) head <= head + 1;
        filled <= filled + (FIFO_BITS + 1)'(word_done) - (FIFO_BITS + 1)'(pop);
        promised <= promised + (FIFO_BITS + 1)'(issue) - (FIFO_BITS + 1)'(pop);

        if (open) begin
            address <= request_valid ? request_address : write_address;
            write_word <= write_data;
            left <= request_count;
            reading <= request_valid && request_count != 0;
            writing <= !request_valid && write_valid;
        end

        if (waited) case (state)
            S_POWER_UP: begin
                command <= PRECHARGE;
                sdram_a <= 13'h400; // all banks
                wait_cycles <= (WAIT_BITS + 1)'(T_RP - 2);
                state <= S_INIT_REFRESH_1;
            end
            S_INIT_REFRESH_1, S_INIT_REFRESH_2: begin
                command <= REFRESH;
                wait_cycles <= (WAIT_BITS + 1)'(T_RFC - 2);
                state <= state == S_INIT_REFRESH_1 ? S_INIT_REFRESH_2 : S_INIT_MODE;
            end
            S_INIT_MODE: begin
                command <= MODE;
                sdram_ba <= 0;
                // CAS latency 2, sequential bursts of BURST, in reads and in writes.
                sdram_a <= 13'h020 | 13'(BURST_BITS);
                wait_cycles <= (WAIT_BITS + 1)'(T_MRD - 2);
                state <= S_IDLE;
            end
            S_IDLE: begin
                if (open) begin
                    // taken above
                end else if (refresh_due) begin
                    command <= REFRESH;
                    wait_cycles <= (WAIT_BITS + 1)'(T_RFC - 2);
                    refresh_due <= 0;
                    refresh_timer <= 17'(T_REFRESH - 1);
                end else if (reading || writing) begin
                    state <= S_ACTIVATE;
                end
            end
            S_ACTIVATE: begin
                command <= ACTIVATE;
                sdram_ba <= bank;
                sdram_a <= row;
                wait_cycles <= (WAIT_BITS + 1)'(T_RCD - 2);
                write_beat <= 0;
                state <= writing ? S_WRITE : S_ACTIVE;
            end
            S_ACTIVE: begin
                if (issue) begin
                    command <= READ;
                    sdram_ba <= bank;
                    sdram_a <= {4'b0, column};
                    // BURST beats from LATENCY cycles on; bursts are BURST cycles apart, so earlier ones are not touched.
                    beats <= (beats >> 1) | {{BURST{1'b1}}, {LATENCY{1'b0}}};
                    spacing <= BURST[BURST_BITS:0] - 1;
                    address <= address + 1;
                    left <= left - 1;
                    if (left == 1 || last_of_row) begin
                        reading <= left != 1;
                        // A precharge would cut the burst short.
                        wait_cycles <= (WAIT_BITS + 1)'(BURST);
                        state <= S_PRECHARGE;
                    end
                end else if (refresh_due && spacing == 0) begin
                    wait_cycles <= 0;
                    state <= S_PRECHARGE;
                end
            end
            S_WRITE: begin
                if (write_beat == BURST[BURST_BITS:0]) begin
                    writing <= 0;
                    wait_cycles <= (WAIT_BITS + 1)'(T_WR - 2);
                    state <= S_PRECHARGE;
                end else begin
                    command <= write_beat == 0 ? WRITE : NOP;
                    sdram_ba <= bank;
                    sdram_a <= {4'b0, column};
                    sdram_dq_out <= write_word[15:0];
                    sdram_dq_enable <= 1;
                    write_word <= write_word >> 16;
                    write_beat <= write_beat + 1;
                end
            end
            S_PRECHARGE: begin
                command <= PRECHARGE;
                sdram_a <= 13'h400;
                wait_cycles <= (WAIT_BITS + 1)'(T_RP - 2);
                state <= S_IDLE;
            end
            default: state <= S_IDLE;
        endcase

        if (flush && state == S_ACTIVE && !issue && waited) begin
            reading <= 0;
            wait_cycles <= (WAIT_BITS + 1)'(BURST);
            state <= S_PRECHARGE;
        end
        if (flush && state != S_ACTIVE) reading <= 0;

        if (reset) begin
            state <= S_POWER_UP;
            wait_cycles <= (WAIT_BITS + 1)'(T_POWER_UP - 1);
            refresh_timer <= 17'(T_REFRESH - 1);
            refresh_due <= 0;
            open <= 0;
            reading <= 0;
            writing <= 0;
            beats <= 0;
            beat <= 0;
            spacing <= 0;
            filled <= 0;
            promised <= 0;
            head <= 0;
            tail <= 0;
            command <= NOP;
        end
    end
endmodule
