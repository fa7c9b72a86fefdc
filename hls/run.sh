#!/usr/bin/env bash
# Both twins of the engine against the core: units, the golden cases that the engine can represent, deliberate faults, the
# default model, its cycles, the RTL at its pins driven through cfm-device, and synthesis. Exits non-zero at the first
# difference.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export CARGO_TARGET_DIR=$OUT

step() { printf '\n== %s\n' "$*"; }

if ! command -v iverilog >/dev/null; then
    step "apt-get install iverilog"
    apt-get install --yes --quiet iverilog || sudo -n apt-get install --yes --quiet iverilog || true
    command -v iverilog >/dev/null || {
        echo "missing: iverilog (Debian package iverilog); the RTL cannot be tested without it" >&2
        exit 1
    }
fi

step "golden cases, compiled for the engine"
CASES=$OUT/engine-cases
rm -rf "$CASES"
cargo run --release --locked --quiet -p cfm-hardware --example export_cases -- "$CASES" 4 3
projects=("$CASES"/*/)
projects=("${projects[@]%/}")

step "C++: units, faults, golden cases"
bash hls/cpp/run.sh "${projects[@]}"

step "RTL: units, with Icarus and with Verilator"
bash hls/rtl/run.sh units
bash hls/rtl/run.sh --icarus units
bash hls/rtl/units.sh

step "RTL: golden cases, with random stalls"
bash hls/rtl/run.sh "${projects[@]}"
bash hls/rtl/run.sh --icarus "${projects[@]:0:3}"

step "RTL: faults are noticed"
bash hls/rtl/run.sh faults "${projects[@]:0:6}"

step "street, a whole image and 110 segments, in both twins from the ordinary command"
cfm() { cargo run --release --locked --quiet -p cfm-sim -- "$@"; }
for backend in hls rtl; do
    cfm parity --backend "$backend" --pe 8 --lanes 8 --max-segments 110 --build "$OUT" | tail -2
done
# A compiler that builds another engine: the command has to say so.
printf '#!/bin/sh\nexec g++ -DCFM_FAULT=%s "$@"\n' "$(sed -nE 's/^ *swapped_channels = ([0-9]+),.*/\1/p' hls/cpp/include/cfm/faults.hpp)" \
    >"$OUT/faulty-g++"
chmod +x "$OUT/faulty-g++"
status=0
CXX=$OUT/faulty-g++ cfm parity --backend hls --pe 8 --lanes 4 --max-segments 4 --build "$OUT/faulty" >"$OUT/faulty.log" 2>&1 || status=$?
[ "$status" = 1 ] || {
    echo "a broken twin passes (exit status $status)" >&2
    exit 1
}
echo "a broken twin: noticed"

step "street: cycles of the RTL without stalls, beside the model's"
STREET=$OUT/engine-street
rm -rf "$STREET"
folds=()
for fold in 4x4 8x4 8x8; do
    cfm export rtl --pe "${fold%x*}" --lanes "${fold#*x}" --max-segments 110 --out "$STREET/$fold"
    folds+=("$STREET/$fold")
done
bash hls/rtl/run.sh --stall 0 --timing "$STREET" "${folds[@]}" >/dev/null
cargo run --release --locked --quiet -p cfm-hardware --example compare_cycles -- "$STREET" "${folds[@]}"

step "RTL at its pins, driven through cfm-device, with faults"
SIMULATOR=$(bash hls/rtl/run.sh pins 8 5)
cargo run --release --locked --quiet -p cfm-sim --example engine_over_spi -- "$SIMULATOR" 8 5
for streams in 0 1; do
    SIMULATOR=$(bash hls/rtl/run.sh axi 4 2 "$streams")
    for what in "" faults; do
        cargo run --release --locked --quiet -p cfm-sim --example engine_over_axi -- "$SIMULATOR" 4 2 $what
    done
done

step "SDRAM controller of the ULX3S"
SDRAM=$OUT/rtl/sdram.vvp
iverilog -g2012 -s tb_sdram -o "$SDRAM" boards/ulx3s-85f/tb/*.sv boards/ulx3s-85f/rtl/sdram.sv
vvp -n "$SDRAM" | tee "$OUT/rtl/sdram.log"
grep -q 'words equal' "$OUT/rtl/sdram.log"

step "synthesis for the ULX3S"
bash boards/ulx3s-85f/build.sh synthesis

step "engine: all passed"
