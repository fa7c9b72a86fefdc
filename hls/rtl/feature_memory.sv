// Feature memory: L banks; a word of a bank is PE channels of one cell.
//
// Ports: read_address (one for each bank), read_data (all banks), 3 cycles later; write (one bit for each bank),
// write_address (one for each bank, which all are the same: copies, so that their wires are short), write_data (all banks). A
// read and a write may meet in a cycle, but not in a word.
module feature_memory #(
    parameter PE = 8,
    parameter L = 8,
    parameter FEATURE_WORDS = 4096
) (
    input  logic                clock,
    input  logic [L*16-1:0]     read_address,
    output logic [L*8*PE-1:0]   read_data,
    input  logic [L-1:0]        write,
    input  logic [L*16-1:0]     write_address,
    input  logic [L*8*PE-1:0]   write_data
);

    localparam BITS = $clog2(FEATURE_WORDS);
    localparam WORD = 8 * PE;

    genvar b;
    generate
        for (b = 0; b < L; b = b + 1) begin : bank
            memory #(.WIDTH(WORD), .WORDS(FEATURE_WORDS), .FAR(1)) words (
                .clock(clock),
                .write(write[b]),
                .write_address(write_address[b*16 +: BITS]),
                .write_data(write_data[b*WORD +: WORD]),
                .read_address(read_address[b*16 +: BITS]),
                .read_data(read_data[b*WORD +: WORD])
            );
        end
    endgenerate

endmodule
