// The engine for a block design. Vivado takes a module into one by reference only if its file is Verilog, and finds out what is
// an interface by the ports' names; the attributes say the rest.
module engine_pynq #(
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
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axil:s_axis_image:s_axis_masks:m_axis_logits:m_axi, ASSOCIATED_RESET aresetn" *)
    input  wire            aclk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire            aresetn,

    input  wire            s_axil_awvalid,
    output wire            s_axil_awready,
    input  wire [11:0]     s_axil_awaddr,
    input  wire            s_axil_wvalid,
    output wire            s_axil_wready,
    input  wire [31:0]     s_axil_wdata,
    input  wire [3:0]      s_axil_wstrb,
    output wire            s_axil_bvalid,
    input  wire            s_axil_bready,
    output wire [1:0]      s_axil_bresp,
    input  wire            s_axil_arvalid,
    output wire            s_axil_arready,
    input  wire [11:0]     s_axil_araddr,
    output wire            s_axil_rvalid,
    input  wire            s_axil_rready,
    output wire [31:0]     s_axil_rdata,
    output wire [1:0]      s_axil_rresp,

    input  wire            s_axis_image_tvalid,
    output wire            s_axis_image_tready,
    input  wire [8*PE-1:0] s_axis_image_tdata,
    input  wire            s_axis_image_tlast,
    input  wire            s_axis_masks_tvalid,
    output wire            s_axis_masks_tready,
    input  wire [31:0]     s_axis_masks_tdata,
    input  wire            s_axis_masks_tlast,
    output wire            m_axis_logits_tvalid,
    input  wire            m_axis_logits_tready,
    output wire [31:0]     m_axis_logits_tdata,
    output wire [3:0]      m_axis_logits_tkeep,
    output wire            m_axis_logits_tlast,

    (* X_INTERFACE_PARAMETER = "READ_WRITE_MODE READ_ONLY, SUPPORTS_NARROW_BURST 0, MAX_BURST_LENGTH 16, NUM_READ_OUTSTANDING 17, NUM_WRITE_OUTSTANDING 0" *)
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 m_axi ARVALID" *)
    output wire            m_axi_arvalid,
    input  wire            m_axi_arready,
    output wire [31:0]     m_axi_araddr,
    output wire [7:0]      m_axi_arlen,
    output wire [2:0]      m_axi_arsize,
    output wire [1:0]      m_axi_arburst,
    output wire [3:0]      m_axi_arcache,
    output wire [2:0]      m_axi_arprot,
    input  wire            m_axi_rvalid,
    output wire            m_axi_rready,
    input  wire [8*PE-1:0] m_axi_rdata,
    input  wire [1:0]      m_axi_rresp,
    input  wire            m_axi_rlast,

    (* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 attention INTERRUPT" *)
    (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)
    output wire            attention
);
    assign m_axis_logits_tkeep = 4'b1111;
    assign m_axi_arcache = 4'b0011;         // normal memory, not cached, may be merged
    assign m_axi_arprot  = 3'b000;

    engine_axi #(
        .PE(PE), .L(L), .FEATURE_WORDS(FEATURE_WORDS), .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNELS(CHANNELS),
        .STORE_WORDS(STORE_WORDS), .SIDE(SIDE), .CLASSES(CLASSES), .GENERAL_SCALE(GENERAL_SCALE), .AVERAGE_POOL(AVERAGE_POOL),
        .STREAMS(STREAMS)
    ) engine (
        .aclk(aclk), .aresetn(aresetn),
        .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready), .s_axil_awaddr(s_axil_awaddr),
        .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready), .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb),
        .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready), .s_axil_bresp(s_axil_bresp),
        .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready), .s_axil_araddr(s_axil_araddr),
        .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready), .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
        .s_axis_image_tvalid(s_axis_image_tvalid), .s_axis_image_tready(s_axis_image_tready),
        .s_axis_image_tdata(s_axis_image_tdata),
        .s_axis_masks_tvalid(s_axis_masks_tvalid), .s_axis_masks_tready(s_axis_masks_tready),
        .s_axis_masks_tdata(s_axis_masks_tdata),
        .m_axis_logits_tvalid(m_axis_logits_tvalid), .m_axis_logits_tready(m_axis_logits_tready),
        .m_axis_logits_tdata(m_axis_logits_tdata), .m_axis_logits_tlast(m_axis_logits_tlast),
        .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready), .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen),
        .m_axi_arsize(m_axi_arsize), .m_axi_arburst(m_axi_arburst), .m_axi_rvalid(m_axi_rvalid), .m_axi_rready(m_axi_rready),
        .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp), .m_axi_rlast(m_axi_rlast),
        .attention(attention)
    );
endmodule
