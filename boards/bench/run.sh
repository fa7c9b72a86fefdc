#!/usr/bin/env bash
# Counts the instructions and loads of single kernels on a Cortex-M4, a Cortex-M55, and 64-bit Arm without (A72) and with
# (A76) dot products, exactly, in QEMU; prints one table, and fails if an output differs from the portable kernels' or a
# kernel needs more than it may.
set -euo pipefail
# A failure inside $(...) is a failure.
shopt -s inherit_errexit
cd "$(dirname "$0")"
OUT=${CARGO_TARGET_DIR:-$PWD/../../target}
mkdir -p "$OUT/bench"
OUT=$(cd "$OUT/bench" && pwd)
export CARGO_TARGET_DIR=$OUT
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

. ../../tests/need.sh
need qemu-system-arm qemu-system-arm
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need cc gcc
need readelf binutils
need_components clippy
need_target thumbv7em-none-eabihf
need_target thumbv8m.main-none-eabihf
need_target aarch64-unknown-linux-gnu
need_plugins qemu-system-arm
need_plugins qemu-aarch64

# plugin EMULATOR: the plugin with the version of the interface that the emulator takes; prints its path.
plugin() {
    local version interface=1
    version=$("$1" --version | sed -nE '1s/.* version ([0-9]+)\..*/\1/p')
    if [ "$version" -ge 9 ]; then interface=2; fi
    cc -shared -fPIC -O2 -Wall -Wextra -Werror -fvisibility=hidden -DINTERFACE=$interface \
        -o "$OUT/regions-$interface.so" regions.c
    echo "$OUT/regions-$interface.so"
}
system_plugin=$(plugin qemu-system-arm)
user_plugin=$(plugin qemu-aarch64)

# limit CORE KERNEL: most instructions per operation, where there is a limit: what CMSIS-NN needs on Cortex-M, and less.
limit() {
    case $1-$2 in
        cortex-m4-conv3x3) echo 1.4 ;;
        cortex-m4-fully_connected) echo 1.3 ;;
        cortex-m55-conv3x3) echo 0.30 ;;
        cortex-m55-fully_connected) echo 0.40 ;;
        *) echo - ;;
    esac
}

# build TARGET FEATURE FLAGS: the program, whose path goes to `elf`, and the addresses of its markers.
build() {
    local symbols
    export RUSTFLAGS=$3
    cargo clippy --quiet --release --locked --target "$1" --features "$2" -- -D warnings
    cargo build --quiet --release --locked --target "$1" --features "$2"
    elf=$OUT/$1/release/cfm-bench
    symbols=$(readelf --symbols --wide "$elf")
    # Without the lowest bit, which says that it is Thumb code.
    begin=$((0x$(awk '$8 == "bench_begin" { print $2 }' <<<"$symbols") & ~1))
    end=$((0x$(awk '$8 == "bench_end" { print $2 }' <<<"$symbols") & ~1))
}

# count CORE EMULATOR...: runs the program and prints a line for each kernel.
count() {
    local core=$1 log=$OUT/$1.log
    shift
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "$core: the kernels do not agree, or the program failed" >&2
        exit 1
    }
    # Regions come in the order of the kernels: an empty one, then portable and fast ones in turn.
    awk -v core="$core" '
        /^REGION/ { split($3, i, "="); split($4, l, "="); n++; instructions[n] = i[2]; loads[n] = l[2] }
        /^kernel/ { k++; split($3, m, "="); name[k] = $2; operations[k] = m[2]; good[k] = ($4 == "equal=true") }
        END {
            if (n != 2 * k - 1 || k < 2) exit 1
            for (j = 2; j <= k; j++) {
                if (!good[j]) exit 1
                p = 2 * j - 2; f = p + 1
                print core, name[j], operations[j], instructions[p] - instructions[1], instructions[f] - instructions[1], \
                    loads[f] - loads[1]
            }
        }' "$log"
}

# cortex_m CORE TARGET MACHINE FEATURE
cortex_m() {
    build "$2" "$4" "-C link-arg=-Tlink.x -C target-cpu=$1"
    count "$1" qemu-system-arm -M "$3" -display none -monitor none -serial null \
        -semihosting-config enable=on,target=native -kernel "$elf" -plugin "$system_plugin,begin=$begin,end=$end"
}

# cortex_a CORE...: the same program everywhere; it looks for itself what the core can do.
cortex_a() {
    # Compiled for speed, as such programs are; at a fixed address, which the plugin can be told.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=3 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        build aarch64-unknown-linux-gnu neon "-C relocation-model=static -C link-arg=-no-pie"
    for core; do
        count "$core" qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$core" \
            -plugin "$user_plugin,begin=$begin,end=$end" "$elf"
    done
}

rows=$(cortex_m cortex-m4 thumbv7em-none-eabihf mps2-an386 dsp)
rows+=$'\n'$(cortex_m cortex-m55 thumbv8m.main-none-eabihf mps3-an547 mve)
rows+=$'\n'$(cortex_a cortex-a72 cortex-a76)

failed=0
printf '| core | kernel | operations | instructions per operation | at most | loads per operation | portable |\n'
printf '|---|---|---|---|---|---|---|\n'
while read -r core kernel operations portable fast loads; do
    most=$(limit "$core" "$kernel")
    awk -v core="$core" -v kernel="$kernel" -v operations="$operations" -v portable="$portable" -v fast="$fast" \
        -v loads="$loads" -v most="$most" 'BEGIN {
            printf "| %s | `%s` | %d | %.3f | %s | %.3f | %.3f |\n", core, kernel, operations, fast / operations, most, \
                loads / operations, portable / operations
            exit (most != "-" && fast / operations > most)
        }' || failed=1
done <<<"$rows"
if [ "$failed" -ne 0 ]; then
    echo "a kernel takes more instructions than it may" >&2
    exit 1
fi
