#!/usr/bin/env bash
# Builds the HLS engine with g++ and tests it: every unit, every deliberate fault, and the whole engine on each exported
# project that is named. Exits non-zero at the first difference.
#
#   run.sh [--no-faults] [PROJECT...]
#
# One engine is built per folding (PE, L, SIDE and GENERAL_SCALE), its memories as large as the largest that its projects
# ask for.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
OUT=${CARGO_TARGET_DIR:-$ROOT/target}/hls
CXX=${CXX:-g++}
PYTHON=${PYTHON:-python3}
FAULTS=yes
if [ "${1:-}" = --no-faults ]; then
    FAULTS=no
    shift
fi
mkdir -p "$OUT"
command -v "$CXX" >/dev/null || {
    echo "missing: $CXX (Debian package g++)" >&2
    exit 2
}

# The ap_int headers (Apache-2.0) that hls4ml ships; only these, its other headers have another licence.
AP=$OUT/ap_types
if [ ! -f "$AP/ap_int.h" ]; then
    echo "hls4ml==1.3.0 --hash=sha256:01bf1de2cd9bca56699b9fe3385cb1735026b022f9580fe1d73faf192dfb90f2" >"$OUT/requirements.txt"
    # Of a virtual environment, for a Python may have no pip; this script is in exported projects, too, without tests/need.sh.
    # Status 2 says that a tool is missing, and not that the engine is wrong.
    PIP=$OUT/pip-venv/bin/python
    { "$PIP" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv "$OUT/pip-venv"; } >&2 &&
        "$PIP" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$OUT" \
            -r "$OUT/requirements.txt" >&2 || {
        echo "missing: Python 3 with venv (Debian package python3-venv), and from PyPI hls4ml==1.3.0" >&2
        exit 2
    }
    rm -rf "$OUT/wheel" "$AP.new"
    "$PYTHON" -m zipfile -e "$OUT"/hls4ml-1.3.0-*.whl "$OUT/wheel"
    mkdir "$AP.new"
    cp -r "$OUT/wheel/hls4ml/templates/vivado/ap_types"/{ap_*.h,etc} "$AP.new"
    rm -rf "$OUT/wheel"
    mv "$AP.new" "$AP"
fi

# HLS pragmas mean nothing to g++; the constructors of ap_int mask a value before they set it, and inlined that warning
# escapes the system headers.
FLAGS=(-O2 -std=c++17 -Wall -Wextra -Werror -Wno-unknown-pragmas -Wno-uninitialized -Wno-maybe-uninitialized
    -isystem "$AP" -I"$HERE/include" -I"$HERE/sim" -I"$HERE/tops" -I"$HERE/tests")

# build OUTPUT UNIT FLAG...: the test bench of a unit, unless it is newer than all sources.
build() {
    local output=$1 unit=$2
    shift 2
    local top=()
    if [ -f "$HERE/tops/$unit.cpp" ]; then top=("$HERE/tops/$unit.cpp"); fi
    if [ -x "$output" ] && [ -z "$(find "$HERE" -name '*.[ch]pp' -newer "$output" -o -name '*.h' -newer "$output" | head -1)" ]; then
        return
    fi
    # Status 2, as for a missing tool: nothing has been compared.
    "$CXX" "${FLAGS[@]}" "$@" "$HERE/tests/test_$unit.cpp" "${top[@]}" -o "$output.new" || {
        echo "$unit is not built" >&2
        exit 2
    }
    mv "$output.new" "$output"
}

# must_fail WHAT COMMAND...: the test bench has to find a difference (exit 1) or a broken rule (exit 3).
must_fail() {
    local what=$1 status=0
    shift
    "$@" >"$OUT/fault.log" 2>&1 || status=$?
    if [ "$status" != 1 ] && [ "$status" != 3 ]; then
        echo "$what was not noticed (exit status $status)" >&2
        return 1
    fi
    printf '%-28s noticed: %s\n' "$what" "$(head -1 "$OUT/fault.log")"
}

