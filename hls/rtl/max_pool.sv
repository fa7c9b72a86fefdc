// Maximum of the cells of a window, all lanes and channels at once.
//
// Ports: valid, first, last and the word of a tap, present (its lanes that lie in the tensor); maximum after the last
// tap, 2 cycles later, a cycle after `ending`. One tap a cycle. Signed bytes.
module max_pool #(
    parameter PE = 8,
    parameter L = 8
) (
    input  logic              clock,
    input  logic              reset,
    input  logic              valid,
    input  logic              first,
    input  logic              last,
    input  logic [L*8*PE-1:0] word,
    input  logic [L-1:0]      present,
    output logic              ending,
    output logic [L*8*PE-1:0] maximum
);

    logic              valid1, first1, last1;
    logic [L*8*PE-1:0] word1;

    always_ff @(posedge clock) begin
        valid1 <= !reset & valid;
        first1 <= first;
        last1  <= last;
    end

    assign ending = valid1 & last1;

    genvar l, p;
    generate
        for (l = 0; l < L; l = l + 1) begin : lane
            for (p = l * PE; p < (l + 1) * PE; p = p + 1) begin : channel
                wire greater = $signed(word1[p*8 +: 8]) > $signed(maximum[p*8 +: 8]);
                always_ff @(posedge clock) begin
                    word1[p*8 +: 8] <= present[l] ? word[p*8 +: 8] : 8'h80;     // the least value never wins
                    if (valid1 && (first1 || greater)) maximum[p*8 +: 8] <= word1[p*8 +: 8];
                end
            end
        end
    endgenerate

endmodule
