#!/usr/bin/env bash
# The report of the engine on the ULX3S (hls/docs/report.md): for several foldings, cycles by simulation and cells by synthesis.
#
#   report.sh           simulation and synthesis (about 12 minutes)
#   report.sh --place   and places and routes the folding 8x8 with a fixed seed; the report says what came of it
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}/engine-report
BUDGET=boards/ulx3s-85f/budget.json
rm -rf "$OUT"
mkdir -p "$OUT"
projects=()
for fold in 4x4 8x4 8x8 8x10; do
    mkdir -p "$OUT/$fold"
    cargo run --release --locked --quiet -p cfm-sim -- export rtl --budget "$BUDGET" --pe "${fold%x*}" --lanes "${fold#*x}" \
        --max-segments 110 --out "$OUT/$fold/project"
    # The bench's words are named after the folder.
    bash hls/rtl/run.sh --stall 0 --timing "$OUT" "$OUT/$fold/project"
    mv "$OUT/project.log" "$OUT/$fold.log"
    PE=${fold%x*} LANES=${fold#*x} bash boards/ulx3s-85f/build.sh synthesis
    rm -rf "${OUT:?}/$fold/build"
    cp -r "${OUT%/*}/ulx3s-85f/build" "$OUT/$fold/build"
done
if [ "${1:-}" = --place ]; then
    bash hls/rtl/syn/ecp5.sh place "$OUT/8x8/build" top boards/ulx3s-85f/ulx3s.lpf 80 1 || true
fi
cargo run --release --locked --quiet -p cfm-sim --example engine_report -- "$BUDGET" "$OUT" hls/docs
