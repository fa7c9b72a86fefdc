// The engine on a ULX3S-85F: SPI from a microcontroller on header J1, weights from outside in the board's SDRAM.
//
// 25 MHz in, 80 MHz inside. The instance's parameters come from the exported project (build.sh).
// LEDs: 0 idle/busy, 1 logits are waiting, 2 held in reset by the driver, 3 clock locked, 7 heartbeat.
module top #(
    parameter PE = 8,
    parameter L = 10,
    parameter FEATURE_WORDS = 3584,
    parameter WEIGHT_WORDS = 8192,
    parameter CHANNELS = 3072,
    parameter STORE_WORDS = 4096,
    parameter SIDE = 256,
    parameter CLASSES = 16,
    parameter GENERAL_SCALE = 0,
    parameter AVERAGE_POOL = 0
) (
    input  logic        clk_25mhz,
    input  logic        button_reset,
    input  logic        spi_sck,
    input  logic        spi_csn,
    input  logic        spi_mosi,
    output logic        spi_miso,
    output logic        attention,
    output logic        wifi_gpio0,
    output logic [7:0]  led,

    output logic        sdram_clk,
    output logic        sdram_cke,
    output logic        sdram_csn,
    output logic        sdram_rasn,
    output logic        sdram_casn,
    output logic        sdram_wen,
    output logic [1:0]  sdram_ba,
    output logic [12:0] sdram_a,
    output logic [1:0]  sdram_dqm,
    inout  wire  [15:0] sdram_d
);
    assign wifi_gpio0 = 1'b1;

    // ---- 80 MHz: 25 / 5 * 16, the oscillator at 640 ----

    wire clock, locked;
    (* FREQUENCY_PIN_CLKI = "25" *) (* FREQUENCY_PIN_CLKOP = "80" *)
    (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
        .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .CLKI_DIV(5), .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV(8), .CLKOP_CPHASE(4), .CLKOP_FPHASE(0), .FEEDBK_PATH("CLKOP"),
        .CLKFB_DIV(16)
    ) pll (
        .RST(1'b0), .STDBY(1'b0), .CLKI(clk_25mhz), .CLKOP(clock), .CLKFB(clock), .CLKINTFB(), .PHASESEL0(1'b0),
        .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
        .LOCK(locked));

    logic [8:0] reset_counter = 9'd0;        // its highest bit ends the reset
    logic [1:0] button;
    logic       reset = 1'b1;
    // The memory outside forgets what is not refreshed: the button must not stop it, for the engine keeps its model.
    logic [8:0] power_counter = 9'd0;
    logic       powering_up = 1'b1;
    logic [25:0] heartbeat;
    always_ff @(posedge clock) begin
        button <= {button[0], button_reset};
        if (!locked || button[1]) reset_counter <= 9'd0;
        else if (!reset_counter[8]) reset_counter <= reset_counter + 9'd1;
        reset <= !reset_counter[8];
        if (!locked) power_counter <= 9'd0;
        else if (!power_counter[8]) power_counter <= power_counter + 9'd1;
        powering_up <= !power_counter[8];
        heartbeat <= heartbeat + 26'd1;
    end

    wire engine_reset, reset_engine, reset_requests, reset_stores, reset_memory;
    replica resets [3:0] (
        .clock, .d({reset, reset | engine_reset, reset, powering_up}), .q({reset_engine, reset_requests, reset_stores, reset_memory}));

    // ---- the engine ----

    wire            weight_request_valid, weight_request_ready, weights_valid, weights_ready, store_valid, store_ready;
    wire [31:0]     weight_request_address, weight_request_words, store_address;
    wire [8*PE-1:0] weights_data, store_data;
    wire            busy;

    engine_spi #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) engine (
        .clock, .reset(reset_engine), .sck(spi_sck), .csn(spi_csn), .mosi(spi_mosi), .miso(spi_miso), .attention, .weight_request_valid,
        .weight_request_ready, .weight_request_address, .weight_request_words, .weights_valid, .weights_ready, .weights_data,
        .store_valid, .store_ready, .store_address, .store_data, .engine_reset, .busy);

    // ---- the memory ----

    wire [15:0] dq_out, dq_in;
    wire        dq_enable;
    // Registers on the way: the memory's states must not reach into the engine. Requests are forgotten with the engine's state,
    // words to store are not.
    wire            request_valid, request_ready, word_valid, word_ready;
    wire [31:0]     request_address, request_words, word_address;
    wire [8*PE-1:0] word_data;
    register_slice #(.WIDTH(64)) requests (
        .clock, .reset(reset_requests), .in_valid(weight_request_valid), .in_ready(weight_request_ready),
        .in_data({weight_request_address, weight_request_words}), .out_valid(request_valid), .out_ready(request_ready),
        .out_data({request_address, request_words}));
    register_slice #(.WIDTH(32 + 8 * PE)) stores (
        .clock, .reset(reset_stores), .in_valid(store_valid), .in_ready(store_ready), .in_data({store_address, store_data}),
        .out_valid(word_valid), .out_ready(word_ready), .out_data({word_address, word_data}));

    // What it still reads for an engine that has been reset is thrown away with the rest of its state.
    logic flush;
    always_ff @(posedge clock) flush <= engine_reset;
    sdram #(.WORD(8 * PE), .CLOCK_KHZ(80_000)) memory (
        .clk(clock), .reset(reset_memory), .flush, .request_valid, .request_ready, .request_address,
        .request_count(request_words), .read_valid(weights_valid), .read_ready(weights_ready), .read_data(weights_data),
        .write_valid(word_valid), .write_ready(word_ready), .write_address(word_address), .write_data(word_data), .sdram_cke,
        .sdram_csn, .sdram_rasn, .sdram_casn, .sdram_wen, .sdram_ba, .sdram_a, .sdram_dqm, .sdram_dq_out(dq_out),
        .sdram_dq_enable(dq_enable), .sdram_dq_in(dq_in));

    ODDRX1F sdram_clock (.D0(1'b0), .D1(1'b1), .SCLK(clock), .RST(1'b0), .Q(sdram_clk));
    for (genvar i = 0; i < 16; i = i + 1) begin : pin
        BB buffer (.I(dq_out[i]), .T(!dq_enable), .O(dq_in[i]), .B(sdram_d[i]));
    end

    assign led = {heartbeat[25], 3'b000, locked, engine_reset, attention, busy};
endmodule
