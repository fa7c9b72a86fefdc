// Weight memory: words of PE weights, written 32 bits at a time through the configuration bus, low channels first.
//
// Ports: write, write_address (in units of 32 bits), write_data; read_address (in words), read_data 2 cycles later.
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
    localparam BITS = $clog2(WEIGHT_WORDS);

    genvar i;
    generate
        for (i = 0; i < PARTS; i = i + 1) begin : part
            memory #(.WIDTH(32), .WORDS(WEIGHT_WORDS)) words (
                .clock(clock),
                .write(write && (write_address & (PARTS - 1)) == i),
                .write_address(write_address[PART_BITS +: BITS]),
                .write_data(write_data),
                .read_address(read_address[BITS-1:0]),
                .read_data(read_data[i*32 +: 32])
            );
        end
    endgenerate

endmodule
