#!/usr/bin/env bash
# From a model to a bitstream for the ULX3S-85F: exports the engine, synthesizes, places and routes it with a fixed seed, and
# packs it. Fails when the clock of 80 MHz is missed. Everything goes to ${CARGO_TARGET_DIR:-target}/ulx3s-85f.
#
#   build.sh [bitstream]  the whole build
#   build.sh synthesis    only as far as synthesis
#
# MODEL, PE, LANES and SEED choose another model (file or name), folding or seed.
set -euo pipefail
case $#-${1:-bitstream} in
    [01]-bitstream | 1-synthesis) ;;
    *)
        echo "usage: build.sh [bitstream|synthesis]" >&2
        exit 2
        ;;
esac
cd "$(dirname "$0")"
HERE=$PWD
cd ../..

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
OUT=$CARGO_TARGET_DIR/ulx3s-85f
MODEL=${MODEL:-street}
PE=${PE:-8}
LANES=${LANES:-8}
SEED=${SEED:-1}
# As the PLL in rtl/top.sv makes it.
MHZ=80

mkdir -p "$OUT"
cargo run --release --locked --quiet -p cfm-sim -- export rtl --model "$MODEL" --budget "$HERE/budget.json" --pe "$PE" \
    --lanes "$LANES" --max-segments 1 --out "$OUT/project"
sources=()
for source in hls/rtl/*.sv; do
    if [ "$source" != hls/rtl/engine_axi.sv ]; then sources+=("$source"); fi
done
bash hls/rtl/syn/ecp5.sh synthesize "$OUT/project" "$OUT/build" top "${sources[@]}" "$HERE"/rtl/*.sv
grep -E 'DP16KD|MULT18X18D|LUT4|TRELLIS_FF|CCU2C' "$OUT/build/cells.txt" | sort -u
if [ "${1:-}" = synthesis ]; then exit; fi
bash hls/rtl/syn/ecp5.sh place "$OUT/build" top "$HERE/ulx3s.lpf" "$MHZ" "$SEED"
bash hls/rtl/syn/ecp5.sh pack "$OUT/build" top
