// A table that is read in order, from any place: a memory with a pointer and two registers behind it (the memory's own, and
// one in front of the logic).
//
// Ports: write, write_address, write_data; set loads the pointer; next moves everything one step: the memory's register takes
// the word at the pointer, value takes the memory's register, the pointer moves on. After `set` to a, two steps bring word a
// to value, and every further step the word after it. Latency: 2 steps.
module table_reader #(
    parameter WIDTH = 16,
    parameter WORDS = 256,
    parameter BITS  = $clog2(WORDS)
) (
    input  logic             clock,
    input  logic             write,
    input  logic [BITS-1:0]  write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic             set,
    input  logic [BITS-1:0]  address,
    input  logic             next,
    output logic [WIDTH-1:0] value
);

    (* no_rw_check *)
    logic [WIDTH-1:0] words [0:WORDS-1];
    logic [WIDTH-1:0] fetched;
    logic [BITS-1:0]  pointer;

    always_ff @(posedge clock) begin
        if (write) words[write_address] <= write_data;
        if (next) begin
            fetched <= words[pointer];
            value   <= fetched;
        end
        if (set) pointer <= address;
        else if (next) pointer <= pointer + 1'b1;
    end

endmodule
