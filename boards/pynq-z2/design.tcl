# The engine on a PYNQ-Z2: a Vivado project with a block design, up to the bitstream. Never run: see README.md.
#
#   vivado -mode batch -source boards/pynq-z2/design.tcl -tclargs PARAMETERS OUTPUT [STREAMS]
#
# PARAMETERS is the file that synth.sh writes (lines `NAME value`), OUTPUT a folder for the project. STREAMS 1 (default): image,
# masks and logits by DMA; 0: through the register map, without a DMA.
set here [file dirname [file normalize [info script]]]
set rtl  [file normalize $here/../../hls/rtl]
if {[llength $argv] < 2} { error "PARAMETERS OUTPUT \[STREAMS\]" }
set output  [file normalize [lindex $argv 1]]
set streams [expr {[llength $argv] > 2 ? [lindex $argv 2] : 1}]

set parameters [dict create]
set file [open [lindex $argv 0]]
foreach line [split [string trim [read $file]] "\n"] { dict set parameters [lindex $line 0] [lindex $line 1] }
close $file
dict set parameters STREAMS $streams
set beat_bits [expr {8 * [dict get $parameters PE]}]

create_project engine $output -part xc7z020clg400-1 -force
# The board's files bring the settings of its DDR memory; without them the design is not for this board.
set board tul.com.tw:pynq-z2:part0:1.0
if {[lsearch [get_board_parts] $board] < 0} { error "install the board files of the PYNQ-Z2 ($board)" }
set_property board_part $board [current_project]

