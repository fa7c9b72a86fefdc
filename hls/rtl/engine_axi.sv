// The engine on a system on chip: AXI4-Lite for the registers of REGISTERS.md, AXI4-Stream for image, masks and logits, and an
// AXI4 master that reads the weights from outside, in bursts.
//
// A weight word of the model's external memory is at EXTERNAL_ADDRESS (here: a byte address in the master's memory, a multiple
// of PE) + PE * its number; the processor writes that memory itself. With STREAMS = 0 image, masks and logits go through the
// ports of the register map instead, and the AXI4-Stream ones stay silent.
//
// No output depends combinationally on an input of the same interface. While CONTROL holds the engine in reset, what arrives
// on image and masks is dropped; a word of logits that is offered stays until it is taken, and a segment that was cut off ends
// with the word 0xFFFFFFFF and tlast.
module engine_axi #(
    parameter PE = 8,
    parameter L = 8,
    parameter FEATURE_WORDS = 4096,
    parameter WEIGHT_WORDS = 4096,
    parameter CHANNELS = 1024,
    parameter STORE_WORDS = 2048,
    parameter SIDE = 256,
    parameter CLASSES = 16,
    parameter GENERAL_SCALE = 0,
    parameter AVERAGE_POOL = 0,
    parameter STREAMS = 1
) (
    input  logic            aclk,
    input  logic            aresetn,

    input  logic            s_axil_awvalid,
    output logic            s_axil_awready,
    input  logic [11:0]     s_axil_awaddr,
    input  logic            s_axil_wvalid,
    output logic            s_axil_wready,
    input  logic [31:0]     s_axil_wdata,
    input  logic [3:0]      s_axil_wstrb,
    output logic            s_axil_bvalid,
    input  logic            s_axil_bready,
    output logic [1:0]      s_axil_bresp,
    input  logic            s_axil_arvalid,
    output logic            s_axil_arready,
    input  logic [11:0]     s_axil_araddr,
    output logic            s_axil_rvalid,
    input  logic            s_axil_rready,
    output logic [31:0]     s_axil_rdata,
    output logic [1:0]      s_axil_rresp,

    input  logic            s_axis_image_tvalid,
    output logic            s_axis_image_tready,
    input  logic [8*PE-1:0] s_axis_image_tdata,
    input  logic            s_axis_masks_tvalid,
    output logic            s_axis_masks_tready,
    input  logic [31:0]     s_axis_masks_tdata,
    output logic            m_axis_logits_tvalid,
    input  logic            m_axis_logits_tready,
    output logic [31:0]     m_axis_logits_tdata,
    output logic            m_axis_logits_tlast,

    output logic            m_axi_arvalid,
    input  logic            m_axi_arready,
    output logic [31:0]     m_axi_araddr,
    output logic [7:0]      m_axi_arlen,
    output logic [2:0]      m_axi_arsize,
    output logic [1:0]      m_axi_arburst,
    input  logic            m_axi_rvalid,
    output logic            m_axi_rready,
    input  logic [8*PE-1:0] m_axi_rdata,
    input  logic [1:0]      m_axi_rresp,
    input  logic            m_axi_rlast,

    output logic            attention           // logits wait in their port; with streams never: the DMA says so itself
);
    localparam [2:0] IMAGE = 3'd1, EXTERNAL = 3'd3, LOGITS = 3'd4;
    localparam [4:0] STATUS = 5'd4;
    localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;
    wire clock = aclk;
    wire reset = !aresetn;

    // Deliberate mistakes for the test bench, which must notice them: +fault=N.
`ifdef AXI_FAULTS
    integer fault;
    initial if (!$value$plusargs("fault=%d", fault)) fault = 0;
`else
    localparam fault = 0;
