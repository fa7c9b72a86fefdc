// Channel memory: bias, mantissa and shift of every output channel of every operation.
//
// Ports: write, write_address (two words a channel: bias; mantissa | shift << 16), write_data; read_address (a channel),
// bias, mantissa, shift 2 cycles later.
module channel_memory #(
    parameter CHANNELS = 1024,
    parameter GENERAL_SCALE = 0
) (
    input  logic        clock,
    input  logic        write,
    input  logic [16:0] write_address,
    input  logic [31:0] write_data,
    input  logic [15:0] read_address,
    output logic [31:0] bias,
    output logic [15:0] mantissa,
    output logic [5:0]  shift
);

    localparam BITS = $clog2(CHANNELS);

    memory #(.WIDTH(32), .WORDS(CHANNELS)) biases (
        .clock(clock), .write(write && !write_address[0]), .write_address(write_address[1 +: BITS]),
        .write_data(write_data), .read_address(read_address[BITS-1:0]), .read_data(bias)
    );

    // without general scales every mantissa is the same: no memory for it
    generate
        if (GENERAL_SCALE != 0) begin : general
            memory #(.WIDTH(22), .WORDS(CHANNELS)) scales (
                .clock(clock), .write(write && write_address[0]), .write_address(write_address[1 +: BITS]),
                .write_data(write_data[21:0]), .read_address(read_address[BITS-1:0]), .read_data({shift, mantissa})
            );
        end else begin : power
            memory #(.WIDTH(6), .WORDS(CHANNELS)) shifts (
                .clock(clock), .write(write && write_address[0]), .write_address(write_address[1 +: BITS]),
                .write_data(write_data[21:16]), .read_address(read_address[BITS-1:0]), .read_data(shift)
            );
            assign mantissa = 16'h4000;
        end
    endgenerate

endmodule
