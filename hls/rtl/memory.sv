// A memory with one read and one write port.
//
// Ports: write, write_address, write_data; read_address, read_data. Latency of a read: 2 cycles (the memory's own register,
// then one in front of the logic, because a block RAM is slow to bring its data out). With FAR, for a memory of many blocks, 3:
// there is a register behind each chunk of words, and the chunk is chosen behind those; and a write takes a cycle longer.
// Nobody may rely on what a read of the word that is being written returns.
module memory #(
    parameter WIDTH = 32,
    parameter WORDS = 1024,
    parameter FAR   = 0,
    parameter BITS  = $clog2(WORDS)
) (
    input  logic             clock,
    input  logic             write,
    input  logic [BITS-1:0]  write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic [BITS-1:0]  read_address,
    output logic [WIDTH-1:0] read_data
);

    // The depth of a block RAM as it is used for deep memories: a chunk needs no selection between blocks.
    localparam CHUNK_BITS = 12;
    localparam CHUNKS = FAR != 0 ? (WORDS + (1 << CHUNK_BITS) - 1) >> CHUNK_BITS : 1;

    genvar c;
    generate
        if (CHUNKS > 1) begin : far_chunks
            logic [BITS-1:0]  to, from_1, from_2;
            logic [WIDTH-1:0] data;
            wire  [WIDTH-1:0] chunk_data [0:CHUNKS-1];
            always_ff @(posedge clock) begin
                to        <= write_address;
                data      <= write_data;
                from_1    <= read_address;
                from_2    <= from_1;
                read_data <= chunk_data[from_2[BITS-1:CHUNK_BITS]];
            end
            for (c = 0; c < CHUNKS; c = c + 1) begin : chunk
                localparam DEPTH = WORDS - (c << CHUNK_BITS) < 1 << CHUNK_BITS ? WORDS - (c << CHUNK_BITS) : 1 << CHUNK_BITS;
                (* ram_style = "block", no_rw_check *)
                logic [WIDTH-1:0] contents [0:DEPTH-1];
                logic [WIDTH-1:0] fetched, near;
                logic             here;
                assign chunk_data[c] = near;
                always_ff @(posedge clock) begin
                    here <= write && write_address[BITS-1:CHUNK_BITS] == c;
                    if (here) contents[to[CHUNK_BITS-1:0]] <= data;
                    fetched <= contents[read_address[CHUNK_BITS-1:0]];
                    near    <= fetched;
                end
            end
        end else begin : one_chunk
            (* ram_style = "block", no_rw_check *)
            logic [WIDTH-1:0] contents [0:WORDS-1];
            logic [WIDTH-1:0] fetched;
            always_ff @(posedge clock) fetched <= contents[read_address];
            if (FAR != 0) begin : far_chunk
                logic             here;
                logic [BITS-1:0]  to;
                logic [WIDTH-1:0] data, near;
                always_ff @(posedge clock) begin
                    here      <= write;
                    to        <= write_address;
                    data      <= write_data;
                    if (here) contents[to] <= data;
                    near      <= fetched;
                    read_data <= near;
                end
            end else begin : near_chunk
                always_ff @(posedge clock) begin
                    if (write) contents[write_address] <= write_data;
                    read_data <= fetched;
                end
            end
        end
    endgenerate

endmodule
