// A queue of up to 2^BITS words in block memory.
//
// Ports: put, put_data: a word, never when `filled` is 2^BITS; filled: words that have come and not left; out_*: valid/ready
// stream. Latency: 5 cycles, then a word a cycle: four words wait in registers, because a block RAM is slow and far away.
module fifo #(
    parameter WIDTH = 32,
    parameter BITS = 7
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             put,
    input  logic [WIDTH-1:0] put_data,
    output logic [BITS:0]    filled,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data
);

    logic [BITS-1:0]  head, tail;
    logic [BITS:0]    stored;                   // in the memory, not asked for yet
    logic [2:0]       ahead;                    // asked for and not left
    logic [1:0]       asked;                    // on their way
    logic [2:0]       queued;
    logic [1:0]       queue_in, queue_out;
    logic [WIDTH-1:0] queue [0:3];
    wire  [WIDTH-1:0] read_data;
    wire              ask  = stored != 0 && !ahead[2];
    wire              leave = out_valid & out_ready;

    memory #(.WIDTH(WIDTH), .WORDS(1 << BITS)) words (
        .clock, .write(put), .write_address(tail), .write_data(put_data), .read_address(head), .read_data
    );

    assign out_data = queue[queue_out];

    always_ff @(posedge clock) begin
        if (put) tail <= tail + 1'b1;
        if (ask) head <= head + 1'b1;
        if (asked[1]) begin
            queue[queue_in] <= read_data;
            queue_in        <= queue_in + 2'd1;
        end
        if (leave) queue_out <= queue_out + 2'd1;
        filled    <= filled + {{BITS{1'b0}}, put} - {{BITS{1'b0}}, leave};
        stored    <= stored + {{BITS{1'b0}}, put} - {{BITS{1'b0}}, ask};
        ahead     <= ahead + {2'd0, ask} - {2'd0, leave};
        asked     <= {asked[0], ask};
        queued    <= queued + {2'd0, asked[1]} - {2'd0, leave};
        out_valid <= queued + {2'd0, asked[1]} != {2'd0, leave};
        if (reset) begin
            head      <= '0;
            tail      <= '0;
            filled    <= '0;
            stored    <= '0;
            ahead     <= 3'd0;
            asked     <= 2'd0;
            queued    <= 3'd0;
            queue_in  <= 2'd0;
            queue_out <= 2'd0;
            out_valid <= 1'b0;
        end
    end

endmodule
