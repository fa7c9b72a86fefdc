// Weight memory: words of PE weights, written 32 bits at a time through the configuration bus, low channels first.
//
// Ports: write, write_address (in units of 32 bits), write_data; read_address (in words), read_data 2 cycles later. A write
// takes a cycle longer than the bus: it is far away.
module weight_memory #(
    parameter PE = 8,
    parameter WEIGHT_WORDS = 4096
) (
    input  logic            clock,
    input  logic            write,
    input  logic [18:0]     write_address,
    input  logic [31:0]     write_data,
    input  logic [31:0]     read_address,
    output logic [8*PE-1:0] read_data
);

    localparam PARTS = PE / 4;
    localparam PART_BITS = $clog2(PARTS);
    // All weights may be outside; a memory has an address of at least one bit.
    localparam WORDS = WEIGHT_WORDS > 2 ? WEIGHT_WORDS : 2;
    localparam BITS = $clog2(WORDS);

    logic        bus_write;
    logic [18:0] bus_address;
    logic [31:0] bus_data;
    always_ff @(posedge clock) begin
        bus_write   <= write;
        bus_address <= write_address;
        bus_data    <= write_data;
    end

    genvar i;
    generate
        for (i = 0; i < PARTS; i = i + 1) begin : part
            memory #(.WIDTH(32), .WORDS(WORDS)) words (
                .clock(clock),
                .write(bus_write && (bus_address & (PARTS - 1)) == i),
                .write_address(bus_address[PART_BITS +: BITS]),
                .write_data(bus_data),
                .read_address(read_address[BITS-1:0]),
                .read_data(read_data[i*32 +: 32])
            );
        end
    endgenerate

endmodule
