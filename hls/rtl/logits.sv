// Takes the logits of a batch, all lanes of a class at a time, and sends them segment by segment: a word for each class, then
// one with `last`: the arg max in the low half, the number of the segment in the frame in the high half.
//
// Ports: begin_frame: pulse, segment numbers restart; taken, taken_count, taken_last: a batch's program begins; batch_done: it has
// ended; logit_*, logits_*, logits_free, frame_done: see PORTS.md.
// Latency: from batch_done 4 cycles to the first word, then a word every third cycle.
module logits #(
    parameter L = 8,
    parameter CLASSES = 16
) (
    input  logic            clock,
    input  logic            reset,
    input  logic            begin_frame,
    input  logic [15:0]     classes,
    input  logic            taken,
    input  logic [4:0]      taken_count,
    input  logic            taken_last,
    input  logic            batch_done,
    output logic            logits_free,
    input  logic            logit_valid,
    input  logic [15:0]     logit_class,
    input  logic [16*L-1:0] logit_values,
    output logic            logits_valid,
    input  logic            logits_ready,
    output logic [31:0]     logits_data,
    output logic            logits_last,
    output logic            frame_done
);

    localparam CB = CLASSES > 1 ? $clog2(CLASSES) : 1;

    logic [16*L-1:0] store [0:(1<<CB)-1];
    logic [16*L-1:0] fetched;
    logic [4:0]      running_count, count, lane;
    logic            running_last, ending;
    logic [15:0]     at, segment;
    wire  [15:0]     best;
    logic            busy;
    logic [1:0]      step;                      // fetch, select, send
    logic [15:0]     chosen;
    wire             finish = at == classes;    // the word after the last class
    wire             send = busy & step == 2'd2 & (~logits_valid | logits_ready);

    assign logits_free = ~busy;

    arg_max arg_max (
        .clock(clock), .valid(send & ~finish), .first(at == 16'd0), .value(chosen), .index(at), .best(best)
    );

    always_ff @(posedge clock) begin
        if (logit_valid & logit_class < CLASSES) store[logit_class[CB-1:0]] <= logit_values;
        fetched    <= store[at[CB-1:0]];
        chosen     <= fetched[{28'd0, lane[3:0]} * 16 +: 16];
        frame_done <= 1'b0;
        if (begin_frame) segment <= 16'd0;
        if (taken) begin
            running_count <= taken_count;
            running_last  <= taken_last;
        end
        if (logits_ready) logits_valid <= 1'b0;

        if (batch_done) begin
            if (running_last) ending <= 1'b1;
            if (running_count != 5'd0) begin    // never while busy: the engine has seen logits_free
                busy  <= 1'b1;
                count <= running_count;
                lane  <= 5'd0;
                at    <= 16'd0;
                step  <= 2'd0;
            end
        end else if (busy) begin
            if (step != 2'd2) begin
                step <= step + 2'd1;
            end else if (send) begin
                step         <= 2'd0;
                logits_valid <= 1'b1;
                if (finish) begin
                    logits_data <= {segment, best};
                    logits_last <= 1'b1;
                    at          <= 16'd0;
                    lane        <= lane + 5'd1;
                    segment     <= segment + 16'd1;
                    if (lane + 5'd1 == count) busy <= 1'b0;
                end else begin
                    logits_data <= {{16{chosen[15]}}, chosen};
                    logits_last <= 1'b0;
                    at          <= at + 16'd1;
                end
            end
        end else if (ending & ~logits_valid) begin
            ending     <= 1'b0;
            frame_done <= 1'b1;
        end

        if (reset) begin
            busy         <= 1'b0;
            ending       <= 1'b0;
            logits_valid <= 1'b0;
            frame_done   <= 1'b0;
        end
    end

endmodule