add_files [concat [glob $rtl/*.sv] $here/engine_pynq.v]
set_property file_type SystemVerilog [get_files *.sv]
add_files -fileset constrs_1 $here/pynq-z2.xdc
update_compile_order -fileset sources_1

create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" apply_board_preset "1"} $ps
set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_USE_S_AXI_HP1 $streams \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100 CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1] $ps

set engine [create_bd_cell -type module -reference engine_pynq engine]
dict for {name value} $parameters { set_property CONFIG.$name $value $engine }

set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control]
set weights [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect weights]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI [expr {$streams ? 3 : 1}]] $control
set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} $weights
set clocked [list $engine/aclk $control/aclk $weights/aclk $reset/slowest_sync_clk $ps/M_AXI_GP0_ACLK $ps/S_AXI_HP0_ACLK]
set resets  [list $engine/aresetn $control/aresetn $weights/aresetn]
connect_bd_net [get_bd_pins $ps/FCLK_RESET0_N] [get_bd_pins $reset/ext_reset_in]
connect_bd_intf_net [get_bd_intf_pins $ps/M_AXI_GP0] [get_bd_intf_pins $control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins $control/M00_AXI] [get_bd_intf_pins $engine/s_axil]
connect_bd_intf_net [get_bd_intf_pins $engine/m_axi] [get_bd_intf_pins $weights/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins $weights/M00_AXI] [get_bd_intf_pins $ps/S_AXI_HP0]

set interrupts [list $engine/attention]
if {$streams} {
    # One DMA for the image; one for the masks and, the other way, for the logits: a packet is a segment.
    set image [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma image_dma]
    set_property -dict [list CONFIG.c_include_sg 0 CONFIG.c_include_s2mm 0 CONFIG.c_include_mm2s 1 CONFIG.c_sg_length_width 24 \
        CONFIG.c_m_axi_mm2s_data_width $beat_bits CONFIG.c_m_axis_mm2s_tdata_width $beat_bits] $image
    set masks [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma masks_dma]
    set_property -dict [list CONFIG.c_include_sg 0 CONFIG.c_include_mm2s 1 CONFIG.c_include_s2mm 1 CONFIG.c_sg_length_width 24 \
        CONFIG.c_m_axi_mm2s_data_width 32 CONFIG.c_m_axis_mm2s_tdata_width 32 CONFIG.c_m_axi_s2mm_data_width 32] $masks
    set data [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect data]
    set_property -dict {CONFIG.NUM_SI 3 CONFIG.NUM_MI 1} $data
    connect_bd_intf_net [get_bd_intf_pins $control/M01_AXI] [get_bd_intf_pins $image/S_AXI_LITE]
    connect_bd_intf_net [get_bd_intf_pins $control/M02_AXI] [get_bd_intf_pins $masks/S_AXI_LITE]
    connect_bd_intf_net [get_bd_intf_pins $image/M_AXIS_MM2S] [get_bd_intf_pins $engine/s_axis_image]
    connect_bd_intf_net [get_bd_intf_pins $masks/M_AXIS_MM2S] [get_bd_intf_pins $engine/s_axis_masks]
    connect_bd_intf_net [get_bd_intf_pins $engine/m_axis_logits] [get_bd_intf_pins $masks/S_AXIS_S2MM]
    connect_bd_intf_net [get_bd_intf_pins $image/M_AXI_MM2S] [get_bd_intf_pins $data/S00_AXI]
    connect_bd_intf_net [get_bd_intf_pins $masks/M_AXI_MM2S] [get_bd_intf_pins $data/S01_AXI]
    connect_bd_intf_net [get_bd_intf_pins $masks/M_AXI_S2MM] [get_bd_intf_pins $data/S02_AXI]
    connect_bd_intf_net [get_bd_intf_pins $data/M00_AXI] [get_bd_intf_pins $ps/S_AXI_HP1]
    lappend clocked $image/s_axi_lite_aclk $image/m_axi_mm2s_aclk $masks/s_axi_lite_aclk $masks/m_axi_mm2s_aclk \
        $masks/m_axi_s2mm_aclk $data/aclk $ps/S_AXI_HP1_ACLK
    lappend resets $image/axi_resetn $masks/axi_resetn $data/aresetn
    lappend interrupts $image/mm2s_introut $masks/mm2s_introut $masks/s2mm_introut
}
foreach pin $clocked { connect_bd_net [get_bd_pins $ps/FCLK_CLK0] [get_bd_pins $pin] }
foreach pin $resets { connect_bd_net [get_bd_pins $reset/peripheral_aresetn] [get_bd_pins $pin] }

set concat [create_bd_cell -type ip -vlnv xilinx.com:ip:xlconcat interrupts]
set_property CONFIG.NUM_PORTS [llength $interrupts] $concat
set n 0
foreach pin $interrupts {
    connect_bd_net [get_bd_pins $pin] [get_bd_pins $concat/In$n]
    incr n
}
connect_bd_net [get_bd_pins $concat/dout] [get_bd_pins $ps/IRQ_F2P]
create_bd_port -dir O led_attention
connect_bd_net [get_bd_pins $engine/attention] [get_bd_ports led_attention]

# What src/lib.rs says.
proc map {space segment offset range} {
    assign_bd_address -offset $offset -range $range -target_address_space $space [get_bd_addr_segs $segment] -force
}
map [get_bd_addr_spaces $ps/Data] $engine/s_axil/reg0 0x43C00000 4K
map [get_bd_addr_spaces $engine/m_axi] $ps/S_AXI_HP0/HP0_DDR_LOWOCM 0x00000000 512M
if {$streams} {
    map [get_bd_addr_spaces $ps/Data] $image/S_AXI_LITE/Reg 0x40400000 64K
    map [get_bd_addr_spaces $ps/Data] $masks/S_AXI_LITE/Reg 0x40410000 64K
    foreach space [list $image/Data_MM2S $masks/Data_MM2S $masks/Data_S2MM] {
        map [get_bd_addr_spaces $space] $ps/S_AXI_HP1/HP1_DDR_LOWOCM 0x00000000 512M
    }
}

validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1

launch_runs impl_1 -to_step write_bitstream -jobs 2
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "no bitstream" }
open_run impl_1
report_utilization -file $output/utilization.txt
report_timing_summary -file $output/timing.txt
set slack [get_property SLACK [get_timing_paths -max_paths 1]]
if {$slack < 0} { error "the clock is missed by [expr {-$slack}] ns: timing.txt" }
write_hw_platform -fixed -include_bit -force $output/engine.xsa
