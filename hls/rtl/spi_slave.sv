// The SPI protocol of REGISTERS.md: requests in, responses out, between the pins and engine_registers.sv.
//
// The shift registers run on the SPI clock, everything else on `clock`, which must be at least twice as fast: a byte then takes
// 16 cycles, of which 4 go into crossing over. What is sent in a byte is decided while the byte before it is exchanged.
module spi_slave (
    input  logic        clock,
    input  logic        reset,

    input  logic        sck,
    input  logic        csn,
    input  logic        mosi,
    output logic        miso,

    output logic        register_write,
    output logic [4:0]  register_index,
    output logic [31:0] register_write_data,
    input  logic [31:0] register_read_data,

    output logic [2:0]  port,
    input  logic [15:0] space,
    input  logic [15:0] sequence_number,
    output logic        push,
    output logic [31:0] push_data,
    output logic [7:0]  logit_offset,
    input  logic [31:0] logit_data,
    output logic        logit_release,
    output logic [8:0]  logit_release_words
);
    // ---- on the SPI clock ----

    logic [2:0] bits;
    logic [7:0] incoming, received, outgoing;
    logic       toggle;
    logic [7:0] send;                       // of the byte to come: changes a few cycles after the last rising edge of one
    logic [7:0] sending;                    // as it was at that edge
    always_ff @(posedge sck or posedge csn)
        if (csn) bits <= 3'd0;
        else bits <= bits + 3'd1;
    always_ff @(posedge sck) begin
        incoming <= {incoming[6:0], mosi};
        if (bits == 3'd7) begin
            received <= {incoming[6:0], mosi};
            toggle   <= !toggle;
            sending  <= send;
        end
    end
    always_ff @(negedge sck or posedge csn)
        if (csn) outgoing <= 8'd0;
        else outgoing <= bits == 3'd0 ? sending : {outgoing[6:0], 1'b0};
    assign miso = outgoing[7];
    initial toggle = 1'b0;

    // ---- crossing over ----

    logic [2:0] toggles;
    logic [1:0] selects;
    logic       byte_valid;
    logic [7:0] data;
    always_ff @(posedge clock) begin
        toggles <= {toggles[1:0], toggle};
        selects <= {selects[0], !csn};
        byte_valid <= selects[1] && toggles[2] != toggles[1];
        data <= received;
    end
    wire selected = selects[1];

    // ---- requests ----

    localparam OK = 8'h5A, REPEATED = 8'h69, BAD_CRC = 8'h96, BUSY = 8'hA5, SEQUENCE = 8'hC3, REQUEST = 8'h3C;
    localparam W = 8'h57, R = 8'h52, P = 8'h50, G = 8'h47;
    localparam [7:0] LOGITS = 8'd4;

    function automatic [15:0] crc16(input [15:0] crc, input [7:0] value);
        integer i;
        begin
            crc16 = crc ^ {value, 8'd0};
            for (i = 0; i < 8; i = i + 1) crc16 = crc16[15] ? {crc16[14:0], 1'b0} ^ 16'h1021 : {crc16[14:0], 1'b0};
        end
    endfunction

    localparam HEADER = 3'd0, PAYLOAD = 3'd1, CRC_LOW = 3'd2, CRC_HIGH = 3'd3, DECIDE = 3'd4, RESPOND = 3'd5;
    logic [2:0]  state;
    logic [2:0]  header_byte;
    logic [7:0]  command, index, count;
    logic [15:0] sequence_wanted, crc;
    logic [7:0]  crc_low;
    logic        crc_good;
    logic [7:0]  payload_byte;              // of at most 256
    logic       port_due;                   // the index is there, the port is still another one

    logic [31:0] buffer [0:63];
    logic [23:0] word_low;
    wire  [5:0]  buffer_index = payload_byte[7:2];

    // ---- responses ----

    logic [7:0]  status;
    logic [15:0] sequence_reply, reply_crc;
    logic [9:0]  reply_byte;                // of status, sequence, payload, CRC
    wire         with_payload = status == OK && (command == R || command == G);
    logic [9:0]  reply_words_end;
    always_ff @(posedge clock) reply_words_end <= with_payload ? 10'd3 + {count, 2'b00} : 10'd3;
    wire  [7:0]  reply;
    wire  [9:0]  reply_place = reply_byte - 10'd3;
    wire  [31:0] reply_word = command == R ? register_read_data : logit_data;
    assign reply = reply_byte == 10'd0 ? status
                 : reply_byte == 10'd1 ? sequence_reply[7:0]
                 : reply_byte == 10'd2 ? sequence_reply[15:8]
                 : reply_byte < reply_words_end ? reply_word[8*reply_place[1:0] +: 8]
                 : reply_byte == reply_words_end ? reply_crc[7:0]
                 : reply_byte == reply_words_end + 10'd1 ? reply_crc[15:8] : 8'd0;
    // The word of the next byte, so that it is there when it is looked at.
    wire [7:0] reply_index = reply_place[9:2];
    // It goes through registers, of which there are up to four between `reply_byte` and the reply; a byte takes 16 cycles.
    logic [7:0] reply_ready;
    always_ff @(posedge clock) begin
        logit_offset <= reply_index;
        reply_ready  <= reply;
    end

    // ---- the copy of an accepted payload to where it belongs ----

    logic       copying, copy_to_registers;
    logic [6:0] copied;
    logic [4:0] copy_index;
    logic [7:0] copy_count;
    logic       copy_valid;
    logic [31:0] copy_word;
    wire        copy_register = copy_valid && copy_to_registers;
    always_ff @(posedge clock) begin
        push <= copy_valid && !copy_to_registers;
        push_data <= copy_word;
        register_write <= copy_register;
        register_write_data <= copy_word;
        register_index <= copy_register ? copy_index : index[4:0] + reply_index[4:0];
    end

    // What DECIDE looks at. All of it has been there since the header, but the engine may have taken or given words meanwhile,
    // which is no harm: there is more room, and there are more logits, than it seems.
    logic [15:0] space_now, sequence_now, sequence_then, behind;    // behind (G): words to release
    logic        repeated, in_sequence, no_room, not_there, too_few;
    always_ff @(posedge clock) begin
        space_now     <= space;
        sequence_now  <= sequence_number;
        sequence_then <= sequence_now + {8'd0, count};
        behind        <= sequence_wanted - sequence_now;
        repeated      <= sequence_wanted + {8'd0, count} == sequence_now;
        in_sequence   <= sequence_wanted == sequence_now;
        no_room       <= {8'd0, count} > space_now;
        not_there     <= behind > space_now;
        too_few       <= {8'd0, count} > space_now - behind;
    end

    logic [1:0] first_reply;                // the status is in `reply_ready` two cycles after DECIDE
    wire        respond_next = byte_valid && state == RESPOND;

    always_ff @(posedge clock) begin
        logit_release <= 1'b0;
        copy_valid <= 1'b0;
        first_reply <= {first_reply[0], state == DECIDE};

        if (copying) begin
            copy_word <= buffer[copied[5:0]];
            copy_valid <= 1'b1;
            copied <= copied + 7'd1;
            if ({1'b0, copied} + 8'd1 == copy_count) copying <= 1'b0;
        end
        if (copy_valid) copy_index <= copy_index + 5'd1;

        if (byte_valid) case (state)
            HEADER: begin
                crc <= crc16(crc, data);
                header_byte <= header_byte + 3'd1;
                case (header_byte)
                    3'd0: command <= data;
                    3'd1: begin
                        index <= data;
                        port_due <= 1'b1;
                    end
                    3'd2: sequence_wanted[7:0] <= data;
                    3'd3: sequence_wanted[15:8] <= data;
                    default: begin
                        count <= data;
                        payload_byte <= 8'd0;
                        // A payload of an impossible length has no end.
                        state <= (command == W || command == P) && data >= 8'd1 && data <= 8'd64 ? PAYLOAD : CRC_LOW;
                    end
                endcase
            end
            PAYLOAD: begin
                crc <= crc16(crc, data);
                payload_byte <= payload_byte + 8'd1;
                word_low <= {data, word_low[23:8]};
                if (payload_byte[1:0] == 2'd3) buffer[buffer_index] <= {data, word_low};
                if (payload_byte + 9'd1 == {count[6:0], 2'b00}) state <= CRC_LOW;
            end
            CRC_LOW: begin
                crc_low <= data;
                state <= CRC_HIGH;
            end
            CRC_HIGH: begin
                crc_good <= {data, crc_low} == crc;
                state <= DECIDE;
            end
            default: ;
        endcase

        // A payload may still be on its way into the port of a request whose response was not waited for. It is over before the
        // next request is, which takes 7 bytes at least.
        if (port_due && !copying && !copy_valid && !push) begin
            port <= index[2:0];
            port_due <= 1'b0;
        end

        if (state == DECIDE) begin
            state <= RESPOND;
            reply_byte <= 10'd0;
            reply_crc <= 16'hFFFF;
            status <= OK;
            sequence_reply <= 16'd0;
            if (!crc_good) status <= BAD_CRC;
            else if (count == 8'd0 || count > 8'd64) status <= REQUEST;
            else case (command)
                W: begin
                    if ({1'b0, index} + {1'b0, count} > 9'd32) status <= REQUEST;
                    else begin
                        copying <= 1'b1;
                        copied <= 7'd0;
                        copy_count <= count;
                        copy_to_registers <= 1'b1;
                        copy_index <= index[4:0];
                    end
                end
                R: if ({1'b0, index} + {1'b0, count} > 9'd32) status <= REQUEST;
                P: begin
                    sequence_reply <= sequence_now;
                    if (index >= LOGITS) status <= REQUEST;
                    else if (repeated) status <= REPEATED;
                    else if (!in_sequence) status <= SEQUENCE;
                    else if (no_room) status <= BUSY;
                    else begin
                        copying <= 1'b1;
                        copied <= 7'd0;
                        copy_count <= count;
                        copy_to_registers <= 1'b0;
                        sequence_reply <= sequence_then;
                    end
                end
                G: begin
                    sequence_reply <= sequence_now;
                    if (index != LOGITS) status <= REQUEST;
                    else if (not_there) status <= SEQUENCE;
                    else begin
                        logit_release <= behind != 16'd0;
                        logit_release_words <= behind[8:0];
                        sequence_reply <= sequence_wanted;
                        if (too_few) status <= BUSY;
                    end
                end
                default: status <= REQUEST;
            endcase
        end

        // The first byte of the response is set as soon as it is known, each other one when the one two before it is over.
        if (state == RESPOND && (first_reply[1] || respond_next)) begin
            send <= reply_ready;
            reply_byte <= reply_byte + 10'd1;
            if (reply_byte < reply_words_end) reply_crc <= crc16(reply_crc, reply_ready);
        end

        if (!selected) begin
            state <= HEADER;
            header_byte <= 3'd0;
            crc <= 16'hFFFF;
            send <= 8'd0;
        end
        if (reset) begin
            copying <= 1'b0;
            state <= HEADER;
        end
    end
endmodule