echo "== units"
for test in "$HERE"/tests/test_*.cpp; do
    unit=$(basename "${test#*test_}" .cpp)
    if [ "$unit" = engine ]; then continue; fi
    build "$OUT/test_$unit" "$unit"
    "$OUT/test_$unit"
done

# The number of a fault, from the one list of them.
fault_number() {
    sed -nE "s/^ *$1 = ([0-9]+),.*/\1/p" "$HERE/include/cfm/faults.hpp"
}

if [ "$FAULTS" = yes ]; then
    echo "== deliberate faults"
    while read -r fault unit; do
        number=$(fault_number "$fault")
        build "$OUT/fault_$fault" "$unit" -DCFM_FAULT="${number:?no fault of that name}"
        must_fail "$fault" "$OUT/fault_$fault"
    done <<'LIST'
ties_up requantize
swapped_channels requantize
no_saturation requantize
division_truncates avg_pool
padding_wins max_pool
second_addend_weight residual_add
padding_is_zero window
ring_does_not_wrap window
pass_off_by_one window
carried_sum mac_array
channel_words weight_memory
image_not_centred image_input
threshold_strict mask_projection
fallback_last mask_projection
bin_off_by_one masked_spp
last_maximum arg_max
other_batch scoring
LIST
fi

# parameter PROJECT NAME
parameter() {
    awk -v name="$2" '$1 == name { print $2; found = 1 } END { exit !found }' "$1/parameters.txt"
}

# folding PROJECT: what a build is for
folding() {
    local scale=shift
    if [ "$(parameter "$1" GENERAL_SCALE)" = 1 ]; then scale=general; fi
    echo "$(parameter "$1" PE)x$(parameter "$1" L)-side$(parameter "$1" SIDE)-$scale"
}

if [ $# -eq 0 ]; then
    echo "no exported project was named: the engine as a whole was not run"
    exit 0
fi

ENGINE_FAULTS=$FAULTS
for name in $(for project in "$@"; do folding "$project"; done | sort -u); do
    echo "== engine $name"
    projects=()
    for project in "$@"; do
        if [ "$(folding "$project")" = "$name" ]; then projects+=("$project"); fi
    done
    defines=()
    for key in PE L SIDE FEATURE_WORDS WEIGHT_WORDS CHANNELS STORE_WORDS CLASSES GENERAL_SCALE AVERAGE_POOL ROW_WORDS; do
        largest=1
        if [[ $key = *_SCALE || $key = *_POOL ]]; then largest=0; fi
        for project in "${projects[@]}"; do
            value=$(parameter "$project" "$key")
            if [ "$value" -gt "$largest" ]; then largest=$value; fi
        done
        defines+=("-DCFM_$key=$largest")
    done
    # A build is named after its parameters, so that another choice of projects does not use it by mistake.
    tag=$(printf '%s' "${defines[*]}" | cksum | cut -d' ' -f1)
    build "$OUT/engine_$name-$tag" engine "${defines[@]}"
    for project in "${projects[@]}"; do
        "$OUT/engine_$name-$tag" "$project"
    done
    if [ "$ENGINE_FAULTS" = yes ]; then
        # The first folding's projects will do, and of them the first that notices.
        ENGINE_FAULTS=no
        for fault in ties_up bin_off_by_one swapped_channels; do
            binary=$OUT/engine_$fault-$name-$tag
            build "$binary" engine "${defines[@]}" -DCFM_FAULT="$(fault_number "$fault")"
            noticed=no
            for project in "${projects[@]}"; do
                if must_fail "$fault" "$binary" "$project" 2>/dev/null; then
                    noticed=yes
                    break
                fi
            done
            if [ "$noticed" = no ]; then
                echo "$fault was not noticed in any project of $name" >&2
                exit 1
            fi
        done
    fi
done
