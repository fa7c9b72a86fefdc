// The engine on a system on chip: AXI4-Lite for the registers of REGISTERS.md, AXI4-Stream for image, masks and logits, and an
// AXI4 master that reads the weights from outside, in bursts.
//
// A weight word of the model's external memory is at EXTERNAL_ADDRESS (here: a byte address in the master's memory) +
// PE * its number; the processor writes that memory itself. With STREAMS = 0 image, masks and logits go through the ports of
// the register map instead, and the AXI4-Stream ones stay silent.
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
    input  logic [8:0]      s_axil_awaddr,
    input  logic            s_axil_wvalid,
    output logic            s_axil_wready,
    input  logic [31:0]     s_axil_wdata,
    output logic            s_axil_bvalid,
    input  logic            s_axil_bready,
    output logic [1:0]      s_axil_bresp,
    input  logic            s_axil_arvalid,
    output logic            s_axil_arready,
    input  logic [8:0]      s_axil_araddr,
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

    output logic            attention
);
    localparam LOGITS = 3'd4;
    wire clock = aclk;
    wire reset = !aresetn;

    // ---- AXI4-Lite: one access at a time, writes first ----

    localparam ACCEPT = 2'd0, LOOK = 2'd1, FETCH = 2'd2, ANSWER = 2'd3;
    logic [1:0]  state;
    logic        writing;
    logic [8:0]  address;
    logic [31:0] write_data;
    wire         is_port = address[8];
    wire  [31:0] register_read_data, logit_data;
    wire  [15:0] space;
    wire         do_write = state == LOOK && writing;
    wire         do_read  = state == LOOK && !writing;

    assign s_axil_awready = state == ACCEPT && s_axil_awvalid && s_axil_wvalid;
    assign s_axil_wready  = s_axil_awready;
    assign s_axil_arready = state == ACCEPT && s_axil_arvalid && !(s_axil_awvalid && s_axil_wvalid);
    assign s_axil_bresp = 2'b00;
    assign s_axil_rresp = 2'b00;

    always_ff @(posedge clock) begin
        case (state)
            ACCEPT: begin
                writing <= s_axil_awready;
                address <= s_axil_awready ? s_axil_awaddr : s_axil_araddr;
                write_data <= s_axil_wdata;
                if (s_axil_awready || s_axil_arready) state <= LOOK;
            end
            LOOK: begin
                if (writing) begin
                    s_axil_bvalid <= 1'b1;
                    state <= ANSWER;
                end else state <= FETCH;
            end
            FETCH: begin
                s_axil_rvalid <= 1'b1;
                s_axil_rdata <= is_port ? logit_data : register_read_data;
                state <= ANSWER;
            end
            default: if ((s_axil_bvalid && s_axil_bready) || (s_axil_rvalid && s_axil_rready)) begin
                s_axil_bvalid <= 1'b0;
                s_axil_rvalid <= 1'b0;
                state <= ACCEPT;
            end
        endcase
        if (reset) begin
            state <= ACCEPT;
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
    wire            image_ready, masks_ready, logits_valid, logits_last;
    wire [31:0]     logits_data;
    // A word of LOGITS is taken by reading it.
    wire            take_logit = do_read && is_port && address[4:2] == LOGITS && space != 16'd0;

    engine_registers #(.PE(PE), .L(L)) registers (
        .clock, .reset, .register_write(do_write && !is_port), .register_index(address[6:2]), .register_write_data(write_data),
        .register_read_data, .port(address[4:2]), .space, .sequence_number(), .push(do_write && is_port && address[4:2] < LOGITS),
        .push_data(write_data), .logit_offset(8'd0), .logit_data, .logit_release(take_logit), .logit_release_words(9'd1),
        .attention, .engine_reset, .enable, .configuration_write, .configuration_address, .configuration_data,
        .image_valid(port_image_valid), .image_ready(image_ready && STREAMS == 0), .image_data(port_image_data),
        .masks_valid(port_masks_valid), .masks_ready(masks_ready && STREAMS == 0), .masks_data(port_masks_data),
        .external_valid(), .external_ready(1'b1), .external_address, .external_data(),
        .logits_valid(logits_valid && STREAMS == 0), .logits_ready(port_logits_ready), .logits_data, .idle, .map_ready,
        .configured, .fingerprint, .frames, .count_total, .count_busy, .count_input_stall, .count_weight_stall);

    wire            weight_request_valid, weight_request_ready, weights_ready;
    wire [31:0]     weight_request_address, weight_request_words;

    assign s_axis_image_tready = STREAMS != 0 && image_ready;
    assign s_axis_masks_tready = STREAMS != 0 && masks_ready;
    assign m_axis_logits_tvalid = STREAMS != 0 && logits_valid;
    assign m_axis_logits_tdata = logits_data;
    assign m_axis_logits_tlast = logits_last;

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
        .weights_data(m_axi_rdata), .logits_valid, .logits_ready(STREAMS != 0 ? m_axis_logits_tready : port_logits_ready),
        .logits_data, .logits_last, .idle, .map_ready, .configured, .fingerprint, .frames, .count_total, .count_busy,
        .count_input_stall, .count_weight_stall);

    // ---- weights: bursts of at most 16 beats that stay inside 4 KiB, the next one asked for while one arrives ----

    localparam SHIFT = $clog2(PE);
    logic [31:0] next, left;                // words
    logic [5:0]  coming;                    // beats asked for and not yet here
    logic        discarding;                // the engine was reset: what still comes is for nobody
    wire  [31:0] byte_address = external_address + (next << SHIFT);
    wire  [31:0] to_boundary = (32'd4096 - {20'd0, byte_address[11:0]}) >> SHIFT;
    wire  [31:0] fits = to_boundary < 32'd16 ? to_boundary : 32'd16;
    wire  [31:0] burst = left < fits ? left : fits;
    wire         arrived = m_axi_rvalid && m_axi_rready;
    wire         asked = m_axi_arvalid && m_axi_arready;

    assign weight_request_ready = left == 32'd0 && !m_axi_arvalid && !discarding;
    assign m_axi_arsize = SHIFT[2:0];
    assign m_axi_arburst = 2'b01;
    assign m_axi_rready = weights_ready || discarding;
    always_ff @(posedge clock) begin
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
            discarding <= 1'b1;
        end else if (discarding && coming == 6'd0 && !m_axi_arvalid) discarding <= 1'b0;
        if (reset) begin
            m_axi_arvalid <= 1'b0;
            left <= 32'd0;
            coming <= 6'd0;
            discarding <= 1'b0;
        end
    end
endmodule
