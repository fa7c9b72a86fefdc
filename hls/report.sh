#!/usr/bin/env bash
# The report of the engine on the ULX3S (hls/docs/report.md): for several foldings, cycles by simulation and cells by synthesis.
#
#   report.sh               simulation and synthesis, and the folding 8x8 to a bitstream: placed and routed with a fixed seed.
#                           About an hour
#   report.sh --synthesis   only as far as synthesis: about 12 minutes
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}/engine-report
BUDGET=boards/ulx3s-85f/budget.json
rm -rf "$OUT"
mkdir -p "$OUT"
for fold in 4x4 8x4 8x8 8x10; do
    mkdir -p "$OUT/$fold"
    cargo run --release --locked --quiet -p cfm-sim -- export rtl --budget "$BUDGET" --pe "${fold%x*}" --lanes "${fold#*x}" \
        --max-segments 110 --out "$OUT/$fold/project"
    # The bench's words are named after the folder.
    bash hls/rtl/run.sh --stall 0 --timing "$OUT" "$OUT/$fold/project"
    mv "$OUT/project.log" "$OUT/$fold.log"
    upto=synthesis
    if [ "$fold" = 8x8 ] && [ "${1:-}" != --synthesis ]; then upto=bitstream; fi
    PE=${fold%x*} LANES=${fold#*x} bash boards/ulx3s-85f/build.sh "$upto"
    rm -rf "${OUT:?}/$fold/build"
    cp -r "${OUT%/*}/ulx3s-85f/build" "$OUT/$fold/build"
done
cargo run --release --locked --quiet -p cfm-sim --example engine_report -- "$BUDGET" "$OUT" hls/docs
