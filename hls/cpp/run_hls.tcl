# A unit, or the engine, in Vitis HLS (2023.2 and later), from this folder:
#
#   vitis_hls -f run_hls.tcl -tclargs UNIT [csim|csynth|cosim] [PROJECT] [FLAGS]
#
# UNIT is a file of tops/ without its ending; its test bench is tests/test_UNIT.cpp. The engine's test bench reads the
# exported project PROJECT. FLAGS: `-include PROJECT/parameters.hpp` (an absolute path), or -D flags as in
# include/cfm/instance.hpp.
set at [lsearch $argv -tclargs]
set rest [expr {$at < 0 ? $argv : [lrange $argv [expr {$at + 1}] end]}]
set unit [lindex $rest 0]
set step [expr {[llength $rest] > 1 ? [lindex $rest 1] : "csynth"}]
set project [expr {[llength $rest] > 2 ? [file normalize [lindex $rest 2]] : ""}]
set flags [join [lrange $rest 3 end]]

set here [file dirname [file normalize [info script]]]
set top [expr {$unit eq "engine" ? "cfm_engine" : "top_$unit"}]
set cflags "-std=c++17 -I$here/include -I$here/tops $flags"

open_project -reset hls_$unit
set_top $top
add_files $here/tops/$unit.cpp -cflags $cflags
# The tool's own hls_stream.h and ap_int.h are used; of sim/, test benches take only chance.hpp, quoted.
add_files -tb $here/tests/test_$unit.cpp -cflags "$cflags -I$here/tests -iquote $here/sim -Wno-unknown-pragmas"
open_solution -reset solution -flow_target vivado
set_part xc7z020clg400-1
create_clock -period 10 -name default

switch $step {
    csim { csim_design -argv $project }
    csynth { csynth_design }
    cosim {
        csim_design -argv $project
        csynth_design
        cosim_design -argv $project
    }
    default { error "csim, csynth or cosim, not $step" }
}
exit
