#!/usr/bin/env bash
# Counts the instructions and loads of single kernels on a Cortex-M4 and a Cortex-M55, exactly, in QEMU; prints one
# table, and fails if an output differs from the portable kernels' or a kernel needs more than it may.
set -euo pipefail
# A failure inside $(...) is a failure.
shopt -s inherit_errexit
cd "$(dirname "$0")"
OUT=${CARGO_TARGET_DIR:-$PWD/../../target}
mkdir -p "$OUT/bench"
OUT=$(cd "$OUT/bench" && pwd)
export CARGO_TARGET_DIR=$OUT
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

for tool in qemu-system-arm arm-none-eabi-nm cc; do
    command -v $tool >/dev/null || {
        echo "missing: $tool (Debian packages qemu-system-arm, binutils-arm-none-eabi, gcc)" >&2
        exit 1
    }
done
cc -shared -fPIC -O2 -Wall -Wextra -Werror -fvisibility=hidden -o "$OUT/regions.so" regions.c

# limit CORE KERNEL: most instructions per multiply-accumulate, where there is a limit: what CMSIS-NN needs, and less.
limit() {
    case $1-$2 in
        cortex-m4-conv3x3) echo 1.4 ;;
        cortex-m4-fully_connected) echo 1.3 ;;
        cortex-m55-conv3x3) echo 0.30 ;;
        cortex-m55-fully_connected) echo 0.40 ;;
        *) echo - ;;
    esac
}

# measure CORE TARGET MACHINE FEATURE
measure() {
    local core=$1 target=$2 machine=$3 feature=$4 elf symbols begin end log
    export RUSTFLAGS="-C link-arg=-Tlink.x -C target-cpu=$core"
    cargo clippy --quiet --release --locked --target "$target" --features "$feature" -- -D warnings
    cargo build --quiet --release --locked --target "$target" --features "$feature"
    elf=$OUT/$target/release/cfm-bench
    log=$OUT/$core.log
    symbols=$(arm-none-eabi-nm "$elf")
    # Without the lowest bit, which says that it is Thumb code.
    begin=$((0x$(awk '$3 == "bench_begin" { print $1 }' <<<"$symbols") & ~1))
    end=$((0x$(awk '$3 == "bench_end" { print $1 }' <<<"$symbols") & ~1))
    qemu-system-arm -M "$machine" -display none -monitor none -serial null \
        -semihosting-config enable=on,target=native -kernel "$elf" \
        -plugin "$OUT/regions.so,begin=$begin,end=$end" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "$core: the kernels do not agree, or the program failed" >&2
        exit 1
    }
    # Regions come in the order of the kernels: an empty one, then portable and fast ones in turn.
    awk -v core="$core" '
        /^REGION/ { split($3, i, "="); split($4, l, "="); n++; instructions[n] = i[2]; loads[n] = l[2] }
        /^kernel/ { k++; split($3, m, "="); name[k] = $2; macs[k] = m[2]; good[k] = ($4 == "equal=true") }
        END {
            if (n != 2 * k - 1 || k < 2) exit 1
            for (j = 2; j <= k; j++) {
                if (!good[j]) exit 1
                p = 2 * j - 2; f = p + 1
                print core, name[j], macs[j], instructions[p] - instructions[1], instructions[f] - instructions[1], \
                    loads[f] - loads[1]
            }
        }' "$log"
}

rows=$(measure cortex-m4 thumbv7em-none-eabihf mps2-an386 dsp)
rows+=$'\n'$(measure cortex-m55 thumbv8m.main-none-eabihf mps3-an547 mve)

failed=0
printf '| core | kernel | MACs | instructions per MAC | at most | loads per MAC | portable, instructions per MAC |\n'
printf '|---|---|---|---|---|---|---|\n'
while read -r core kernel macs portable fast loads; do
    most=$(limit "$core" "$kernel")
    awk -v core="$core" -v kernel="$kernel" -v macs="$macs" -v portable="$portable" -v fast="$fast" -v loads="$loads" \
        -v most="$most" 'BEGIN {
            printf "| %s | `%s` | %d | %.3f | %s | %.3f | %.3f |\n", core, kernel, macs, fast / macs, most, \
                loads / macs, portable / macs
            exit (most != "-" && fast / macs > most)
        }' || failed=1
done <<<"$rows"
if [ "$failed" -ne 0 ]; then
    echo "a kernel takes more instructions than it may" >&2
    exit 1
fi
