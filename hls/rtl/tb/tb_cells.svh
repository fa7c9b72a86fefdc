    // Cell masks: included by tb_engine. One line of cells.hex for each segment.
