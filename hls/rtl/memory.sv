// A memory with one read and one write port.
//
// Ports: write, write_address, write_data; read_address, read_data. Latency of a read: 2 cycles (the memory's own register,
// then one in front of the logic, because a block RAM is slow to bring its data out). Nobody may rely on what a read of
// the word that is being written returns.
module memory #(
    parameter WIDTH = 32,
    parameter WORDS = 1024,
    parameter BITS  = $clog2(WORDS)
) (
    input  logic             clock,
    input  logic             write,
    input  logic [BITS-1:0]  write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic [BITS-1:0]  read_address,
    output logic [WIDTH-1:0] read_data
);

    (* ram_style = "block", no_rw_check *)
    logic [WIDTH-1:0] contents [0:WORDS-1];
    logic [WIDTH-1:0] fetched;

    always_ff @(posedge clock) begin
        if (write) contents[write_address] <= write_data;
        fetched   <= contents[read_address];
        read_data <= fetched;
    end

endmodule
