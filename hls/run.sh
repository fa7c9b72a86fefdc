#!/usr/bin/env bash
# Both twins of the engine against the core: units, the golden cases that the engine can represent, deliberate faults, the
# default model, its cycles, the RTL at its pins driven through cfm-device, and synthesis. Exits non-zero at the first
# difference.
#
#   run.sh [LANE]...     all lanes without an argument: cpp, rtl_cases, rtl_street, pins
#
# A lane is a chain of steps that shares no build with the others. As many run at a time as there are processors; what a lane
# prints comes when all are over.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export CARGO_TARGET_DIR=$OUT

. tests/need.sh
# For the C++ twin, and for what Verilator makes.
need c++ g++
need g++ g++
need make make

step() { printf '\n== %s [%d s]\n' "$*" "$SECONDS"; }

cfm() { cargo run --release --locked --quiet -p cfm-sim -- "$@"; }

street_in() { cfm parity --backend "$1" --pe 8 --lanes 8 --max-segments 110 --build "$OUT" | tail -2; }

cpp() {
    step "C++: units, faults, golden cases"
    bash hls/cpp/run.sh "${projects[@]}" "${narrow[@]}"

    step "C++: street, a whole image and 110 segments, from the ordinary command"
    street_in hls
    # A compiler that builds another engine: the command has to say so.
    printf '#!/bin/sh\nexec g++ -DCFM_FAULT=%s "$@"\n' \
        "$(sed -nE 's/^ *swapped_channels = ([0-9]+),.*/\1/p' hls/cpp/include/cfm/faults.hpp)" >"$OUT/faulty-g++"
    chmod +x "$OUT/faulty-g++"
    local status=0
    CXX=$OUT/faulty-g++ cfm parity --backend hls --pe 8 --lanes 4 --max-segments 4 --build "$OUT/faulty" >"$OUT/faulty.log" 2>&1 || status=$?
    [ "$status" = 1 ] || {
        echo "a broken twin passes (exit status $status)" >&2
        exit 1
    }
    echo "a broken twin: noticed"
}

rtl_cases() {
    step "RTL: units, with Icarus and with Verilator"
    bash hls/rtl/run.sh units
    bash hls/rtl/run.sh --icarus units
    bash hls/rtl/units.sh

    step "RTL: golden cases, with random stalls"
    bash hls/rtl/run.sh "${projects[@]}"
    bash hls/rtl/run.sh --icarus "${projects[@]:0:3}"

    step "RTL: programs from an independent generator, one lane to sixteen"
    bash hls/rtl/run.sh random 1

    step "RTL: golden cases with one lane, all weights from outside"
    bash hls/rtl/run.sh "${narrow[@]:0:24}"

    step "RTL: faults are noticed"
    bash hls/rtl/run.sh faults "${projects[@]:0:6}"
}

rtl_street() {
    step "RTL: street, a whole image and 110 segments, from the ordinary command"
    street_in rtl

    step "street: cycles of the RTL without stalls, beside the model's"
    local street=$OUT/engine-street folds=() fold
    rm -rf "$street"
    for fold in 4x4 8x4 8x8; do
        cfm export rtl --pe "${fold%x*}" --lanes "${fold#*x}" --max-segments 110 --out "$street/$fold"
        folds+=("$street/$fold")
    done
    bash hls/rtl/run.sh --stall 0 --timing "$street" "${folds[@]}" >/dev/null
    cargo run --release --locked --quiet -p cfm-hardware --example compare_cycles -- "$street" "${folds[@]}"
}

pins() {
    step "RTL at its pins, driven through cfm-device, with faults"
    local simulator streams what
    simulator=$(bash hls/rtl/run.sh pins 8 5)
    cargo run --release --locked --quiet -p cfm-sim --example engine_over_spi -- "$simulator" 8 5
    for streams in 0 1; do
        simulator=$(bash hls/rtl/run.sh axi 4 2 "$streams")
        for what in "" faults; do
            cargo run --release --locked --quiet -p cfm-sim --example engine_over_axi -- "$simulator" 4 2 $what
        done
    done

    step "SDRAM controller of the ULX3S"
    local sdram=$OUT/rtl/sdram.vvp
    iverilog -g2012 -s tb_sdram -o "$sdram" boards/ulx3s-85f/tb/*.sv boards/ulx3s-85f/rtl/sdram.sv
    vvp -n "$sdram" | tee "$OUT/rtl/sdram.log"
    grep -q 'words equal' "$OUT/rtl/sdram.log"

    step "synthesis for the ULX3S"
    bash boards/ulx3s-85f/build.sh synthesis
}

lanes=("$@")
if [ $# -eq 0 ]; then lanes=(rtl_cases cpp rtl_street pins); fi
for lane in "${lanes[@]}"; do
    case $lane in
        cpp | rtl_cases | rtl_street | pins) ;;
        *)
            echo "run.sh: there is no lane $lane" >&2
            exit 2
            ;;
    esac
done

# What lanes share is there before they start.
bash hls/rtl/run.sh --icarus tools
bash hls/rtl/run.sh tools
cargo build --release --locked --quiet -p cfm-sim --bins --examples

step "golden cases, compiled for the engine"
CASES=$OUT/engine-cases
rm -rf "$CASES" "$CASES-narrow"
cargo run --release --locked --quiet -p cfm-hardware --example export_cases -- "$CASES" 4 3
projects=("$CASES"/*/)
projects=("${projects[@]%/}")
cargo run --release --locked --quiet -p cfm-hardware --example export_cases -- "$CASES-narrow" 4 1 0 >/dev/null
narrow=("$CASES-narrow"/*/)
narrow=("${narrow[@]%/}")

step "lanes: ${lanes[*]}"
for lane in "${lanes[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    rm -f "$OUT/lane-$lane.status"
    (
        set +e
        (
            set -e
            "$lane"
        ) >"$OUT/lane-$lane.log" 2>&1
        echo $? >"$OUT/lane-$lane.status"
    ) &
done
wait
failed=()
for lane in "${lanes[@]}"; do
    cat "$OUT/lane-$lane.log"
    if [ "$(cat "$OUT/lane-$lane.status")" != 0 ]; then failed+=("$lane"); fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "engine: failed: ${failed[*]}" >&2
    exit 1
fi

step "engine: all passed"
