    // Cell masks: included by tb_engine. A line of cells.hex for each segment: its window, then its bits as one number, first cell
    // lowest. The number is long: its digits are read one by one, and asked for by place.

    localparam DIGITS = SIDE < 2048 ? SIDE * SIDE / 4 : 1 << 20;
    logic [3:0]  digits [0:DIGITS-1];
    integer      digit_count = 0, character, cell_row = 0, cell_x, place;
    logic [15:0] want_top, want_left, want_bottom, want_right;
    logic        want_bit;

    task expect_rows;                           // of the last window
        if (cell_row != want_bottom - want_top) begin
            $display("segment %0d: %0d of its %0d golden rows of cells", cells - 1, cell_row, want_bottom - want_top);
            $fatal;
        end
    endtask

    task expect_cells_end;
        begin
            if (cells != 0) expect_rows;
            got = $fscanf(cells_file, "%h %h %h %h", want_top, want_left, want_bottom, want_right);
            if (got == 4) begin $display("golden masks of cells are left after %0d", cells); $fatal; end
        end
    endtask

    always @(posedge clock) if (enable) begin
        if (dut.trace_window_valid) begin
            if (cells != 0) expect_rows;
            got = $fscanf(cells_file, "%h %h %h %h", want_top, want_left, want_bottom, want_right);
            if (got != 4 || {want_top, want_left, want_bottom, want_right} !== dut.trace_window) begin
                $display("segment %0d: window %h, golden %h %h %h %h (top, left, bottom, right)", cells, dut.trace_window, want_top,
                         want_left, want_bottom, want_right);
                $fatal;
            end
            digit_count = 0;
            character = $fgetc(cells_file);
            while (character == " ") character = $fgetc(cells_file);
            while (character != "\n" && character > 0) begin
                if (digit_count == DIGITS) begin
                    $display("segment %0d: the bench holds golden windows of %0d cells at most", cells, 4 * DIGITS);
                    $fatal;
                end
                digits[digit_count] = character >= "a" ? character - "a" + 10 : character - "0";
                digit_count = digit_count + 1;
                character = $fgetc(cells_file);
            end
            cells = cells + 1;
            cell_row = 0;
        end
        if (dut.trace_row_valid) begin
            for (cell_x = 0; cell_x < want_right - want_left; cell_x = cell_x + 1) begin
                place = cell_row * (want_right - want_left) + cell_x;
                want_bit = place / 4 < digit_count ? digits[digit_count - 1 - place / 4][place % 4] : 1'b0;
                if (dut.trace_row[cell_x] !== want_bit) begin
                    $display("segment %0d: cell %0d, %0d of its window is %b, golden %b", cells - 1, cell_row, cell_x,
                             dut.trace_row[cell_x], want_bit);
                    $fatal;
                end
            end
            cell_row = cell_row + 1;
        end
    end