`endif

    logic weights_failed;                   // the memory answered with an error
    logic discarding;                       // the engine was reset: weights that still come are for nobody

    // ---- AXI4-Lite: every channel into a register; one access at a time, reads and writes in turn ----

    localparam ACCEPT = 2'd0, LOOK = 2'd1, FETCH = 2'd2;
    logic [1:0]  state;
    logic        aw_held, w_held, ar_held, writing, whole;
    logic [11:2] aw_address, ar_address, address;
    logic [31:0] w_data, write_data;
    logic [3:0]  w_strobes;
    wire  [31:0] register_read_data, logit_data;
    wire  [15:0] space;

    wire         write_waits = aw_held && w_held && !s_axil_bvalid;
    wire         read_waits = ar_held && !s_axil_rvalid;
    wire         begin_write = state == ACCEPT && write_waits && !(read_waits && writing);
    wire         begin_read = state == ACCEPT && read_waits && !begin_write;

    wire         is_register = address[11:7] == 5'd0;
    wire         is_port = address[11:5] == 7'h08;
    wire  [2:0]  port = address[4:2];
    // The ports that this instance has: the weights' memory is the processor's, and streams take the place of three ports.
    wire         can_push = is_port && port < EXTERNAL && (STREAMS == 0 || port < IMAGE);
    wire         can_pull = is_port && port == LOGITS && STREAMS == 0 && space != 16'd0;
    wire         do_write = state == LOOK && writing && whole;
    wire         do_read  = state == LOOK && !writing;

    assign s_axil_awready = !aw_held && (fault != 10 || s_axil_wvalid);
    assign s_axil_wready  = !w_held;
    assign s_axil_arready = !ar_held;

    logic        pulled, readable;
    always_ff @(posedge clock) begin
        if (s_axil_awvalid && s_axil_awready) begin
            aw_held    <= 1'b1;
            aw_address <= s_axil_awaddr[11:2];
        end
        if (s_axil_wvalid && s_axil_wready) begin
            w_held    <= 1'b1;
            w_data    <= s_axil_wdata;
            w_strobes <= s_axil_wstrb;
        end
        if (s_axil_arvalid && s_axil_arready) begin
            ar_held    <= 1'b1;
            ar_address <= s_axil_araddr[11:2];
        end
        if (s_axil_bready || fault == 1) s_axil_bvalid <= 1'b0;
        if (s_axil_rready) s_axil_rvalid <= 1'b0;
        case (state)
            ACCEPT: begin
                if (begin_write) begin
                    writing <= 1'b1;
                    aw_held <= 1'b0;
                    w_held  <= 1'b0;
                end
                if (begin_read) begin
                    writing <= 1'b0;
                    ar_held <= 1'b0;
                end
                address    <= begin_write ? aw_address : ar_address;
                write_data <= w_data;
                whole      <= w_strobes == 4'b1111;
                if (begin_write || begin_read) state <= LOOK;
            end
            LOOK: begin
                pulled   <= can_pull;
                readable <= is_register || can_pull;
                if (writing) begin
                    s_axil_bvalid <= 1'b1;
                    s_axil_bresp  <= (whole && (is_register || can_push)) || fault == 2 ? OKAY : SLVERR;
                    state <= ACCEPT;
                end else state <= FETCH;
            end
            default: begin
                s_axil_rvalid <= 1'b1;
                s_axil_rresp  <= readable ? OKAY : SLVERR;
                s_axil_rdata  <= !readable ? 32'd0 : pulled ? logit_data
                               : {register_read_data[31:5], register_read_data[4] | (address[6:2] == STATUS && weights_failed),
                                  register_read_data[3:0]};
                state <= ACCEPT;
            end
        endcase
        if (reset) begin
            state <= ACCEPT;
            writing <= 1'b0;
            aw_held <= 1'b0;
            w_held <= 1'b0;
            ar_held <= 1'b0;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
        end
    end

    // ---- registers and engine ----

    wire            engine_reset, enable, idle, map_ready, configured;
    wire            configuration_write;
    wire [19:0]     configuration_address;
    wire [31:0]     configuration_data, fingerprint, frames;
    wire [31:0]     count_total, count_busy, count_input_stall, count_weight_stall;
    wire            port_image_valid, port_masks_valid, port_logits_ready;
    wire [8*PE-1:0] port_image_data;
    wire [31:0]     port_masks_data, external_address;
    wire            image_ready, masks_ready, logits_valid, logits_last, stream_ready;
    wire [31:0]     logits_data;
    // A word of LOGITS is taken by reading it.
    wire            take_logit = do_read && can_pull;

    engine_registers #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) registers (
        .clock, .reset, .register_write(do_write && is_register), .register_index(address[6:2]), .register_write_data(write_data),
        .register_read_data, .port, .space, .sequence_number(), .push(do_write && can_push),
        .push_data(write_data), .logit_offset(8'd0), .logit_data, .logit_release(take_logit), .logit_release_words(9'd1),
        .attention, .engine_reset, .enable, .configuration_write, .configuration_address, .configuration_data,
        .image_valid(port_image_valid), .image_ready(image_ready && STREAMS == 0), .image_data(port_image_data),
        .masks_valid(port_masks_valid), .masks_ready(masks_ready && STREAMS == 0), .masks_data(port_masks_data),
        .external_valid(), .external_ready(1'b1), .external_address, .external_data(),
        .logits_valid(logits_valid && STREAMS == 0), .logits_ready(port_logits_ready), .logits_data, .idle, .map_ready,
        .configured, .fingerprint, .frames, .count_total, .count_busy, .count_input_stall, .count_weight_stall);

    wire            weight_request_valid, weight_request_ready, weights_ready;
    wire [31:0]     weight_request_address, weight_request_words;

    assign s_axis_image_tready = STREAMS != 0 && (image_ready || (engine_reset && fault != 9));
    assign s_axis_masks_tready = STREAMS != 0 && (masks_ready || engine_reset);

    // Logits leave through a register, which a reset of the engine does not touch.
    logic segment_open, cut_off;            // a segment's first word has been offered and not its last; and will not be
    wire  offer = !m_axis_logits_tvalid || m_axis_logits_tready;
    assign stream_ready = offer && !cut_off && !engine_reset;
    always_ff @(posedge clock) begin
        if (engine_reset && segment_open) cut_off <= 1'b1;
        if (offer) begin
            m_axis_logits_tvalid <= 1'b0;
            if (cut_off) begin
                m_axis_logits_tvalid <= 1'b1;
                m_axis_logits_tdata  <= 32'hFFFFFFFF;
                m_axis_logits_tlast  <= 1'b1;
                segment_open <= 1'b0;
                cut_off      <= 1'b0;
            end else if (STREAMS != 0 && logits_valid && !engine_reset) begin
                m_axis_logits_tvalid <= 1'b1;
                m_axis_logits_tdata  <= logits_data;
                m_axis_logits_tlast  <= fault == 3 ? 1'b0 : logits_last;
                segment_open <= !logits_last;
            end
        end
        if (fault == 4 && m_axis_logits_tvalid) m_axis_logits_tdata <= m_axis_logits_tdata + 32'd1;
        if (reset || (fault == 5 && engine_reset)) begin
            m_axis_logits_tvalid <= 1'b0;
            segment_open <= 1'b0;
            cut_off <= 1'b0;
        end
    end

    engine #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL)
    ) engine (
        .clock, .reset(reset | engine_reset), .enable, .configuration_write, .configuration_address, .configuration_data,
        .image_valid(STREAMS != 0 ? s_axis_image_tvalid : port_image_valid), .image_ready,
        .image_data(STREAMS != 0 ? s_axis_image_tdata : port_image_data),
        .masks_valid(STREAMS != 0 ? s_axis_masks_tvalid : port_masks_valid), .masks_ready,
        .masks_data(STREAMS != 0 ? s_axis_masks_tdata : port_masks_data), .weight_request_valid, .weight_request_ready,
        .weight_request_address, .weight_request_words, .weights_valid(m_axi_rvalid && !discarding), .weights_ready,
        .weights_data(m_axi_rdata), .logits_valid, .logits_ready(STREAMS != 0 ? stream_ready : port_logits_ready),
        .logits_data, .logits_last, .idle, .map_ready, .configured, .fingerprint, .frames, .count_total, .count_busy,
        .count_input_stall, .count_weight_stall);

    // ---- weights: bursts of at most 16 beats that stay inside 4 KiB, the next one asked for while one arrives ----

    localparam SHIFT = $clog2(PE);
    logic [31:0] next, left;                // words
    logic [5:0]  coming;                    // beats asked for and not yet here
    wire  [31:0] byte_address = external_address + (next << SHIFT);
    wire  [31:0] to_boundary = (32'd4096 - {20'd0, byte_address[11:0]}) >> SHIFT;
    wire  [31:0] fits = to_boundary < 32'd16 && fault != 6 ? to_boundary : 32'd16;
    wire  [31:0] burst = left < fits ? left : fits;
    wire         arrived = m_axi_rvalid && m_axi_rready;
    wire         asked = m_axi_arvalid && m_axi_arready;

    assign weight_request_ready = left == 32'd0 && !m_axi_arvalid && !discarding;
    assign m_axi_arsize = SHIFT[2:0];
    assign m_axi_arburst = 2'b01;
    assign m_axi_rready = weights_ready || discarding;
    always_ff @(posedge clock) begin
        if (arrived && m_axi_rresp[1] && (!discarding || fault == 11) && fault != 8) weights_failed <= 1'b1;
        if (reset || engine_reset) weights_failed <= 1'b0;
        coming <= coming + (asked ? {1'b0, m_axi_arlen[4:0]} + 6'd1 : 6'd0) - {5'd0, arrived};
        if (asked) m_axi_arvalid <= 1'b0;
        if (weight_request_valid && weight_request_ready) begin
            next <= weight_request_address;
            left <= weight_request_words;
        end else if (left != 32'd0 && !m_axi_arvalid && coming <= 6'd16) begin
            m_axi_arvalid <= 1'b1;
            m_axi_araddr <= byte_address;
            m_axi_arlen <= burst[7:0] - 8'd1;
            next <= next + burst;
            left <= left - burst;
        end
        if (engine_reset) begin
            left <= 32'd0;
            discarding <= fault != 7;
        end else if (discarding && coming == 6'd0 && !m_axi_arvalid) discarding <= 1'b0;
        if (reset) begin
            m_axi_arvalid <= 1'b0;
            left <= 32'd0;
            coming <= 6'd0;
            discarding <= 1'b0;
        end
    end
endmodule
